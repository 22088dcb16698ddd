"""aiconfigurator's and aisimulate's tables of configurations: what another planner predicts, as rows.

Columns of `best_config_topn.csv` and `pareto.csv`, from the lists ColumnsAgg and ColumnsDisagg of
ai-dynamo/aiconfigurator 0.12 (sdk/common.py; the same in aisimulate 0.13). Times are milliseconds; (p) and
(d) mark prefill and decode; `dp` is attention DP, `bs` sequences of a rank.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from planner.evidence.results.columns import Record, number, text

TOOL = "aiconfigurator"
# columns of its new table, whose figures are JSON in cells
RECOMMENDATION = frozenset(("candidate_id", "metrics_json"))
_COLUMNS = frozenset(("tokens/s/gpu", "tokens/s/user", "num_total_gpus", "ttft", "tpot"))
_PLAIN: Mapping[str, str] = {
    "isl": "isl",
    "osl": "osl",
    "concurrency": "concurrency",
    "ttft": "ttft_ms",
    "tpot": "tpot_ms",
    "request_latency": "e2e_ms",
    "tokens/s": "output_tokens_per_s",
    "prefix": "shared_prefix",
}
_WIDTHS: Mapping[str, str] = {
    "tp": "tp",
    "pp": "pp",
    "dp": "attention_dp",
    "moe_tp": "moe_tp",
    "moe_ep": "moe_ep",
    "workers": "workers",
}
_FORMATS: Mapping[str, str] = {
    "float16": "bf16",
    "bfloat16": "bf16",
    "fp8_static": "fp8",
    "fp8_ootb": "fp8",
    "w4a16_mxfp4": "mxfp4_wo",
    "w4a8_mxfp4_mxfp8": "mxfp4",
}


def is_one(names: Collection[str]) -> bool:
    """Whether columns are those of its tables.

    >>> is_one(["ttft", "tpot", "tokens/s/gpu", "tokens/s/user", "num_total_gpus", "tp"]), is_one(["ttft"])
    (True, False)
    """
    return set(names) >= _COLUMNS


def columns(record: Record) -> dict[str, str]:
    """A configuration as columns of measured runs, its predictions where a run has what was measured."""
    split = number(record.get("(d)tp")) > 0
    row = {"mode": "disaggregated" if split else "colocated"}
    for name, column in _PLAIN.items():
        figure = number(record.get(name))
        if figure > 0 or name in ("isl", "osl"):
            row[column] = _cell(record, name)
    for mark, prefix in (("(p)", "prefill_"), ("(d)", "decode_")) if split else (("", ""),):
        for name, column in _WIDTHS.items():
            if f"{mark}{name}" in record:
                row[f"{prefix}{column}"] = _cell(record, f"{mark}{name}")
    if not split:
        row.pop("workers", None)
        each = number(record.get("tp")) * number(record.get("pp")) * number(record.get("dp"))
        gpus = number(record.get("num_total_gpus"))
        row["decode_workers"] = text(max(round(gpus / each), 1) if each > 0 and gpus > 0 else 1)
    mark = "(d)" if split else ""
    for name, column in (("model", "model"), ("system", "system"), ("backend", "engine")):
        value = record.get(name if name == "model" else f"{mark}{name}")
        if isinstance(value, str) and value.strip():
            row[column] = value.strip()
    for name, column in (("gemm", "gemm_dtype"), ("moe", "moe_dtype")):
        value = record.get(f"{mark}{name}")
        if isinstance(value, str) and value.strip():
            row[column] = _FORMATS.get(value.strip(), value.strip())
    return row


def _cell(record: Record, name: str) -> str:
    """A number as measured runs have it; what is none as it stands, for them to refuse."""
    figure = number(record.get(name))
    return text(figure) if math.isfinite(figure) else str(record.get(name, "")).strip()
