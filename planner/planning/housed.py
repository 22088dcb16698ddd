"""Plans that lie on the hosts that there are: by GPUs alone a plan may take more hosts than a budget fills.

Instances take as many GPUs of each of their hosts, within one scale-up domain where that has room for them
(`planner.planning.places`). A layout that takes 6 of a host's 8 leaves 2 to others or idle. Where the best
plan does not lie on the budget's hosts, layouts that leave a rest of theirs are left out, in that way of
serving alone: what is left packs without a rest. Where nothing is left the plan stays, and its notes say what
it takes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from planner.inputs import failures
from planner.inputs.catalog import Catalog
from planner.inputs.scenario import Scenario
from planner.planning import places, survive
from planner.planning.deadline import Deadline
from planner.planning.judge import Judgement, judge, weighed
from planner.planning.placed import Placed
from planner.planning.places import Size
from planner.planning.resolve import Question
from planner.planning.result import Count, PoolPlan, Serving


def fits(question: Question, serving: Serving, pools: Iterable[Count | PoolPlan]) -> bool:
    """Whether some pools, and the encoders of a serving, lie on the hosts that the GPUs of each system fill.

    Always where any number of GPUs may be used. Sizes that are powers of two need no try.
    """
    sizes: dict[str, list[Size]] = defaultdict(list)
    most: dict[str, int | None] = {}
    for pool in pools:
        system = question.pools[pool.phase].system
        sizes[system.name].append(survive.size_of(pool))
        most[system.name] = question.gpus_of(pool.phase)
    if (encoders := serving.encoder) is not None and encoders.instances:
        sizes[encoders.system].append(survive.encoder_size(encoders))
    on = {pool.system.name: pool.system for pool in question.pools.values()}
    for name, some in sizes.items():
        budget = most[name]
        if budget is None or all(not size.gpus & (size.gpus - 1) for size in some):
            continue
        nodes = failures.nodes(on[name])
        placed = places.placed(some, nodes.host_gpus, nodes.domain_hosts)
        last = max((host for one in placed for host in one.hosts), default=-1)
        if last + 1 > -(-budget // nodes.host_gpus):
            return False
    return True


def whole(placed: Placed) -> Placed:
    """The placement with layouts that fill their hosts alone."""
    return Placed.of(replace(placed.question, whole_hosts=True), placed.sweep)


def asked(scenario: Scenario) -> bool:
    """Whether plans are to lie on their hosts: but for mixes and the study's match, which knows none."""
    return scenario.robust and not scenario.mix


@dataclass(frozen=True, slots=True, kw_only=True)
class Housed:
    """Where either way is judged, and what is found there."""

    split: Placed
    colocated: Placed
    judgement: Judgement


def housed(placed: Placed, judged: Judgement, catalog: Catalog, deadline: Deadline) -> Housed | None:
    """The judgement with each way on whole hosts where it must be; None where both are already.

    The mix that is offered is that of the first judgement, or one of whole hosts where that has no room.

    Raises Stopped when told to stop.
    """
    ways = judged.split, judged.colocated
    crowded = [way is not None and not fits(placed.question, way, way.pools) for way in ways]
    if not any(crowded):
        return None
    mix = judged.choice.mix
    no_room = mix is not None and not fits(placed.question, mix.serving, mix.serving.pools)
    on_whole = whole(placed)
    again = judge(on_whole, catalog, deadline, offers=no_room)
    there = again.split, again.colocated
    moved = [full and way is not None for full, way in zip(crowded, there, strict=True)]
    split, colocated = (on_whole if one else placed for one in moved)
    best = (new if one else old for one, new, old in zip(moved, there, ways, strict=True))
    choice = replace(
        judged.choice,
        disaggregated=(again if moved[0] else judged).choice.disaggregated,
        colocated=(again if moved[1] else judged).choice.colocated,
        mix=again.choice.mix if no_room else mix,
    )
    alone = None if colocated is split else colocated
    found = weighed(split, catalog, choice, *best, alone=alone)
    return Housed(split=split, colocated=colocated, judgement=found)
