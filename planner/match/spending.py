"""Pools that spend something as they run, and what a pair of them is worth; see `planner.match.spent`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from planner.arrays import BoolArray, FloatArray, IntArray
from planner.match.rate_match import TIE
from planner.match.robust import Errors
from planner.values import dataclass

# whether so many prefill GPUs have room beside so many of decode, of the shape that both have together
Fits = Callable[[IntArray, IntArray], BoolArray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spending:
    """Pools that may be built, one a row; arrays (n,) but for `loads` and `spends`, (n, k)."""

    gpus: IntArray
    rate: FloatArray  # requests/s that it is expected to serve within the limits, headroom kept
    runs: FloatArray  # the same as predicted: what it spends is that of this rate
    capacity: FloatArray  # requests/s at full load
    late_s: FloatArray  # first token; of a decode pool nothing
    loads: FloatArray  # shares of its capacity, ascending from 0 to 1
    spends: FloatArray  # of the whole pool, at each of them
    # those of one kind, from 0, differ in their number of instances; None: each is of its own
    kind: IntArray | None = None

    def __len__(self) -> int:
        return len(self.gpus)

    def at(self, row: IntArray | int, rate: FloatArray | float) -> FloatArray:
        """What pools spend at some rates, straight lines between their loads; both of one common shape."""
        load = np.asarray(rate, dtype=np.float64) / self.capacity[row]
        loads, spends = self.loads[row], self.spends[row]
        found = spends[..., 0] + np.zeros_like(load)
        for k in range(self.loads.shape[1] - 1):
            low, wide = loads[..., k], loads[..., k + 1] - loads[..., k]
            share = np.clip((load - low) / np.where(wide > 0, wide, 1.0), 0.0, 1.0)
            found += (spends[..., k + 1] - spends[..., k]) * np.where(wide > 0, share, load >= low)
        return found

    def each(self, rate: FloatArray | float) -> FloatArray:
        """What every pool spends at one rate, or each at its own, shape (n,)."""
        return self.at(np.arange(len(self)), np.broadcast_to(rate, (len(self),)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A pool of either phase, by row."""

    prefill: int
    decode: int
    rate: float  # that both serve
    expected: float  # the errors of the rates considered
    worth: float  # what counts: less than nothing spent, or expected rate per unit spent
    late_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Pairs of a pool of either phase, and what they are to serve."""

    prefill: Spending
    decode: Spending
    errors: Errors
    fits: Fits
    demand: float | None

    def worth(self, i: IntArray, j: IntArray) -> FloatArray:
        """Of some prefill rows beside some of decode, shape (j, i): minus infinity where none is built."""
        prefill, decode, demand = self.prefill, self.decode, self.demand
        first, then = prefill.rate[i], decode.rate[j][:, None]
        expected = self.errors.expected(first, then)
        some = self.fits(prefill.gpus[i], decode.gpus[j][:, None]) & (expected > 0)
        if demand is not None:
            some &= np.minimum(np.minimum(first, then), expected) >= demand * (1 - TIE)
            spent = prefill.at(i, demand) + decode.at(j, demand)[:, None]
            return np.where(some, -spent, -np.inf)
        # prefill: passes run or do not, so that its line has two ends
        runs = np.minimum(prefill.runs[i], decode.runs[j][:, None])
        idle, load = prefill.spends[i, 0], runs / prefill.capacity[i]
        spent = idle + load * (prefill.spends[i, -1] - idle) + decode.at(j[:, None], runs)
        return np.where(some, expected / spent, -np.inf)

    def pair(self, i: int, j: int) -> Pair:
        """One of them."""
        rates = float(self.prefill.rate[i]), float(self.decode.rate[j])
        return Pair(
            prefill=int(i),
            decode=int(j),
            rate=min(rates),
            expected=float(self.errors.expected(*rates)),
            worth=float(self.worth(np.array([i]), np.array([j]))[0, 0]),
            late_s=float(self.prefill.late_s[i]),
        )
