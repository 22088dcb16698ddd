"""The findings as text and as a section of docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Sequence

from planner.evidence.page.tables import table as page_table
from planner.evidence.sanity.checks import (
    BOUND_FACTOR,
    ENGINE_FACTOR,
    FORMAT_FACTOR,
    SISTER_FACTOR,
    Finding,
    Kind,
)
from planner.output.columns import aligned

TITLES: dict[Kind, str] = {
    "format": f"Slower than a wider format: over {FORMAT_FACTOR:g} times, quantising apart",
    "engine": f"Slower than another engine on that GPU: over {ENGINE_FACTOR:g} times in the median of shapes",
    "sister": f"Slower than on the sister GPU: over {SISTER_FACTOR:g} times",
    "bound": f"A constant at the costly edge of its range: over {BOUND_FACTOR:g} times what its start costs",
}
HEAD = ("table", "times", "against", "at", "what of it")


def outcome(one: Finding) -> str:
    """What became of a finding."""
    if one.borrowed:
        return f"plans take {one.borrowed}'s"
    return one.why or ("as fitted" if one.kind == "bound" else "OPEN")


def rows(found: Sequence[Finding], kind: Kind) -> list[tuple[str, ...]]:
    """Lines of one kind; systems on which a table differs alike share one."""
    grouped: dict[tuple[str, ...], list[Finding]] = {}
    for one in found:
        if one.kind == kind:
            other = one.other if kind != "sister" else "the sister"
            grouped.setdefault((one.operator, one.engine, one.dtype, other, outcome(one)), []).append(one)
    lines: list[tuple[str, ...]] = []
    for (operator, engine, dtype, other, what), some in grouped.items():
        worst = max(some, key=lambda one: one.factor)
        least = min(one.factor for one in some)
        times = f"{worst.factor:.1f}" if len(some) == 1 else f"{least:.1f} to {worst.factor:.1f}"
        systems = ", ".join(one.system for one in some)
        lines.append((f"{operator} {dtype} of {engine} on {systems}", times, other, worst.at, what))
    return lines


def text(found: Sequence[Finding]) -> str:
    """Every finding, and how many are open."""
    blocks = []
    for kind, title in TITLES.items():
        lines = rows(found, kind)
        if lines:
            blocks.append(f"{title}\n" + "\n".join(aligned([HEAD, *lines], "lrlll")))
    unsettled = sum(not one.settled for one in found)
    blocks.append(f"{len(found)} findings, {unsettled} of them open.")
    return "\n\n".join(blocks)


def page(found: Sequence[Finding]) -> list[str]:
    """The same as a section of the page."""
    out = [
        "## Kernel tables beside each other",
        "",
        "`ratematch calibrate --check` times every table of `presets/kernels` at the same shapes and "
        "compares formats, engines and sister GPUs. What stands out is taken from another engine in plans, "
        "or is known to be so; a plan that rests on a table slower than a wider format's says it.",
        "",
    ]
    for kind, title in TITLES.items():
        lines = rows(found, kind)
        if lines:
            out += [f"{title}:", "", *page_table(HEAD, lines), ""]
    return out
