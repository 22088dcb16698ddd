"""What a study found, in a sentence or two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.studies.columns import VERDICTS
from planner.studies.decides import Marginal
from planner.studies.table import Table
from planner.units import three_digits

WORTH_TELLING = 0.05  # of the gain's rank that an input explains
SPLIT = VERDICTS.index("split")


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
        f"co-located serving is better in {_percent(found['colocated'])}",
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
    return f"{three_digits(100 * share) if 0 < share < 0.01 else f'{100 * share:.0f}'} %"
