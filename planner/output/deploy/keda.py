"""Counts over time as KEDA's cron triggers: a ScaledObject for each scaled thing.

A trace says nothing of the calendar: its start counts as Monday 0:00 UTC. Up to a day is repeated every day,
up to a week every week.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from planner.arrays import IntArray

MINUTE_S = 60.0
DAY_MINUTES = 24 * 60
WEEK_MINUTES = 7 * DAY_MINUTES


def scaled_object(
    name: str, target: Mapping[str, str], instances: IntArray, window_s: float, ahead_s: float
) -> dict[str, Any]:
    """The fewest instances always, a cron trigger for each stretch with more; of several KEDA takes the most.

    Parameters
    ----------
    target
        `scaleTargetRef`.
    instances
        Shape ``(windows,)``, each of `window_s`, a week at most. Times are whole minutes: a shorter window
        counts for all of its own.
    ahead_s
        That a stretch begins earlier, so that instances are ready in time.
    """
    daily = len(instances) * window_s <= DAY_MINUTES * MINUTE_S
    counts, ahead = _by_minute(instances, window_s), math.ceil(ahead_s / MINUTE_S)
    least = int(counts.min())
    triggers = [
        {
            "type": "cron",
            "metadata": {
                "timezone": "Etc/UTC",
                "start": _cron(max(start - ahead, 0), daily),
                "end": _cron(end, daily),
                "desiredReplicas": str(n),
            },
        }
        for start, end, n in _stretches(counts, least)
    ]
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": dict(target),
            "minReplicaCount": least,
            "maxReplicaCount": max(int(counts.max()), 1),
            "triggers": triggers or [_always(least)],
        },
    }


def _by_minute(instances: IntArray, window_s: float) -> IntArray:
    """The most instances of each minute."""
    count = math.ceil(len(instances) * window_s / MINUTE_S - 1e-9)
    most = np.zeros(min(count, WEEK_MINUTES), dtype=np.int64)
    for at, n in enumerate(instances):
        first = int(at * window_s // MINUTE_S)
        last = math.ceil((at + 1) * window_s / MINUTE_S - 1e-9)
        most[first:last] = np.maximum(most[first:last], n)
    return most


def _stretches(counts: IntArray, least: int) -> list[tuple[int, int, int]]:
    """First minute, minute after the last, and instances, where they are above the least."""
    edges = np.flatnonzero(np.diff(counts)) + 1
    starts, ends = np.concatenate([[0], edges]), np.concatenate([edges, [len(counts)]])
    return [(int(a), int(b), int(counts[a])) for a, b in zip(starts, ends, strict=True) if counts[a] > least]


def _cron(minute: int, daily: bool) -> str:
    day, rest = divmod(minute, DAY_MINUTES)
    hour, left = divmod(rest, 60)
    return f"{left} {hour} * * {'*' if daily else (day + 1) % 7}"  # cron's Sunday is 0


def _always(least: int) -> dict[str, Any]:
    """KEDA asks for a trigger where nothing changes too."""
    always = {"timezone": "Etc/UTC", "start": "0 0 * * *", "end": "59 23 * * *"}
    return {"type": "cron", "metadata": {**always, "desiredReplicas": str(max(least, 1))}}
