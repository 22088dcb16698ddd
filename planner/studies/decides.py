"""What decides: marginals of each input, and how much of the gain each explains alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.studies.axes import NAMED
from planner.studies.columns import VERDICTS
from planner.studies.table import INPUTS, Table

BINS = 8  # that values of a sample are taken together in
FEW = 24  # values up to which each stands for itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The scenarios with one value of an input, or a few that lie together."""

    label: str
    scenarios: int
    shares: tuple[float, ...]  # of each of VERDICTS
    gain: float  # median, of those with both ways; nan without any


@dataclass(frozen=True, slots=True, kw_only=True)
class Marginal:
    """One input alone, all others pooled."""

    name: str  # the column
    label: str
    parts: tuple[Part, ...]
    explains: float  # share of the variance of the gain's rank; nan where no two differ
    trend: float  # Spearman's rank correlation with the gain; nan for what has no order


def ordered(table: Table) -> FloatArray:
    """The gain of each row, that of a row with but one way at the end of its side; nan without a plan."""
    gain, verdict = table.numbers("gain"), table.verdicts
    only = ~np.isfinite(gain)
    gain = np.where(only & (verdict == VERDICTS.index("split")), np.inf, gain)
    gain = np.where(only & (verdict == VERDICTS.index("colocated")), -np.inf, gain)
    return np.asarray(gain, dtype=np.float64)


def marginals(table: Table) -> list[Marginal]:
    """One for each input that varies, the one that explains most first.

    An input explains ``1 - (variance within its values) / (variance)`` of the ranks of the gain: the
    correlation ratio of Kruskal and Wallis, "Use of Ranks in One-Criterion Variance Analysis", 1952, whose
    H is (n - 1) times it. In a full product what several explain adds up, interactions apart.
    """
    from scipy.stats import rankdata

    gain = ordered(table)
    known = ~np.isnan(gain)
    ranks = rankdata(np.clip(gain[known], -1e30, 1e30))  # scipy 1.10 takes infinities of both signs for nan
    found = []
    for name in table.axes:
        levels = table.levels(name)
        if len(levels) < 2:
            continue
        labels, of_row = _binned(levels.labels, levels.of_row)
        numeric = INPUTS[name].kind not in NAMED
        found.append(
            Marginal(
                name=name,
                label=INPUTS[name].label,
                parts=_parts(table, labels, of_row),
                explains=_explained(ranks, of_row[known]),
                trend=_trend(ranks, levels.of_row[known]) if numeric else float("nan"),
            )
        )
    return sorted(found, key=lambda m: -m.explains if m.explains == m.explains else 1.0)


def _binned(labels: tuple[str, ...], of_row: IntArray) -> tuple[tuple[str, ...], IntArray]:
    """Values as they are where they are few, else BINS runs of neighbours with as many rows each."""
    if len(labels) <= FEW:
        return labels, of_row
    edges = np.quantile(of_row, np.linspace(0, 1, BINS + 1)[1:-1], method="lower")
    of_bin = np.searchsorted(edges, of_row, side="left")
    used, of_bin = np.unique(of_bin, return_inverse=True)
    names = []
    for i in range(len(used)):
        own = of_row[of_bin == i]
        names.append(f"{labels[int(own.min())]} to {labels[int(own.max())]}")
    return tuple(names), of_bin.astype(np.int64)


def _parts(table: Table, labels: tuple[str, ...], of_row: IntArray) -> tuple[Part, ...]:
    gain, verdict = table.numbers("gain"), table.verdicts
    found = []
    for i, label in enumerate(labels):
        rows = of_row == i
        count = np.bincount(verdict[rows], minlength=len(VERDICTS))
        own = gain[rows & np.isfinite(gain)]
        shares = tuple(float(share) for share in count / max(int(rows.sum()), 1))
        middle = float(np.median(own)) if len(own) else float("nan")
        found.append(Part(label=label, scenarios=int(rows.sum()), shares=shares, gain=middle))
    return tuple(found)


def _explained(ranks: FloatArray, group: IntArray) -> float:
    """The correlation ratio of ranks by group, squared.

    >>> round(_explained(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1])), 2)
    0.8
    """
    if len(ranks) < 2 or not ranks.std():
        return float("nan")
    count = np.bincount(group).astype(np.float64)
    mean = np.bincount(group, weights=ranks) / np.maximum(count, 1.0)
    between = float((count * (mean - ranks.mean()) ** 2).sum())
    return between / float(((ranks - ranks.mean()) ** 2).sum())


def _trend(ranks: FloatArray, level: IntArray) -> float:
    from scipy.stats import spearmanr

    if len(ranks) < 3 or not ranks.std() or not level.std():
        return float("nan")
    return float(spearmanr(level, ranks).statistic)
