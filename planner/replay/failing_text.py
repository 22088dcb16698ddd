"""What a replay says of a loss on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.output.spelling import count, named, percent
from planner.units import format_seconds

WHAT = {"gpu": "a GPU", "instance": "an instance", "node": "a node", "rack": "a rack"}


def lines(failure: Mapping[str, Any]) -> list[str]:
    """The loss, and what the requests see that come after it, against the limits."""
    taken = " and ".join(
        count(number, f"{named(phase)} instance") for phase, number in failure["instances"].items()
    )
    head = f"{WHAT[failure['loss']]} is lost at {format_seconds(max(failure['at_s'], 1e-6))}: {taken}"
    if not failure["requests"]:
        return [f"{head}; no request came after it"]
    found = []
    for key, name in (("ftl", "FTL"), ("ttl", "TTL")):
        at = failure[f"{key}_s"]
        word = "holds" if failure["holds"][key] else "does NOT hold"
        found.append(
            f"{name} {word} (mean {format_seconds(at['mean'])}, P95 {format_seconds(at['p95'])})"
            if at["mean"] == at["mean"]
            else f"{name} does NOT hold (none ended)"
        )
    share = percent(failure["good_share"])
    return [
        head,
        f"  {count(failure['requests'], 'request')} after it: {', '.join(found)}; within both limits {share}",
    ]
