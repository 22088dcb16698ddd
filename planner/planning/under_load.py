"""What requests see of a serving, queues included. SI units."""

from __future__ import annotations

from planner.values import dataclass
from planner.words import Arrivals, At, Routing


@dataclass(frozen=True, slots=True)
class Percentiles:
    """A latency over all requests, seconds."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterTurns:
    """The same replayed with prompts of later turns on the decode instance that has their context."""

    ftl: Percentiles
    ttl: Percentiles
    meets: bool  # the limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The replay that a plan asked where closed forms are not sure."""

    requests: int  # of the plan that is told
    of_requests: int  # of the trace that they are the busiest stretch of; else as many
    share: float  # of the fleet that was replayed, with as much of its rate
    plans: int  # that were replayed
    headroom: float  # share of its capacity that the plan keeps free, so that its replay meets the limits
    meets: bool  # whether it does
    refused: int = 0  # of the requests: longer than any instance has room for; means leave them out
    later_turns: LaterTurns | None = None  # of a split whose requests are turns of conversations


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """What requests see that come at their own time."""

    arrivals: Arrivals
    routing: Routing
    ftl_at: At  # what the FTL limit binds; never auto
    ftl: Percentiles
    ttl: Percentiles
    e2e: Percentiles  # from arrival to the last token
    utilisation: float  # of the busiest pool
    breaks_at: float  # the same where the limits just hold
    sure: bool = True  # whether closed forms are near a replay here, or a replay has told
    replayed: Replayed | None = None  # what told the percentiles; None: closed forms

    @property
    def fragile(self) -> bool:
        """Whether a little more load makes waits many times longer."""
        return self.utilisation > FRAGILE


FRAGILE = 0.9  # utilisation


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A serving at its rate, queues included: in a closed loop, or with requests that come at any time."""

    requests_in_flight: float
    requests_per_s: float  # what they bring; less than the serving's rate if no number of them brings that
    alone_ftl_s: float  # first token of a request that meets no other
    ftl_s: float  # mean
    ttl_s: float  # mean
    queued: Queued | None = None  # None in a closed loop
