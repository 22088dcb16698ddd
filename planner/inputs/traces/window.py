"""A part of a trace, and the same requests at another rate."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.errors import InputError
from planner.inputs.requests import NO_SESSION, Requests
from planner.values import dataclass

TRIES, CLOSE = 60, 1e-3  # to reach a rate, and how near is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From `from_s` on, for `for_s` seconds of a trace."""

    from_s: float = 0.0
    for_s: float = math.inf

    @property
    def end_s(self) -> float:
        """Where it ends."""
        return self.from_s + self.for_s


WHOLE = Window()


def cut(requests: Requests, window: Window) -> Requests:
    """The requests that come in a window, at times from its start. Raises InputError where none does."""
    if window == WHOLE:
        return requests
    inside = (requests.arrival_s >= window.from_s) & (requests.arrival_s < window.end_s)
    rows = np.flatnonzero(inside)
    if not len(rows):
        end = f"{window.end_s:g} s" if math.isfinite(window.end_s) else "its end"
        raise InputError(
            "window",
            f"{window.from_s:g} s to {end}",
            f"a part of the trace's {requests.seconds:,.0f} s with requests in it",
        )
    part = taken(requests, rows)
    return replace(part, arrival_s=part.arrival_s - window.from_s)


def taken(requests: Requests, rows: IntArray) -> Requests:
    """Some of the requests, by row, at the times they have."""
    start, blocks = requests.block_start, requests.blocks
    if len(start):
        count = np.diff(start)[rows]
        blocks = blocks[ranges(start[rows], count)]
        start = np.concatenate([[0], np.cumsum(count)])
    return replace(
        requests,
        arrival_s=requests.arrival_s[rows],
        isl=requests.isl[rows],
        osl=requests.osl[rows],
        session=requests.session[rows],
        block_start=start,
        blocks=blocks,
    )


def rate(requests: Requests) -> float:
    """Requests per second from the first to the last; 0.0 where all come at once."""
    return (len(requests) - 1) / requests.seconds if requests.seconds > 0 else 0.0


def faster(requests: Requests, speed: float) -> Requests:
    """All times divided by `speed`, think times of conversations too. Raises InputError."""
    if not 0 < speed < math.inf:
        raise InputError("speed", speed, "a factor above 0")
    return replace(requests, arrival_s=requests.arrival_s / speed)


def at_rate(requests: Requests, requests_per_s: float) -> Requests:
    """The same requests at another mean rate. Raises InputError where none is reached.

    Times are stretched evenly, so that bursts keep their shape. Of conversations only the beginnings are:
    a turn follows the one before it as it did, as people do not think faster under load.
    """
    if not 0 < requests_per_s < math.inf:
        raise InputError("rate", requests_per_s, "requests/s above 0")
    now = rate(requests)
    if not now:
        raise InputError("rate", requests_per_s, "a trace whose requests come one after the other")
    if (requests.session == NO_SESSION).all():
        return faster(requests, requests_per_s / now)
    begin_s = _beginnings(requests)
    after_s = requests.arrival_s - begin_s
    slow, quick = 0.0, 1e9  # factors on the beginnings
    for _ in range(TRIES):
        factor = math.sqrt(slow * quick) if slow else quick / 1e3
        times = np.sort(begin_s * factor + after_s)
        reached = (len(times) - 1) / max(times[-1] - times[0], 1e-9)
        if abs(reached / requests_per_s - 1) < CLOSE:
            return _at(requests, begin_s * factor + after_s)
        slow, quick = (factor, quick) if reached > requests_per_s else (slow, factor)
    most = (len(requests) - 1) / max(float(after_s.max()), 1e-9)
    raise InputError("rate", requests_per_s, f"up to {most:.3g} requests/s: conversations take their time")


def _beginnings(requests: Requests) -> FloatArray:
    """When the conversation of each request began, s; for one on its own, when it came."""
    alone = requests.session == NO_SESSION
    _, first, which = np.unique(requests.session, return_index=True, return_inverse=True)
    return np.where(alone, requests.arrival_s, requests.arrival_s[first][which])


def _at(requests: Requests, arrival_s: FloatArray) -> Requests:
    """The requests at other times, in the order of these and from 0."""
    order = np.argsort(arrival_s, kind="stable")
    moved = taken(requests, order)
    return replace(moved, arrival_s=arrival_s[order] - arrival_s[order[0]])


def ranges(first: IntArray, count: IntArray) -> IntArray:
    """``first[i], first[i] + 1, ...``, `count[i]` of them, one after the other.

    >>> ranges(np.array([7, 0]), np.array([2, 3])).tolist()
    [7, 8, 0, 1, 2]
    """
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    each: IntArray = np.arange(total) + np.repeat(first - (ends - count), count)
    return each
