"""The split that spends least at the rate it runs at, of something that grows with the load of a pool: watts.

A price is a GPU's, whatever it does; what it draws is not. A pool of capacity C whose GPUs spend w(l)
together at a share l of it spends at a rate r

    w(r / C)

so that either pool is weighed at its own load, and every pair of pools is: exact. With a demand r is that,
and the least is sought. Without one r is what both pools are predicted to serve, and what they are expected
to serve per unit spent is to be the most: a pool that turns out slower is no less busy. Of more pairs than
`MOST_PAIRS` those are left out that cannot be as good as one that was weighed (`planner.match.spent_bounds`):
the answer is the same.
"""

from __future__ import annotations

import numpy as np

from planner.arrays import FloatArray, IndexArray, IntArray
from planner.match import spent_bounds
from planner.match.rate_match import TIE
from planner.match.robust import Errors
from planner.match.spending import Fits, Pair, Pairs, Spending
from planner.values import dataclass

MOST_PAIRS = 2**20  # that are all weighed, at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The pair to build, and the best one were there no slack."""

    chosen: Pair
    best: Pair


def least(
    prefill: Spending, decode: Spending, *, errors: Errors, fits: Fits, demand: float | None, slack: float
) -> Choice | None:
    """The pair that spends least, of all that have room; None where none serves.

    `slack` is the share of its worth that may be given up for an earlier first token, then for fewer GPUs.
    """
    if not len(prefill) or not len(decode):
        return None
    pairs = Pairs(prefill=prefill, decode=decode, errors=errors, fits=fits, demand=demand)
    if len(prefill) * len(decode) > MOST_PAIRS:
        found = spent_bounds.searched(pairs, slack)
        if found is None:
            return None
        return Choice(chosen=pairs.pair(*found[0]), best=pairs.pair(*found[1]))
    every = np.arange(len(prefill)), np.arange(len(decode))
    worth = pairs.worth(*every)
    if worth.max() == -np.inf:
        return None
    gpus = decode.gpus[:, None] + prefill.gpus
    late_s = np.broadcast_to(prefill.late_s, worth.shape)
    chosen, best = (
        pairs.pair(at % len(prefill), at // len(prefill))
        for at in within_slack(worth.ravel(), gpus.ravel(), late_s.ravel(), slack)
    )
    return Choice(chosen=chosen, best=best)


def within_slack(worth: FloatArray, gpus: IntArray, late_s: FloatArray, slack: float) -> tuple[int, int]:
    """Which of some candidates to build, and the best one were there no slack; arrays (n,).

    Of those within the slack the earliest first token, then the fewest GPUs, then the most worth.
    """
    top = float(worth.max())

    def first(rows: IndexArray) -> int:
        return int(rows[np.lexsort((-worth[rows], gpus[rows]))[0]])

    best = first(np.flatnonzero(worth >= top - abs(top) * TIE))
    if not slack:
        return best, best
    near = np.flatnonzero(worth >= top - abs(top) * (slack + TIE))
    return first(near[late_s[near] <= late_s[near].min()]), best
