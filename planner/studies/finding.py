"""What a study found, in a sentence or two."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from planner.studies.columns import FAILED, NO_PLAN, VERDICTS
from planner.studies.decides import Marginal
from planner.studies.table import Table
from planner.units import three_digits

WORTH_TELLING = 0.05  # of the gain's rank that an input explains
SPLIT = VERDICTS.index("split")
_NUMBER = re.compile(r"\d[\d,.]*")


def shares(table: Table) -> dict[str, float]:
    """The share of each verdict."""
    count = np.bincount(table.verdicts, minlength=len(VERDICTS))
    return {name: float(n) / max(len(table), 1) for name, n in zip(VERDICTS, count, strict=True)}


def finding(table: Table, marginals: Sequence[Marginal]) -> str:
    """How often a split pays, by how much, and what that depends on."""
    found, gain = shares(table), table.numbers("gain")
    pays = gain[(table.verdicts == SPLIT) & np.isfinite(gain)]
    by = f", by {three_digits(float(np.median(pays)))} times in the middle of those" if len(pays) else ""
    rest = [
        f"{_percent(found['tie'])} are ties (a gain within its error)",
        f"co-located serving is better in {_percent(found['colocated']) if found['colocated'] else 'none'}",
    ]
    if found["none"]:
        rest.append(f"no plan meets the limits in {_percent(found['none'])}")
    if found["failed"]:
        rest.append(f"{_percent(found['failed'])} cannot be asked")
    text = f"A split pays in {_percent(found['split'])} of {len(table):,} scenarios{by}; {', '.join(rest)}."
    most = [m for m in marginals if m.explains >= WORTH_TELLING]
    if most:
        told = " and ".join(f"{m.label} ({_percent(m.explains)} of what varies)" for m in most[:2])
        text += f" What decides most is {told}. {_range(most[0])}"
    return text


def reasons(table: Table, most: int = 3) -> list[tuple[str, int, str]]:
    """Why rows have no plan or cannot be asked: verdict, how many, one of their reasons; commonest first.

    Reasons that differ in numbers alone count as one.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for verdict, reason in zip(table.texts("verdict"), table.texts("reason"), strict=True):
        if verdict in (NO_PLAN, FAILED) and reason:
            found.setdefault((verdict, _NUMBER.sub("#", reason)), []).append(reason)
    ranked = sorted(found.items(), key=lambda item: -len(item[1]))
    return [(verdict, len(texts), texts[0]) for (verdict, _), texts in ranked[:most]]


def _range(marginal: Marginal) -> str:
    best = max(marginal.parts, key=lambda part: part.shares[SPLIT])
    worst = min(marginal.parts, key=lambda part: part.shares[SPLIT])
    if best.shares[SPLIT] == worst.shares[SPLIT]:
        return ""
    return (
        f"At {marginal.label} {best.label} it pays in {_percent(best.shares[SPLIT])}, "
        f"at {worst.label} in {_percent(worst.shares[SPLIT])}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:{'.1g' if 0 < share < 0.01 else '.0f'}} %"


def row_text(table: Table, row: int) -> str:
    """One scenario: what varies in it, which way is better and by how much, and both plans."""
    varied = [name for name in table.axes if len(table.levels(name)) > 1]
    levels = [table.levels(name) for name in varied]
    labels = [f"{of.field.label} {of.labels[int(of.of_row[row])]}" for of in levels]
    verdict = VERDICTS[int(table.verdicts[row])]
    words = {"none": "no plan meets the limits", "failed": "cannot be asked", "colocated": "co-located"}
    told = words.get(verdict, verdict)
    gain = float(table.numbers("gain")[row])
    if math.isfinite(gain):
        low, high = (float(table.numbers(f"gain_{end}")[row]) for end in ("low", "high"))
        ends = f"{three_digits(low)} to {three_digits(high)} in 4 of 5 cases"
        spread = f" ({ends})" if math.isfinite(low) else ""
        told += f", a split is expected to give {three_digits(gain)} times co-located{spread}"
    reason = table.texts("reason")[row]
    plans = [_way(table, row, "split"), _way(table, row, "colocated")]
    sentences = [f"{', '.join(labels)}: {told}", str(reason or ""), *plans]
    return f"{'. '.join(filter(None, sentences))}."


def _way(table: Table, row: int, way: str) -> str:
    """The pools of a way and what they give; "" where it has no plan, or the study did not keep it."""
    names = ("split_prefill", "split_decode") if way == "split" else ("colocated_pool",)
    pools = []
    for name in names:
        layout = table.columns[f"{name}_layout"][row] if f"{name}_layout" in table.columns else None
        if layout is None:
            return ""
        pools.append(f"{table.numbers(f'{name}_instances')[row]:.0f} × {layout}")
    per_gpu = three_digits(float(table.numbers(f"{way}_tokens_per_s_per_gpu")[row]))
    label = "Split" if way == "split" else "Co-located"
    return f"{label} {' + '.join(pools)}: {per_gpu} tok/s/GPU predicted"
