"""trtllm-bench's report (`--report_json`) as the columns of measured runs.

Keys from the statistics of TensorRT-LLM's benchmark reporting (tensorrt_llm/bench/dataclasses/reporting.py,
0.17 to 1.3). It does not say the system (before 1.3), whether attention is data-parallel (so that a layout
with experts in parallel has to be told), nor the limit on requests in flight: it has their mean, which is at
least nearly half of all requests where they came at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from planner.evidence.results.columns import Record, number, text

TOOL = "trtllm-bench"
AT_ONCE = 0.45  # of all requests, in flight in the mean, from which on they came at once
_ALGORITHMS = {
    "fp8": "fp8",
    "fp8_per_channel_per_token": "fp8",
    "fp8_block_scales": "fp8_block",
    "nvfp4": "nvfp4",
    "w4a16": "int4_wo",
    "w4a16_awq": "int4_wo",
    "w4a16_gptq": "int4_wo",
    "w4a16_mxfp4": "mxfp4",
    "w4a8_mxfp4_fp8": "mxfp4",
    "w4a8_mxfp4_mxfp8": "mxfp4",
}


def is_one(record: Record) -> bool:
    """Whether this is a report of trtllm-bench."""
    performance = record.get("performance")
    return isinstance(performance, Mapping) and "request_throughput_req_s" in performance


def columns(record: Record) -> dict[str, str]:
    """What a report says, by column (`planner.evidence.runs`)."""
    row = {"engine": "trtllm"}
    engine, world = _part(record, "engine"), _part(record, "world_info")
    requests, performance = _part(record, "request_info"), _part(record, "performance")
    streaming = _part(record, "streaming_metrics")
    for column, of, key in (
        ("model", engine, "model"),
        ("engine_versions", engine, "version"),
        ("system", _part(record, "machine"), "name"),
    ):
        named = of.get(key)
        if isinstance(named, str) and named.strip():
            row[column] = named.strip()
    algorithm = str(engine.get("quantization") or "").lower().removeprefix("quantalgo.")
    if algorithm in _ALGORITHMS:
        row["gemm_dtype"] = _ALGORITHMS[algorithm]
    numbers = {
        "isl": number(requests.get("avg_input_length")),
        "osl": number(requests.get("avg_output_length")),
        "requests": number(requests.get("num_requests")),
        "ttft_ms": number(streaming.get("avg_ttft_ms")),
        "tpot_ms": number(streaming.get("avg_tpot_ms")),
        "ttft_p90_ms": number(_part(streaming, "ttft_percentiles").get("p90")),
        "ttft_p99_ms": number(_part(streaming, "ttft_percentiles").get("p99")),
        "e2e_ms": number(performance.get("avg_request_latency_ms")),
        "output_tokens_per_s": number(performance.get("system_output_throughput_tok_s")),
        **_widths(world),
    }
    in_flight, all_ = number(requests.get("avg_num_concurrent_requests")), numbers["requests"]
    if in_flight > 0 and not in_flight >= AT_ONCE * all_:
        numbers["concurrency"] = math.ceil(in_flight)
    for column, value in numbers.items():
        if value > 0:
            row[column] = text(max(round(value), 1) if column in ("isl", "osl", "requests") else value)
    if "osl" in row:  # the mean of what was sent and made
        row["lengths"] = "fixed"
    return row


def _widths(world: Mapping[str, object]) -> dict[str, float]:
    """The layout, where experts are not spread: else attention could be TP or DP."""
    if number(world.get("ep_size")) > 1:
        return {}
    return {"tp": number(world.get("tp_size")), "pp": number(world.get("pp_size"))}


def _part(of: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = of.get(key)
    return found if isinstance(found, Mapping) else {}
