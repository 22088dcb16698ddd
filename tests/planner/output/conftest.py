"""A plan that splits, and one that is none."""

from __future__ import annotations

import dataclasses

import pytest

from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.planning.result import (
    Formats,
    Infeasible,
    Plan,
    Reason,
    Relaxation,
)
from tests.planner.output.plans import frontier, layout, pool, serving


@pytest.fixture
def split_plan() -> Plan:
    return Plan(
        status="optimal",
        choice="disaggregated",
        scenario=Scenario(
            traffic=Traffic(isl=16384, osl=2048),
            limits=Limits(ftl_s=10.0, ttl_s=0.02),
            fleet=Fleet(gpus=64),
        ),
        disaggregated=serving(pool("prefill"), pool("decode", layout=layout("DEP16"), instances=2)),
        colocated=serving(pool("colocated"), per_gpu=900.0),
        mix=None,
        frontier_disaggregated=frontier([10, 20, 50, 80], [3000, 2000, 1200, 300], split=True),
        frontier_colocated=frontier([8, 25, 60], [2900, 1500, 800], split=False),
        design_points={"prefill": 1000, "decode": 2000, "colocated": 3000},
        seconds={"simulate": 0.1, "match": 0.05, "total": 0.2},
        precision=Formats(weights="fp8", experts=None, kv="fp8"),
    )


@pytest.fixture
def no_plan(split_plan: Plan) -> Plan:
    return dataclasses.replace(
        split_plan,
        scenario=dataclasses.replace(split_plan.scenario, limits=Limits(ftl_s=10.0, ttl_s=0.005)),
        status="infeasible",
        choice="",
        disaggregated=None,
        colocated=None,
        frontier_disaggregated=frontier([], [], split=True),
        frontier_colocated=frontier([], [], split=False),
        infeasible=Infeasible(
            reasons=(
                Reason(limit="memory", points=40, memory_bytes=(80 * 2.0**30,)),
                Reason(limit="ttl", points=56, best=0.007),
            ),
            relax=(Relaxation(field="ttl", value=0.0073),),
        ),
    )
