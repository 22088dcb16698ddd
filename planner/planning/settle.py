"""Where the pools of a plan run: every placement on the systems of a fleet, and the best of either way.

With one system there is one placement. With several, prefill and decode may each be on any of them:

    on one       both pools share its GPUs, its domain and its links
    on two       each pool has the GPUs of its own, the cache crosses the network

Points are swept once for each system. Each placement is matched as if it were the only one, exactly, so that
the best of them is never worse than the best on any one system.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from planner.errors import InputError
from planner.inputs.catalog import Catalog
from planner.inputs.scenario import Scenario
from planner.match import pareto
from planner.planning import frontiers, housed, solve, weigh, why_not
from planner.planning.alone import Alone
from planner.planning.deadline import Deadline
from planner.planning.demand import Held
from planner.planning.in_time import tries
from planner.planning.inventory import across, on_each
from planner.planning.placed import Placed, apart, place
from planner.planning.placed import across as placed_across
from planner.planning.resolve import Question, encoded_apart
from planner.planning.result import Count, EncodedAt, Frontier, Infeasible, Reason, Relaxation, Serving
from planner.planning.sweep import Sweeps
from planner.values import dataclass
from planner.words import Stop, Way

# a placement, and one way of serving on it: bare, and its counts
_Counted: TypeAlias = "tuple[Placed, tuple[Serving, tuple[Count, ...]]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The placement of the best split and that of the best co-located serving."""

    split: Placed
    colocated: Placed
    alone: tuple[Alone, ...] = ()  # the best on each system of several
    encoded: tuple[EncodedAt, ...] = ()  # and by where images are encoded


def placements(
    scenario: Scenario,
    catalog: Catalog,
    held: Held | None = None,
    should_stop: Callable[[], bool] | None = None,
    sweeps: Sweeps | None = None,
) -> tuple[Placed, ...]:
    """Every placement on the fleet of a scenario, to be drawn: each system alone first, then pairs of two.

    Where requests have images each is there with the encoder in place, and with each way to run one apart.
    What `sweeps` knows is not swept again.

    Raises InputError for what cannot be used, Stopped when told to stop.
    """
    swept = None
    if sweeps is not None:
        swept = partial(sweeps.run, scenario=scenario, catalog=catalog, should_stop=should_stop)
    questions = on_each(scenario, catalog, held)
    each = [place(question.remembering(), should_stop, swept) for question in questions]
    variants = [_encoding(at, scenario, should_stop) for at in each]
    pairs: list[Placed] = []
    for some, one in zip(variants, each, strict=True):
        for first in some:
            over: dict[float, Placed] = {}  # by the pace of the link
            for then in each:
                both = None if one is then else across(first.question, then.question, catalog)
                if both is not None:
                    link = both.link_bytes_per_s
                    pairs.append(placed_across(both, first, then, over.get(link)))
                    over.setdefault(link, pairs[-1])
    return (*(at for some in variants for at in some), *pairs)


def _encoding(at: Placed, scenario: Scenario, should_stop: Callable[[], bool] | None) -> list[Placed]:
    """The placement with every way to encode the images of its requests; itself where they have none.

    Raises InputError where there are to be encoders apart, and none can be weighed.
    """
    asked = scenario.traffic.encoder
    questions = () if scenario.mix or scenario.deployment.complete else encoded_apart(at.question)
    if asked == "pool" and at.question.images is not None and not questions:
        accepted = "auto or in-place beside a mix, a goal that counts watts, or all instances given"
        raise InputError("encoder", asked, accepted)
    return [*([] if asked == "pool" and questions else [at]), *apart(at, questions, should_stop)]


def settle(placed: Sequence[Placed], deadline: Deadline) -> Settled:
    """The best placements for the scenario's goal, limits and caps.

    Raises Stopped when told to stop.
    """
    if len(placed) == 1:
        return Settled(split=placed[0], colocated=placed[0])
    for by in zip(
        *map(tries, placed), strict=True
    ):  # by what is expected; as predicted where that is too little
        found, serves = _settled(by, deadline)
        if serves:
            break
    return found


def _settled(placed: Sequence[Placed], deadline: Deadline) -> tuple[Settled, bool]:
    """The best placements by the rates that their points have, and whether there is any."""
    splits: list[tuple[Placed, Serving]] = []
    others: list[tuple[Placed, Serving]] = []
    weighed: tuple[list[_Counted], list[_Counted]] = ([], [])
    for ways in _weighed(placed, deadline):
        for way, some in enumerate(ways):
            if some is not None:
                (splits, others)[way].append((some[0], some[1][0]))
                weighed[way].append(some)
    split_at, colocated_at = _best(splits) or placed[0], _best(others) or placed[0]
    systems = {at.systems: at.question for at in reversed(placed) if len(at.systems) == 1}
    alone = [_alone(question, each, weighed) for each, question in reversed(systems.items())]
    found = Settled(
        split=split_at,
        colocated=colocated_at,
        alone=tuple(alone) if len(systems) > 1 else (),
        encoded=_by_encoder(splits, others) if placed[0].question.images else (),
    )
    return found, bool(splits or others)


def _weighed(placed: Sequence[Placed], deadline: Deadline) -> list[tuple[_Counted | None, _Counted | None]]:
    """Either way of every placement, in order; (None, None) where it cannot be the best.

    What each system does alone is told. Of placements on two, those that may serve most come first, and one
    that serves less than another did, with nothing given up for an earlier first token, is left out.
    """
    shared, most = solve.Shared(), dict.fromkeys(range(len(placed)), math.inf)
    for i, at in enumerate(placed):
        if len(at.systems) > 1 and _most_wins(at.question):
            most[i] = solve.most_split(at, deadline, shared)
    found: dict[int, tuple[_Counted | None, _Counted | None]] = {}
    best: dict[bool, float] = {}  # expected requests/s so far, by whether images are encoded apart
    for i in sorted(most, key=lambda i: -most[i]):
        at, apart = placed[i], placed[i].question.encoder is not None
        if most[i] < best.get(apart, 0.0) * (1 - weigh.SAME):
            continue
        found[i] = _housed(at, solve.weighed(at, deadline, shared), deadline, shared)
        if (split := found[i][0]) is not None:
            best[apart] = max(best.get(apart, 0.0), split[1][0].expected_requests_per_s)
    return [found.get(i, (None, None)) for i in range(len(placed))]


def _most_wins(question: Question) -> bool:
    """Whether the placement that serves most is the best."""
    scenario = question.scenario
    endless = scenario.fleet.gpus is None or scenario.traffic.requests_per_s is not None
    return scenario.goal == "throughput" and not endless


def _housed(
    at: Placed, found: solve.Weighed, deadline: Deadline, shared: solve.Shared
) -> tuple[_Counted | None, _Counted | None]:
    """Either way with the placement that it is of: of whole hosts where it lies on no more than there are."""

    if not housed.asked(at.question.scenario):
        split, colocated = (None if way is None else (at, way) for way in found)
        return split, colocated

    def again(whole: Placed, only: Way | None) -> solve.Weighed:
        return solve.weighed(whole, deadline, shared, only=only)

    each = housed.each(at, found, lambda way: way, again)
    split, colocated = (None if way is None else (on, way) for on, way in each)
    return split, colocated


def _alone(
    question: Question, systems: tuple[str, ...], weighed: tuple[list[_Counted], list[_Counted]]
) -> Alone:
    """The best of one system, whose placements differ in where images are encoded at most."""
    ways: list[tuple[Serving, tuple[Count, ...]] | None] = []
    for some in weighed:
        mine = [(at, of) for at, of in some if at.systems == systems]
        best = _best([(at, of[0]) for at, of in mine])
        ways.append(next((of for at, of in mine if at is best), None))
    servings = [None if way is None else way[0] for way in ways]
    choice = weigh.choice(weigh.finding(question.scenario, question.bands, *servings))
    of = ways[0] if choice == "disaggregated" else ways[1]
    pools, serving = ((), None) if of is None else (of[1], of[0])
    return Alone(
        system=systems[0],
        choice=choice,
        gpus=question.scenario.fleet.gpus,
        pools=pools,
        serving=serving,
        seen=question.seen,
        kv=question.pools["decode"].setup.precision.kv,
    )


def _by_encoder(
    splits: Sequence[tuple[Placed, Serving]], others: Sequence[tuple[Placed, Serving]]
) -> tuple[EncodedAt, ...]:
    """The best of either way with images encoded in place, and on GPUs of their own."""
    found: list[EncodedAt] = []
    ways: tuple[tuple[Way, Sequence[tuple[Placed, Serving]]], ...]
    ways = ("disaggregated", splits), ("colocated", others)
    for way, some in ways:
        for pool in (False, True):
            mine = [(at, serving) for at, serving in some if (at.question.encoder is not None) == pool]
            at = _best(mine)
            serving = next((serving for one, serving in mine if one is at), None)
            found.append(EncodedAt(way=way, pool=pool, serving=serving))
    return tuple(found)


def _best(found: Sequence[tuple[Placed, Serving]]) -> Placed | None:
    """The placement whose serving is best in what the goal counts; the first of equal ones."""
    best: tuple[Placed, Serving] | None = None
    for at, serving in found:
        if best is None or weigh.gain(at.question.scenario, serving, best[1]) > 1 + weigh.SAME:
            best = at, serving
    return best[0] if best else None


def drawn(placed: Sequence[Placed]) -> Sequence[Placed]:
    """The placements as their frontiers are asked for: at saturation, or as goodput.

    Goodput is what is served within the first token's limit where requests come at their own time, at Poisson
    gaps where the scenario has none. Drawn as the plan's own requests come, they are those of the plan.
    """
    asked = placed[0].question.scenario
    queues = {"auto": placed[0].question.queues, "saturation": False, "goodput": True}[asked.frontier]
    if queues == placed[0].question.queues:
        return placed
    traffic = replace(asked.traffic, arrivals="poisson" if queues else "steady")
    return [
        Placed.to_draw(
            replace(at.question, scenario=replace(at.question.scenario, traffic=traffic)), at.sweep
        )
        for at in placed
    ]


def split_frontier(placed: Sequence[Placed]) -> Frontier:
    """The best split at each TTL, wherever its pools run."""
    fronts = [frontiers.split(at.question, at.sweep, at.kept, len(placed)) for at in placed]
    return _merged(placed, fronts)


def colocated_frontier(placed: Sequence[Placed]) -> Frontier:
    """The best co-located serving at each TTL, on whichever system."""
    alone = [at for at in placed if len(at.systems) == 1]
    return _merged(alone, [frontiers.colocated(at.question, at.sweep, at.kept) for at in alone])


def _merged(placed: Sequence[Placed], fronts: Sequence[Frontier]) -> Frontier:
    """One frontier of several, with the systems of each point.

    Rows of points say nothing then: each system has points of its own.
    """
    if len(fronts) == 1:
        return fronts[0]
    names = ("ttl_s", "tokens_per_s_per_gpu", "ctx_gen_ratio", "gpus", "ftl_s", "usd_per_million_tokens")
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(front, name) for front in fronts]) for name in names
    }
    per_gpu, gpus = columns["tokens_per_s_per_gpu"], columns["gpus"]
    budgeted = placed[0].question.whole_gpus is not None
    at = pareto.pareto(-columns["ttl_s"], per_gpu * gpus if budgeted else per_gpu)
    for name in ("prefill", "decode"):
        columns[name] = np.array([label for front in fronts for label in getattr(front, name)], dtype=object)
    systems = [one.systems for one, front in zip(placed, fronts, strict=True) for _ in range(len(front))]
    ttl_s, worth = frontiers.thin(
        np.concatenate([front.cloud_ttl_s for front in fronts]),
        np.concatenate([front.cloud_tokens_per_s_per_gpu for front in fronts]),
    )
    taken: dict[str, Any] = {
        name: tuple(column[at]) if column.dtype == object else column[at] for name, column in columns.items()
    }
    return Frontier(
        **taken,
        prefill_row=np.full(len(at), -1),
        decode_row=np.full(len(at), -1),
        systems=tuple(systems[i] for i in at) if len({one.systems for one in placed}) > 1 else (),
        cloud_ttl_s=ttl_s,
        cloud_tokens_per_s_per_gpu=worth,
    )


def infeasible(placed: Sequence[Placed], deadline: Deadline) -> Infeasible:
    """Why nothing fits on any system, and what would: for a fleet, what the least change of a limit brings.

    Raises Stopped when told to stop.
    """
    some = {at.systems: at for at in reversed(placed) if len(at.systems) == 1}  # images in place, if told so
    each = [why_not.infeasible(at.question, at.sweep, deadline) for at in reversed(some.values())]
    if len(each) == 1:
        return each[0]
    reasons: dict[Stop, Reason] = {}
    for one in (reason for why in each for reason in why.reasons):
        seen = reasons.get(one.limit, replace(one, points=0))
        best = max(seen.best, one.best) if one.limit == "rate" else min(seen.best, one.best)
        memory = tuple(sorted({*seen.memory_bytes, *one.memory_bytes}))
        reasons[one.limit] = replace(one, points=seen.points + one.points, best=best, memory_bytes=memory)
    relax: dict[str, Relaxation] = {}
    for change in (change for why in each for change in why.relax):
        if change.field == "gpus":  # a fleet's are of its systems
            continue
        before = relax.get(change.field)
        nearer = max if change.field == "rate" else min
        if before is None or (
            isinstance(before.value, float)
            and isinstance(change.value, float)
            and nearer(before.value, change.value) != before.value
        ):
            relax[change.field] = change
    return Infeasible(reasons=tuple(reasons.values()), relax=tuple(relax.values()))
