"""What errors of predictions have in common: within a group of runs, and between the two ways of serving.

Of candidates for one plan (one model, GPU and engine) all predictions share an error, which favours none of
them. What is left differs from layout to layout, and the best of many predictions is likely one that it
flatters (`planner.planning.chosen`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from planner.arrays import FloatArray
from planner.evidence.calibrate.fit import significant
from planner.evidence.runs import Row
from planner.words import Way

WAYS: tuple[Way, ...] = ("disaggregated", "colocated")
PAIRS = 8  # groups with both ways below which their correlation is not told


def errors(rows: Sequence[Row], tpot: FloatArray) -> dict[str, Any]:
    """`spread` and `correlation` of the errors of each way, from left-out TPOT, predicted over measured.

    Also the correlation between the ways where both were measured.
    """
    found: dict[str, Any] = {}
    ways = np.array([row.mode for row in rows])
    for way in WAYS:
        found[way] = _figures(rows, np.where(ways == way, tpot, np.nan))
    found["ways"] = between(rows, tpot)
    return found


def _figures(rows: Sequence[Row], ratio: FloatArray) -> dict[str, Any]:
    inside = [int(i) for i in np.flatnonzero(np.isfinite(ratio) & (ratio > 0))]
    groups = [(rows[i].model, rows[i].system, rows[i].engine) for i in inside]
    spread, correlation = shared(np.log(ratio[inside]), groups)
    return {
        "spread": significant(spread, 3),
        "correlation": significant(correlation, 3),
        "rows": len(inside),
        "groups": len(set(groups)),
    }


def shared(error: FloatArray, groups: Sequence[object]) -> tuple[float, float]:
    """Standard deviation of errors, and their correlation within groups (one-way analysis of variance).

    With n runs in k groups, m of them in a typical one, and mean squares between (b) and within (w) groups,
    the variance of what a group shares is ``max((b - w) / m, 0)``; its part of the whole is the intraclass
    correlation (Fisher, "Statistical Methods for Research Workers", 1925). (0, 0) where nothing can be told.

    >>> spread, correlation = shared(np.array([0.1, 0.1, -0.1, -0.1]), ["a", "a", "b", "b"])
    >>> round(spread, 3), correlation
    (0.141, 1.0)
    """
    names, of = np.unique([str(group) for group in groups], return_inverse=True)
    n, k = len(error), len(names)
    if k < 2 or n <= k:
        return (float(np.std(error)) if n else 0.0), 0.0
    size = np.bincount(of)
    mean = np.bincount(of, error) / size
    within = float(((error - mean[of]) ** 2).sum()) / (n - k)
    between_groups = float((size * (mean - error.mean()) ** 2).sum()) / (k - 1)
    typical = (n - float((size**2).sum()) / n) / (k - 1)
    common = max((between_groups - within) / typical, 0.0)
    whole = common + within
    return float(np.sqrt(whole)), float(common / whole) if whole else 0.0


def between(rows: Sequence[Row], tpot: FloatArray) -> dict[str, Any]:
    """Correlation of the mean errors of the two ways over groups where both were measured.

    A group is a model, GPU, engine, formats and lengths. No correlation (0) below `PAIRS` groups, or where
    what is found is negative: it would make the comparison surer of what shares nothing.
    """
    sums: dict[tuple[object, ...], dict[Way, list[float]]] = {}
    for row, ratio in zip(rows, tpot, strict=True):
        if np.isfinite(ratio) and ratio > 0:
            key = (row.model, row.system, row.engine, row.gemm, row.isl, row.osl)
            sums.setdefault(key, {}).setdefault(row.mode, []).append(float(np.log(ratio)))
    means = np.array([[np.mean(of[way]) for way in WAYS] for of in sums.values() if len(of) == 2]).reshape(
        -1, 2
    )
    told = len(means) >= PAIRS
    correlation = max(float(np.corrcoef(means.T)[0, 1]), 0.0) if told else 0.0
    return {"correlation": significant(correlation, 3) if correlation else 0.0, "groups": len(means)}
