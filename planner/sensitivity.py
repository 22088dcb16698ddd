"""What if: how the answer moves when one input moves, and which single change brings most.

Everything is another plan: `effects`, `curve` and `closest_miss` ask a planner that is passed in, scenario
by scenario, so that a caller can show each result as it comes and stop between two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from planner import fields
from planner.errors import InputError
from planner.fields import Field
from planner.result import Plan, Relaxation
from planner.scenario import Scenario

PlanFn = Callable[[Scenario], Plan]

SHARE = 0.2  # a numeric input goes this much down and up
NUMERIC = ("ttl", "ftl", "isl", "osl", "gpus", "instance-gpus", "headroom", "mtp", "rate", "price")
CHOICES = ("weights", "kv", "engine", "system", "mix", "mla-cache")
CURVES = ("ttl", "isl", "gpus", "osl", "ftl")  # inputs that a curve can be drawn over
SPAN = 8.0  # a curve goes from a SPAN-th of the value to SPAN times it
LEAST_GAIN = 0.005  # below this a change changes nothing worth telling


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What a plan is judged by; gains are positive where it gets better."""

    name: str
    unit: str
    higher: bool
    of: Callable[[Plan], float]

    def gain(self, plan: Plan, base: Plan) -> float:
        """Better by this share; nan where either has no answer."""
        now, before = self.of(plan), self.of(base)
        if not (now > 0 and before > 0):
            return math.nan
        return now / before - 1 if self.higher else before / now - 1


def per_gpu(plan: Plan) -> float:
    """Output tokens/s per GPU of the budget (of the GPUs in use where there is none); nan without a plan.

    The measure of a fleet that is paid for whether it works or not.
    """
    serving = plan.chosen
    if serving is None:
        return math.nan
    budget = plan.scenario.fleet.gpus
    used = 1.0 if budget is None else serving.gpus / budget
    return serving.tokens_per_s_per_gpu * used


def yardstick(scenario: Scenario) -> Yardstick:
    """What the goal of a scenario asks for."""
    if scenario.goal == "fewest-gpus":
        return Yardstick(
            name="GPUs",
            unit="GPUs",
            higher=False,
            of=lambda plan: float(plan.chosen.gpus) if plan.chosen else math.nan,
        )
    if scenario.goal == "cost":
        return Yardstick(
            name="cost",
            unit="$/Mtok",
            higher=False,
            of=lambda plan: plan.chosen.usd_per_million_tokens if plan.chosen else math.nan,
        )
    return Yardstick(name="throughput", unit="tok/s/GPU", higher=True, of=per_gpu)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One input moved."""

    field: str  # key of planner.fields
    value: object
    down: bool = False  # the lower side of a numeric input
    scenario: Scenario

    @property
    def text(self) -> str:
        """`20 ms`, as a form shows it."""
        return fields.BY_KEY[self.field].format(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a change does."""

    change: Change
    gain: float  # share by which the yardstick gets better; nan where nothing meets the limits
    value: float  # of the yardstick
    ctx_gen_ratio: float
    choice: str  # disaggregated, colocated, "" where nothing meets the limits
    problem: str = ""  # why there is no plan: one line


def changes(scenario: Scenario, names: Mapping[str, Sequence[str]]) -> tuple[Change, ...]:
    """Every single change worth trying: numbers 20 % down and up, every other choice.

    Parameters
    ----------
    names
        Preset names by field key, for the fields with a catalog ("engine", "system").
    """
    found: list[Change] = []
    for key in NUMERIC:
        field = fields.BY_KEY[key]
        value = field.get(scenario)
        if key == "rate" and (scenario.goal == "throughput" or value is None):
            continue  # throughput does not ask for a rate
        if key == "price" and (scenario.goal != "cost" or value is None):
            continue  # only the cost moves, and in proportion
        for down in (True, False):
            moved = _moved(field, value, down)
            if moved != value:
                found.append(_change(field, scenario, moved, down=down))
    for key in CHOICES:
        field = fields.BY_KEY[key]
        now = field.get(scenario)
        known: Sequence[object] = names.get(key, ()) if field.catalog else field.choices
        if field.kind == "switch":
            known = (False, True)
        found += [_change(field, scenario, value) for value in known if value != now]
    return tuple(found)


def _change(field: Field, scenario: Scenario, value: object, *, down: bool = False) -> Change:
    return Change(field=field.key, value=value, down=down, scenario=field.set(scenario, value))


def _moved(field: Field, value: float | None, down: bool) -> float | None:
    """A fifth down or up; the next step where a fifth is no change, or the value is a count of few."""
    if value is None or field.key in ("instance-gpus", "mtp", "headroom"):
        stepped: float | None = field.step(value, -1 if down else 1)
        return stepped
    moved = float(f"{value * (1 - SHARE if down else 1 + SHARE):.6g}")
    if field.integer:
        moved = math.floor(moved) if down else math.ceil(moved)
    checked: float | None = field.check(min(max(moved, field.low), field.high))
    return checked


def effects(base: Plan, wanted: Sequence[Change], plan: PlanFn) -> Iterator[Effect]:
    """The effect of each change on a plan, in turn."""
    measure = yardstick(base.scenario)
    for change in wanted:
        yield effect(base, change, plan, measure)


def effect(base: Plan, change: Change, plan: PlanFn, measure: Yardstick) -> Effect:
    """Plan one change. A value that cannot be used is a problem, not an exception."""
    problem = ""
    try:
        found = plan(change.scenario)
    except InputError as error:
        problem = str(error)
    else:
        if found.chosen is not None:
            return Effect(
                change=change,
                gain=measure.gain(found, base),
                value=measure.of(found),
                ctx_gen_ratio=found.chosen.ctx_gen_ratio,
                choice=found.choice,
            )
        problem = "nothing meets the limits"
    return Effect(
        change=change, gain=math.nan, value=math.nan, ctx_gen_ratio=math.nan, choice="", problem=problem
    )


def best(found: Sequence[Effect]) -> Effect | None:
    """The change with the largest gain; None where none gains anything worth telling.

    What is asked for is no lever: shorter prompts or answers, or a smaller load, are left out.
    """
    usable = [e for e in found if e.change.field not in ("isl", "osl", "rate") and e.gain >= LEAST_GAIN]
    return max(usable, key=lambda e: e.gain, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """The plan at one value of an input; nan where nothing meets the limits."""

    at: float
    value: float  # of the yardstick
    ctx_gen_ratio: float
    choice: str


def curve_values(scenario: Scenario, key: str) -> tuple[float, ...]:
    """The steps of an input around its value, and the value itself; () where it has none ("any")."""
    field = fields.BY_KEY[key]
    value = field.get(scenario)
    if value is None:
        return ()
    near = {float(s) for s in field.steps if value / SPAN <= s <= value * SPAN}
    return tuple(sorted({*near, float(value)}))


def curve(scenario: Scenario, key: str, plan: PlanFn) -> Iterator[CurvePoint]:
    """The answer over the values of one input, all else equal: nearest values first, then outwards."""
    field = fields.BY_KEY[key]
    measure = yardstick(scenario)
    now = field.get(scenario)
    for at in sorted(curve_values(scenario, key), key=lambda v: abs(math.log(v / now))):
        value: float = round(at) if field.integer else at
        try:
            found = plan(field.set(scenario, value))
        except InputError:
            continue
        chosen = found.chosen
        yield CurvePoint(
            at=at,
            value=measure.of(found),
            ctx_gen_ratio=chosen.ctx_gen_ratio if chosen else math.nan,
            choice=found.choice,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """The feasible plan nearest to a scenario that has none, and what it takes to get there."""

    relax: tuple[Relaxation, ...]  # one change, or two where no single one is enough
    plan: Plan


LIMITS = ("ttl", "ftl", "gpus")  # what a pair of changes is searched among


def closest_miss(base: Plan, plan: PlanFn) -> Miss | None:
    """The feasible plan that the least relative change of limits leads to; None if there is none.

    A single change where one is enough (those of the infeasible plan itself), else the best of two.
    """
    assert base.infeasible is not None
    ways: list[tuple[Relaxation, ...]] = [(r,) for r in base.infeasible.relax if not isinstance(r.value, str)]
    ways = ways or list(_pairs(base.scenario, plan))
    for relax in sorted(ways, key=lambda found: _distance(base.scenario, found)):
        found = plan(relaxed(base.scenario, relax))
        if found.chosen is not None:
            return Miss(relax=relax, plan=found)
    return None


def _pairs(scenario: Scenario, plan: PlanFn) -> Iterator[tuple[Relaxation, ...]]:
    """Two changes that do together: free one limit, see what else it takes, then tighten the first."""
    for key in LIMITS:
        field = fields.BY_KEY[key]
        freed = plan(field.set(scenario, None if field.none else field.high))
        for other in freed.infeasible.relax if freed.infeasible else ():
            if other.field not in LIMITS:
                continue
            rest = plan(relaxed(scenario, (other,))).infeasible
            yield from ((first, other) for first in (rest.relax if rest else ()) if first.field == key)


def relaxed(scenario: Scenario, relax: Sequence[Relaxation]) -> Scenario:
    """The scenario with limits changed as relaxations say."""
    for relaxation in relax:
        field = fields.BY_KEY[relaxation.field]
        value = relaxation.value
        scenario = field.set(
            scenario, round(value) if field.integer and not isinstance(value, str) else value
        )
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
