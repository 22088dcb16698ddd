"""The nearest plan of a scenario that has none: which changes lead there, each verified by its plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from planner.errors import InputError
from planner.inputs import catalog, fields
from planner.inputs.scenario import Scenario
from planner.planning.result import Plan, Relaxation
from planner.values import dataclass

if TYPE_CHECKING:
    from planner.planning.what_if import PlanFn


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """The feasible plan nearest to a scenario that has none, and what it takes to get there."""

    relax: tuple[Relaxation, ...]  # one change, or as many as it takes together
    plan: Plan
    others: tuple[tuple[Relaxation, ...], ...] = ()  # farther ways, each enough by itself


LIMITS = ("ttl", "ftl", "gpus")  # what changes are searched among first
EASIER = (
    ("instance-gpus", None),
    ("mtp", 0),
    ("headroom", 0.0),
    ("memory-fraction", 0.95),
)  # settings that can only stand in the way
MOST_OTHERS = 4  # farther ways that are told


def closest_miss(base: Plan, plan: PlanFn, systems: Sequence[str] | None = None) -> Miss | None:
    """The feasible plan that the least relative change of limits leads to; None if there is none.

    A single change where one is enough (those of the infeasible plan itself), else of two limits
    together, else of all three. Where no single limit is enough, other settings, precisions and
    `systems` (the catalog's if not given) are tried as well: each that is enough is one of the `others`.
    """
    assert base.infeasible is not None
    ways: list[tuple[Relaxation, ...]] = [(r,) for r in base.infeasible.relax if not isinstance(r.value, str)]
    single = bool(ways)
    for count in range(2, len(LIMITS) + 1):
        ways = ways or _distinct(_together(base.scenario, plan, count))
    reached: list[tuple[tuple[Relaxation, ...], Plan]] = []
    for way in sorted(ways, key=lambda found: _distance(base.scenario, found)):
        if (found := _reach(base.scenario, way, plan)) is not None:
            reached.append(found)
        if reached and (single or len(reached) > MOST_OTHERS // 2):
            break
    if not single:
        systems = catalog.load().names("system") if systems is None else systems
        reached += islice(_settings(base.scenario, plan, systems), MOST_OTHERS + 1 - len(reached))
    if not reached:
        return None
    (relax, nearest), *others = reached
    return Miss(relax=relax, plan=nearest, others=tuple(way for way, _ in others))


def _reach(
    scenario: Scenario, way: tuple[Relaxation, ...], plan: PlanFn
) -> tuple[tuple[Relaxation, ...], Plan] | None:
    """A way and the plan at its end; where more is still asked for there (a rate), the way goes on."""
    for _ in LIMITS:
        found = _plan(relaxed(scenario, way), plan)
        if found is None or found.deployed is not None:
            return None if found is None else (way, found)
        further = found.infeasible.relax if found.infeasible else ()
        if not further:
            return None
        step = min(further, key=lambda r: _distance(found.scenario, (r,)))
        way = (*(r for r in way if r.field != step.field), step)
    return None


def _plan(scenario: Scenario, plan: PlanFn) -> Plan | None:
    try:
        return plan(scenario)
    except InputError:  # a value beyond what can be asked for
        return None


def _together(scenario: Scenario, plan: PlanFn, count: int) -> Iterator[tuple[Relaxation, ...]]:
    """`count` changes that do together: free one limit, see what else it takes, then tighten the first."""
    for key in LIMITS:
        field = fields.BY_KEY[key]
        freed = field.set(scenario, None if field.none else field.high)
        if count > 2:
            rest: Iterator[tuple[Relaxation, ...]] = _together(freed, plan, count - 1)
        else:
            answer = _plan(freed, plan)
            relax = answer.infeasible.relax if answer is not None and answer.infeasible else ()
            rest = iter([(r,) for r in relax if not isinstance(r.value, str)])
        for others in rest:
            if all(other.field != key for other in others):
                answer = _plan(relaxed(scenario, others), plan)
                relax = answer.infeasible.relax if answer is not None and answer.infeasible else ()
                yield from ((first, *others) for first in relax if first.field == key)


def _distinct(ways: Iterator[tuple[Relaxation, ...]]) -> list[tuple[Relaxation, ...]]:
    """Each way once, its changes in one order."""
    rank = {key: i for i, key in enumerate(LIMITS)}
    found = {tuple(sorted(way, key=lambda r: rank.get(r.field, len(rank)))): None for way in ways}
    return list(found)


def _settings(
    scenario: Scenario, plan: PlanFn, systems: Sequence[str]
) -> Iterator[tuple[tuple[Relaxation, ...], Plan]]:
    """Single changes of other inputs that make a scenario feasible, each with its plan."""
    tries: list[tuple[str, Any]] = list(EASIER)
    tries += [(key, value) for key in ("weights", "kv") for value in _tried(key)]
    tries += [("system", name) for name in systems]
    for key, value in tries:
        field = fields.BY_KEY[key]
        if value == field.get(scenario):
            continue
        found = _plan(field.set(scenario, value), plan)
        if found is not None and found.deployed is not None:
            yield (Relaxation(field=key, value=value),), found


def _tried(key: str) -> Sequence[Any]:
    """The choices of a field that are worth a plan: names that come to the same are left out."""
    field = fields.BY_KEY[key]
    return field.steps or field.choices


def relaxed(scenario: Scenario, relax: Sequence[Relaxation]) -> Scenario:
    """The scenario with limits changed as relaxations say."""
    for relaxation in relax:
        field = fields.BY_KEY[relaxation.field]
        value = relaxation.value
        scenario = field.set(scenario, round(value) if field.integer and isinstance(value, float) else value)
    return scenario


def _distance(scenario: Scenario, relax: Sequence[Relaxation]) -> float:
    """How far limits move: the sum of the logarithms of the ratios."""
    far = 0.0
    for relaxation in relax:
        now = fields.BY_KEY[relaxation.field].get(scenario)
        if not now or isinstance(relaxation.value, str):
            return math.inf
        far += abs(math.log(relaxation.value / now))
    return far
