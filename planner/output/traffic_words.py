"""What a plan says of its traffic: what prompts share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.inputs.fields import BY_KEY, idle_reason
from planner.output.spelling import named, percent
from planner.units import format_si

if TYPE_CHECKING:
    from planner.inputs.scenario import Scenario
    from planner.planning.result import Caches
    from planner.words import PrefixReuse


SAID = ("reuse", "host-cache", "isl-spread", "osl-spread")  # what may be set where nothing reads it


def idle_notes(scenario: Scenario) -> list[str]:
    """What is set of the traffic, but has no effect beside the rest."""
    return [
        f"{field.label} {field.format(field.get(scenario))} has {reason}"
        for field in (BY_KEY[key] for key in SAID)
        if field.get(scenario) != field.get(type(scenario)()) and (reason := idle_reason(field, scenario))
    ]


def caches_note(caches: Caches, reuse: PrefixReuse) -> str:
    """What prefix caches would find, and what the plan counts on."""
    many = f"{caches.instances:,} caches" if caches.instances > 1 else "A cache"
    spread = f", {percent(caches.round_robin)} if they take turns" if caches.instances > 1 else ""
    host = f" and {format_si(caches.host_tokens, '').strip()} in its hosts" if caches.host_tokens else ""
    said = "cached" if reuse == "none" else f"reuse {reuse}"
    each = format_si(caches.tokens, "").strip()
    return (
        f"prompts of the trace share prefixes: {many} of {each} tokens{host}, what "
        f"{named(caches.phase)} leaves free, would find {percent(caches.prefix_aware)} with prefix-aware "
        f"routing{spread}; this plan counts on {percent(caches.counted)} ({said})"
    )
