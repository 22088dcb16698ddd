"""What if: how the answer moves when one input moves, and which single change brings most.

Everything is another plan: `effects` and `curve` ask a planner that is passed in, scenario
by scenario, so that a caller can show each result as it comes and stop between two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from planner.errors import InputError
from planner.inputs import fields, fleet
from planner.inputs.fields import Field
from planner.inputs.scenario import Scenario
from planner.planning import weigh
from planner.planning.result import Plan
from planner.planning.yardstick import Yardstick as Yardstick
from planner.planning.yardstick import in_all as in_all
from planner.planning.yardstick import per_gpu as per_gpu
from planner.planning.yardstick import yardstick as yardstick
from planner.values import dataclass
from planner.words import Choice, Way

PlanFn = Callable[[Scenario], Plan]

SHARE = 0.2  # a numeric input goes this much down and up
NUMERIC = ("ttl", "ftl", "isl", "osl", "gpus", "instance-gpus", "headroom", "mtp", "rate", "price")
CAPS: Mapping[str, str] = {
    "max-usd-per-hour": "$ per hour at most",
    "max-kw": "kW at most",
    "max-racks": "racks at most",
}
MORE = {"max-usd-per-hour": "one more $ per hour", "max-kw": "one more kW", "max-racks": "one more rack"}
TEN = 10  # GPUs more of a system: a change that is bought
CHOICES = ("weights", "kv", "engine", "system", "mix", "mla-cache")
CURVES = ("ttl", "isl", "gpus", "osl", "ftl")  # inputs that a curve can be drawn over
NOTHING_MEETS = "nothing meets the limits"  # the problem of a change that can be asked for
SPAN = 8.0  # a curve goes from a SPAN-th of the value to SPAN times it


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One input moved."""

    field: str  # key of planner.inputs.fields
    value: object
    down: bool = False  # the lower side of a numeric input
    scenario: Scenario
    name: str = ""  # of what is moved, where a field has several; "": the field's label
    was: str = ""  # and its value before and after: "" as the field has them
    now: str = ""
    bought: bool = False  # something added once, not a number moved either way

    @property
    def text(self) -> str:
        """`20 ms`, as a form shows it."""
        return self.now or fields.BY_KEY[self.field].format(self.value)

    @property
    def label(self) -> str:
        """`TTL`, or `h200 GPUs` of a fleet."""
        return self.name or fields.BY_KEY[self.field].label

    @property
    def told(self) -> str:
        """`TTL 20 ms`, `h200 GPUs 38`, `10 more h200`."""
        return self.name if self.bought else f"{self.label} {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a change does."""

    change: Change
    gain: float  # share by which the yardstick gets better; nan where nothing meets the limits
    value: float  # of the yardstick
    ctx_gen_ratio: float
    choice: Choice
    problem: str = ""  # why there is no plan: one line


def changes(scenario: Scenario, names: Mapping[str, Sequence[str]]) -> tuple[Change, ...]:
    """Every single change worth trying: numbers 20 % down and up, every other choice.

    Parameters
    ----------
    names
        Preset names by field key, for the fields with a catalog ("engine", "system").
    """
    found: list[Change] = []
    for key in (*NUMERIC, *CAPS):
        field = fields.BY_KEY[key]
        value = field.get(scenario)
        if not fields.has_effect(field, scenario) and key in ("gpus", "isl", "osl"):
            continue  # a fleet has its own, and so has a trace
        if key == "rate" and (scenario.goal == "throughput" or value is None):
            continue  # throughput does not ask for a rate
        if key == "price" and (scenario.goal != "cost" or not isinstance(value, float)):
            continue  # only the cost moves, and in proportion
        if key in CAPS and value is None:
            continue
        for down in (True, False):
            moved = _moved(field, value, down)
            if moved != value:
                change = _change(field, scenario, moved, down=down)
                found.append(replace(change, name=CAPS[key]) if key in CAPS else change)
    found += inventories(scenario)
    found += _risen(scenario)
    for key in CHOICES:
        field = fields.BY_KEY[key]
        now = field.get(scenario)
        if key == "system" and not fields.has_effect(field, scenario):
            continue
        known: Sequence[object] = names.get(key, ()) if field.catalog else field.steps or field.choices
        if field.kind == "switch":
            known = (False, True)
        found += [_change(field, scenario, value) for value in known if value != now]
    return tuple(found)


def inventories(scenario: Scenario) -> list[Change]:
    """A fleet with a fifth less and a fifth more of each system in turn, and with ten more GPUs of it."""
    found: list[Change] = []
    for at, stock in enumerate(scenario.fleet.stocks):
        if stock.gpus is None:
            continue
        for down in (True, False):
            moved = _moved(fields.BY_KEY["gpus"], stock.gpus, down)
            if moved is not None and round(moved) != stock.gpus:
                name = f"{stock.system} GPUs"
                found.append(_stocked(scenario, at, round(moved), name, down=down))
        if stock.gpus + TEN <= fleet.MOST_GPUS:
            name = f"{TEN} more {stock.system}"
            found.append(_stocked(scenario, at, stock.gpus + TEN, name, bought=True))
    return found


def _stocked(
    scenario: Scenario, at: int, gpus: int, name: str, *, down: bool = False, bought: bool = False
) -> Change:
    """The fleet with another number of GPUs of one of its systems."""
    stocks = scenario.fleet.stocks
    text = fleet.written((*stocks[:at], replace(stocks[at], gpus=gpus), *stocks[at + 1 :]))
    change = _change(fields.BY_KEY["fleet"], scenario, text, down=down)
    return replace(change, name=name, was=f"{stocks[at].gpus:,}", now=f"{gpus:,}", bought=bought)


def _risen(scenario: Scenario) -> Iterator[Change]:
    """Each cap with one unit more."""
    for key, name in MORE.items():
        field = fields.BY_KEY[key]
        cap = field.get(scenario)
        if cap is not None and cap + 1 <= field.high:
            change = _change(field, scenario, field.check(cap + 1))
            yield replace(change, name=name, bought=True)


def of_field(field: Field, scenario: Scenario, names: Sequence[str] = ()) -> tuple[Change, ...]:
    """One input at the values around its own (all where it has none, "any"), or at every other choice."""
    now = field.get(scenario)
    if field.key == "fleet" and scenario.fleet.stocks:
        return tuple(inventories(scenario))
    known: Sequence[object] = names or field.steps or field.choices
    if field.kind == "switch":
        known = (False, True)
    elif isinstance(now, (int, float)):
        known = [round(at) if field.integer else at for at in curve_values(scenario, field.key)]
        if not any(value != now for value in known):  # 0, or far from every step
            known = [_moved(field, now, down) for down in (True, False)]
    return tuple(_change(field, scenario, value) for value in dict.fromkeys(known) if value != now)


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
        if found.deployed is not None:
            return Effect(
                change=change,
                gain=measure.gain(found, base),
                value=measure.of(found),
                ctx_gen_ratio=found.deployed.ctx_gen_ratio,
                choice=found.choice,
            )
        problem = NOTHING_MEETS
    return Effect(
        change=change, gain=math.nan, value=math.nan, ctx_gen_ratio=math.nan, choice="", problem=problem
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """The plan at one value of an input; nan where nothing meets the limits."""

    at: float
    value: float  # of the yardstick
    ctx_gen_ratio: float
    choice: Choice
    split: float = math.nan  # the yardstick of either way, deployed or not
    colocated: float = math.nan
    tie: bool = False  # the ways differ by no more than their error: co-located then, whichever is higher


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
        deployed = found.deployed
        yield CurvePoint(
            at=at,
            value=measure.of(found),
            ctx_gen_ratio=deployed.ctx_gen_ratio if deployed else math.nan,
            choice=found.choice,
            split=of_way(found, "disaggregated", measure),
            colocated=of_way(found, "colocated", measure),
            tie=weigh.finding(found.scenario, found.bands, found.disaggregated, found.colocated) == "tie",
        )


def of_way(plan: Plan, way: Way, measure: Yardstick) -> float:
    """What one way of serving brings, deployed or not; nan where it meets no limits."""
    serving = plan.disaggregated if way == "disaggregated" else plan.colocated
    return math.nan if serving is None else measure.of(replace(plan, choice=way, mix=None))
