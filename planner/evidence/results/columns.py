"""What the keys of benchmark tools are among the columns of measured runs (`planner.evidence.runs`)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from planner.evidence import csv_files

Record = Mapping[str, Any]  # of a result, as a tool wrote it
_BETWEEN = re.compile(r"[^a-z0-9]+")

# keys of flat records, the best first, and what a value is multiplied by
FLAT: Mapping[str, tuple[tuple[str, float], ...]] = {
    "isl": tuple(
        (key, 1)
        for key in (
            *("isl", "input_len", "random_input_len", "mean_input_tokens"),
            *("input_length", "input_tokens", "prompt_length", "prompt_tokens"),
        )
    ),
    "osl": tuple(
        (key, 1)
        for key in (
            *("osl", "output_len", "random_output_len", "mean_output_tokens"),
            *("output_length", "output_tokens", "generated_tokens"),
        )
    ),
    "concurrency": (("max_concurrency", 1), ("conc", 1), ("concurrency", 1), ("measured concurrency", 1)),
    "requests": (("num_prompts", 1), ("requests", 1)),
    "ttft_ms": (
        *((f"{key}_ttft_ms", 1) for key in ("mean", "avg", "median")),
        *((key, 1) for key in ("ttft_ms", "ttft_mean", "ttft_median")),
        *((f"{key}_ttft", 1e3) for key in ("mean", "median")),
        *((key, 1e3) for key in ("ttft_s", "mean_ttft_s", "median_ttft_s")),
    ),
    "tpot_ms": (
        *((f"{key}_tpot_ms", 1) for key in ("mean", "avg", "median")),
        *((key, 1) for key in ("tpot_ms", "tpot_mean", "tpot_median")),
        *((f"{key}_tpot", 1e3) for key in ("mean", "median")),
        *((key, 1e3) for key in ("tpot_s", "mean_tpot_s", "median_tpot_s")),
        *((f"{key}_itl_ms", 1) for key in ("mean", "median")),
        *((key, 1) for key in ("itl_ms", "itl_mean", "itl_median")),
        *((f"{key}_itl", 1e3) for key in ("mean", "median")),
    ),
    "ttft_p90_ms": (("p90_ttft_ms", 1), ("ttft_p90_ms", 1), ("ttft_p90", 1), ("p90_ttft", 1e3)),
    "ttft_p99_ms": (("p99_ttft_ms", 1), ("ttft_p99_ms", 1), ("ttft_p99", 1), ("p99_ttft", 1e3)),
    "e2e_ms": (
        *((f"{key}_e2el_ms", 1) for key in ("mean", "median")),
        *((f"{key}_e2e_latency_ms", 1) for key in ("mean", "median")),
        ("e2e_ms", 1),
        *((f"{key}_e2el", 1e3) for key in ("mean", "median")),
    ),
    "output_tokens_per_s": (
        *((key, 1) for key in ("output_throughput", "output_tok/sec", "output_tokens_per_s")),
    ),
    "tp": (("tp", 1), ("tp_size", 1), ("tensor_parallel_size", 1)),
    "pp": (("pp", 1), ("pp_size", 1), ("pipeline_parallel_size", 1)),
    "mtp": (("num_speculative_tokens", 1), ("mtp", 1)),
}
WORDS: Mapping[str, tuple[str, ...]] = {
    "model": ("model", "model_id", "model_path", "model_name"),
    "system": ("system", "hw", "gpu", "accelerator", "hardware", "gpu_type", "gpu_name", "device"),
    "engine": ("engine", "framework", "backend"),
    "engine_versions": ("engine_versions", "version", "server_version"),
    "gemm_dtype": ("gemm_dtype", "precision"),
}
# of metrics with an object of statistics each (genai-perf, aiperf): column, and the SI unit it is in
STATED: Mapping[str, str] = {
    "time_to_first_token": "ttft_ms",
    "inter_token_latency": "tpot_ms",
    "request_latency": "e2e_ms",
}
PLAIN: Mapping[str, str] = {
    "output_token_throughput": "output_tokens_per_s",
    "input_sequence_length": "isl",
    "output_sequence_length": "osl",
    "request_count": "requests",
}
_MS = {"ms": 1.0, "milliseconds": 1.0, "s": 1e3, "sec": 1e3, "seconds": 1e3, "us": 1e-3, "ns": 1e-6}
# what a benchmark client is asked to speak, which is no engine
CLIENTS = ("openai", "openai-chat", "openai-comp", "openai-audio", "triton", "")
_ENGINES = (("vllm", "vllm"), ("sglang", "sglang"), ("trt", "trtllm"), ("tensorrt", "trtllm"))
_FORMATS = {"fp4": "nvfp4", "fp16": "bf16", "float16": "bf16", "bfloat16": "bf16"}


def number(value: object) -> float:
    """A cell or JSON value as a finite number; nan for anything else.

    >>> number("1,024"), number(" 12.5 "), number("inf"), number(True), number(10**400)
    (1024.0, 12.5, nan, nan, nan)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        found = float(value.replace(",", "") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def named(key: str) -> str:
    """A column's name as tools write it.

    >>> named("Mean TTFT (ms)"), named("Input Length"), named("TPOT [ms]")
    ('mean_ttft_ms', 'input_length', 'tpot_ms')
    """
    return _BETWEEN.sub("_", key.lower()).strip("_")


def flat(record: Record) -> dict[str, str]:
    """The columns of a record whose values are numbers and words: vLLM's, SGLang's, InferenceX's, others'."""
    plain = {named(str(key)): value for key, value in record.items()}
    plain.update((str(key).strip().lower(), value) for key, value in record.items())
    server = plain.get("server_info")  # of SGLang: what it was started with
    if isinstance(server, dict):
        plain = {**{str(key).lower(): value for key, value in server.items()}, **plain}
    row: dict[str, str] = {}
    for column, keys in FLAT.items():
        for key, scale in keys:
            cell = plain.get(key)
            told = csv_files.plain(cell, column) if isinstance(cell, str) else cell
            value = number(told)
            if value > 0 or (value == 0 and column == "mtp"):
                # a cell that says its unit is in the column's already
                row[column] = text(value * (scale if told == cell else 1.0))
                break
    for column, names in WORDS.items():
        for key in names:
            if isinstance(plain.get(key), str) and plain[key].strip():
                row[column] = plain[key].strip()
                break
    done = number(plain.get("completed"))
    for column, total in (("isl", "total_input_tokens"), ("osl", "total_output_tokens")):
        tokens = number(plain.get(total))
        if (
            done > 0 and tokens > 0 and math.isfinite(tokens / done)
        ):  # what was sent, where lengths are drawn around a nominal one
            row[column] = text(max(round(tokens / done), 1))
            row["lengths"] = "fixed"
    rate = number(plain.get("request_rate"))
    if rate > 0:
        row["requests_per_s"] = text(rate)
        row.pop("concurrency", None)
    row.update(_widths(plain))
    return row


def _widths(plain: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How InferenceX and others write attention DP and experts: of the GPUs of ``tp``."""
    if str(plain.get("disagg", "")).lower() == "true":
        yield "mode", "disaggregated"
        for phase in ("prefill", "decode"):
            tp, ep = (number(plain.get(f"{phase}_{key}")) for key in ("tp", "ep"))
            workers = number(plain.get(f"{phase}_num_workers"))
            if tp > 0:
                shared = str(plain.get(f"{phase}_dp_attention", "")).lower() == "true"
                yield from _sharded(tp, ep, shared, f"{phase}_")
            if workers > 0:
                yield f"{phase}_workers", text(workers)
        return
    tp = next((v for v in map(number, map(plain.get, ("tp", "tp_size"))) if v > 0), math.nan)
    ep = next((v for v in map(number, map(plain.get, ("ep", "ep_size"))) if v > 0), math.nan)
    if tp > 0 and ("dp_attention" in plain or "ep" in plain or "ep_size" in plain):
        yield from _sharded(tp, ep, str(plain.get("dp_attention", "")).lower() == "true", "")


def _sharded(tp: float, ep: float, attention_dp: bool, prefix: str) -> Iterator[tuple[str, str]]:
    ep = ep if ep > 0 else 1.0
    yield f"{prefix}tp", "1" if attention_dp else text(tp)
    yield f"{prefix}attention_dp", text(tp) if attention_dp else "1"
    yield f"{prefix}moe_ep", text(ep)
    yield f"{prefix}moe_tp", text(max(tp // ep, 1))


def stated(record: Record) -> dict[str, str]:
    """The columns of a record with an object of statistics for each metric: genai-perf's and aiperf's."""
    row: dict[str, str] = {}

    def put(column: str, of: object, key: str, scale: float = 1.0) -> None:
        value = number(of.get(key)) if isinstance(of, Mapping) else math.nan
        if value > 0:
            row[column] = text(value * scale)

    for metric, column in STATED.items():
        of = record.get(metric)
        scale = _MS.get(str(of.get("unit", "ms")).strip().lower(), 1.0) if isinstance(of, Mapping) else 1.0
        put(column, of, "avg", scale)
        if metric == "time_to_first_token":
            put("ttft_p90_ms", of, "p90", scale)
            put("ttft_p99_ms", of, "p99", scale)
    for metric, column in PLAIN.items():
        put(column, record.get(metric), "avg")
    for column in ("isl", "osl", "requests"):
        if column in row:
            row[column] = text(max(round(float(row[column])), 1))
    if "osl" in row:  # the mean of what was sent and made
        row["lengths"] = "fixed"
    for key, value in leaves(record.get("input_config")):
        if key == "concurrency" and number(value) > 0:
            row.setdefault("concurrency", text(number(value)))
        elif key == "request_rate" and number(value) > 0:
            row.setdefault("requests_per_s", text(number(value)))
        elif key in ("model", "model_names", "models") and isinstance(value, str) and value.strip():
            row.setdefault("model", value.strip())
    if "requests_per_s" in row:
        row.pop("concurrency", None)
    return row


def leaves(tree: object, most: int = 10_000) -> Iterator[tuple[str, object]]:
    """Keys and values of a tree of objects and lists, breadth first, without going deeper by call."""
    waiting: list[tuple[str, object]] = [("", tree)]
    for _ in range(most):
        if not waiting:
            return
        key, value = waiting.pop(0)
        if isinstance(value, Mapping):
            waiting += [(str(name).lower(), item) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [(key, item) for item in value[:100]]
        else:
            yield key, value


def engine_of(name: str) -> str:
    """The engine that a tool means; "" for the name of a protocol.

    >>> engine_of("vLLM-0.15.1"), engine_of("dynamo-trt"), engine_of("sglang-oai"), engine_of("openai-chat")
    ('vllm', 'trtllm', 'sglang', '')
    """
    lower = name.strip().lower()
    if lower in CLIENTS:
        return ""
    return next((engine for word, engine in _ENGINES if word in lower), lower)


def version_of(name: str) -> str:
    """The number in "vLLM-0.15.1"; "" without one."""
    found = re.search(r"\d+(\.\w+)+", name)
    return found[0] if found else ""


def format_of(name: str) -> str:
    """A format of weights as measured runs name it."""
    return _FORMATS.get(name.strip().lower(), name.strip().lower())


def text(value: float) -> str:
    """A number as a cell."""
    return f"{value:.10g}"
