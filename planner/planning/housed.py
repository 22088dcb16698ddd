"""Plans that lie on the hosts that there are: by GPUs alone a plan may take more hosts than a budget fills.

Instances take as many GPUs of each of their hosts, within one scale-up domain where that has room for them
(`planner.planning.places`). A layout that takes 6 of a host's 8 leaves 2 to others or idle, and one of 32
GPUs 8 of a domain's 72. Where the best plan does not lie on the budget's hosts, layouts that leave a rest of
their hosts are left out, in that way of serving alone; if that does not do, those that leave a rest of a
domain; and if those were all, fewer GPUs are used. Where nothing is left the plan stays, and its notes say
what it takes.

What is left so may be worth less than what some GPUs fewer lie with: 17 GPUs are 3 instances of 3 and one of
8 on 5 hosts of 4, and 18, where the best takes 6, are no fewer hosts. So all layouts are tried with one GPU
less, and one less, down to a host less, while they bring more than whole hosts do: a budget's best is worth
no less than that of any smaller one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias, TypeVar

from planner.inputs import failures
from planner.inputs.scenario import Scenario
from planner.planning import frontiers, places, solve, survive, weigh
from planner.planning.deadline import Deadline
from planner.planning.in_time import as_predicted
from planner.planning.placed import Placed
from planner.planning.places import Size
from planner.planning.resolve import Question, Whole
from planner.planning.result import Count, Mix, PoolPlan, Serving
from planner.planning.solve import Choice
from planner.words import Phase, Way

STEPS: tuple[Whole, ...] = ("hosts", "domains")  # what layouts leave no rest of, one after the other
FEWER = (None,) * 3  # tries with fewer GPUs, if neither does


def beyond(question: Question, serving: Serving, pools: Sequence[Count | PoolPlan]) -> int:
    """Hosts that some pools, and the encoders of a serving, take beyond those that each system's GPUs fill.

    None where any number of GPUs may be used.
    """
    sizes: dict[str, list[Size]] = defaultdict(list)
    for pool in pools:
        sizes[question.pools[pool.phase].system.name].append(survive.size_of(pool))
    return _beyond(sizes, serving, [question])


def mix_fits(questions: Sequence[Question], serving: Serving) -> bool:
    """Whether pools that each say their system lie on the hosts of some questions, one on each."""
    return not _beyond(_by_system(serving), serving, questions)


def _by_system(serving: Serving) -> dict[str, list[Size]]:
    sizes: dict[str, list[Size]] = defaultdict(list)
    for pool in serving.pools:
        sizes[pool.system].append(survive.size_of(pool))
    return sizes


def _beyond(sizes: dict[str, list[Size]], serving: Serving, questions: Sequence[Question]) -> int:
    """Hosts that instances of these sizes on each system, and the encoders, take beyond those that there are.

    Or all of them beyond the racks that they may fill.
    """
    if (encoders := serving.encoder) is not None and encoders.instances:
        sizes[encoders.system].append(survive.encoder_size(encoders))
    on = {
        pool.system.name: (pool.system, question.gpus_of(phase))
        for question in questions
        for phase, pool in question.pools.items()
    }
    over, racks, most = 0, 0, questions[0].scenario.fleet.max_racks
    for name, some in sizes.items():
        system, budget = on[name]
        nodes = failures.nodes(system)
        hosts = -(-sum(size.instances * size.gpus for size in some) // nodes.host_gpus)
        if (budget is not None or most is not None) and not nested(some, nodes):
            placed = places.placed(some, nodes.host_gpus, nodes.domain_hosts)
            hosts = max((host for one in placed for host in one.hosts), default=-1) + 1
        if budget is not None:
            over += max(hosts - -(-budget // nodes.host_gpus), 0)
        racks += -(-hosts // nodes.rack_hosts)
    return over or int(most is not None and racks > most)


def nested(sizes: Sequence[Size], nodes: failures.Nodes) -> bool:
    """Whether instances fill what they lie on whatever is beside them, and need no try.

    Each size divides the next, and all of them the hosts and domains that they lie in. None leaves a rest of
    its hosts: a stage of 18 GPUs takes 3 on each.
    """
    if any(places.per_host(size, nodes.host_gpus) < min(size.gpus, nodes.host_gpus) for size in sizes):
        return False
    gpus = sorted({size.gpus for size in sizes} | {nodes.host_gpus, nodes.domain_gpus})
    return not any(next_ % one for one, next_ in pairwise(gpus))


def whole(placed: Placed, step: Whole | None, *, drawn: bool = False) -> Placed:
    """The placement with layouts alone that fill their hosts, or their domains, as `Placed.of` makes it.

    Their hosts, if not told. What is expected of a layout stays. Of co-located points what is worth matching
    is known within the TTL limit alone: the frontiers were drawn before.
    """
    question = replace(placed.question, whole=step or "hosts")
    drawn, ttl_s = drawn or placed.expected is None, question.scenario.limits.ttl_s
    known = frontiers.candidates(question, placed.sweep, colocated_ttl_s=ttl_s) if drawn else None
    return replace(placed, question=question, known=known)


def asked(scenario: Scenario) -> bool:
    """Whether plans are to lie on their hosts: but for the study's match, which knows none."""
    return scenario.robust


Found = TypeVar("Found")
On: TypeAlias = "tuple[Placed, Found | None]"  # a way of serving, and where it was found
Told: TypeAlias = "tuple[Serving, Sequence[Count | PoolPlan]]"  # of a way: enough to weigh it, and its pools


def each(
    placed: Placed,
    found: tuple[Found | None, Found | None],
    told: Callable[[Found], Told],
    again: Callable[[Placed, Way | None], tuple[Found | None, Found | None]],
    *,
    drawn: bool = False,
) -> tuple[On[Found], On[Found]]:
    """Either way where it lies: on whole hosts, or on fewer GPUs, where it takes more than there are.

    `told` says what a way is, `again` looks for what takes more on whole hosts, whole domains or fewer GPUs,
    of both ways if it is told None.
    """

    def over(way: Found | None) -> int:
        return 0 if way is None else beyond(placed.question, *told(way))

    on: tuple[On[Found], On[Found]] = (placed, found[0]), (placed, found[1])
    fewer: Placed | None = None
    for step in (*STEPS, *FEWER):
        hosts = [over(way) for _, way in on]
        if not any(hosts):
            break
        there = whole(placed, step, drawn=drawn)
        if step is None:
            if (fewer := _fewer(fewer or there, max(hosts))) is None:
                break
            there = fewer
        new = again(there, None if all(hosts) else "disaggregated" if hosts[0] else "colocated")
        split, colocated = (
            (there, way) if more and way is not None else old
            for more, old, way in zip(hosts, on, new, strict=True)
        )
        on = split, colocated
    ways: tuple[Way, Way] = "disaggregated", "colocated"

    def lying(i: int) -> On[Found]:
        first = found[i]
        if first is None or not over(first):
            return on[i]
        return _or_below(placed, first, on[i], told, lambda at: again(at, ways[i])[i])

    return lying(0), lying(1)


def _or_below(
    placed: Placed,
    first: Found,
    best: On[Found],
    told: Callable[[Found], Told],
    again: Callable[[Placed], Found | None],
) -> On[Found]:
    """A way as it lies on whole hosts, or one of all layouts on less than a host's GPUs fewer that is better.

    `first` is what takes more hosts than there are, `best` what was found instead.
    """
    question, at = placed.question, placed
    way: Found | None = first
    held = None if best[1] is None else told(best[1])
    if held is not None and beyond(question, *held):
        held = None  # what lies is better
    for _ in range(failures.nodes(question.pools["decode"].system).host_gpus):
        less = None if way is None else _below(question, at, *told(way))
        if less is None:
            break
        at, way = less, again(less)
        if way is None or (held is not None and not _more(question.scenario, told(way)[0], held[0])):
            break
        if not beyond(question, *told(way)):
            return at, way
    return best


def _more(scenario: Scenario, one: Serving, other: Serving) -> bool:
    """Whether one is better in what the goal counts; a rate before what an earlier first token takes."""
    if scenario.goal == "throughput" and scenario.fleet.gpus is not None:
        return solve.most_of(one) > solve.most_of(other) * (1.0 + weigh.SAME)
    return weigh.gain(scenario, one, other) > 1.0 + weigh.SAME


def _below(first: Question, at: Placed, serving: Serving, pools: Sequence[Count | PoolPlan]) -> Placed | None:
    """The placement without the last GPU of each system that a way takes too many hosts of; None without any.

    Nor those that the way leaves idle: with fewer of them it would be the same, unless it gave something up
    for an earlier first token.
    """
    question, scenario = at.question, at.question.scenario
    room, most = question.room, scenario.fleet.gpus
    idles = bool(scenario.slack) and scenario.goal == "throughput"
    if room is not None:
        left: dict[Phase, int] = {"prefill": room.prefill, "decode": room.decode}
        for phase in tuple(left):
            some = [pool for pool in pools if pool.phase == phase]
            alone = serving if phase == "prefill" else replace(serving, encoder=None)
            if not beyond(first, alone, some):
                continue
            taken = sum(pool.instances * pool.layout.gpus for pool in some)
            taken += alone.encoder.gpus if alone.encoder is not None else 0
            left[phase] = (left[phase] if idles else min(taken, left[phase])) - 1
        if left == {"prefill": room.prefill, "decode": room.decode} or min(left.values()) < 1:
            return None
        room = room.within(left["prefill"], left["decode"])
        most = None if most is None else room.gpus
    elif most is not None:
        most = (most if idles else min(serving.gpus, most)) - 1
    if room is None and not most:
        return None
    fleet = replace(scenario.fleet, gpus=most)
    return replace(at, question=replace(question, room=room, scenario=replace(scenario, fleet=fleet)))


def _fewer(placed: Placed, hosts: int) -> Placed | None:
    """The placement with so many hosts less; None where pools have a room each, or none is left."""
    question, fleet = placed.question, placed.question.scenario.fleet
    less = hosts * failures.nodes(question.pools["decode"].system).host_gpus
    if question.room is not None or fleet.gpus is None or fleet.gpus <= less:
        return None
    scenario = replace(question.scenario, fleet=replace(fleet, gpus=fleet.gpus - less))
    return replace(placed, question=replace(question, scenario=scenario))


def fewer_each(placed: Sequence[Placed], mixed: Serving) -> list[Placed] | None:
    """Placements on one system each, without the hosts that a mix takes of a system beyond what there are.

    None where that are none, as where it is racks that it takes too many of, or a system has none left.
    """
    sizes, found = _by_system(mixed), []
    questions = [at.question for at in placed]
    for at in placed:
        system = at.systems[0]
        over = _beyond({system: sizes[system]}, mixed, questions) if system in sizes else 0
        one = _fewer(at, over) if over else at
        if one is None:
            return None
        found.append(one)
    return None if all(one is at for one, at in zip(found, placed, strict=True)) else found


def housed(placed: Placed, choice: Choice, deadline: Deadline) -> tuple[Placed, Placed, Choice]:
    """Where the split and where the co-located serving of a choice lie, and the choice there.

    The mix, asked for or offered, is the one found first, or one of whole hosts where that has no room; one
    that is only offered goes where none has room.

    Raises Stopped when told to stop.
    """
    ways = choice.disaggregated, choice.colocated
    mix, asked_for = choice.mix, placed.question.scenario.mix

    def told(serving: Serving | None) -> Told:
        assert serving is not None  # a way is told where it was found
        return serving, serving.pools

    def over(serving: Serving | None) -> int:
        return 0 if serving is None else beyond(placed.question, serving, serving.pools)

    no_room = over(mix.serving if mix else None) > 0
    searched: set[Whole | None] = set()

    def again(on_whole: Placed, only: Way | None) -> tuple[Serving | None, Serving | None]:
        nonlocal mix, no_room
        if only is not None:  # by what the way was found by
            before = choice.disaggregated if only == "disaggregated" else choice.colocated
            if before is not None and not solve.serves(on_whole.question, before.expected_requests_per_s):
                on_whole = as_predicted(on_whole)
        looked_for = no_room and on_whole.question.whole != "no"  # of fewer GPUs a way alone is asked
        if asked_for and not looked_for:
            on_whole = _unmixed(on_whole)
        found = solve.choose(on_whole, deadline, offers=looked_for, only=only)
        if looked_for:
            mix = found.mix or (mix if asked_for else None)
            no_room = over(mix.serving if mix else None) > 0
            if on_whole.question.scenario.fleet == placed.question.scenario.fleet:
                searched.add(on_whole.question.whole)
        return found.disaggregated, found.colocated

    split, colocated = each(placed, ways, told, again, drawn=no_room)
    fewer: Placed | None = None
    for step in (*STEPS, *FEWER) if asked_for else STEPS:
        if mix is None or not no_room:
            break
        if step in searched:
            continue
        on_whole = whole(placed, step, drawn=True)
        if step is None:
            if (fewer := _fewer(fewer or on_whole, over(mix.serving))) is None:
                break
            on_whole = fewer
        if asked_for:
            again(on_whole, None)
        elif (serving := solve.offered(on_whole, deadline)) is None:
            mix = None
        else:  # over the ways that stay
            kept = serving.requests_per_s / mix.serving.requests_per_s
            mix = replace(mix, serving=serving, gain=(1.0 + mix.gain) * kept - 1.0)
            no_room = over(serving) > 0
    if no_room and not asked_for:
        mix = None
    if asked_for and mix is not None:
        serving = at_least(placed.question.scenario, mix.serving, split[1], colocated[1])
        mix = Mix(serving=serving, gain=solve.gain_of(serving, split[1], colocated[1]))
    chosen = replace(choice, disaggregated=split[1], colocated=colocated[1], mix=mix)
    return split[0], colocated[0], chosen


def offered(placed: Placed, choice: Choice) -> Choice:
    """The choice without a mix that is only offered, where it takes more hosts than there are."""
    mix = choice.mix
    if mix is None or mix_fits([placed.question], mix.serving):
        return choice
    return replace(choice, mix=None)


def at_least(scenario: Scenario, mixed: Serving, *ways: Serving | None) -> Serving:
    """A mix, or a way that is better by more than the slack: what lies of it may be worse than either."""
    for way in ways:
        if way is not None and weigh.gain(scenario, way, mixed) > 1.0 + max(scenario.slack, weigh.SAME):
            mixed = way
    return mixed


def _unmixed(placed: Placed) -> Placed:
    """The same without a mix: its program is not asked again."""
    question = placed.question
    return replace(placed, question=replace(question, scenario=replace(question.scenario, mix=False)))
