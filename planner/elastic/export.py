"""A schedule as other tools take it: cron triggers of KEDA, bounds for Dynamo's planner.

A trace says nothing of the calendar: its start counts as Monday 0:00. Up to a day is repeated every day,
up to a week every week.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np

from planner.arrays import IntArray
from planner.elastic.over_time import Outcome, OverTime
from planner.errors import InputError
from planner.output.deploy.documents import yaml_text, yaml_texts

Target: TypeAlias = Literal["keda", "dynamo"]
TARGETS: tuple[Target, ...] = ("keda", "dynamo")
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
WEEK_MINUTES = 7 * 24 * 60


def text(found: OverTime, of: Outcome, target: Target) -> str:
    """The schedule for a target. Raises InputError for a horizon above a week, which no cron repeats."""
    if found.windows.hours > 7 * 24:
        raise InputError("export", target, "a horizon of a week at most: take a part of the trace")
    return keda(found, of) if target == "keda" else dynamo(found, of)


def keda(found: OverTime, of: Outcome) -> str:
    """One ScaledObject for each kind: the fewest instances always, a cron trigger for each stretch with more.

    Of triggers that hold at one time KEDA takes the highest. Where instances are to be ready in time, a
    stretch begins a start time earlier. Times are whole minutes: a shorter window counts for all of its own.
    """
    asked, documents = found.ways[of.way], []
    daily = found.windows.hours <= 24
    for at, kind in enumerate(asked.pools.kinds):
        counts = _by_minute(of.schedule.instances[:, at], found.windows.window_s)
        ahead = math.ceil(float(asked.costs.start_s[at]) / MINUTE_S) if of.schedule.ahead else 0
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
        name = f"{kind.phase}-{kind.label}".lower()
        documents.append(
            {
                "apiVersion": "keda.sh/v1alpha1",
                "kind": "ScaledObject",
                "metadata": {"name": name},
                "spec": {
                    "scaleTargetRef": {"name": name},
                    "minReplicaCount": least,
                    "maxReplicaCount": max(int(counts.max()), 1),
                    "triggers": triggers or [_always(least)],
                },
            }
        )
    return yaml_texts(documents, f"{found.scenario.model}: {of.name}; the trace's start is Monday 0:00 UTC")


def dynamo(found: OverTime, of: Outcome) -> str:
    """Bounds by the hour within which Dynamo's planner may scale: its least workers and its GPU budget."""
    asked, windows = found.ways[of.way], found.windows
    hours = (np.arange(len(windows)) * windows.window_s // HOUR_S).astype(np.int64)
    rows: list[dict[str, Any]] = []
    for hour in range(int(hours[-1]) + 1):
        inside = hours == hour
        if not inside.any():  # a window longer than an hour
            continue
        pools = {
            f"{kind.phase} {kind.label}": {
                "min_replicas": int(of.schedule.instances[inside, at].min()),
                "max_replicas": int(of.schedule.instances[inside, at].max()),
                "gpus_per_replica": kind.gpus,
            }
            for at, kind in enumerate(asked.pools.kinds)
        }
        rows.append(
            {
                "hour": hour,
                "max_gpu_budget": int(of.bill.gpus[inside].max()),
                "min_endpoint": min(pool["min_replicas"] for pool in pools.values()),
                "pools": pools,
            }
        )
    document = {
        "ttft_ms": 1e3 * found.scenario.limits.ftl_s,
        "itl_ms": 1e3 * found.scenario.limits.ttl_s,
        "bounds": rows,
    }
    return yaml_text(document, f"{found.scenario.model}: {of.name}; hours from the start of the trace")


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
    day, rest = divmod(minute, 24 * 60)
    hour, left = divmod(rest, 60)
    return f"{left} {hour} * * {'*' if daily else (day + 1) % 7}"  # cron's Sunday is 0


def _always(least: int) -> dict[str, Any]:
    """KEDA asks for a trigger where nothing changes too."""
    always = {"timezone": "Etc/UTC", "start": "0 0 * * *", "end": "59 23 * * *"}
    return {"type": "cron", "metadata": {**always, "desiredReplicas": str(least)}}
