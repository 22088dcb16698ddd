"""Another planner's predictions beside ours, as a table and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.evidence.beside import FIGURES
from planner.evidence.text import table
from planner.units import format_seconds, three_digits

MOST = 20  # lines of the table; --json has all


def beside_text(result: Mapping[str, Any]) -> str:
    """The report of `beside.compare`."""
    rows = result["rows"]
    lost = result["missing"]
    head = ("", "prefill", "decode", "batch", "step", "ours", "prompt", "ours", "tok/s/GPU", "ours")
    lines = [
        (
            row["id"],
            row["prefill"] or "-",
            row["decode"],
            f"{row['batch']:g}" if row["batch"] else "-",
            *(_pair(row, "step")),
            *(_pair(row, "prompt")),
            *(_pair(row, "tokens_per_s_per_gpu")),
        )
        for row in rows[:MOST]
    ]
    ratios = [
        (words, f"{ratio:.2f}")
        for name, words in FIGURES.items()
        if (ratio := result["median_ratio"][name]) is not None
    ]
    paragraphs = [
        f"{len(rows):,} configurations of {result['planner']}, {len(lost):,} more that cannot be predicted "
        "here. Both\ncolumns are predictions: nothing here was measured."
    ]
    if rows:
        paragraphs.append(table([head, *lines], "lllrrrrrrr"))
        if len(rows) > MOST:
            paragraphs.append(f"and {len(rows) - MOST:,} more (--json)")
        paragraphs.append("Theirs over ours, in the median\n" + table(ratios, "lr"))
        paragraphs.append("Where and why\n" + "\n".join(f"  {why}" for why in result["why"]))
    if lost:
        paragraphs.append(
            "Not predicted here\n" + "\n".join(f"  {item['id']}: {item['why']}" for item in lost[:MOST])
        )
    return "\n\n".join(paragraphs) + "\n"


def _pair(row: Mapping[str, Any], name: str) -> tuple[str, str]:
    values = (row["theirs"][name], row["ours"][name])
    shown = three_digits if name == "tokens_per_s_per_gpu" else format_seconds
    theirs, ours = ("-" if value is None else shown(value) for value in values)
    return theirs, ours
