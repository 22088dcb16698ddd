"""Errors on measured runs: in sample, by group, the farthest off, and the outliers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from planner.evidence.figures import percent, spread
from planner.evidence.outliers import outliers
from planner.evidence.page.tables import ERROR_HEADS, METRICS, both_metrics, cells, table
from planner.evidence.runs import Row
from planner.evidence.validate_runs import Predictions, by, ratios, worst
from planner.units import format_seconds

MISSED = 2.0  # an outlier that is also this many times off is listed
FEW = 8  # groups of fewer runs are not listed by one property
VIEWS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("mode", lambda row: row.mode),
    ("model", lambda row: row.model),
    ("GPU", lambda row: row.system),
    ("engine", lambda row: row.engine),
    ("expert format", lambda row: row.moe),
    ("ISL/OSL", lambda row: f"{row.isl}/{row.osl}"),
)


def in_sample(result: Mapping[str, Any], file: str, fitted: str) -> list[str]:
    """The errors on all runs of `file`; `fitted` says which runs the constants were fitted to."""
    lines = [
        "## End to end: measured runs",
        "",
        f"{result['covered']:,} of {result['rows']:,} runs in `{file}` are predicted: TTFT and TPOT of a "
        "closed loop at a fixed number of requests in flight, co-located and disaggregated, without "
        f"speculative decoding. {fitted} The next section has figures on runs left out.",
        "",
        *table(
            ("", "runs", "mean", "median", "bias"),
            [(label, f"{result[name]['n']:,}", *cells(result[name])) for name, label in METRICS],
        ),
        "",
    ]
    if result["missing"]:
        lines += ["Not predicted:", "", *(f"- {item['id']}: {item['why']}" for item in result["missing"]), ""]
    return lines


def by_group(result: Mapping[str, Any], found: Predictions) -> list[str]:
    """The errors by model, system and engine together, and by one property at a time."""
    keys = ("model", "system", "engine")
    rows = [
        (*(group[key] for key in keys), f"{group['n']:,}", *both_metrics(group)) for group in result["groups"]
    ]
    lines = ["## By group", "", *table((*keys, *ERROR_HEADS), rows), ""]
    for name, key in VIEWS:
        listed = by(found, key)
        shown = [item for item in listed if item["n"] >= FEW]
        rest = len(listed) - len(shown)
        cut = [(item["name"], f"{item['n']:,}", *cells(item["tpot"]), *cells(item["ttft"])) for item in shown]
        lines += [f"### By {name}", "", *table((name, *ERROR_HEADS), cut), ""]
        lines += [f"And {rest} with fewer than {FEW} runs each.", ""] if rest else []
    return lines


def farthest_off(found: Predictions) -> list[str]:
    """The runs with the largest errors of each metric."""
    lines = ["## Farthest off", ""]
    keys = ("model", "system", "engine", "mode")
    for name, label in METRICS:
        rows = [
            (
                row["id"],
                *(row[key] for key in keys),
                f"{row['isl']}/{row['osl']}",
                f"{row['concurrency']:g}",
                format_seconds(row["predicted"]),
                format_seconds(row["measured"]),
            )
            for row in worst(found, name)
        ]
        lines += [*table((label, *keys, "ISL/OSL", "requests", "predicted", "measured"), rows), ""]
    return lines


def immature(found: Predictions) -> list[str]:
    """Outliers that no model of a healthy engine meets: named, and what the error is without them."""
    ratio = ratios(found, "ttft")
    missed = outliers(found.rows) & (np.abs(np.log(np.where(ratio > 0, ratio, 1.0))) > math.log(MISSED))
    rest = {name: spread(ratios(found, name)[~missed]) for name in ("tpot", "ttft")}
    groups: dict[tuple[str, ...], list[int]] = {}
    for i in np.flatnonzero(missed):
        row = found.rows[i]
        key = (row.model, row.system, row.engine, row.version or "not stated", row.moe)
        groups.setdefault(key, []).append(int(i))
    rows: list[tuple[str, ...]] = []
    for build, members in sorted(groups.items()):
        measured = [found.rows[i].ttft_s for i in members]
        predicted = [float(found.ttft_s[i]) for i in members]
        rows.append(
            (
                *build,
                ", ".join(found.rows[i].id for i in members),
                _span(measured),
                _span(predicted),
            )
        )
    if not rows:
        return []
    return [
        "## Runs of builds that were not ready",
        "",
        "These runs took at least four times as long to the first token as their neighbours: the same model, "
        "GPU, engine and lengths at about the same concurrency and number of GPUs. Predictions are at least "
        "two times off. They stay in every figure of this page; no constant was made to meet them. Without "
        f"them TTFT is {percent(rest['ttft']['mape'])} mean and {percent(rest['ttft']['median_ape'])} "
        f"median, TPOT {percent(rest['tpot']['mape'])} and {percent(rest['tpot']['median_ape'])}.",
        "",
        *table(("model", "system", "engine", "build", "experts", "runs", "TTFT", "predicted"), rows),
        "",
    ]


def _span(seconds: Sequence[float]) -> str:
    """The least and the most.

    >>> _span([0.5, 2.0]), _span([1.5])
    ('500 ms to 2 s', '1.5 s')
    """
    ends = dict.fromkeys(format_seconds(value) for value in (min(seconds), max(seconds)))
    return " to ".join(ends)
