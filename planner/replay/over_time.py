"""A replay over time: what waits, decodes, ends and is kept within limits, window by window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import BoolArray, FloatArray, IntArray
from planner.replay.result import PERCENTILES, REFUSED, Result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """Arrays of shape ``(windows,)``; requests belong to the window in which they came."""

    edges_s: FloatArray  # shape ``(windows + 1,)``
    arrivals: IntArray
    ended: IntArray  # of those that came in the window
    good: IntArray  # of those, within both limits
    waiting: FloatArray  # requests without a first token, mean over the window
    decoding: FloatArray  # requests that make tokens, mean
    gpus: FloatArray  # taken by instances, mean; those that start or drain are taken
    ftl_s: FloatArray  # percentiles `PERCENTILES` of each window, shape ``(windows, 4)``; nan where none came
    ttl_s: FloatArray

    @property
    def good_share(self) -> FloatArray:
        """Of the requests that came, those that ended within both limits; 1 where none came."""
        return np.where(self.arrivals > 0, self.good / np.maximum(self.arrivals, 1), 1.0)


def windows(result: Result, edges_s: FloatArray) -> Windows:
    """What happened between each two edges, which ascend.

    Means over time are exact: the integral of how many there are, from the sorted times of coming and going.
    Requests that have not ended are there until the end of the replay.
    """
    edges = np.asarray(edges_s, dtype=float)
    count = len(edges) - 1
    came = result.arrival_s
    place = np.searchsorted(edges, came, side="right") - 1
    inside = (place >= 0) & (place < count) & np.isfinite(came)

    def per_window(chosen: BoolArray) -> IntArray:
        return np.bincount(place[inside & chosen], minlength=count)

    last = max(result.simulated_s, float(edges[-1]))
    there = result.entry != REFUSED
    end = np.where(np.isfinite(result.end_s), result.end_s, np.maximum(came, last))
    first = np.where(np.isfinite(result.first_s), result.first_s, end)
    taken = [(use.start_s, use.end_s if not use.alive else last, use.gpus) for use in result.instances]
    taken += [(0.0, last if use.alive else use.up_s, use.gpus) for use in result.encoders]
    starts, ends, gpus = (np.array(column, dtype=float) for column in zip(*taken, strict=True))
    return Windows(
        edges_s=edges,
        arrivals=per_window(np.ones(len(came), dtype=bool)),
        ended=per_window(result.finished),
        good=per_window(result.good),
        waiting=_present(edges, came[there], first[there]),
        decoding=_present(edges, first[there], end[there]),
        gpus=_present(edges, starts, ends, gpus),
        ftl_s=_percentiles(result.ftl_s, place, inside, count),
        ttl_s=_percentiles(result.ttl_s, place, inside, count),
    )


def _present(
    edges: FloatArray, since: FloatArray, until: FloatArray, weight: FloatArray | None = None
) -> FloatArray:
    """How many are there between each two edges, mean: ``d/dt`` of ``sum w max(t - since, 0) - ...``."""
    ones = np.ones(len(since)) if weight is None else weight
    stayed = passed(edges, since, ones) - passed(edges, until, ones)
    return np.asarray(np.diff(stayed) / np.diff(edges))


def passed(edges: FloatArray, at: FloatArray, weight: FloatArray) -> FloatArray:
    """``sum_i w_i max(t - at_i, 0)`` at each edge t."""
    order = np.argsort(at, kind="stable")
    at, weight = at[order], weight[order]
    total = np.concatenate([[0.0], np.cumsum(weight)])
    moment = np.concatenate([[0.0], np.cumsum(weight * at)])
    before = np.searchsorted(at, edges, side="right")
    return np.asarray(total[before] * edges - moment[before])


def _percentiles(values: FloatArray, place: IntArray, inside: BoolArray, count: int) -> FloatArray:
    """Of each window, one sort for all."""
    known = inside & np.isfinite(values)
    order = np.lexsort((values[known], place[known]))
    sorted_values, at = values[known][order], place[known][order]
    bounds = np.searchsorted(at, np.arange(count + 1))
    size = np.diff(bounds)
    out = np.full((count, len(PERCENTILES)), np.nan)
    some = size > 0
    for column, percent in enumerate(PERCENTILES):
        rank = bounds[:-1][some] + (size[some] - 1) * percent / 100.0  # linear, as numpy has it
        low = np.floor(rank).astype(int)
        high = np.minimum(low + 1, bounds[1:][some] - 1)
        share = rank - low
        out[some, column] = sorted_values[low] * (1 - share) + sorted_values[high] * share
    return out
