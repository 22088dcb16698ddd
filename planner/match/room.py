"""Room for the pools of a split: how many GPUs of one they may have beside how many of the other.

On one system all GPUs are one budget. Where the pools are on two, each has its own, and what both spend, in
dollars or in kilowatts, is shared, and so are the racks that each fills with its own GPUs:

    x <= prefill       y <= decode       p_x x + p_y y <= most, of each cap
    ceil(x / r_x) + ceil(y / r_y) <= racks

All of it is one falling staircase: the most decode GPUs beside x of prefill.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.arrays import BoolArray, FloatArray, IntArray
from planner.values import dataclass

ROUNDING = 1e-9  # by which a cap may be passed: whole GPUs that just reach it


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """What the GPUs of both pools may spend together."""

    prefill: float  # of one GPU
    decode: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Racks:
    """Racks that both pools may fill together, none of them with GPUs of both."""

    prefill: int  # GPUs of a rack
    decode: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filled:
    """Racks that all instances may fill together, none of them with GPUs of two systems."""

    system: Sequence[IntArray]  # of each candidate: prefill, decode, co-located, arrays (n,), from 0
    gpus: IntArray  # of a rack of each system, shape (systems,)
    most: int

    def by(self, counts: Sequence[IntArray], gpus: Sequence[IntArray]) -> int:
        """Racks that so many instances of GPUs each fill."""
        used = np.zeros(len(self.gpus), dtype=np.int64)
        for n, size, on in zip(counts, gpus, self.system, strict=True):
            np.add.at(used, on, n * size)
        return int(np.sum(-(-used // self.gpus)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limit:
    """What all instances may take of something together: GPUs of one system, dollars, kilowatts."""

    each: Sequence[FloatArray]  # of one GPU of each candidate: prefill, decode, co-located, arrays (n,)
    most: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Room:
    """The most decode GPUs beside 0, 1, .. prefill GPUs, shape (n,), never rising and never below 0."""

    decode_beside: IntArray

    @classmethod
    def of(cls, prefill: int, decode: int, caps: Sequence[Cap] = (), racks: Racks | None = None) -> Room:
        """Room for so many GPUs of either pool under some caps, and in some racks.

        >>> Room.of(3, 8, [Cap(prefill=2.0, decode=1.0, most=6.0)]).decode_beside.tolist()
        [6, 4, 2, 0]
        >>> Room.of(3, 8, racks=Racks(prefill=2, decode=4, most=2)).decode_beside.tolist()
        [8, 4, 4, 0]
        """
        x = np.arange(prefill + 1)
        most = np.full(prefill + 1, float(decode))
        for cap in caps:
            left = cap.most * (1 + ROUNDING) - cap.prefill * x
            free = np.where(left >= 0, float(decode), -1.0)
            most = np.minimum(most, np.floor(left / cap.decode) if cap.decode > 0 else free)
        if racks is not None:
            unfilled = racks.most - -(-x // racks.prefill)
            most = np.where(unfilled >= 0, np.minimum(most, unfilled * racks.decode), -1.0)
        return cls(decode_beside=most[most >= 0].astype(np.int64))

    @classmethod
    def shared(cls, budget: int) -> Room:
        """One budget of GPUs for both pools.

        >>> Room.shared(3).decode_beside.tolist()
        [3, 2, 1, 0]
        """
        return cls(decode_beside=np.arange(budget, -1, -1))

    def within(self, prefill: int, decode: int) -> Room:
        """The room of it with no more than so many GPUs of either pool.

        >>> Room.shared(4).within(2, 3).decode_beside.tolist()
        [3, 3, 2]
        """
        return Room(decode_beside=np.minimum(self.decode_beside[: prefill + 1], decode))

    @property
    def prefill(self) -> int:
        """The most prefill GPUs, beside none of decode."""
        return len(self.decode_beside) - 1

    @property
    def decode(self) -> int:
        """The most decode GPUs, beside none of prefill."""
        return int(self.decode_beside[0]) if len(self.decode_beside) else -1

    @property
    def gpus(self) -> int:
        """The most GPUs of both."""
        return int((np.arange(len(self.decode_beside)) + self.decode_beside).max(initial=0))

    @property
    def prefill_beside(self) -> IntArray:
        """The most prefill GPUs beside 0, 1, .. decode GPUs.

        >>> Room.of(3, 8, [Cap(prefill=2.0, decode=1.0, most=6.0)]).prefill_beside.tolist()
        [3, 2, 2, 1, 1, 0, 0]
        """
        y = np.arange(self.decode + 1)
        rising = self.decode_beside[::-1]
        return np.asarray(len(rising) - 1 - np.searchsorted(rising, y), dtype=np.int64)

    def fits(self, prefill: IntArray, decode: IntArray) -> BoolArray:
        """Whether so many GPUs of either pool have room, of the shape that both have together."""
        beside = np.append(self.decode_beside, -1)
        return np.asarray(decode <= beside[np.minimum(prefill, len(beside) - 1)])

    def copies(self, prefill: int, decode: int) -> int:
        """How often pools of such sizes have room.

        >>> Room.of(3, 8, [Cap(prefill=2.0, decode=1.0, most=6.0)]).copies(1, 1)
        2
        """
        n = np.arange(1, self.prefill // prefill + 1)
        return int(np.count_nonzero(self.fits(n * prefill, n * decode)))


def kinds(price: Sequence[FloatArray], limits: Sequence[Limit]) -> Sequence[FloatArray]:
    """What GPU each candidate is of, (n,) of every pool: of one price, and taking as much of each limit."""
    if not limits:
        return price
    rows = [np.column_stack([of, *(limit.each[pool] for limit in limits)]) for pool, of in enumerate(price)]
    _, which = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
    ends = np.cumsum([len(of) for of in price])
    return [np.asarray(part, dtype=np.float64) for part in np.split(np.ravel(which), ends[:-1])]


def keeps(
    counts: Sequence[IntArray],
    gpus: Sequence[IntArray],
    limits: Sequence[Limit],
    racks: Filled | None = None,
) -> bool:
    """Whether so many instances of GPUs each keep every limit, and have racks."""
    if racks is not None and racks.by(counts, gpus) > racks.most:
        return False
    for limit in limits:
        taken = [float(n @ (size * each)) for n, size, each in zip(counts, gpus, limit.each, strict=True)]
        if sum(taken) > limit.most * (1 + ROUNDING):
            return False
    return True
