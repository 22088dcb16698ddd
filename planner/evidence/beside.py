"""Another planner's predictions beside ours: the same deployments, and where and why the two differ.

Four figures of each deployment are compared, as theirs over ours, so that a difference has a place: a decode
step at their own batch (kernels and host; TPOT under load of co-located instances), a prompt alone (kernels
of prefill, transfer, host), what a prefill instance serves, and tokens/s per GPU at their requests in flight,
where ours counts what waits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from planner.arrays import FloatArray
from planner.evidence import gather, recipes
from planner.evidence.results.columns import Record, number
from planner.evidence.runs import Row, Widths
from planner.inputs.catalog import Catalog
from planner.inputs.layout_label import label
from planner.simulate import service, waiting

ALIKE = 0.1  # of a figure: less is no difference worth a word
FIGURES: Mapping[str, str] = {  # what is compared, in words
    "step": "a decode step at their batch (TPOT under load where co-located)",
    "prompt": "a first token without waits",
    "prefill_rate": "prompts/s of a prefill instance",
    "tokens_per_s_per_gpu": "tokens/s per GPU at their requests in flight",
}
_CACHES = {"float16": "bf16", "bfloat16": "bf16"}


def compare(rows: Sequence[Row], records: Sequence[Record], planner: str, catalog: Catalog) -> dict[str, Any]:
    """`validate --json` of another planner's table: plain data, no nan.

    Parameters
    ----------
    rows
        Their deployments, with their predictions as what was measured.
    records
        The lines of their file, one for each row.

    Returns
    -------
    dict
        ``planner``, ``rows``: for each figure of `FIGURES` theirs, ours and their ratio, ours under load
        (``loaded_ttft_s``, ``loaded_tpot_s``); ``median_ratio`` by figure; ``why``: sentences; ``missing``.
    """
    begin = time.perf_counter()
    runs = gather.gather(rows, catalog)
    index = {id(row): i for i, row in enumerate(rows)}
    lines = [_line(row, records[index[id(row)]]) for row in runs.rows]
    if lines:
        for line, ours in zip(lines, _ours(runs, lines), strict=True):
            line.update(ours)
    medians = {name: _median([line["ratio"][name] for line in lines]) for name in FIGURES}
    return {
        "planner": planner,
        "rows": lines,
        "median_ratio": medians,
        "why": _why(runs.rows, [records[index[id(row)]] for row in runs.rows], medians, lines, catalog),
        "missing": [{"id": row.id, "why": why} for row, why in runs.missing],
        "seconds": time.perf_counter() - begin,
    }


def _line(row: Row, record: Record) -> dict[str, Any]:
    def known(name: str, scale: float = 1.0) -> float | None:
        value = number(record.get(name))
        return value * scale if value > 0 else None

    mark = "" if row.colocated else "(d)"
    return {
        "id": row.id,
        "prefill": None if row.colocated else _name(row.prefill, row.prefill_pp, row.prefill_workers),
        "decode": _name(row.decode, row.decode_pp, row.decode_workers),
        "gpus": int(row.gpus),
        "batch": known(f"{mark}bs"),
        "theirs": {
            "step": row.tpot_s if np.isfinite(row.tpot_s) else None,
            "prompt": row.ttft_s if np.isfinite(row.ttft_s) else None,
            "prefill_rate": known("(p)seq/s/worker"),
            "tokens_per_s_per_gpu": known("tokens/s/gpu"),
        },
    }


def _name(at: Widths, pp: float, workers: float) -> str:
    tp, dp, moe_tp, ep = (int(n) for n in (at.tp, at.attention_dp, at.moe_tp, at.moe_ep))
    return f"{workers:g}x{label(tp=tp, pp=int(pp), attention_dp=dp, moe_tp=moe_tp, ep=ep)}"


def _ours(runs: gather.Runs, lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What we say of each line, and the ratios."""
    server, scheduler = runs.server, service.scheduler(runs.engines, runs.poll_steps)
    loaded = gather.outcome(runs, server, scheduler)
    batch = np.array([line["batch"] or np.nan for line in lines], dtype=float)
    batch = np.where(np.isfinite(batch), batch, loaded.batch)
    handover = np.where(server.colocated > 0, 0.0, scheduler.handover_s)
    ranks = np.array([r.decode_workers * r.decode.attention_dp for r in runs.rows], dtype=float)
    gpus = np.array([line["gpus"] for line in lines], dtype=float)
    found: dict[str, FloatArray] = {
        # their TPOT of co-located instances has the prompts between in it
        "step": np.where(
            server.colocated > 0, loaded.tpot_s, waiting.interpolate(batch, server.batch, server.step_s)
        ),
        "prompt": server.prompt_s + server.transfer_s + handover,
        "prefill_rate": server.prefill_ranks / waiting.served_s(server, scheduler),
        "tokens_per_s_per_gpu": loaded.decode_per_s * ranks * (runs.client.steps + 1.0) / gpus,
    }
    ours = []
    for i, line in enumerate(lines):
        each = {name: _finite(values[i]) for name, values in found.items()}
        ratio = {
            name: theirs / each[name] if theirs and each[name] else None
            for name, theirs in line["theirs"].items()
        }
        ours.append(
            {
                "ours": each,
                "ratio": ratio,
                "loaded_ttft_s": _finite(loaded.ttft_s[i]),
                "loaded_tpot_s": _finite(loaded.tpot_s[i]),
                "most_in_a_batch": _finite(server.largest_batch[i]),
            }
        )
    return ours


def _why(
    rows: Sequence[Row],
    records: Sequence[Record],
    medians: Mapping[str, float | None],
    lines: Sequence[Mapping[str, Any]],
    catalog: Catalog,
) -> list[str]:
    """What can be told apart, largest first."""
    found: list[tuple[float, str]] = []
    for name, words in FIGURES.items():
        ratio = medians[name]
        if ratio and abs(np.log(ratio)) > np.log1p(ALIKE):
            found.append((abs(float(np.log(ratio))), f"{words}: theirs is {ratio:.2f} times ours"))
    said = [text for _, text in sorted(found, reverse=True)]
    waits = [line["loaded_ttft_s"] / line["ours"]["prompt"] for line in lines if line["loaded_ttft_s"]]
    if waits and (longer := float(np.median(waits))) > 1 + ALIKE:
        said.append(
            f"waits: at their requests in flight our first token takes {longer:.1f} times one without waits; "
            "theirs is a pass times a constant"
        )
    full = sum(1 for line in lines if (line["batch"] or 0) > (line["most_in_a_batch"] or np.inf))
    if full:
        said.append(f"memory: {full} of {len(lines)} have a larger batch than fits here")
    caches = {
        (_CACHES.get(theirs, theirs), recipes.cache(row, catalog))
        for row, record in zip(rows, records, strict=True)
        if (theirs := str(record.get("kvcache" if row.colocated else "(d)kvcache") or "").strip())
    }
    said += [
        f"cache: theirs is in {theirs}, ours in {ours}" for theirs, ours in sorted(caches) if theirs != ours
    ]
    return said or ["no figure differs by more than 10 % in the median"]


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
