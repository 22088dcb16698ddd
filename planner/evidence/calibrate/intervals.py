"""Intervals that hold 80 % of predicted over measured, of all engines together and of each.

Engines err differently: a band of all together covers too little of one and too much of another. The
interval of an engine is that of its own left-out rows and, together counted as `LEAN` rows, those of the
others: with few rows of its own it is theirs.

Rows of one group (a model on a GPU) err alike, so an interval holds more of the groups that it was found
from than of the next one. Each group is therefore held against the interval of the rest,

    score = distance from the middle / distance of that end of the interval from the middle,

in the logarithm, and the interval is stretched by the score that 80 % of rows stay below (cross-conformal
prediction: Vovk, "Cross-conformal predictors", 2015; Barber et al., "Predictive inference with the
jackknife+", 2021). `covered` judges all of that by groups that it has not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.arrays import BoolArray, FloatArray
from planner.planning.bands import SHARE

MIN_ROWS = 20  # fewer left-out rows than this do not make a band
LEAN = MIN_ROWS  # rows that those of all other engines together count for in an engine's own interval
LEAST = 1e-9  # of the logarithm, from the middle of an interval to an end, where rows do not differ
Interval = tuple[float, float]
StrArray = npt.NDArray[np.str_]
_TAIL = (1.0 - SHARE) / 2.0


def interval(
    parts: Iterable[FloatArray], before: Interval | None = None, least: int = MIN_ROWS
) -> tuple[Interval, int]:
    """(lowest, highest) predicted over measured of the middle `SHARE` of rows, and how many rows.

    Never inside `before`, the interval where more was measured: knowing less cannot make surer.

    >>> interval([np.array([0.9, 1.0, 1.1] * 10)], (0.8, 1.05))
    ((0.8, 1.1), 30)
    """
    ratio = np.concatenate([part[np.isfinite(part)] for part in parts])
    if len(ratio) < least:
        return before or (1.0, 1.0), len(ratio)
    low, high = np.exp(np.quantile(np.log(ratio), [_TAIL, 1.0 - _TAIL]))
    return never_inside((float(low), float(high)), before), len(ratio)


def never_inside(found: Interval, before: Interval | None) -> Interval:
    """An interval, as wide at either end as the one before it."""
    return found if before is None else (min(found[0], before[0]), max(found[1], before[1]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeftOut:
    """Rows of one way of leaving out, all arrays of shape ``(rows,)``."""

    error: FloatArray  # logarithm of predicted over measured
    engine: StrArray
    group: StrArray  # what was left out together
    related: Mapping[str, BoolArray]  # which rows are left out with each group, itself among them

    def take(self, at: BoolArray) -> LeftOut:
        """Some of the rows."""
        some = np.flatnonzero(at)
        return LeftOut(
            error=self.error[some],
            engine=self.engine[some],
            group=self.group[some],
            related={group: rows[some] for group, rows in self.related.items()},
        )

    def told(self) -> Iterator[tuple[BoolArray, str, LeftOut]]:
        """Rows of a group and an engine, the engine, and the rows that are not left out with the group.

        None where fewer than `MIN_ROWS` are not: they make no interval.
        """
        for name in np.unique(self.group):
            others = ~self.related[str(name)]
            if others.sum() >= MIN_ROWS:
                rest, mine = self.take(others), self.group == name
                for ran in np.unique(self.engine[mine]):
                    yield mine & (self.engine == ran), str(ran), rest


def of_engine(parts: Sequence[LeftOut], engine: str) -> Interval:
    """The interval of an engine, stretched so that it holds `SHARE` of groups that are not in it."""
    error, weight = _leaning(parts, [part.error for part in parts], engine)
    low, middle, high = _quantiles(error, weight, (_TAIL, 0.5, 1.0 - _TAIL))
    score, weight = _leaning(parts, [scores(part) for part in parts], engine)
    stretch = max(_quantiles(score, weight, (SHARE,))[0], 1.0) if len(score) else 1.0
    return float(np.exp(middle - stretch * (middle - low))), float(np.exp(middle + stretch * (high - middle)))


def scores(rows: LeftOut) -> FloatArray:
    """How far each row is from the middle, over what the ends are in the interval of unrelated rows.

    Above 1 lies outside. nan where fewer than `MIN_ROWS` rows are unrelated: they make no interval.
    """
    found = np.full(len(rows.error), np.nan)
    for mine, engine, rest in rows.told():
        low, middle, high = _quantiles(*_leaning([rest], [rest.error], engine), (_TAIL, 0.5, 1.0 - _TAIL))
        off = rows.error[mine] - middle
        found[mine] = np.abs(off) / np.maximum(np.where(off < 0, middle - low, high - middle), LEAST)
    return found


def covered(rows: LeftOut) -> FloatArray:
    """1 where a row lies in its engine's interval, found with no row of its group, 0 where not; ``(rows,)``.

    nan where fewer than `MIN_ROWS` rows are unrelated. No row has a say in the interval that judges it.
    """
    found = np.full(len(rows.error), np.nan)
    for mine, engine, rest in rows.told():
        low, high = np.log(of_engine([rest], engine))
        found[mine] = (low <= rows.error[mine]) & (rows.error[mine] <= high)
    return found


def _leaning(
    parts: Sequence[LeftOut], values: Sequence[FloatArray], engine: str
) -> tuple[FloatArray, FloatArray]:
    """Known values of the rows, and their weights: 1 of the engine's own, `LEAN` of all others together."""
    value = np.concatenate(values)
    own = np.concatenate([part.engine == engine for part in parts])
    told = np.isfinite(value)
    value, own = value[told], own[told]
    return value, np.where(own, 1.0, LEAN / max(int((~own).sum()), 1))


def _quantiles(value: FloatArray, weight: FloatArray, shares: Sequence[float]) -> list[float]:
    """Weighted quantiles, linear between the middles of the rows' weights.

    >>> _quantiles(np.array([3.0, 1.0, 2.0]), np.ones(3), [0.5])
    [2.0]
    """
    order = np.argsort(value, kind="stable")
    value, weight = value[order], weight[order]
    place = (np.cumsum(weight) - weight / 2.0) / weight.sum()
    return [float(one) for one in np.interp(shares, place, value)]
