"""A run as benchmark tools write it: what `read` takes back. The replay's own, for now.

Spellings are those of the readers: `columns.FLAT`, `columns.STATED` and `columns.PLAIN`, `guidellm.METRICS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from planner.evidence.results import columns, guidellm
from planner.output.as_json import dumps
from planner.replay.result import PERCENTILES, Result, spread

Tool: TypeAlias = Literal["vllm", "sglang", "aiperf", "genai-perf", "guidellm"]
TOOLS: tuple[Tool, ...] = get_args(Tool)
_BACKENDS = {"vllm": "vllm", "sglang": "sglang-oai", "trtllm": "trt"}  # of SGLang's benchmark, by engine
_TIMES = ("ttft", "tpot", "itl", "e2e")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a load against a deployment, as its client saw it."""

    model: str
    engine: str
    in_flight: int | None  # a closed loop
    requests_per_s: float | None  # an open one; both None: all at once
    requests: int
    completed: int
    duration_s: float
    input_tokens: int  # of the requests that ended, as are the following
    output_tokens: int
    times_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # ttft ...: mean, p50, ...
    concurrency: float = 0.0  # requests in flight, mean

    @property
    def isl(self) -> float:
        """Mean input tokens."""
        return self.input_tokens / max(self.completed, 1)

    @property
    def osl(self) -> float:
        """Mean output tokens."""
        return self.output_tokens / max(self.completed, 1)


def of_replay(result: Result, *, model: str, engine: str, requests_per_s: float | None) -> Run:
    """A replay as the run of a benchmark: of the requests that ended.

    Parameters
    ----------
    requests_per_s
        That came, where they came at their own time.
    """
    ended = result.finished
    steps = float(np.maximum(result.osl[ended] - 1, 0).sum())
    gap_ms = 1e3 * float((result.end_s - result.first_s)[ended].sum()) / steps if steps else math.nan
    seconds = result.span_s
    whole = result.e2e_s[ended]
    times = {"ttft": result.ftl_s[ended], "tpot": result.ttl_s[ended], "e2e": whole}
    return Run(
        model=model,
        engine=engine,
        in_flight=result.options.in_flight,
        requests_per_s=None if result.options.in_flight else requests_per_s,
        requests=len(result),
        completed=int(ended.sum()),
        duration_s=seconds,
        input_tokens=int(result.isl[ended].sum()),
        output_tokens=int(result.osl[ended].sum()),
        times_ms={
            **{name: {key: 1e3 * value for key, value in spread(of).items()} for name, of in times.items()},
            "itl": {"mean": gap_ms},  # of all gaps alike
        },
        concurrency=float(whole.sum()) / seconds if seconds else 0.0,
    )


def text(tool: Tool, run: Run) -> str:
    """The run in the format of a tool's result file.

    >>> run = Run(model="m", engine="vllm", in_flight=2, requests_per_s=None, requests=2, completed=2,
    ...           duration_s=1.0, input_tokens=20, output_tokens=10, times_ms={"ttft": {"mean": 5.0}})
    >>> '"mean_ttft_ms": 5.0' in text("vllm", run)
    True
    """
    record = _WRITE[tool](run)
    lines = None if tool == "sglang" else 2  # it appends one line for each run
    return dumps(_plain(record), indent=lines) + "\n"


def _vllm(run: Run) -> dict[str, Any]:
    return {
        "backend": "openai",
        "model_id": run.model,
        "tokenizer_id": run.model,
        "num_prompts": run.requests,
        "request_rate": run.requests_per_s or "inf",
        "burstiness": 1.0,
        "max_concurrency": run.in_flight,
        "duration": run.duration_s,
        "completed": run.completed,
        "failed": run.requests - run.completed,
        "total_input_tokens": run.input_tokens,
        "total_output_tokens": run.output_tokens,
        "request_throughput": _per_s(run, run.completed),
        "output_throughput": _per_s(run, run.output_tokens),
        "total_token_throughput": _per_s(run, run.input_tokens + run.output_tokens),
        **_flat(run, {"e2e": "e2el"}),
    }


def _sglang(run: Run) -> dict[str, Any]:
    return {
        "backend": _BACKENDS.get(run.engine, "vllm"),
        "dataset_name": "random-ids",
        "request_rate": run.requests_per_s or math.inf,
        "max_concurrency": run.in_flight,
        "random_input_len": round(run.isl),
        "random_output_len": round(run.osl),
        "random_range_ratio": 1.0,
        "num_prompts": run.requests,
        "duration": run.duration_s,
        "completed": run.completed,
        "total_input_tokens": run.input_tokens,
        "total_output_tokens": run.output_tokens,
        "total_output_tokens_retokenized": run.output_tokens,
        "request_throughput": _per_s(run, run.completed),
        "input_throughput": _per_s(run, run.input_tokens),
        "output_throughput": _per_s(run, run.output_tokens),
        "total_throughput": _per_s(run, run.input_tokens + run.output_tokens),
        "concurrency": run.concurrency,
        **_flat(run, {"e2e": "e2e_latency"}),
    }


def _flat(run: Run, names: Mapping[str, str]) -> dict[str, float]:
    """Statistics whose names are one key with that of the metric: `p90_ttft_ms`."""
    return {
        f"{'median' if key == 'p50' else key}_{names.get(name, name)}_ms": value
        for name in _TIMES
        for key, value in run.times_ms.get(name, {}).items()
    }


def _stated(run: Run) -> dict[str, Any]:
    """An object of statistics for each metric: what aiperf and genai-perf have in common."""
    of = {f"{name}_ms": run.times_ms.get(name, {}) for name in _TIMES}
    record: dict[str, Any] = {
        metric: {
            "unit": "ms",
            **{"avg" if key == "mean" else key: value for key, value in of[column].items()},
        }
        for metric, column in columns.STATED.items()
    }
    values = {
        "output_tokens_per_s": ("tokens/sec", _per_s(run, run.output_tokens)),
        "isl": ("tokens", run.isl),
        "osl": ("tokens", run.osl),
        "requests": ("requests", run.completed),
    }
    for metric, column in columns.PLAIN.items():
        unit, value = values[column]
        record[metric] = {"unit": unit, "avg": value}
    record["request_throughput"] = {"unit": "requests/sec", "avg": _per_s(run, run.completed)}
    return record


def _load(run: Run) -> dict[str, Any]:
    if run.requests_per_s:
        return {"request_rate": run.requests_per_s}
    return {"concurrency": run.in_flight or run.requests}


def _aiperf(run: Run) -> dict[str, Any]:
    return {
        "schema_version": "1.4",
        **_stated(run),
        "input_config": {
            "endpoint": {"model_names": [run.model], "streaming": True},
            "loadgen": {**_load(run), "request_count": run.requests},
        },
    }


def _genai_perf(run: Run) -> dict[str, Any]:
    return {
        **_stated(run),
        "input_config": {"model_names": [run.model], "perf_analyzer": {"stimulus": _load(run)}},
    }


def _guidellm(run: Run) -> dict[str, Any]:
    if run.requests_per_s:
        strategy: dict[str, Any] = {"type_": "poisson", "rate": run.requests_per_s}
    else:
        strategy = {"type_": "concurrent", "streams": run.in_flight or run.requests}
    of = {f"{name}_ms": run.times_ms.get(name, {}) for name in _TIMES}
    means = {
        "output_tokens_per_s": _per_s(run, run.output_tokens),
        "isl": run.isl,
        "osl": run.osl,
        "concurrency": run.concurrency,
        "requests_per_s": _per_s(run, run.completed),
    }
    metrics: dict[str, Any] = {"request_totals": {"successful": run.completed, "total": run.requests}}
    for metric, column, scale in guidellm.METRICS:
        known = of.get(column, {"mean": means.get(column, math.nan)})
        statistics = {key: value / scale for key, value in known.items()}
        metrics[metric] = {
            "successful": {
                "mean": statistics.get("mean"),
                "median": statistics.get("p50"),
                "count": run.completed,
                "percentiles": {f"p{p}": statistics[f"p{p}"] for p in PERCENTILES if f"p{p}" in statistics},
            }
        }
    benchmark = {"config": {"strategy": strategy, "backend": {"model": run.model}}, "metrics": metrics}
    return {"metadata": {"version": 1}, "benchmarks": [benchmark]}


_WRITE: Mapping[Tool, Callable[[Run], dict[str, Any]]] = {
    "vllm": _vllm,
    "sglang": _sglang,
    "aiperf": _aiperf,
    "genai-perf": _genai_perf,
    "guidellm": _guidellm,
}


def _per_s(run: Run, number: float) -> float:
    return number / run.duration_s if run.duration_s else 0.0


def _plain(value: Any) -> Any:
    """Without nan, which is no JSON: what is not known is left out."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item == item}
    return value
