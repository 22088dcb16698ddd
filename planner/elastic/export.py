"""A schedule as other tools take it: cron triggers of KEDA, bounds for Dynamo's planner.

A trace says nothing of the calendar: its start counts as Monday 0:00. Up to a day is repeated every day,
up to a week every week.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from planner.elastic.over_time import Outcome, OverTime
from planner.errors import InputError
from planner.output.deploy.documents import yaml_text, yaml_texts
from planner.output.deploy.keda import scaled_object

Target: TypeAlias = Literal["keda", "dynamo"]
TARGETS: tuple[Target, ...] = ("keda", "dynamo")
HOUR_S = 3600.0


def text(found: OverTime, of: Outcome, target: Target) -> str:
    """The schedule for a target. Raises InputError for a horizon above a week, which no cron repeats."""
    if found.windows.hours > 7 * 24:
        raise InputError("export", target, "a horizon of a week at most: take a part of the trace")
    return keda(found, of) if target == "keda" else dynamo(found, of)


def keda(found: OverTime, of: Outcome) -> str:
    """One ScaledObject for each kind: `planner.output.deploy.keda`."""
    asked, documents = found.ways[of.way], []
    for at, kind in enumerate(asked.pools.kinds):
        name = f"{kind.phase}-{kind.label}".lower()
        ahead_s = float(asked.costs.start_s[at]) if of.schedule.ahead else 0.0
        counts = of.schedule.instances[:, at]
        documents.append(scaled_object(name, {"name": name}, counts, found.windows.window_s, ahead_s))
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
