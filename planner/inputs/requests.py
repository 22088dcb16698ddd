"""Requests one by one: when each comes, how long it is, and which blocks of its prompt others share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.values import dataclass

NO_SESSION = -1
# Above this variance over mean of the counts in a minute, waits follow from the load of each window and not
# from the mean load: Azure's hour of conversations has 16 and waits 50 times longer than its mean load says,
# Mooncake's has 3 and waits as it says (one queue of four servers at 70 % of their capacity).
BURSTS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Requests:
    """Requests in the order of their arrival; arrays of shape ``(requests,)`` unless said otherwise.

    The prompt blocks of request i are ``blocks[block_start[i]:block_start[i + 1]]``: equal numbers are
    equal tokens behind an equal prefix. Where nothing is known of shared prefixes both are empty.
    """

    arrival_s: FloatArray  # ascending, from the start of the trace
    isl: IntArray  # input tokens, at least 1
    osl: IntArray  # output tokens, at least 1
    session: IntArray  # turns of one conversation share a number; NO_SESSION where it is none
    block_start: IntArray  # shape (requests + 1,), or empty
    blocks: IntArray  # of all prompts, one after the other
    block_tokens: int = 0  # tokens of a block; 0 without blocks

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def seconds(self) -> float:
        """From the start of the trace to the last arrival."""
        return float(self.arrival_s[-1]) if len(self) else 0.0


def plain(arrival_s: FloatArray, isl: IntArray, osl: IntArray) -> Requests:
    """Requests of which nothing is shared.

    >>> len(plain(np.array([0.0, 1.5]), np.array([100, 200]), np.array([10, 20])))
    2
    """
    none = np.empty(0, dtype=np.int64)
    return Requests(
        arrival_s=np.asarray(arrival_s, dtype=np.float64),
        isl=np.asarray(isl, dtype=np.int64),
        osl=np.asarray(osl, dtype=np.int64),
        session=np.full(len(arrival_s), NO_SESSION, dtype=np.int64),
        block_start=none,
        blocks=none,
    )


def first(requests: Requests, count: int | None) -> Requests:
    """The first `count` of them; all for None.

    >>> len(first(plain(np.arange(3.0), np.full(3, 9), np.full(3, 2)), 2))
    2
    """
    if count is None or count >= len(requests):
        return requests
    start = requests.block_start[: count + 1] if len(requests.block_start) else requests.block_start
    return replace(
        requests,
        arrival_s=requests.arrival_s[:count],
        isl=requests.isl[:count],
        osl=requests.osl[:count],
        session=requests.session[:count],
        block_start=start,
        blocks=requests.blocks[: int(start[-1])] if len(start) else requests.blocks,
    )
