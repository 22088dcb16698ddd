"""What a layout is expected to serve within the limits, over what is predicted of it.

Two things make the best of many predictions serve less than it promises, and some layouts more than others.

Within the limits
-----------------
A plan is asked for within a TTL. Where a step takes e times what was predicted, its batch is set lower, so
that ``e ttl(batch) <= limit`` still, and it serves ``rate(batch) / e``. A layout on the steep part of its
curve serves far less then, one whose limit is far off hardly any less. Over equally likely errors e of steps,
as wide as the runs behind the layout ask for (`planner.planning.evidence`):

    share = mean over e of D(e) / D(1),      D(e) = max of rate(batch) / e where e ttl(batch) <= limit

At least one sequence per rank is served, whatever the limit. Prefill has no batch to lower: its share is the
mean of the errors of its rate. No share is above 1.

The luckiest is not the best
----------------------------
Of N candidates of like worth, whose predictions err independently by s, the best of the predictions is
expected to be s E[max of N standard normals] too good. What errors of one model, GPU and engine share (their
correlation rho) favours none of the candidates, so ``s = spread sqrt(1 - rho)``, and wider by as much as the
band of the layout's level is. Layouts stand for candidates (batches of one err alike), each counted by how
near it comes to the best within a limit on TTL (prefill: on FTL):

    N(limit) = sum over layouts of exp(-(ln(best / worth) / s)^2 / 2)
    luck     = s mean of E[max of N(limit)]
    E[max of N] = quantile of a standard normal at (N - 0.375) / (N + 0.25)

(Blom, "Statistical Estimates and Transformed Beta-Variables", 1958.) The mean is over limits from the
shortest time of any point to the longest, by equal factors: counted within the limits that are asked for, an
easier one would bring candidates, and the same plan would be expected to serve less. Either pool of a split
has its own, both with the errors of the split's steps. The errors above are moved by it: steps are that much
slower, prompts that much later than predicted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from planner.arrays import FloatArray, IndexArray, IntArray, most_of_each
from planner.match.robust import END_OF_80, spread
from planner.planning import evidence
from planner.planning.bands import LEVELS, Range
from planner.planning.resolve import Question
from planner.planning.sweep import Sweep
from planner.simulate.points import MODES, Points
from planner.values import dataclass
from planner.words import Level, Phase, Way

DRAWS = 15  # equally likely errors of a pool
LIMITS = 12  # on a time, of which luck is the mean
_NORMAL = NormalDist()
_Z = np.array([_NORMAL.inv_cdf((i + 0.5) / DRAWS) for i in range(DRAWS)])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expected:
    """Shares of the predicted requests/s, and what they come of."""

    prefill: FloatArray  # (layouts,)
    decode: FloatArray  # (layouts,)
    colocated: FloatArray  # (layouts, modes)
    shifts: Mapping[Phase, Mapping[Level, float]]  # luck, by how much is known of the layout
    weighs: bool = True  # whether plans are chosen by it; else it is only told of them

    def of(self, points: Points, rows: IndexArray) -> FloatArray:
        """The share of each of some rows of points."""
        layout = points.layout[rows]
        if points.phase == "colocated":
            return np.asarray(self.colocated.ravel()[layout * len(MODES) + points.mode[rows]])
        return np.asarray((self.prefill if points.phase == "prefill" else self.decode)[layout])


def expected(
    question: Question, sweep: Sweep, known: Mapping[Phase, Expected] = MappingProxyType({})
) -> Expected | None:
    """The shares of a question's layouts; None where rates are taken as known or nothing was measured.

    Those of a phase may be `known`, from a question whose pool of it is the same.
    """
    if not question.scenario.robust or not question.levels or not question.alike:
        return None
    prefill, first = _of(known, "prefill") or _prompts(question, sweep)
    decode, then = _of(known, "decode") or _steps(question, sweep)
    colocated, both = _copies(question, sweep)
    return Expected(
        prefill=prefill,
        decode=decode,
        colocated=colocated,
        shifts={"prefill": first, "decode": then, "colocated": both},
    )


def _of(known: Mapping[Phase, Expected], phase: Phase) -> tuple[FloatArray, Mapping[Level, float]] | None:
    if (one := known.get(phase)) is None:
        return None
    return one.prefill if phase == "prefill" else one.decode, one.shifts[phase]


def _prompts(question: Question, sweep: Sweep) -> tuple[FloatArray, Mapping[Level, float]]:
    """Shares of prefill layouts, and their luck."""
    level = _levels(question, sweep.prefill)
    shifts = _lucks(question, "disaggregated", sweep.prefill, sweep.split_ftl_s, level)
    split = question.levels["disaggregated"]
    shares = np.array([draws(split[n].prefill, -shifts[n]).mean() for n in LEVELS])
    return np.minimum(shares, 1.0)[level], shifts


def _steps(question: Question, sweep: Sweep) -> tuple[FloatArray, Mapping[Level, float]]:
    """Shares of decode layouts, and their luck."""
    points, limit = sweep.decode, question.scenario.limits.ttl_s
    level = _levels(question, points)
    shifts = _lucks(question, "disaggregated", points, points.ttl_s, level)
    split = question.levels["disaggregated"]
    slow = np.array([draws(split[n].ttl, shifts[n]) for n in LEVELS])
    return served(points.ttl_s, points.requests_per_s, points.layout, limit, slow, level), shifts


def _copies(question: Question, sweep: Sweep) -> tuple[FloatArray, Mapping[Level, float]]:
    """Shares of co-located layouts, shape (layouts, modes), and their luck."""
    points, limits, modes = sweep.colocated, question.scenario.limits, len(MODES)
    level = _levels(question, points)
    if not len(points):  # of a split alone
        return np.ones((len(level), modes)), dict.fromkeys(LEVELS, 0.0)
    soon = points.ftl_s <= limits.ftl_s
    shifts = _lucks(question, "colocated", points, points.ttl_s, level)
    together = question.levels["colocated"]
    slow = np.array([draws(together[n].ttl, shifts[n]) for n in LEVELS])
    # what is late as predicted, and however fast its steps turn out, serves nothing
    rows = np.flatnonzero(soon & (points.ttl_s <= limits.ttl_s / min(slow.min(), 1.0)))
    shares = served(
        points.ttl_s[rows],
        points.requests_per_s[rows],
        points.layout[rows] * modes + points.mode[rows],
        limits.ttl_s,
        slow,
        np.repeat(level, modes),
    )
    return shares.reshape(-1, modes), shifts


def served(
    ttl_s: FloatArray,
    requests_per_s: FloatArray,
    group: npt.NDArray[np.integer],
    limit_s: float,
    slow: FloatArray,
    kind: IntArray,
) -> FloatArray:
    """The mean of what each group of points serves within a limit, over what it does as predicted.

    Parameters
    ----------
    ttl_s, requests_per_s, group
        Of each point, shape (points,); `group` counts from 0.
    limit_s
        On the TTL, seconds.
    slow
        What steps of each kind of group take over what is predicted, equally likely, ascending: shape
        ``(kinds, draws)``.
    kind
        Of each group, shape (groups,).

    Returns
    -------
    Shape (groups,), at most 1; 1 for a group that serves nothing in time.

    >>> times, rates, one = np.array([1.0, 2.0]), np.array([1.0, 4.0]), np.zeros(2, dtype=np.int64)
    >>> served(times, rates, one, 2.0, np.array([[1.0, 1.25]]), one[:1])
    array([0.6])

    What is in time as predicted counts as promised where every draw is slower, too.

    >>> served(times, rates, one, 2.0, np.array([[1.25, 1.25]]), one[:1])
    array([0.2])
    """
    groups, draws_ = len(kind), slow.shape[1]
    some = np.flatnonzero(ttl_s <= limit_s / slow.min(initial=1.0))
    ttl, rate, group = ttl_s[some], requests_per_s[some], group[some]
    room = limit_s / ttl
    now = np.flatnonzero(room >= 1.0)
    told = most_of_each(rate[now], group[now], groups)
    # in how many of its group's draws a point is in time: the first so many
    of_kind, number = kind[group], np.empty(len(some), dtype=np.int8)
    for nth, errors in enumerate(slow):
        mine = np.flatnonzero(of_kind == nth)
        here, below = room[mine], np.zeros(len(mine), dtype=np.int8)
        for error in errors:  # few: faster than to search among them for each point
            below += (here >= error).view(np.int8)
        number[mine] = below
    best = most_of_each(rate, group * (draws_ + 1) + number, groups * (draws_ + 1))
    kept = np.maximum.accumulate(best.reshape(groups, -1)[:, ::-1], axis=1)[:, -2::-1]
    # with one sequence per rank, whatever the limit
    fastest = -most_of_each(-ttl, group, groups, -np.inf)
    least = np.zeros(groups)
    first = np.flatnonzero(ttl == fastest[group])
    least[group[first]] = rate[first]
    mean = (np.maximum(kept, least[:, None]) / slow[kind]).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(told > 0, np.minimum(mean / told, 1.0), 1.0)


def draws(factors: Range, shift: float) -> FloatArray:
    """Equally likely factors, 80 % of which lie between two, moved by `shift` in the logarithm; ascending.

    Half lie on either side of the prediction, as `planner.planning.bands.compare` takes them; of the middle
    of the two where the prediction is outside of them.
    """
    low, high = math.log(factors[0]), math.log(factors[1])
    middle = 0.0 if low <= 0.0 <= high else 0.5 * (low + high)
    wide = np.where(_Z < 0, middle - low, high - middle) / END_OF_80
    return np.asarray(np.exp(middle + shift + wide * _Z))


def luck(own: FloatArray | float, worth: FloatArray) -> FloatArray:
    """Expected error, in standard deviations, of the best of candidates.

    Parameters
    ----------
    own
        Standard deviation of the errors that they do not share, logarithms; of each, or of all.
    worth
        What each candidate is predicted to be worth, shape ``(candidates, ...)``.

    Returns
    -------
    Shape ``(...,)``: of each column; 0 where none is worth anything.

    >>> round(float(luck(0.1, np.array([5.0]))), 4), round(float(luck(0.1, np.full(10, 5.0))), 3)
    (0.0, 1.547)
    """
    if not np.all(own) or not len(worth):
        return np.zeros(worth.shape[1:])
    each = np.reshape(own, (-1,) + (1,) * (worth.ndim - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        behind = np.log(worth.max(axis=0) / worth) / each
    number = np.exp(-0.5 * np.where(worth > 0, behind, np.inf) ** 2).sum(axis=0)
    number = np.maximum(number, 1.0)
    at = (number - 0.375) / (number + 0.25)
    return np.reshape([_NORMAL.inv_cdf(float(one)) for one in at.flat], at.shape)


def _levels(question: Question, points: Points) -> IntArray:
    """How much is known of each layout, as an index into LEVELS."""
    if question.seen is not None:
        return evidence.levels(question.seen, points.phase, points.layouts)
    way: Way = "colocated" if points.phase == "colocated" else "disaggregated"
    return np.full(len(points.layouts), LEVELS.index(question.bands[way].level), dtype=np.int64)


def _lucks(
    question: Question, way: Way, points: Points, time_s: FloatArray, level: IntArray
) -> dict[Level, float]:
    """How much too good the best of the points is expected to be, by what is known of its layout."""
    bands, alike = question.levels[way], question.alike.get(way)
    if alike is None or not len(points):
        return dict.fromkeys(LEVELS, 0.0)
    widths = np.array([spread(*bands[name].ttl) for name in LEVELS])
    own = alike.own * widths / widths[0]
    found = float(luck(own[level], _worth(points, time_s)).mean())
    return {name: float(own[i]) * found for i, name in enumerate(LEVELS)}


def _worth(points: Points, time_s: FloatArray) -> FloatArray:
    """The best requests/s per GPU of each layout within limits on a time: shape ``(layouts, LIMITS)``."""
    layouts, logs = len(points.layouts), np.log(time_s)
    shortest, longest = float(logs.min()), float(logs.max())
    per_limit = max(longest - shortest, 1e-9) / LIMITS
    nth = np.minimum(((logs - shortest) / per_limit).astype(np.int64), LIMITS - 1)
    best = most_of_each(points.requests_per_s, points.layout * LIMITS + nth, layouts * LIMITS)
    return np.maximum.accumulate(best.reshape(layouts, LIMITS), axis=1) / points.layouts.gpus[:, None]
