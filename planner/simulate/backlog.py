"""Waiting where the load itself changes: the backlog of busy windows, and closed forms in the quiet ones.

The gaps of a trace may look independent (a coefficient of variation near 1) and yet its busiest minute have
half as much work again as the mean: then no closed form at the mean load is right (Azure's hour of
conversations waits 50 times longer). Work is counted in windows of T seconds; at a mean load rho a window
with w times the mean work leaves, per instance,

    V_end = max(0, V_begin + (rho w - 1) T)

seconds of work before the next, V changing evenly in between. A request waits the V of its time, and no less
than closed forms say at the load rho w of its window, or at `FULLEST` where that is less.

The shortest window is taken in which counts vary more than `BURSTS` times their mean: in shorter ones chance
passes for load, in longer ones bursts are lost. A trace that has none has no such windows, and closed forms
at its mean serve it. tests/planner/simulate/test_backlog.py holds both against a queue served one by one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.inputs.requests import BURSTS
from planner.values import dataclass

WINDOWS_S = (5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0)
LEAST_WINDOWS = 10
FULLEST = 0.95  # load of a quiet window

# loads, of any shape -> probability of a wait and the mean of those that wait, seconds, of that shape
Quiet = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """Windows of a trace; arrays of shape ``(windows,)``."""

    window_s: float
    work: FloatArray  # of each, over their mean
    share: FloatArray  # of all requests that come in each

    def loads(self, load: FloatArray) -> FloatArray:
        """Of each window at mean loads of shape ``(loads,)``: ``(loads, windows)``."""
        return np.asarray(load)[:, None] * self.work

    def backlog_s(self, load: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Seconds of work per instance at the beginning of each window, and at its end if it went on below 0.

        Both of shape ``(loads, windows)``.
        """
        change = (self.loads(load) - 1.0) * self.window_s
        begin = held_at_zero(change)[:, :-1]
        return begin, begin + change

    def beyond(self, load: FloatArray, seconds: FloatArray, quiet: Quiet) -> FloatArray:
        """Share of the requests that wait longer than `seconds`.

        Parameters
        ----------
        load
            Mean loads, shape ``(loads,)``; 1 and more are allowed, as a trace ends.
        seconds
            Shape ``(limits,)``; below nothing all wait longer.
        quiet
            Closed form of stationary arrivals.

        Returns shape ``(loads, limits)``.
        """
        begin, end = (part[:, :, None] for part in self.backlog_s(load))
        probability, mean_s = quiet(np.minimum(self.loads(load), FULLEST))
        limit = np.maximum(seconds, 0.0)
        high, low = np.maximum(begin, end), np.minimum(begin, end)
        behind = np.clip((high - limit) / np.maximum(high - low, 1e-12), 0.0, 1.0)
        free = probability[:, :, None] * np.exp(-limit / np.maximum(mean_s[:, :, None], 1e-300))
        late = np.maximum(behind, free)
        return np.where(seconds < 0, 1.0, np.einsum("lwk,w->lk", late, self.share))

    def wait_s(self, load: FloatArray, quiet: Quiet) -> FloatArray:
        """Mean wait, seconds, shape ``(loads,)``."""
        probability, mean_s = quiet(np.minimum(self.loads(load), FULLEST))
        falls = _mean_s(*self.backlog_s(load))
        return np.asarray(np.maximum(falls, probability * mean_s) @ self.share)

    def found(self, load: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What the requests of each window find: the mean backlog, seconds, and the load where there is none.

        Mean loads have the shape ``(loads,)``, results ``(loads, windows)``; the load of a window with a
        backlog is 0, the backlog of one without is too.
        """
        begin, end = self.backlog_s(load)
        quiet = (begin <= 0) & (end <= 0)
        own = np.where(quiet, np.minimum(self.loads(load), FULLEST), 0.0)
        return np.where(quiet, 0.0, _mean_s(begin, end)), own


def held_at_zero(change: FloatArray) -> FloatArray:
    """What a sum of changes is that cannot fall below 0: the sum less the lowest it has been.

    Changes of shape ``(..., n)``; the sums before, between and after them ``(..., n + 1)``.

    >>> held_at_zero(np.array([2.0, -3.0, 1.0])).tolist()
    [0.0, 2.0, 0.0, 1.0]
    """
    total = np.concatenate([np.zeros((*change.shape[:-1], 1)), np.cumsum(change, axis=-1)], axis=-1)
    return np.asarray(total - np.minimum.accumulate(total, axis=-1))


def _mean_s(begin: FloatArray, end: FloatArray) -> FloatArray:
    """Mean backlog of windows, from that at the beginning and at the end if it went on below 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(end < 0, 0.5 * begin**2 / (begin - end), 0.5 * (begin + end))


def windows_of(arrival_s: FloatArray, work: FloatArray, shortest_s: float = 0.0) -> Windows | None:
    """The windows in which a trace's load changes, or None where it does not.

    `arrival_s` from 0, ascending, and `work` of each request in any unit, shapes ``(requests,)``. Windows
    are no shorter than what requests stay for, where that is told.
    """
    for window_s in WINDOWS_S:
        if window_s < shortest_s:
            continue
        count = _count(arrival_s, window_s)
        whole = count[:-1]  # the last ends with the trace
        if len(whole) < LEAST_WINDOWS:
            return None
        if whole.var() > BURSTS * whole.mean():
            which = (arrival_s / window_s).astype(np.int64)
            done = np.bincount(which, weights=work)
            seconds = float(arrival_s[-1])
            mean = float(work.sum()) * window_s / seconds
            return Windows(window_s=window_s, work=done / mean, share=count / len(arrival_s))
    return None


def _count(arrival_s: FloatArray, window_s: float) -> IntArray:
    return np.bincount((arrival_s / window_s).astype(np.int64)).astype(np.int64)
