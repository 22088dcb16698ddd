"""How fast ratematch is on this machine: the sweep, a whole plan, a live edit.

The scenario is the paper's headline one: DeepSeek-R1 on a GB200 NVL72, 16k tokens in, 2k out,
FTL 10 s, TTL 20 ms, 72 GPUs. Every timed call differs a little from the one before, so that no
result can be one that was kept.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.units import format_seconds, three_digits

SCENARIO = Scenario(
    model="deepseek-r1",
    system="gb200",
    engine="trtllm",
    traffic=Traffic(isl=16384, osl=2048),
    limits=Limits(ftl_s=10.0, ttl_s=0.02),
    fleet=Fleet(gpus=72),
)
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run(runs: int = 15) -> dict[str, Any]:
    """Measure, after one warm-up call of each kind.

    Parameters
    ----------
    runs
        Timed calls of `plan` for the sweep and for whole plans, and again for edits.

    Returns
    -------
    design_points_per_s
        Design points over simulation seconds, median of the runs.
    plan_ms_p50, plan_ms_p95
        Whole `plan` calls with a slightly different TTL each.
    edit_to_frontier_ms_p50, edit_to_frontier_ms_p95
        From a call of `plan` after an edit (TTL, ISL, OSL and GPUs in turn) until both frontiers
        are handed out.
    """
    # numpy works element by element on one thread; this keeps a BLAS library to one as well
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    import numpy as np

    from planner.inputs.catalog import load
    from planner.planning.plan import plan

    catalog = load()
    plan(SCENARIO, catalog)
    wall, cpu = time.perf_counter(), time.process_time()
    rates, whole, points = [], [], 0
    for i in range(runs):
        limits = replace(SCENARIO.limits, ttl_s=SCENARIO.limits.ttl_s * (1 + 1e-4 * (i + 1)))
        start = time.perf_counter()
        result = plan(replace(SCENARIO, limits=limits), catalog)
        whole.append(time.perf_counter() - start)
        points = sum(result.design_points.values())
        rates.append(points / result.seconds["simulate"])
    busy = (time.process_time() - cpu) / (time.perf_counter() - wall)
    edits = [_until_frontier(plan, _edited(i), catalog) for i in range(runs)]
    return {
        "design_points_per_s": statistics.median(rates),
        "plan_ms_p50": 1e3 * statistics.median(whole),
        "plan_ms_p95": 1e3 * p95(whole),
        "edit_to_frontier_ms_p50": 1e3 * statistics.median(edits),
        "edit_to_frontier_ms_p95": 1e3 * p95(edits),
        "n": runs,
        "design_points": points,
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "cores_used": busy,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def to_text(result: dict[str, Any]) -> str:
    """The measurements for people."""
    name = f"{SCENARIO.model} on {SCENARIO.system}"
    plan_p50, plan_p95 = result["plan_ms_p50"] / 1e3, result["plan_ms_p95"] / 1e3
    edit_p50, edit_p95 = result["edit_to_frontier_ms_p50"] / 1e3, result["edit_to_frontier_ms_p95"] / 1e3
    return "\n".join(
        [
            f"sweep             {three_digits(result['design_points_per_s'])} design points/s "
            f"({result['design_points']:,} of {name})",
            f"whole plan        {format_seconds(plan_p50)} (95 % within {format_seconds(plan_p95)})",
            f"edit to frontier  {format_seconds(edit_p50)} (95 % within {format_seconds(edit_p95)})",
            f"{result['n']} runs on one thread, which got {result['cores_used']:.2f} of a core "
            "(below 1: the machine was busy)",
            f"{result['cpu']}, Python {result['python']}, numpy {result['numpy']}",
        ]
    )


def _edited(i: int) -> Scenario:
    """The scenario with one field changed, another field each time and another value each round."""
    turn, more = i % 4, 1 + i // 4
    traffic = SCENARIO.traffic
    if turn == 0:
        return replace(SCENARIO, limits=replace(SCENARIO.limits, ttl_s=0.02 + 0.001 * more))
    if turn == 1:
        return replace(SCENARIO, traffic=replace(traffic, isl=traffic.isl - 256 * more))
    if turn == 2:
        return replace(SCENARIO, traffic=replace(traffic, osl=traffic.osl + 64 * more))
    return replace(SCENARIO, fleet=Fleet(gpus=72 - more))


def _until_frontier(plan: Callable[..., Any], scenario: Scenario, catalog: Any) -> float:
    shown: list[float] = []
    start = time.perf_counter()
    plan(scenario, catalog, on_frontier=lambda split, colocated: shown.append(time.perf_counter()))
    return shown[0] - start


def p95(values: Sequence[float]) -> float:
    """The 95th percentile: the smallest value that 95 % of them do not exceed.

    >>> p95([3.0, 1.0, 2.0]), p95(list(range(1, 101)))
    (3.0, 95)
    """
    ordered = sorted(values)
    return ordered[max(-(-95 * len(ordered) // 100) - 1, 0)]


def _cpu() -> str:
    """The processor's name, as far as the system tells."""
    if sys.platform == "linux":
        try:
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
        except OSError:
            pass
    return platform.processor() or platform.machine()
