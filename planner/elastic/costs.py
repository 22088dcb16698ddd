"""What it costs to hold instances and to change how many there are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from planner.arrays import FloatArray
from planner.elastic.purchase import ON_DEMAND, Tariffs
from planner.elastic.windows import three_digits_up
from planner.errors import InputError
from planner.units import format_seconds

MISS = 100.0  # holding and starting the largest fleet, which a window out of limits counts as much as
# windows times those that a change of an instance takes: what a program of a whole horizon is made of
MOST_ENTRIES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Costs:
    """Of one way of serving; arrays of shape ``(kinds,)`` unless said otherwise."""

    window_s: float
    start_s: FloatArray  # from taking GPUs until an instance takes requests, its cache filled again
    drain_s: FloatArray  # from the last request taken to the end of the longest
    swap_s: float  # from when an instance is empty until it serves the other phase
    usd_per_gpu_hour: FloatArray  # shape ``(windows, kinds)``
    budget: int | None = None  # GPUs of all pools at any time
    dwell: int = 1  # windows that an instance stays at least
    tariffs: Tariffs = ON_DEMAND  # ways to buy the GPUs

    def check(self, seconds: float) -> None:
        """Whether a program over so long a horizon ends: instances change in few windows of all.

        Raises InputError for `window`.
        """

        def entries(window_s: float) -> float:
            count = seconds // window_s + 1
            stays_s = (self.dwell - 1) * self.window_s
            many = np.ceil((self.start_s + self.drain_s + stays_s) / window_s - 1e-9)
            return float(count * np.minimum(many, count).sum())

        least = self.window_s
        while entries(least) > MOST_ENTRIES:
            least = three_digits_up(1.01 * least)
        if least > self.window_s:
            takes_s = float((self.start_s + self.drain_s).max()) + (self.dwell - 1) * self.window_s
            why = f"an instance starts, stays and drains in {takes_s:,.0f} s of a trace of {seconds:,.0f} s"
            raise InputError("window", f"{self.window_s:g}s", f"{format_seconds(least)} or more: {why}")

    @property
    def again(self) -> float:
        """Starts that a spot GPU costs an hour, in hours."""
        return self.tariffs.interruptions * float(self.start_s.max()) / 3600.0

    def ahead(self, kind: int) -> int:
        """Windows before the first in which a starting instance holds its GPUs."""
        return math.ceil(float(self.start_s[kind]) / self.window_s - 1e-9)

    def after(self, kind: int) -> int:
        """Windows after the last in which a draining one does."""
        return math.ceil(float(self.drain_s[kind]) / self.window_s - 1e-9)

    def turning(self, kind: int) -> int:
        """Windows in which an instance that swaps from this kind serves neither phase."""
        return math.ceil((float(self.drain_s[kind]) + self.swap_s) / self.window_s - 1e-9)

    def hold_usd(self, gpus: FloatArray) -> FloatArray:
        """Of one instance in each window, shape ``(windows, kinds)``."""
        return np.asarray(self.usd_per_gpu_hour * gpus * self.window_s / 3600.0)

    def start_usd(self, gpus: FloatArray) -> FloatArray:
        """Of one start for each window, shape ``(windows, kinds)``."""
        return np.asarray(self.usd_per_gpu_hour * gpus * self.start_s / 3600.0)

    def drain_usd(self, gpus: FloatArray) -> FloatArray:
        """Of one drain in each window, shape ``(windows, kinds)``."""
        return np.asarray(self.usd_per_gpu_hour * gpus * self.drain_s / 3600.0)
