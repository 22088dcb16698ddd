"""Lengths that vary from request to request: a recorded trace or drawn ones, and what they stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from planner.arrays import FloatArray
from planner.inputs.lengths import live_context
from planner.values import dataclass

CONVERSATIONS = "traces/azure-conversations-2023.csv"  # an hour of production, in the folder of presets
# Logarithms of its lengths: interquartile spread of inputs, standard deviation of outputs
SPREAD_IN, SPREAD_OUT = 0.8, 0.85
SHORTEST_OUT = 2  # the first token is prefill's
REQUESTS, SEED = 20_000, 20250605


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """Input and output tokens of each request, whole numbers, shape ``(requests,)``."""

    isl: FloatArray
    osl: FloatArray

    def stretched(self, median_isl: int, median_osl: int) -> Trace:
        """The same spread around other medians.

        >>> trace = Trace(isl=np.array([1.0, 2.0, 6.0]), osl=np.array([4.0, 4.0, 8.0])).stretched(100, 10)
        >>> trace.isl.tolist(), trace.osl.tolist()
        ([50.0, 100.0, 300.0], [10.0, 10.0, 20.0])
        """
        return _whole(
            median_isl * (self.isl / np.median(self.isl)), median_osl * (self.osl / np.median(self.osl))
        )

    def steady_decode(self) -> tuple[int, int]:
        """(ISL, OSL) of constant traffic with the same decode load.

        It has their mean live context, and a request costs ``E[osl]`` tokens.

        >>> Trace(isl=np.full(4, 1000.0), osl=np.full(4, 100.0)).steady_decode()
        (1000, 100)
        """
        osl = float(self.osl.mean())
        return round(live_context(self.isl, self.osl) - osl / 2), round(osl)


def read(path: Path) -> Trace:
    """A CSV file with the columns isl and osl under one line of names.

    Raises OSError for a file that cannot be read, ValueError for one that holds anything but numbers.
    """
    isl, osl = np.loadtxt(path, delimiter=",", skiprows=1).T
    return Trace(isl=isl, osl=osl)


def log_normal(median_isl: int, median_osl: int) -> Trace:
    """Drawn lengths with about the spread of `CONVERSATIONS`, but longer tails; the same every time.

    >>> trace = log_normal(4096, 512)
    >>> round(float(np.median(trace.isl)) / 4096, 1), round(float(np.median(trace.osl)) / 512, 1)
    (1.0, 1.0)
    """
    random = np.random.default_rng(SEED)
    isl = median_isl * np.exp(SPREAD_IN * random.standard_normal(REQUESTS))
    osl = median_osl * np.exp(SPREAD_OUT * random.standard_normal(REQUESTS))
    return _whole(isl, osl)


def _whole(isl: FloatArray, osl: FloatArray) -> Trace:
    return Trace(isl=np.maximum(np.round(isl), 1.0), osl=np.maximum(np.round(osl), SHORTEST_OUT))
