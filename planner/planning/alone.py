"""What one system of a fleet would do without the others."""

from __future__ import annotations

from planner.planning.evidence import Seen
from planner.planning.result import Count, Serving
from planner.values import dataclass
from planner.words import CacheFormat, Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """The best plan on one system of the fleet; `choice` is "" where none meets the limits."""

    system: str
    choice: Choice
    gpus: int | None = None  # of it, within the caps; None: any number
    pools: tuple[Count, ...] = ()
    serving: Serving | None = None  # without its pools
    seen: Seen | None = None  # what is known of layouts there, as `Plan.seen` is of the plan's systems
    kv: CacheFormat | None = None  # only systems of one format hand a cache over to each other
