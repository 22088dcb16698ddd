"""How the GPUs of a schedule are bought: reserved, on demand, or as spot capacity that may be taken back.

The k-th GPU of a schedule is held in the windows that hold k or more. So each may be bought as is cheapest
for its own windows, and together they are the cheapest purchase of that schedule:

    on demand   the price of the windows that it is held in
    reserved    a factor of the mean price, in every window of the horizon, held or not
    spot        a factor of the price of its windows, and for each time that it is taken back the start of
                another: ``1 + interruptions start`` times, interruptions per GPU hour and the start in hours

What is taken back serves nothing until another has started: that many GPU hours are short, which is the risk.

So with R reserved a schedule costs ``R reserved sum(price) + sum(price min(1, spot) max(GPUs - R, 0))``,
linear in the GPUs and in R: the program over the horizon chooses both (`planner.elastic.program`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import FloatArray, IntArray

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariffs:
    """Factors on the price on demand; None: not for sale."""

    reserved: float | None = None
    spot: float | None = None
    interruptions: float = 0.05  # of a spot GPU, per hour

    @property
    def told(self) -> bool:
        """Whether there is more than one way to buy."""
        return self.reserved is not None or self.spot is not None

    def beyond(self, again: float) -> float:
        """Factor on the price of a GPU for the windows that it is held in, not reserved.

        `again` is what a spot GPU that is taken back costs: starts per hour, times their hours.
        """
        return min(1.0, np.inf if self.spot is None else self.spot * (1.0 + again))


ON_DEMAND = Tariffs()


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """The cheapest purchase of a schedule."""

    reserved_gpus: int
    reserved_gpu_hours: float  # paid for, held or not
    on_demand_gpu_hours: float
    spot_gpu_hours: float
    spot_gpus: int  # at most
    interruptions: float  # expected over the horizon
    short_gpu_hours: float  # that they cost until others have started, expected
    usd: float


def cheapest(
    gpus: IntArray, usd_per_gpu_hour: FloatArray, window_s: float, start_s: float, tariffs: Tariffs
) -> Purchase:
    """The cheapest purchase of GPUs held in each window, at the prices of the windows; shapes ``(windows,)``.

    >>> day = np.array([2, 2, 6, 2])
    >>> bought = cheapest(day, np.ones(4), 3600.0, 0.0, Tariffs(reserved=0.6))
    >>> bought.reserved_gpus, bought.on_demand_gpu_hours, round(bought.usd, 2)
    (2, 4.0, 8.8)
    """
    hours = window_s / SECONDS_PER_HOUR
    paid = usd_per_gpu_hour * hours
    order = np.sort(gpus)
    levels = np.arange(1, int(order[-1]) + 1) if len(order) else np.empty(0, dtype=np.int64)
    held = len(gpus) - np.searchsorted(order, levels)  # windows of each
    # the price of the windows that hold k or more, for every k
    by_gpus = np.bincount(gpus, weights=paid, minlength=len(levels) + 1)
    on_demand = np.cumsum(by_gpus[::-1])[::-1][1:]
    reserved = np.full(len(levels), np.inf)
    if tariffs.reserved is not None:
        reserved[:] = tariffs.reserved * float(paid.sum())
    spot = np.full(len(levels), np.inf)
    again = tariffs.interruptions * start_s / SECONDS_PER_HOUR
    if tariffs.spot is not None:
        spot = tariffs.spot * on_demand * (1.0 + again)
    costs = np.stack([on_demand, reserved, spot])
    how = costs.argmin(axis=0) if len(levels) else np.empty(0, dtype=np.int64)
    held_hours = held * hours
    spot_hours = float(held_hours[how == 2].sum())
    return Purchase(
        reserved_gpus=int(np.count_nonzero(how == 1)),
        reserved_gpu_hours=float(np.count_nonzero(how == 1) * len(gpus) * hours),
        on_demand_gpu_hours=float(held_hours[how == 0].sum()),
        spot_gpu_hours=spot_hours,
        spot_gpus=int(np.count_nonzero(how == 2)),
        interruptions=tariffs.interruptions * spot_hours,
        short_gpu_hours=again * spot_hours,
        usd=float(costs.min(axis=0).sum()) if len(levels) else 0.0,
    )
