"""The script that measures a deployment under the plan's traffic, with a load generator of choice."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping

from planner.output.deploy.parts import Subject
from planner.output.deploy.shell import quoted, top
from planner.words import Benchmark

REQUESTS_PER_PLACE = 10  # of a run, for each request in flight: the first and last waves say little
FEWEST_REQUESTS = 20
FEWEST_SECONDS = 120  # of an open loop, at its rate
STEADY = 1e4  # shape of a gamma distribution whose gaps are all but alike
WIDEST = 0.95  # half the width of uniform lengths over their mean
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
    words, tail = _TOOLS[of.options.benchmark](of, checkpoint, rate)
    return f"{quoted(words)} \\\n    {tail}"


def prefix_tokens(of: Subject) -> int:
    """Tokens at the start of each prompt that are the same in all: what a prefix cache holds of them."""
    traffic = of.scenario.traffic
    return traffic.isl - traffic.new_tokens


def _smoothness(of: Subject) -> float | None:
    """Shape of the gaps' gamma distribution, one over their squared variation: 1 is Poisson, None steady."""
    traffic = of.scenario.traffic
    if traffic.arrivals == "steady":
        return None
    return 1.0 / traffic.burstiness**2 if traffic.arrivals == "bursty" and traffic.burstiness else 1.0


def _uniform(of: Subject) -> float:
    """Half the width over the mean of uniform lengths that vary as the plan's do; one for both sides."""
    traffic = of.scenario.traffic
    return min(math.sqrt(3.0) * max(traffic.isl_spread, traffic.osl_spread), WIDEST)


def _vllm(of: Subject, checkpoint: str, rate: float | None) -> tuple[list[str], str]:
    traffic, prefix, wide = of.scenario.traffic, prefix_tokens(of), _uniform(of)
    words = ["vllm", "bench", "serve", "--backend", "openai", "--endpoint", "/v1/completions"]
    words += ["--model", checkpoint, "--served-model-name", served(of, checkpoint)]
    words += ["--dataset-name", "random", "--random-input-len", str(traffic.isl - prefix)]
    words += ["--random-output-len", str(traffic.osl)]
    words += ["--random-prefix-len", str(prefix)] if prefix else []
    words += ["--random-range-ratio", f"{wide:.4g}"] if wide else []
    words += ["--ignore-eos", "--percentile-metrics", "ttft,tpot,itl,e2el"]
    words += ["--metric-percentiles", "50,90,95,99", "--save-result", "--result-dir", "results"]
    smooth = _smoothness(of)
    shape = f"{STEADY if smooth is None else smooth:.4g}"
    loop = '--max-concurrency "$places"' if rate is None else f"--request-rate {rate:g} --burstiness {shape}"
    file = f"vllm-{_run(rate)}.{RESULTS['vllm']}"
    return words, f'--base-url "$url" --num-prompts "$requests" {loop} --result-filename "{file}"'


def _sglang(of: Subject, checkpoint: str, rate: float | None) -> tuple[list[str], str]:
    """Its arrivals are Poisson whatever was asked; its lengths are uniform from a share of the longest on."""
    traffic, prefix, wide = of.scenario.traffic, prefix_tokens(of), _uniform(of)
    longest = [str(round(n * (1.0 + wide))) for n in (traffic.isl - prefix, traffic.osl)]
    ratio = f"{(1.0 - wide) / (1.0 + wide):.4g}" if wide else "1.0"
    words = ["python3", "-m", "sglang.bench_serving", "--backend", "vllm"]  # any OpenAI server
    words += ["--model", checkpoint, "--served-model-name", served(of, checkpoint)]
    number = ""
    if prefix:
        words += ["--dataset-name", "generated-shared-prefix", "--gsp-num-groups", "1"]
        words += ["--gsp-system-prompt-len", str(prefix), "--gsp-question-len", longest[0]]
        words += ["--gsp-output-len", longest[1], "--gsp-range-ratio", ratio]
        number = ' --gsp-prompts-per-group "$requests"'
    else:
        words += ["--dataset-name", "random-ids", "--random-input-len", longest[0]]
        words += ["--random-output-len", longest[1], "--random-range-ratio", ratio]
    loop = '--max-concurrency "$places"' if rate is None else f"--request-rate {rate:g}"
    file = f"results/sglang-{_run(rate)}.{RESULTS['sglang']}"
    return words, f'--base-url "$url" --num-prompts "$requests"{number} {loop} --output-file "{file}"'


def _aiperf(of: Subject, checkpoint: str, rate: float | None) -> tuple[list[str], str]:
    traffic, prefix = of.scenario.traffic, prefix_tokens(of)
    words = ["aiperf", "profile", "--model", served(of, checkpoint), "--tokenizer", checkpoint]
    words += ["--endpoint-type", "completions", "--streaming", "--extra-inputs", "ignore_eos:true"]
    for side, mean, spread in (
        ("isl", traffic.isl - prefix, traffic.isl_spread),
        ("osl", traffic.osl, traffic.osl_spread),
    ):
        words += [f"--{side}", str(mean), f"--{side}-stddev", f"{spread * mean:.0f}"]
    if prefix:
        words += ["--num-prefix-prompts", "1", "--prefix-prompt-length", str(prefix)]
    smooth = _smoothness(of)
    pattern = "constant" if smooth is None else "poisson" if smooth == 1.0 else "gamma"
    gamma = f" --arrival-smoothness {smooth:.4g}" if pattern == "gamma" else ""
    loop = f"--request-rate {rate or 0:g} --arrival-pattern {pattern}{gamma}"
    loop = '--concurrency "$places"' if rate is None else loop
    return (
        words,
        f'--url "$url" --request-count "$requests" {loop} --artifact-dir "results/aiperf-{_run(rate)}"',
    )


def _run(rate: float | None) -> str:
    return "$places" if rate is None else f"rate-{rate:g}"


_TOOLS: Mapping[Benchmark, Callable[[Subject, str, float | None], tuple[list[str], str]]] = {
    "vllm": _vllm,
    "sglang": _sglang,
    "aiperf": _aiperf,
}


def served(of: Subject, checkpoint: str) -> str:
    """The name that requests ask for."""
    return checkpoint if of.table.engine == "trtllm" else of.model.name
