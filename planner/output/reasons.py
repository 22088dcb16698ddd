"""Why nothing meets the limits, and what would, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from planner.inputs import fields
from planner.output.spelling import count
from planner.planning.near_miss import relaxed
from planner.units import format_memory, three_digits

if TYPE_CHECKING:
    from planner.inputs.scenario import Scenario
    from planner.planning.result import Reason, Relaxation


def ways_out(changes: int) -> str:
    """The heading of so many single changes that make a scenario feasible."""
    return "This is enough" if changes == 1 else "Each of these is enough"


def reason_text(scenario: Scenario, reason: Reason) -> str:
    """What a limit stops, and the best there is: `56 miss TTL 5 ms (best 7 ms)`."""
    field = fields.BY_KEY.get(reason.limit)
    if field is None:
        memory = " or ".join(map(format_memory, reason.memory_bytes))
        return f"{reason.points:,} do not fit in {memory} per GPU"
    asked, best = field.format(field.get(scenario)), field.format(reason.best)
    if reason.limit == "rate":
        gpus = scenario.fleet.gpus or 0
        serve = "serves" if gpus == 1 else "serve"
        return f"{count(gpus, 'GPU')} {serve} at most {best} of {asked} requests/s within the limits"
    verb = "fit but miss" if reason.limit == "ftl" else "miss"
    return f"{reason.points:,} {verb} {reason.limit.upper()} {asked} (best {best})"


def change_text(scenario: Scenario, change: Relaxation) -> str:
    """What a change moves from where to where: `TTL 5 ms -> 7.3 ms (+46%)`."""
    field = fields.BY_KEY[change.field]
    now, then = field.get(scenario), field.get(relaxed(scenario, (change,)))
    text = f"{field.label} {field.format(now)} -> {field.format(then)}"
    return f"{text} ({_times(then / now)})" if field.kind in ("seconds", "rate") and now and then else text


def way_text(scenario: Scenario, way: Sequence[Relaxation]) -> str:
    """Changes that are enough together."""
    return " and ".join(change_text(scenario, change) for change in way)


def _times(ratio: float) -> str:
    """A ratio as a percentage, a large one as a factor.

    >>> _times(1.12), _times(0.8), _times(12.4), _times(0.01)
    ('+12%', '-20%', '12.4×', '1/100')
    """
    if 0.1 <= ratio < 3:
        return f"{ratio - 1:+.0%}"
    return f"{three_digits(ratio)}×" if ratio > 1 else f"1/{three_digits(1 / ratio)}"
