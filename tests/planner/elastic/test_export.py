"""Schedules as other tools take them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import yaml

from planner.elastic import export
from planner.errors import InputError

from .small import costs, pools


def found(instances: list[list[int]], window_s: float) -> tuple[Any, Any]:
    """What an export reads of a plan over time."""
    count = len(instances)
    at = SimpleNamespace(
        pools=pools([[1, 1]] * count), costs=costs(count, window_s=window_s, start_s=np.array([90.0, 0.0]))
    )
    whole = SimpleNamespace(
        ways={"disaggregated": at},
        windows=type(
            "W", (), {"window_s": window_s, "hours": count * window_s / 3600, "__len__": lambda s: count}
        )(),
        scenario=SimpleNamespace(model="some-model", limits=SimpleNamespace(ftl_s=2.0, ttl_s=0.05)),
    )
    schedule = SimpleNamespace(instances=np.array(instances), ahead=True)
    gpus = np.array([a + 2 * b for a, b in instances])
    return whole, SimpleNamespace(
        way="disaggregated", name="elastic", schedule=schedule, bill=SimpleNamespace(gpus=gpus)
    )


def test_keda_has_a_trigger_for_each_stretch_above_the_least() -> None:
    text = export.text(*found([[1, 2], [3, 2], [3, 2], [1, 2]], 600.0), "keda")
    prefill, decode = yaml.safe_load_all(text)
    assert prefill["spec"]["minReplicaCount"] == 1 and prefill["spec"]["maxReplicaCount"] == 3
    (trigger,) = prefill["spec"]["triggers"]
    assert trigger["metadata"] == {
        "timezone": "Etc/UTC",
        "start": "8 0 * * *",  # two minutes before 0:10: it takes 90 s to start
        "end": "30 0 * * *",
        "desiredReplicas": "3",
    }
    assert decode["spec"]["triggers"][0]["metadata"]["desiredReplicas"] == "2"


def test_a_week_has_its_days() -> None:
    instances = [[1, 1]] * 30 + [[2, 1]] * 2 + [[1, 1]] * 136
    prefill, _ = yaml.safe_load_all(export.text(*found(instances, 3600.0), "keda"))
    assert prefill["spec"]["triggers"][0]["metadata"]["end"] == "0 8 * * 2"  # Tuesday


def test_dynamo_has_bounds_for_each_hour() -> None:
    document = yaml.safe_load(export.text(*found([[1, 2], [3, 2], [3, 1]], 1800.0), "dynamo"))
    assert [row["max_gpu_budget"] for row in document["bounds"]] == [7, 5]
    assert document["bounds"][0]["pools"]["prefill "]["max_replicas"] == 3
    assert document["bounds"][1]["min_endpoint"] == 1 and document["ttft_ms"] == 2000


def test_more_than_a_week_repeats_in_no_cron() -> None:
    with pytest.raises(InputError, match="a week at most"):
        export.text(*cast(Any, found([[1, 1]] * 200, 3600.0)), "keda")
