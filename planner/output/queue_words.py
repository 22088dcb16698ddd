"""Sentences on requests that wait for each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from planner.output.spelling import count, percent
from planner.units import format_seconds, three_digits
from planner.words import Routing

if TYPE_CHECKING:
    from planner.planning.result import Load, Percentiles, Plan, Queued, Replayed

ROUTED: Mapping[Routing, str] = {
    "least-loaded": "least loaded instance",
    "central": "first free instance, from one queue",
    "round-robin": "instances in turn",
    "random": "instances at random",
}


def queued_sentences(load: Load, queued: Queued) -> list[str]:
    """Percentiles of requests that come at their own time, and how near the limits' end the pools are."""
    lines = [
        f"{queued.arrivals.capitalize()} arrivals, {three_digits(load.requests_per_s)} a second to the "
        f"{ROUTED[queued.routing]}, {load.requests_in_flight:,.0f} in flight.",
        f"P50 / P95 / P99: first token {_spread(queued.ftl)} (alone {format_seconds(load.alone_ftl_s)}), "
        f"a token {_spread(queued.ttl)}, the whole request {_spread(queued.e2e)}.",
        f"The busiest pool is used {percent(queued.utilisation)}; the limits hold up to "
        f"{percent(queued.breaks_at)}.",
    ]
    if queued.fragile:
        lines.append("That is fragile: a little more load makes the waits many times longer.")
    if queued.replayed is not None:
        lines.append(replayed_sentence(queued.replayed))
    elif not queued.sure:
        lines.append("Closed forms are unsure of such waits; ratematch plan --settle on proves the plan.")
    return lines


def unsure_sentence(plans: Sequence[tuple[str, Plan]]) -> str:
    """Of several plans those of whose waits closed forms are not sure; "" where there are none.

    A plan that asked its replay is sure.
    """
    names = [
        name for name, plan in plans if plan.chosen and plan.chosen.queued and not plan.chosen.queued.sure
    ]
    if not names:
        return ""
    told = ", ".join(names)
    return f"Closed forms are unsure of the waits of {told}: no replay has told them (--settle on does)."


def changes_sentence(base: Plan) -> str:
    """How far a replay has told what changes of a plan bring; "" where closed forms are sure of it."""
    queued = None if base.chosen is None else base.chosen.queued
    if queued is None or (queued.sure and queued.replayed is None):
        return ""
    if queued.replayed is None:
        return "Closed forms are unsure of such waits, and no replay has told them (--settle on does)."
    headroom = percent(queued.replayed.headroom)
    return f"A replay has proved this plan; changes keep its headroom of {headroom} and are not replayed."


def replayed_sentence(replayed: Replayed) -> str:
    """What told the percentiles, and what it took."""
    of = f"These are of {_what(replayed)} replayed one by one"
    if replayed.refused:
        of += f" ({replayed.refused:,} of them, longer than any instance has room for, are refused)"
    if not replayed.meets:
        tried = count(replayed.plans, "plan")
        return f"{of}; they miss a limit, as in all of {tried} that were tried."
    if replayed.plans == 1:
        return f"{of}; the limits hold.{_later(replayed)}"
    tried = f"found in {replayed.plans} plans"
    held = f"{of}; the limits hold with {percent(replayed.headroom)} headroom, {tried}."
    return f"{held}{_later(replayed)}"


def _what(replayed: Replayed) -> str:
    """The requests of a replay."""
    if replayed.of_requests > replayed.requests:
        return f"the busiest {replayed.requests:,} of {replayed.of_requests:,} requests"
    if replayed.share < 1.0:
        return f"{replayed.requests:,} requests on {percent(replayed.share)} of the fleet"
    return f"{replayed.requests:,} requests"


def _later(replayed: Replayed) -> str:
    """The other place for prompts of later turns."""
    turns = replayed.later_turns
    if turns is None:
        return ""
    first, token = map(_spread, (turns.ftl, turns.ttl))
    said = "hold" if turns.meets else "do not hold"
    return (
        f" With the prompts of later turns on the decode instances: first token {first}, a token {token}; "
        f"the limits {said}."
    )


def _spread(of: Percentiles) -> str:
    return " / ".join(map(format_seconds, (of.p50, of.p95, of.p99)))
