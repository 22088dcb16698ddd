"""The script that measures a deployment under the plan's traffic, with a load generator of choice."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping

from planner.output.deploy.parts import Subject
from planner.output.deploy.shell import quoted, top
from planner.words import Benchmark

REQUESTS_PER_PLACE = 10  # of a run, for each request in flight: the first and last waves say little
FEWEST_REQUESTS = 20
FEWEST_SECONDS = 120  # of an open loop, at its rate
RESULTS: Mapping[Benchmark, str] = {"vllm": "json", "sglang": "jsonl", "aiperf": "json"}


def ladder(of: Subject) -> list[int]:
    """Requests in flight to measure at: those of the plan's rate, and fewer in steps of two.

    >>> import types
    >>> load = types.SimpleNamespace(requests_in_flight=100.0)
    >>> ladder(types.SimpleNamespace(serving=types.SimpleNamespace(load=load)))
    [1, 6, 12, 25, 50, 100]
    """
    load = of.serving.load
    most = load.requests_in_flight if load else _in_flight(of)
    return sorted({1, *(max(round(most / 2**i), 1) for i in range(5))})


def _in_flight(of: Subject) -> float:
    """By Little's law, of a serving without a load of its own."""
    steps = max(of.scenario.traffic.osl - 1, 1)
    return of.serving.requests_per_s * (of.serving.ftl_s + steps * of.serving.ttl_s)


def script(of: Subject, url: str, checkpoint: str) -> str:
    """`bench.sh`: each step of the ladder, or the plan's own rate where it has one; results in results/."""
    kind = of.options.benchmark
    rate = of.scenario.traffic.requests_per_s
    lines = [
        top(f"Measures {of.options.name} with {kind}: bash bench.sh, then ratematch validate results/FILE"),
        f"url=${{1:-{shlex.quote(url)}}}\nmkdir -p results\n",
    ]
    if rate is None:
        lines.append(
            f"for places in {' '.join(map(str, ladder(of)))}; do\n"
            f"  requests=$((places * {REQUESTS_PER_PLACE}))\n"
            f"  if ((requests < {FEWEST_REQUESTS})); then requests={FEWEST_REQUESTS}; fi\n"
            f'  echo "$places in flight, $requests requests"\n'
            f"  {_command(of, checkpoint, None)}\n"
            "done\n"
        )
    else:
        requests = max(math.ceil(rate * FEWEST_SECONDS), FEWEST_REQUESTS)
        lines.append(f"requests={requests}\n{_command(of, checkpoint, rate)}\n")
    return "\n".join(lines)


def _command(of: Subject, checkpoint: str, rate: float | None) -> str:
    """One run of the load generator; `$url`, `$places` and `$requests` are the script's."""
    traffic = of.scenario.traffic
    isl, osl = str(traffic.isl), str(traffic.osl)
    ending = RESULTS[of.options.benchmark]
    run = "$places" if rate is None else f"rate-{rate:g}"
    if of.options.benchmark == "vllm":
        words = ["vllm", "bench", "serve", "--backend", "openai", "--endpoint", "/v1/completions"]
        words += ["--model", checkpoint, "--served-model-name", served(of, checkpoint)]
        words += ["--dataset-name", "random", "--random-input-len", isl, "--random-output-len", osl]
        words += [
            "--ignore-eos",
            "--percentile-metrics",
            "ttft,tpot,itl,e2el",
            "--metric-percentiles",
            "50,90,95,99",
        ]
        words += ["--save-result", "--result-dir", "results"]
        loop = '--max-concurrency "$places"' if rate is None else f"--request-rate {rate:g} --burstiness 1"
        tail = f'--base-url "$url" --num-prompts "$requests" {loop} --result-filename "vllm-{run}.{ending}"'
    elif of.options.benchmark == "sglang":
        words = ["python3", "-m", "sglang.bench_serving", "--backend", "vllm"]  # any OpenAI server
        words += ["--model", checkpoint, "--served-model-name", served(of, checkpoint)]
        words += ["--dataset-name", "random-ids", "--random-input-len", isl, "--random-output-len", osl]
        words += ["--random-range-ratio", "1.0"]
        loop = '--max-concurrency "$places"' if rate is None else f"--request-rate {rate:g}"
        file = f"results/sglang-{run}.{ending}"
        tail = f'--base-url "$url" --num-prompts "$requests" {loop} --output-file "{file}"'
    else:
        words = ["aiperf", "profile", "--model", served(of, checkpoint), "--tokenizer", checkpoint]
        words += ["--endpoint-type", "completions", "--streaming", "--extra-inputs", "ignore_eos:true"]
        words += ["--isl", isl, "--isl-stddev", "0", "--osl", osl, "--osl-stddev", "0"]
        loop = (
            '--concurrency "$places"'
            if rate is None
            else f"--request-rate {rate:g} --arrival-pattern poisson"
        )
        tail = f'--url "$url" --request-count "$requests" {loop} --artifact-dir "results/aiperf-{run}"'
    return f"{quoted(words)} \\\n    {tail}"


def served(of: Subject, checkpoint: str) -> str:
    """The name that requests ask for."""
    return checkpoint if of.table.engine == "trtllm" else of.model.name
