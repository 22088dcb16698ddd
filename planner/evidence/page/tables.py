"""Tables of error figures in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.evidence.figures import percent
from planner.output.columns import markdown

METRICS = (("tpot", "TPOT"), ("ttft", "TTFT"))
ERROR_HEADS = ("runs", "TPOT mean", "median", "bias", "TTFT mean", "median", "bias")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table: first column to the left, the rest to the right where they hold figures."""
    body = [list(row) for row in rows]
    align = ""
    for i in range(len(head)):
        figures = all(row[i][:1].isdigit() or row[i][:1] in "+-" for row in body if row[i])
        align += "r" if figures and i else "l"
    return markdown([head, *body], align)


def cells(errors: Mapping[str, Any]) -> tuple[str, ...]:
    """Mean, median and bias of one metric, as `figures.spread` gives them."""
    return (
        percent(errors["mape"]),
        percent(errors["median_ape"]),
        percent(errors["bias"], sign=True),
    )


def both_metrics(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells below `ERROR_HEADS` but the first, from keys such as tpot_mape."""
    return tuple(
        cell
        for metric, _ in METRICS
        for cell in cells({key: entry[f"{metric}_{key}"] for key in ("mape", "median_ape", "bias")})
    )
