"""Deployments that draw least: the goals watts and tokens-per-watt.

Watts of boards as a plan says them (`planner.planning.power`), each pool at the load that it runs at:

    watts             least for the rate that is asked for
    tokens-per-watt   most expected output tokens per joule drawn at the predicted rate, which is the plan's:
                      pools that turn out slower are no less busy; with a rate the same as watts

A pool's watts depend on its layout and its load, since at less load a step carries fewer sequences. So one
point of a layout and mode stands for all of its batches: the one that serves most within the limits, and
within a few shares of the FTL limit for an earlier first token. Every pair of pools is weighed
(`planner.match.spent`), and co-located serving by the same numbers: as many copies as the rate takes, or the
budget holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from planner.arrays import BoolArray, FloatArray, IndexArray, IntArray, distinct
from planner.inputs.scenario import Scenario
from planner.match import rate_match, spent
from planner.match.rate_match import TIE, instances_for
from planner.match.spending import Pair, Spending
from planner.planning import options, power, servings
from planner.planning.energy import PoolPower, Power
from planner.planning.expected import Expected
from planner.planning.frontiers import best_of_each
from planner.planning.options import EARLY, Options
from planner.planning.placed import Placed
from planner.planning.resolve import Question
from planner.planning.result import Count, Knee, Serving, SolverReport
from planner.planning.servings import Pick, Rates, tokens_per_request
from planner.planning.sooner import sooner
from planner.planning.sweep import Sweep
from planner.simulate.points import MODES, Points
from planner.values import dataclass
from planner.words import Goal, Phase

GOALS: tuple[Goal, ...] = ("watts", "tokens-per-watt")
MOST_COUNTS = 256  # instances of a pool that are tried, the fewest that do first
_CERTAIN = SolverReport(status="optimal", gap=0.0, seconds=0.0)


def asked(scenario: Scenario) -> bool:
    """Whether the goal counts watts."""
    return scenario.goal in GOALS


@dataclass(frozen=True, slots=True, kw_only=True)
class Thrifty:
    """A deployment that draws least."""

    picks: tuple[Pick, ...]  # prefill and decode, or co-located
    rates: Rates
    ftl_s: float
    knee: Knee | None
    power: Power
    best: tuple[Pick, ...]  # were there no slack

    def bare(self, question: Question) -> tuple[Serving, tuple[Count, ...]]:
        """A serving without its pools, and their counts: enough to weigh it."""
        found = servings.bare(question, self.picks, self.rates, self.ftl_s)
        return replace(found, power=self.power), tuple(map(servings.count, self.picks))

    def whole(self, placed: Placed) -> Serving:
        """The serving with all that a plan says of it: within the slack, or the best if that is as early."""
        near = self._of(placed, self.picks, self.knee)
        if self.knee is None or not placed.question.queues:
            return near
        chosen = sooner(placed.question, placed.sweep, near, self._of(placed, self.best, None))
        assert chosen is not None
        return chosen

    def _of(self, placed: Placed, picks: tuple[Pick, ...], knee: Knee | None) -> Serving:
        question, sweep = placed.question, placed.sweep
        if len(picks) == 1:
            rates = servings.rates(question, [[], [], picks])
            return servings.colocated_serving(question, picks, rates, _CERTAIN, knee)
        prefill, decode = picks
        return servings.split_serving(
            question,
            prefills=[prefill],
            decodes=[decode],
            colocated=[],
            split_ftl_s=sweep.split_ftl_s,
            rates=servings.rates(question, [[prefill], [decode], []]),
            solver=_CERTAIN,
            knee=knee,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pools:
    """Pools of one phase, as options and as what they spend."""

    options: Options
    spending: Spending


class Curves:
    """Watts over load of rows of points, each computed once: placements of a fleet share their points."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._known: dict[int, tuple[Points, IndexArray, FloatArray, FloatArray]] = {}

    def of(self, question: Question, points: Points, rows: IndexArray) -> tuple[FloatArray, FloatArray]:
        """As `planner.planning.power.curves`, of ascending rows."""
        _, known, loads, watts = self._known.get(id(points), (points, rows[:0], np.empty(0), np.empty(0)))
        fresh = np.setdiff1d(rows, known)
        if len(fresh):
            more = power.curves(question, points, fresh)
            every = np.concatenate((known, fresh))
            order = np.argsort(every)
            loads, watts = (
                np.concatenate((old.reshape(-1, new.shape[1]), new))[order]
                for old, new in zip((loads, watts), more, strict=True)
            )
            known = every[order]
            self._known[id(points)] = points, known, loads, watts  # the points too: their identity is theirs
        at = np.searchsorted(known, rows)
        return loads[at], watts[at]


def split(
    placed: Placed,
    usable: Mapping[Phase, BoolArray] | None = None,
    curves: Curves | None = None,
) -> Thrifty | None:
    """The split that draws least within the limits; None where none meets them.

    `usable` are masks over the layouts of each phase; None: all.
    """
    curves = curves or Curves()
    question, sweep, expected = placed.question, placed.sweep, placed.expected
    limits, scenario = question.scenario.limits, question.scenario
    pre, dec = sweep.prefill, sweep.decode
    early = _allowed(pre, sweep.split_ftl_s <= limits.ftl_s, usable)
    fast = _allowed(dec, dec.ttl_s <= limits.ttl_s, usable)
    first = _best_rows(question, pre, early, sweep.split_ftl_s)
    prefill = _pools(question, pre, first, sweep.split_ftl_s, curves, expected)
    decode = _pools(question, dec, _best_rows(question, dec, fast, None), None, curves, expected)
    budget, room = question.most_gpus, question.room
    endless = budget is None and scenario.traffic.requests_per_s is None
    if endless and not question.counted and not _given(question):
        prefill, decode = _balanced(question, prefill, decode, curves)

    def fits(x: IntArray, y: IntArray) -> BoolArray:
        if room is not None:
            return room.fits(x, y)
        return np.asarray(x + y <= (math.inf if budget is None else budget))

    choice = spent.least(
        prefill.spending,
        decode.spending,
        errors=question.errors,
        fits=fits,
        demand=scenario.traffic.requests_per_s,
        slack=scenario.slack,
    )
    if choice is None:
        return None

    def copies(at: Pair) -> int:
        if scenario.traffic.requests_per_s is not None or _given(question) or budget is None:
            return 1
        x, y = int(prefill.spending.gpus[at.prefill]), int(decode.spending.gpus[at.decode])
        return budget // (x + y) if room is None else room.copies(x, y)

    return _told(question, sweep, prefill, decode, choice, (copies(choice.chosen), copies(choice.best)))


def colocated(
    placed: Placed,
    usable: Mapping[Phase, BoolArray] | None = None,
    curves: Curves | None = None,
) -> Thrifty | None:
    """The copies of one co-located instance that draw least within the limits; None where none meets them."""
    curves = curves or Curves()
    question, points = placed.question, placed.sweep.colocated
    scenario = question.scenario
    limits, demand, budget = scenario.limits, scenario.traffic.requests_per_s, scenario.fleet.gpus
    in_time = _allowed(points, (points.ttl_s <= limits.ttl_s) & (points.ftl_s <= limits.ftl_s), usable)
    rows = _best_rows(question, points, in_time, points.ftl_s)
    pools = _pools(question, points, rows, points.ftl_s, curves, placed.expected)
    some = pools.spending
    fits = np.asarray(some.gpus <= (math.inf if budget is None else budget))
    if demand is not None:
        fits &= some.rate >= demand * (1 - TIE)
    if not fits.any():
        return None
    spends = some.each(some.runs if demand is None else demand)
    worth = np.where(fits, -spends if demand is not None else some.rate / spends, -np.inf)
    chosen, best = spent.within_slack(worth, some.gpus, some.late_s, scenario.slack)

    def copies(at: int) -> int:
        endless = demand is None and budget is not None and not _given(question)
        return budget // int(some.gpus[at]) if endless and budget is not None else 1

    knee = _knee(
        scenario.slack,
        float(some.late_s[best]),
        float(some.rate[best]),
        float(worth.max()),
        float(worth[chosen]),
    )
    pick = pools.options.pick(chosen, copies(chosen))
    rates = servings.rates(question, [[], [], [pick]])
    return Thrifty(
        picks=(pick,),
        rates=rates,
        ftl_s=float(some.late_s[chosen]),
        knee=knee,
        power=_power(question, [(pools, chosen)], copies(chosen), rates.total),
        best=(pools.options.pick(best, copies(best)),),
    )


Bare: TypeAlias = tuple[Serving, tuple[Count, ...]]


def bare(
    placed: Placed,
    usable: Mapping[Phase, BoolArray] | None = None,
    curves: Curves | None = None,
) -> tuple[Bare | None, Bare | None]:
    """The split and the co-located serving that draw least, without their pools, and their counts."""
    ways = (way(placed, usable, curves) for way in (split, colocated))
    one, other = (None if way is None else way.bare(placed.question) for way in ways)
    return one, other


def _told(
    question: Question,
    sweep: Sweep,
    prefill: _Pools,
    decode: _Pools,
    choice: spent.Choice,
    copies: tuple[int, int],
) -> Thrifty:
    """The chosen pair; `copies` are of it, and of the best."""
    at, best = choice.chosen, choice.best
    picks, top = (
        (prefill.options.pick(pair.prefill, n), decode.options.pick(pair.decode, n))
        for pair, n in zip((at, best), copies, strict=True)
    )
    rates = servings.rates(question, [[picks[0]], [picks[1]], []])
    return Thrifty(
        picks=picks,
        rates=rates,
        ftl_s=float(sweep.split_ftl_s[picks[0].row]),
        knee=_knee(question.scenario.slack, best.late_s, best.expected, best.worth, at.worth),
        power=_power(question, [(prefill, at.prefill), (decode, at.decode)], copies[0], rates.total),
        best=top,
    )


def _knee(slack: float, best_ftl_s: float, best_per_s: float, best: float, chosen: float) -> Knee | None:
    if not slack:
        return None
    costs = max((best - chosen) / abs(best), 0.0)
    return Knee(best_ftl_s=best_ftl_s, best_requests_per_s=best_per_s, costs=costs)


def _power(question: Question, of: list[tuple[_Pools, int]], copies: int, rate: float) -> Power:
    """Watts of the chosen pools at the rate that they run at."""
    rate = servings.at_demand(question, rate)
    pools = []
    for some, row in of:
        spending = some.spending
        gpus = int(spending.gpus[row])
        pools.append(
            PoolPower(
                phase=some.options.points.phase,
                gpus=copies * gpus,
                idle_watts=float(spending.spends[row, 0]) / gpus,
                watts=float(spending.at(row, rate / copies)) / gpus,
                busy_watts=float(spending.spends[row, -1]) / gpus,
                limit_watts=question.pools[some.options.points.phase].setup.machine.gpu.watts,
            )
        )
    return Power(pools_of=lambda: tuple(pools), tokens_per_s=rate * tokens_per_request(question.lengths.osl))


def _allowed(points: Points, mask: BoolArray, usable: Mapping[Phase, BoolArray] | None) -> BoolArray:
    return mask if usable is None else mask & usable[points.phase][points.layout]


def _given(question: Question) -> bool:
    return question.scenario.deployment.counted


def _best_rows(
    question: Question, points: Points, usable: BoolArray, late_s: FloatArray | None
) -> IndexArray:
    """The row of each layout and mode that serves most, within each of a few shares of the FTL limit.

    Of every mode: one that serves more at full load may sustain less, or draw more, at that of the demand.
    """
    limit, found = question.scenario.limits.ftl_s, []
    for share in EARLY if late_s is not None else EARLY[-1:]:
        early = usable if late_s is None else usable & (late_s <= share * limit)
        found += [best_of_each(points, early & (points.mode == mode)) for mode in range(len(MODES))]
    rows = distinct(np.concatenate(found))
    return rows[options.standing(question, points, rows) & (points.requests_per_s[rows] > 0)]


def _pools(
    question: Question,
    points: Points,
    rows: IndexArray,
    late_s: FloatArray | None,
    curves: Curves,
    expected: Expected | None,
) -> _Pools:
    """Every number of instances of some rows that may be built, with the watts of them at each load."""
    late = np.zeros(len(points)) if late_s is None else late_s
    some = _options(question, points, rows, late, expected)
    return _spending(question, some, late[some.row], curves)


def _spending(question: Question, some: Options, late_s: FloatArray, curves: Curves) -> _Pools:
    points, gpus = some.points, some.gpus
    kinds, of_kind = np.unique(some.row, return_inverse=True)
    loads, watts = curves.of(question, points, kinds)
    kept = 1.0 - question.scenario.headroom
    spending = Spending(
        gpus=gpus,
        rate=kept * some.weighed_per_s,
        runs=kept * some.requests_per_s,
        capacity=some.instances * points.requests_per_s[some.row],
        late_s=late_s,
        loads=loads[of_kind],
        spends=watts[of_kind] * gpus[:, None],
        kind=of_kind,
    )
    return _Pools(options=some, spending=spending)


def _options(
    question: Question, points: Points, rows: IndexArray, late_s: FloatArray, expected: Expected | None
) -> Options:
    phase, scenario = points.phase, question.scenario
    if question.counted:
        return options.of(question, points, rows, late_s[rows] if phase != "decode" else None, expected)
    one = Options.of_rows(points, rows, expected)
    gpus, rate = one.gpus, one.weighed_per_s
    given, budget = scenario.deployment.instances(phase), question.gpus_of(phase)
    demand = scenario.traffic.requests_per_s
    fewest = most = np.ones(len(rows), dtype=np.int64)
    if given is not None:
        fewest = most = np.full(len(rows), given, dtype=np.int64)
    elif demand is not None:
        free = demand / (1.0 - scenario.headroom)
        fewest = instances_for(free * (1 - TIE), rate)
        more = 1.0 if phase == "colocated" else question.errors.surplus
        most = np.maximum(fewest, instances_for(free * more, rate))
    elif budget is not None and phase != "colocated":
        most = np.maximum(budget // gpus, 1)
    if budget is not None:
        most = np.minimum(most, budget // gpus)
    steps = np.clip(most - fewest + 1, 0, MOST_COUNTS)
    at = np.repeat(np.arange(len(rows)), steps)
    n = fewest[at] + np.arange(len(at)) - np.repeat(np.cumsum(steps) - steps, steps)
    many = one.take(at)
    return replace(many, instances=n, requests_per_s=n * many.requests_per_s)


def _balanced(question: Question, prefill: _Pools, decode: _Pools, curves: Curves) -> tuple[_Pools, _Pools]:
    """The instances that draw least per request at full load, as many of either as balance within 3 %."""
    ways = prefill, decode
    if not all(len(of.spending) for of in ways):
        return ways
    rows = [int(np.argmin(of.spending.spends[:, -1] / of.spending.rate)) for of in ways]
    gpus = [int(of.spending.gpus[row]) for of, row in zip(ways, rows, strict=True)]
    rate = [float(of.spending.rate[row]) for of, row in zip(ways, rows, strict=True)]
    found = rate_match.match_unbounded(gpus[0], rate[0], [gpus[1]], [rate[1]], osl=2)
    counts = found.n_prefill.item(), found.n_decode.item()
    pools = []
    for of, row, n in zip(ways, rows, counts, strict=True):
        one = of.options.take(np.array([row]))
        many = replace(one, instances=n * one.instances, requests_per_s=n * one.requests_per_s)
        pools.append(_spending(question, many, of.spending.late_s[[row]], curves))
    return pools[0], pools[1]
