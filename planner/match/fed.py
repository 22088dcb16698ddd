"""Pools that others feed: how many feeders go with each number of instances."""

from __future__ import annotations

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.match.rate_match import TIE

MOST = 64  # numbers of feeders tried beside one number of instances: evenly spaced where there are more


def fed(row: IntArray, serves: FloatArray, feeders: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Every number of instances with every number of feeders that makes a difference.

    Instances that serve r fed by m feeders that bring e(m) serve ``min(r, e(m))``. More feeders than keep up
    bring nothing, and with no more than keep up with fewer instances those are enough.

    Parameters
    ----------
    row
        Which design point some instances are of; equal ones stand together, shape (options,).
    serves
        What they serve, ascending within a row, requests/s.
    feeders
        What m feeders bring, ``feeders[m]`` for m = 0 .. most, never less with more of them.

    Returns
    -------
    Of each pair: which option it is of, its feeders (at least 1), and what it serves; shape (pairs,).

    >>> fed(np.array([0, 0]), np.array([1.0, 2.0]), np.array([0.0, 1.5, 3.0]))
    (array([0, 1, 1]), array([1, 1, 2]), array([1. , 1.5, 2. ]))
    """
    most = len(feeders) - 1
    enough = np.minimum(np.searchsorted(feeders, serves * (1 - TIE)), most)
    with_fewer = np.zeros(len(row), dtype=np.int64)
    same = row[1:] == row[:-1]
    with_fewer[1:][same] = enough[:-1][same]
    # as many as keep up with fewer instances bring more than those serve, unless they just do
    brings = feeders[with_fewer] > np.r_[0.0, serves[:-1]] * (1 + TIE)
    least = np.clip(with_fewer + np.where(brings & (with_fewer > 0), 0, 1), 1, enough)
    tries = np.minimum(enough - least + 1, MOST)
    of = np.repeat(np.arange(len(row)), tries)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(tries) - tries, tries)
    step = (enough - least)[of] / np.maximum(tries[of] - 1, 1)
    number = enough[of] - np.floor(step * (tries[of] - 1 - nth) + 0.5).astype(np.int64)
    return of, number, np.minimum(serves[of], feeders[number])
