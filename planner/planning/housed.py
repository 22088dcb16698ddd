"""Plans that lie on the hosts that there are: by GPUs alone a plan may take more hosts than a budget fills.

Instances take as many GPUs of each of their hosts, within one scale-up domain where that has room for them
(`planner.planning.places`). A layout that takes 6 of a host's 8 leaves 2 to others or idle. Where the best
plan does not lie on the budget's hosts, layouts that leave a rest of theirs are left out, in that way of
serving alone: what is left packs without a rest. Where nothing is left the plan stays, and its notes say what
it takes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

from planner.inputs import failures
from planner.inputs.scenario import Scenario
from planner.planning import frontiers, places, solve, survive
from planner.planning.deadline import Deadline
from planner.planning.in_time import as_predicted
from planner.planning.placed import Placed
from planner.planning.places import Size
from planner.planning.resolve import Question
from planner.planning.result import Count, PoolPlan, Serving
from planner.planning.solve import Choice
from planner.words import Way


def fits(question: Question, serving: Serving, pools: Iterable[Count | PoolPlan]) -> bool:
    """Whether some pools, and the encoders of a serving, lie on the hosts that the GPUs of each system fill.

    Always where any number of GPUs may be used. Sizes that are powers of two need no try.
    """
    sizes: dict[str, list[Size]] = defaultdict(list)
    for pool in pools:
        sizes[question.pools[pool.phase].system.name].append(survive.size_of(pool))
    return _lie(sizes, serving, [question])


def mix_fits(questions: Sequence[Question], serving: Serving) -> bool:
    """As `fits`, of a serving whose pools each say their system: those of some questions, one on each."""
    sizes: dict[str, list[Size]] = defaultdict(list)
    for pool in serving.pools:
        sizes[pool.system].append(survive.size_of(pool))
    return _lie(sizes, serving, questions)


def _lie(sizes: dict[str, list[Size]], serving: Serving, questions: Sequence[Question]) -> bool:
    """Whether instances of these sizes on each system, and the encoders, lie on the hosts that there are.

    And all of them in the racks that they may fill.
    """
    if (encoders := serving.encoder) is not None and encoders.instances:
        sizes[encoders.system].append(survive.encoder_size(encoders))
    on = {
        pool.system.name: (pool.system, question.gpus_of(phase))
        for question in questions
        for phase, pool in question.pools.items()
    }
    racks, most = 0, questions[0].scenario.fleet.max_racks
    for name, some in sizes.items():
        system, budget = on[name]
        nodes = failures.nodes(system)
        hosts = -(-sum(size.instances * size.gpus for size in some) // nodes.host_gpus)
        if budget is not None and any(size.gpus & (size.gpus - 1) for size in some):
            placed = places.placed(some, nodes.host_gpus, nodes.domain_hosts)
            hosts = max((host for one in placed for host in one.hosts), default=-1) + 1
            if hosts > -(-budget // nodes.host_gpus):
                return False
        racks += -(-hosts // nodes.rack_hosts)
    return most is None or racks <= most


def whole(placed: Placed, *, drawn: bool = False) -> Placed:
    """The placement with layouts that fill their hosts alone, as `Placed.of` makes it.

    What is expected of a layout stays.
    """
    question = replace(placed.question, whole_hosts=True)
    drawn = drawn or placed.expected is None
    known = frontiers.candidates(question, placed.sweep) if drawn else None
    return replace(placed, question=question, known=known)


def asked(scenario: Scenario) -> bool:
    """Whether plans are to lie on their hosts: but for the study's match, which knows none."""
    return scenario.robust


Found = TypeVar("Found")
On: TypeAlias = "tuple[Placed, Found | None]"  # a way of serving, and where it was found


def each(
    placed: Placed,
    found: tuple[Found | None, Found | None],
    crowded: tuple[bool, bool],
    again: Callable[[Placed, Way | None], tuple[Found | None, Found | None]],
    *,
    drawn: bool = False,
) -> tuple[On[Found], On[Found]]:
    """Either way where it lies: on whole hosts where it takes more of them than there are, if it can.

    `again` looks for what is crowded on whole hosts, of both ways if it is told None.
    """
    if not any(crowded):
        return (placed, found[0]), (placed, found[1])
    on_whole = whole(placed, drawn=drawn)
    there = again(on_whole, None if all(crowded) else "disaggregated" if crowded[0] else "colocated")
    ways = zip(crowded, found, there, strict=True)
    split, colocated = (
        (on_whole, new) if full and new is not None else (placed, old) for full, old, new in ways
    )
    return split, colocated


def housed(placed: Placed, choice: Choice, deadline: Deadline) -> tuple[Placed, Placed, Choice]:
    """Where the split and where the co-located serving of a choice lie, and the choice there.

    The mix, asked for or offered, is the one found first, or one of whole hosts where that has no room; one
    that is only offered goes where none has.

    Raises Stopped when told to stop.
    """
    ways = choice.disaggregated, choice.colocated
    crowded = [way is not None and not fits(placed.question, way, way.pools) for way in ways]
    no_room = (mix := choice.mix) is not None and not fits(placed.question, mix.serving, mix.serving.pools)
    asked_for = placed.question.scenario.mix

    def again(on_whole: Placed, only: Way | None) -> tuple[Serving | None, Serving | None]:
        nonlocal mix
        if only is not None:  # by what the way was found by
            before = choice.disaggregated if only == "disaggregated" else choice.colocated
            if before is not None and not solve.serves(on_whole.question, before.expected_requests_per_s):
                on_whole = as_predicted(on_whole)
        if asked_for and not no_room:
            on_whole = _unmixed(on_whole)
        found = solve.choose(on_whole, deadline, offers=no_room, only=only)
        if no_room:
            mix = found.mix or (mix if asked_for else None)
        return found.disaggregated, found.colocated

    split, colocated = each(placed, ways, (crowded[0], crowded[1]), again, drawn=no_room)
    if mix is not None and no_room and not any(crowded):
        on_whole = whole(placed, drawn=True)
        if asked_for:
            again(on_whole, None)
        elif (serving := solve.offered(on_whole, deadline)) is None:
            mix = None
        else:  # over the ways that stay
            kept = serving.requests_per_s / mix.serving.requests_per_s
            mix = replace(mix, serving=serving, gain=(1.0 + mix.gain) * kept - 1.0)
    if asked_for and mix is not None:
        mix = replace(mix, gain=solve.gain_of(mix.serving, split[1], colocated[1]))
    chosen = replace(choice, disaggregated=split[1], colocated=colocated[1], mix=mix)
    return split[0], colocated[0], chosen


def _unmixed(placed: Placed) -> Placed:
    """The same without a mix: its program is not asked again."""
    question = placed.question
    return replace(placed, question=replace(question, scenario=replace(question.scenario, mix=False)))
