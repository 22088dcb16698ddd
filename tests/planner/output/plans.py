"""Plans made by hand, for the tests of what is said of one."""

from __future__ import annotations

import dataclasses

import numpy as np

from planner.planning.result import (
    Frontier,
    LayoutChoice,
    MemoryUse,
    OperatorTime,
    PoolPlan,
    Serving,
    SolverReport,
)

NAN = float("nan")
MEMORY = MemoryUse(
    weights_bytes=42 * 2**30,
    kv_bytes=68 * 2**30,
    activation_bytes=6 * 2**30,
    reserve_bytes=2 * 2**30,
    capacity_bytes=140 * 2**30,
)
BREAKDOWN = (
    OperatorTime(name="attention", seconds=0.006, light_s=0.003),
    OperatorTime(name="experts", seconds=0.011, light_s=0.010),
    OperatorTime(name="host", seconds=0.001, light_s=0.0),
)


def layout(label: str = "TP8", tp: int = 8, pp: int = 1) -> LayoutChoice:
    return LayoutChoice(tp=tp, pp=pp, ep=1, attention_dp=1, moe_tp=1, label=label)


def pool(phase: str, **changes) -> PoolPlan:
    base = PoolPlan(
        phase=phase,
        layout=layout(),
        instances=3,
        batch=4,
        chunk_tokens=0 if phase == "decode" else 4096,
        mode="piggyback" if phase == "colocated" else "",
        ftl_s=NAN if phase == "decode" else 1.2,
        ttl_s=NAN if phase == "prefill" else 0.018,
        requests_per_s=9.1,
        utilisation=1.0 if phase == "decode" else 0.97,
        memory=MEMORY,
        breakdown=BREAKDOWN,
        system="gb200",
        max_batch=4,
        max_batched_tokens=16384,
        memory_fraction=0.9,
        link_bytes_per_s=9e11,
    )
    return dataclasses.replace(base, **changes)


def serving(*pools: PoolPlan, gpus: int = 64, per_gpu: float = 1210.0, **changes) -> Serving:
    split = pools[0].phase == "prefill"
    base = Serving(
        pools=pools,
        gpus=gpus,
        requests_per_s=8.9,
        tokens_per_s_per_gpu=per_gpu,
        ftl_s=1.2,
        ttl_s=0.018,
        usd_per_million_tokens=0.57,
        watts=8.4e4,
        solver=SolverReport(status="optimal", gap=0.0, seconds=0.03),
        ctx_gen_ratio=0.6 if split else NAN,
        kv_egress_bytes_per_s_per_gpu=3.4e8 if split else NAN,
        kv_ingress_bytes_per_s_per_gpu=1.2e9 if split else NAN,
    )
    return dataclasses.replace(base, **changes)


def frontier(x: list[float], y: list[float], *, split: bool) -> Frontier:
    n = len(x)
    return Frontier(
        ttl_s=1 / np.array(x, dtype=float),
        tokens_per_s_per_gpu=np.array(y, dtype=float),
        ctx_gen_ratio=np.full(n, 0.5 if split else NAN),
        gpus=np.full(n, 48.0),
        prefill=("CPP4xTP8" if split else "",) * n,
        decode=("DEP16",) * n,
        cloud_ttl_s=np.array([]),
        cloud_tokens_per_s_per_gpu=np.array([]),
        ftl_s=np.full(len(x), 1.0),
        usd_per_million_tokens=np.full(len(x), 1.0),
    )
