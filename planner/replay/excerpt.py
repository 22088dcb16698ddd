"""What a replay of so many requests looks at of a longer trace, and of a fleet that has more in flight.

Of a trace the stretch in which requests find most work before them: its own requests one after the other, as
bursts and conversations are what a sample of them would lose. The share of late requests in a whole is at
most that of its worst stretch; which that is, is estimated from the work that each finds before it, so that
a limit which just holds there may just be missed by the whole (docs/replay.md).

Of a fleet a slice: so many instances of each pool and their share of the arrivals. Fewer instances share a
queue, so waits are no shorter than those of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.inputs.requests import Requests
from planner.inputs.traces.window import taken
from planner.planning.result import Serving
from planner.simulate.backlog import held_at_zero

EVEN = 0.05  # that one pool of a slice may be fuller than the whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Some instances of a serving's pools."""

    serving: Serving  # at the rate that is theirs
    share: float  # of the whole rate


def busiest(
    requests: Requests, count: int, loads: Sequence[float], *, before: int = 0
) -> tuple[Requests, int]:
    """So many requests that follow each other, and the first of them that counts.

    Parameters
    ----------
    loads
        Of the pool that takes prompts and of the one that decodes, mean over the trace; one number for both
        where they are one.
    before
        Requests that come first, so that the pools are as full as they would be; none at the start of the
        trace, where they are empty.
    """
    if count >= len(requests):
        return requests, 0
    works = (requests.isl, requests.osl)
    found = sum(
        _found_s(requests.arrival_s, work, load) for work, load in zip(works, _both(loads), strict=True)
    )
    counted = count - before
    total = np.concatenate([[0.0], np.cumsum(found)])
    first = int(np.argmax(total[counted:] - total[:-counted]))
    begin = min(max(first - before, 0), len(requests) - count)
    part = taken(requests, np.arange(begin, begin + count))
    return replace(part, arrival_s=part.arrival_s - part.arrival_s[0]), first - begin


def _both(loads: Sequence[float]) -> tuple[float, float]:
    return loads[0], loads[-1]


def _found_s(arrival_s: FloatArray, work: IntArray, load: float) -> FloatArray:
    """What each request finds of work before it, seconds, where a server works it off at a mean load.

    And a little of the time that the server has too little for it, which tells quiet stretches apart; shape
    ``(requests,)``.
    """
    each_s = work / work.mean() * load * arrival_s[-1] / len(arrival_s)
    gaps_s = np.diff(arrival_s, append=arrival_s[-1])
    short_s = each_s - gaps_s
    return np.asarray(held_at_zero(short_s)[:-1] + 1e-3 * short_s)


def sliced(serving: Serving, share: float) -> Slice | None:
    """The largest slice of at most a share of the arrivals; None where there is none so even.

    One pool of it may be fuller than that of the whole by `EVEN`, none is less full.
    """
    pools, encoder = [pool.instances for pool in serving.pools], serving.encoder
    if encoder is not None and encoder.instances:
        pools.append(encoder.instances)
    best: tuple[float, tuple[int, ...]] | None = None
    for at, every in enumerate(pools):
        for some in range(int(every * share), 0, -1):
            parts = tuple(some if other == at else n * some // every for other, n in enumerate(pools))
            if min(parts) < 1:
                break
            of = [part / n for part, n in zip(parts, pools, strict=True)]
            if max(of) <= min(share, (1.0 + EVEN) * min(of)):
                best = max(best or (0.0, ()), (max(of), parts))
                break
    if best is None:
        return None
    taken_of, parts = best
    pools_of = tuple(replace(pool, instances=n) for pool, n in zip(serving.pools, parts, strict=False))
    if encoder is not None and encoder.instances:
        encoder = replace(encoder, instances=parts[-1])
    return Slice(
        serving=replace(
            serving, pools=pools_of, encoder=encoder, requests_per_s=serving.requests_per_s * taken_of
        ),
        share=taken_of,
    )
