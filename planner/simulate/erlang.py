"""Erlang's formulas and the Poisson law, for plans that have to be there in a second.

scipy.special has them too, but takes a fifth of that second to import
(tests/planner/simulate/test_queueing.py holds these against it).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from planner.arrays import FloatArray, Real

NOTHING = 28.0  # orders of e below its peak at which an integrand ends: 1e-12 of it
FARTHEST = 9.0  # standard deviations of a Poisson law that are looked at


@cache
def _legendre() -> tuple[FloatArray, FloatArray]:
    """Where to look and with which weights; numpy's polynomials are imported when something waits."""
    return np.polynomial.legendre.leggauss(32)


def erlang_b(servers: Real, offered: Real) -> FloatArray:
    """Share of arrivals that find all of c servers busy and leave, for any real c of at least 1.

    ``1 / B = a int_0^inf exp((c + 1) v - a (e^v - 1)) dv`` at an offered load a, which is Fortet's integral
    of Erlang's loss formula with ``t = e^v - 1``; by Gauss and Legendre around its peak, to 1e-9.

    >>> round(float(erlang_b(2.0, 1.0)), 3)
    0.2
    """
    c, a = np.broadcast_arrays(
        np.asarray(servers, dtype=np.float64) + 1.0, np.maximum(offered, 1e-12).astype(np.float64)
    )
    peak = np.log(c / a)
    fall = NOTHING / c
    # where d + 1 - e^d is -fall, on either side of the peak, or beyond
    begin = np.maximum(peak - np.minimum(np.sqrt(2.0 * fall) + 2.0 / 3.0 * fall, fall + 1.0), 0.0)
    end = np.maximum(peak, 0.0) + np.log1p(fall + np.sqrt(2.0 * fall))
    beside = np.minimum(
        NOTHING / np.maximum(a - c, 1e-12), np.sqrt(2.0 * NOTHING / a)
    )  # where it falls from 0
    end = np.where(peak < 0.0, np.minimum(end, beside), end)
    half = 0.5 * (end - begin)
    at, weight = _legendre()
    v = (begin + half)[..., None] + half[..., None] * at
    height = c[..., None] * v - a[..., None] * np.expm1(v)
    highest = np.maximum(height.max(axis=-1), 0.0)
    whole = np.exp(height - highest[..., None]) @ weight
    return np.asarray(np.exp(-highest) / (a * half * whole))


def erlang_c(servers: Real, load: Real) -> FloatArray:
    """Probability that an arrival waits at c servers, at a load below 1.

    >>> round(float(erlang_c(1.0, 0.7)), 3), round(float(erlang_c(4.0, 0.85)), 3)
    (0.7, 0.689)
    """
    load = np.minimum(load, 1.0 - 1e-9)
    lost = np.minimum(erlang_b(servers, servers * load), 1.0)
    return np.asarray(lost / (1.0 - load * (1.0 - lost)))


def poisson(share: FloatArray, mean: float) -> FloatArray:
    """The least whole numbers that a Poisson law of some mean does not pass in these shares.

    >>> poisson(np.array([0.5, 0.99]), 4.0).tolist()
    [4.0, 9.0]
    """
    far = FARTHEST * (math.sqrt(mean) + 1.0)
    first = max(math.floor(mean - far), 0)
    number = np.arange(first, math.ceil(mean + far) + 1, dtype=np.float64)
    steps = np.concatenate([[0.0], np.cumsum(np.log(max(mean, 1e-300) / number[1:]))])
    upto = np.cumsum(np.exp(steps - steps.max()))
    return np.asarray(number[np.minimum(np.searchsorted(upto, share * upto[-1]), len(number) - 1)])
