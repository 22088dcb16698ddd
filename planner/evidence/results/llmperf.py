"""llmperf's summary (`*_summary.json`) as the columns of measured runs.

Keys from ray-project/llmperf, token_benchmark_ray.py ("version": "2023-08-31"). Its inter-token latency is a
whole request over its tokens, the first one's wait included; so the token interval is taken from the means of
whole requests and first tokens: ``(e2e - ttft) / (osl - 1)``.
"""

from __future__ import annotations

from planner.evidence.results.columns import Record, number, text

TOOL = "llmperf"
_TTFT, _E2E = "results_ttft_s", "results_end_to_end_latency_s"


def is_one(record: Record) -> bool:
    """Whether this is a summary of llmperf."""
    return f"{_TTFT}_mean" in record and f"{_E2E}_mean" in record


def columns(record: Record) -> dict[str, str]:
    """What a summary says, by column (`planner.evidence.runs`)."""

    def said(*keys: str) -> float:
        return next((value for value in (number(record.get(key)) for key in keys) if value > 0), 0.0)

    row: dict[str, str] = {}
    if isinstance(record.get("model"), str) and record["model"].strip():
        row["model"] = record["model"].strip()
    osl = said("results_number_output_tokens_mean", "mean_output_tokens")
    ttft_s, e2e_s = said(f"{_TTFT}_mean"), said(f"{_E2E}_mean")
    numbers = {
        "isl": round(said("results_number_input_tokens_mean", "mean_input_tokens")),
        "osl": round(osl),
        "concurrency": said("num_concurrent_requests"),
        "requests": said("results_num_completed_requests", "results_num_requests_started"),
        "ttft_ms": 1e3 * ttft_s,
        "tpot_ms": 1e3 * (e2e_s - ttft_s) / (osl - 1.0) if osl > 1.0 else 0.0,
        "ttft_p90_ms": 1e3 * said(f"{_TTFT}_quantiles_p90"),
        "ttft_p99_ms": 1e3 * said(f"{_TTFT}_quantiles_p99"),
        "e2e_ms": 1e3 * e2e_s,
        "output_tokens_per_s": said("results_mean_output_throughput_token_per_s"),
    }
    row.update((column, text(value)) for column, value in numbers.items() if value > 0)
    if "osl" in row:  # the mean of what was sent and made
        row["lengths"] = "fixed"
    return row
