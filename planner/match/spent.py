"""The split that spends least at the rate it runs at, of something that grows with the load of a pool: watts.

A price is a GPU's, whatever it does; what it draws is not. A pool of capacity C whose GPUs spend w(l)
together at a share l of it spends at a rate r

    w(r / C)

so that either pool is weighed at its own load, and every pair of pools is: exact. With a demand r is that,
and the least is sought. Without one r is what both pools are expected to serve, and the most of it per unit
spent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from planner.arrays import BoolArray, FloatArray, IndexArray, IntArray
from planner.match.rate_match import TIE
from planner.match.robust import Errors
from planner.values import dataclass

Fits = Callable[[IntArray, int], BoolArray]  # whether so many prefill GPUs have room beside so many of decode


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spending:
    """Pools that may be built, one a row; arrays (n,) but for the last two, (n, k)."""

    gpus: IntArray
    rate: FloatArray  # requests/s that it serves within the limits, headroom kept
    capacity: FloatArray  # requests/s at full load
    late_s: FloatArray  # first token; of a decode pool nothing
    loads: FloatArray  # shares of its capacity, ascending from 0 to 1
    spends: FloatArray  # of the whole pool, at each of them

    def __len__(self) -> int:
        return len(self.gpus)

    def at(self, row: int, rate: FloatArray | float) -> FloatArray:
        """What a pool spends at some rates, straight lines between its loads."""
        load = np.asarray(rate, dtype=np.float64) / self.capacity[row]
        return np.asarray(np.interp(load, self.loads[row], self.spends[row]))

    def each(self, rate: FloatArray | float) -> FloatArray:
        """What every pool spends at one rate, or each at its own, shape (n,)."""
        rates = np.broadcast_to(rate, (len(self),))
        return np.array([float(self.at(row, rates[row])) for row in range(len(self))])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A pool of either phase, by row."""

    prefill: int
    decode: int
    rate: float  # that both serve
    expected: float  # the errors of the rates considered
    worth: float  # what counts: less than nothing spent, or expected rate per unit spent at it
    late_s: float


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
    worth = _worth(prefill, decode, errors, fits, demand)
    if worth.max() == -np.inf:
        return None
    gpus = decode.gpus[:, None] + prefill.gpus
    late_s = np.broadcast_to(prefill.late_s, worth.shape)
    chosen, best = (
        _pair(prefill, decode, errors, float(worth.flat[at]), at % len(prefill), at // len(prefill))
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


def _worth(
    prefill: Spending, decode: Spending, errors: Errors, fits: Fits, demand: float | None
) -> FloatArray:
    """What each pair is worth, shape (decode, prefill); minus infinity where it does not serve or fit."""
    worth = np.full((len(decode), len(prefill)), -np.inf)
    idle, more = prefill.spends[:, 0], prefill.spends[:, -1] - prefill.spends[:, 0]
    if demand is not None:
        alone, beside = prefill.each(demand), decode.each(demand)
    for j in range(len(decode)):
        room = np.flatnonzero(fits(prefill.gpus, int(decode.gpus[j])))
        if demand is not None:
            room = room[np.minimum(prefill.rate[room], decode.rate[j]) >= demand * (1 - TIE)]
        if not len(room):
            continue
        expected = errors.expected(prefill.rate[room], decode.rate[j])
        if demand is not None:
            enough = room[expected >= demand * (1 - TIE)]
            worth[j, enough] = -(alone[enough] + beside[j])
            continue
        # prefill: passes run or do not, so that its line has two ends
        load = expected / prefill.capacity[room]
        spent = idle[room] + load * more[room] + decode.at(j, expected)
        worth[j, room] = np.where(expected > 0, expected / spent, -np.inf)
    return worth


def _pair(prefill: Spending, decode: Spending, errors: Errors, worth: float, i: int, j: int) -> Pair:
    return Pair(
        prefill=i,
        decode=j,
        rate=float(min(prefill.rate[i], decode.rate[j])),
        expected=float(errors.expected(prefill.rate[i], decode.rate[j])),
        worth=worth,
        late_s=float(prefill.late_s[i]),
    )
