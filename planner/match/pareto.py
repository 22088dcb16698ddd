"""Pareto fronts: the design points that no other point beats."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planner.arrays import FloatArray, IntArray, most_of_each

ROUGH_FROM = 4096  # points; fewer are sorted as fast


def pareto(x: npt.ArrayLike, y: npt.ArrayLike) -> IntArray:
    """Indices of the points that no other point beats in both coordinates, larger being better.

    Parameters
    ----------
    x, y
        One value per point, shape (n,). A point with a nan or an infinity is never on the front;
        of equal points the first is.

    Returns
    -------
    Indices, shape (m,): `x` strictly ascending along them, `y` strictly descending. O(n log n).

    >>> pareto([1.0, 3.0, 2.0, 2.0], [9.0, 4.0, 5.0, 6.0]).tolist()
    [0, 3, 1]
    """
    x = np.asarray(x, dtype=np.float64)
    y = np.asarray(y, dtype=np.float64)
    index = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    # One cheap sort leaves the front and a few ties with it; only those are worth the careful sort.
    index = index[np.argsort(-x[index])]
    index = np.sort(index[y[index] >= np.maximum.accumulate(y[index])])
    index = index[np.lexsort((-y[index], -x[index]))]
    height = y[index]
    above = np.ones(len(index), dtype=np.bool_)
    above[1:] = height[1:] > np.maximum.accumulate(height)[:-1]
    return index[above][::-1]


def prune(
    latency_s: npt.ArrayLike, gpus: npt.ArrayLike, requests_per_s: npt.ArrayLike, *, packed: bool = True
) -> IntArray:
    """Indices of the instances worth matching, ascending: what integer packing could ever miss.

    Instance A makes B superfluous when A is no slower and as many A as fit into B's GPUs serve no
    fewer requests:

        latency_A <= latency_B  and  floor(gpus_B / gpus_A) * rate_A >= rate_B

    Any deployment with B then has an equal or better one with A, on no more GPUs, under any budget,
    headroom and latency limit. Of equal instances the first stays.

    Parameters
    ----------
    latency_s
        Latency that the limit applies to (FTL of prefill, TTL of decode), seconds, shape (n,).
    gpus
        GPUs of one instance, at least 1, shape (n,).
    requests_per_s
        Rate of one instance, shape (n,). Points with a rate that is not positive, or with a
        latency or a rate that is not finite, are dropped.
    packed
        Instances may stand in for larger ones in any number. False where their number is given: A is then
        held against B one to one.

    >>> prune([0.1, 0.1, 0.2], [1, 4, 4], [1.0, 3.9, 5.0]).tolist()  # four of the first beat the second
    [0, 2]
    """
    latency_s = np.asarray(latency_s, dtype=np.float64)
    gpus = np.asarray(gpus, dtype=np.int64)
    rate = np.asarray(requests_per_s, dtype=np.float64)
    good = np.isfinite(latency_s) & np.isfinite(rate) & (rate > 0)
    some = np.flatnonzero(good)
    if len(some) > ROUGH_FROM:
        columns = latency_s, gpus, rate
        if len(some) < len(good):
            columns = latency_s[some], gpus[some], rate[some]
        rough = _best_of_sizes if np.ptp(columns[0]) == 0.0 else _unbeaten_roughly
        some = some[rough(*columns)]
    # the fastest first; of equal latency smaller ones win ties, then higher rates, then the first
    some = some[np.lexsort((-rate[some], gpus[some], latency_s[some]))]
    size, left = gpus[some], rate[some]
    by_size = np.argsort(size, kind="stable")
    starts = np.flatnonzero(np.diff(size[by_size], prepend=0))
    kept = by_size[:0]  # none of larger ones, and no rival of those
    for mine in np.split(by_size, starts[1:]) if len(starts) else ():
        one = size[mine[0]]
        near = np.sort(np.concatenate((kept, mine)))
        served = one // size[near] * left[near] if packed else left[near]
        best = np.maximum.accumulate(served)
        beaten = size[near] == one
        beaten[0] = False
        beaten[1:] &= served[1:] <= best[:-1]
        kept = near[~beaten]
    return np.sort(some[kept])


def unbeaten(group: IntArray, latency_s: FloatArray, requests_per_s: FloatArray) -> IntArray:
    """Indices, ascending, of those that no other of their group is as fast as and serves as much as.

    Arrays of shape (n,); groups count from 0. Of equal ones the first stays.

    >>> unbeaten(np.array([0, 0, 1]), np.array([0.1, 0.2, 0.3]), np.array([2.0, 1.0, 1.0])).tolist()
    [0, 2]
    """
    order = np.lexsort((-requests_per_s, latency_s, group))
    _, rank = np.unique(requests_per_s[order], return_inverse=True)  # whole numbers: a group's are its own
    height = group[order].astype(np.int64) * (len(order) + 1) + rank
    above = np.ones(len(order), dtype=np.bool_)
    above[1:] = height[1:] > np.maximum.accumulate(height)[:-1]
    return np.sort(order[above])


def _best_of_sizes(latency_s: FloatArray, gpus: IntArray, rate: FloatArray) -> IntArray:
    """Indices of those with the highest rate of their size, where all have one latency."""
    return np.flatnonzero(rate == most_of_each(rate, gpus, int(gpus.max()) + 1)[gpus])


def _unbeaten_roughly(latency_s: FloatArray, gpus: IntArray, rate: FloatArray) -> IntArray:
    """Indices of what is left without the points that are beaten at a glance, in O(n).

    Latencies fall into steps of at most 0.4 %; a point goes if one of its size in a lower step has its
    rate. What is left is little enough to sort.
    """
    # positive floats ascend with their bits: exponent and first eight digits number the steps
    step = (np.maximum(latency_s, 0.0) + 0.0).view(np.int64)
    step >>= 44
    step -= step.min()
    steps = int(step.max()) + 2
    present = np.zeros(int(gpus.max()) + 1, dtype=np.bool_)
    present[gpus] = True
    cell = ((np.cumsum(present) - 1) * steps)[gpus]
    cell += step
    best = np.zeros(int(present.sum()) * steps)
    np.maximum.at(best[1:], cell, rate)  # seen from the next step on
    best = np.maximum.accumulate(best.reshape(-1, steps), axis=1).ravel()
    return np.flatnonzero(rate > best[cell])
