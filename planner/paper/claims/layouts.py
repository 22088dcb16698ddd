"""Claims on what the pools look like and how they are found: 7 to 11, 20, 21, 22, 23."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.inputs import trace
from planner.paper import dynamic, readings
from planner.paper.claims.claim import Check, Part, fact, part
from planner.paper.readings import MEDIUM, STEPS
from planner.paper.scenarios import (
    HEAVY,
    LLAMA_70B,
    LONG,
    MEDIANS,
    heavy,
    with_traffic,
    within,
)
from planner.paper.sweeps import SINGLE_DIGITS, Curve, Sweeps
from planner.simulate import kv_transfer
from planner.simulate.points import Points
from planner.simulate.space import Layouts
from planner.units import format_seconds

FTL_FACTOR = (22.0, 31.0)  # readings of figure 5: 90 s over 4 s to 90 s over 2.9 s
TIGHT_FTLS_S = (10.0, 5.0, 3.0)
BEST_TIMES, POOR_TIMES, TIMES_OFF = (2.0, 2.0), (4.0, 8.0), 1.5  # claim 22 and its tolerance


def _rank_trend(x: FloatArray, y: FloatArray | IntArray) -> float:
    """Spearman's rank correlation of y with x."""
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic)


def _seven(sweeps: Sweeps) -> tuple[Part, ...]:
    found = readings.pipelines(sweeps)
    factor = float(found.ftl_s[0] / found.ftl_s[-1])
    kept = found.tokens_per_s_per_gpu / found.tokens_per_s_per_gpu[0]
    low, high = 0.75 * FTL_FACTOR[0], 1.25 * FTL_FACTOR[1]
    return (
        part(
            "FTL at PP=1 over PP=32",
            f"{factor:.1f}x ({format_seconds(float(found.ftl_s[0]))} to "
            f"{format_seconds(float(found.ftl_s[-1]))})",
            low <= factor <= high,
        ),
        part(
            "FTL falls at every step",
            ", ".join(format_seconds(float(t)) for t in found.ftl_s),
            bool(np.all(np.diff(found.ftl_s) < 0)),
        ),
        part(
            "tokens/s/GPU against PP=1",
            ", ".join(f"{k:.2f}" for k in kept),
            bool(np.all(np.abs(kept - 1) <= 0.10)),
        ),
    )


def _eight(sweeps: Sweeps) -> tuple[Part, ...]:
    points = readings.wide_points(sweeps)
    at = points.sharding
    wide = (at.pp == 1) & (at.attention_dp == 1)
    chunked = (at.pp >= 8) & (at.tp <= 8)
    layers = sweeps.setup(LONG).model.layers
    parts = [
        part(
            "volume per ISL x width, TP against CPP of 32 and of 8",
            f"{2 * layers} against 31 and 7",
            2 * layers > 31,
        )
    ]
    compared = 0
    for limit in TIGHT_FTLS_S:
        ours, theirs = (readings.best_under(points, limit, rows) for rows in (chunked, wide))
        compared += ours > 0 or theirs > 0
        parts.append(
            part(
                f"prompt tokens/s/GPU within {format_seconds(limit)}, CPP against TP64",
                f"{ours * LONG.traffic.isl:,.0f} against {theirs * LONG.traffic.isl:,.0f}",
                ours > theirs or ours == theirs == 0.0,
            )
        )
    parts.append(part("limits that can be met", f"{compared} of 3", compared > 0))
    return tuple(parts)


def _nine(sweeps: Sweeps) -> tuple[Part, ...]:
    split, hurried = sweeps.split(HEAVY), sweeps.split(within(HEAVY, 1.0))
    pre = sweeps.prefill_points(HEAVY)
    pre = pre.take(pre.ftl_s <= HEAVY.limits.ftl_s)
    # by brute force: the best prefill instance for each decode point of the curve
    gpu_seconds = _gpu_seconds(pre)[:, None] + _gpu_seconds(split.points)[None, :]
    kept = len(np.unique(np.argmin(gpu_seconds, axis=0)))

    def deployed(curve: Curve) -> dict[tuple[str, float], float]:
        points = curve.points
        return dict(zip(zip(points.labels(), points.batch, strict=True), points.requests_per_s, strict=True))

    before, after = deployed(split), deployed(hurried)
    shared = before.keys() & after.keys()
    same = all(before[point] == after[point] for point in shared)
    assert split.prefill is not None and hurried.prefill is not None
    return (
        part("best prefill instances along the curve", f"{kept}", kept == 1),
        part(
            "decode points of the curve that stay when FTL is cut to 1 s",
            f"{len(shared)} of {len(split)}",
            same and len(shared) == len(split),
        ),
        part(
            "prefill at 10 s and at 1 s",
            f"{split.prefill.labels()[0]} and {hurried.prefill.labels()[0]}",
            _gpu_seconds(split.prefill)[0] <= _gpu_seconds(hurried.prefill)[0],
        ),
    )


def _gpu_seconds(points: Points) -> FloatArray:
    """Of one request."""
    return points.gpus / points.requests_per_s


def _ten(sweeps: Sweeps) -> tuple[Part, ...]:
    curve = sweeps.split(HEAVY)
    user = STEPS * curve.axis_end
    at = curve.points.sharding
    ep, tp, dp = curve.column(at.moe_ep, user), at.tp, at.attention_dp
    domain = sweeps.setup(HEAVY).machine.fabric.scale_up_gpus
    labels = curve.frontier.decode
    batch = curve.points.batch
    return (
        part(
            "axis on which experts are parallel, within the domain",
            f"{np.mean((ep > 1) & (ep <= domain)):.0%}",
            float(np.mean((ep > 1) & (ep <= domain))) >= 0.9,
        ),
        part(
            "attention, loosest to tightest",
            f"{labels[0]} to {labels[-1]}",
            bool(dp[0] > tp[0] and tp[-1] > dp[-1]),
        ),
        part(
            "batch of an instance, loosest to tightest",
            f"{batch[0]:,.0f} to {batch[-1]:,.0f}",
            bool(batch[0] >= 200 and batch[-1] <= SINGLE_DIGITS),
        ),
    )


def _eleven(sweeps: Sweeps) -> tuple[Part, ...]:
    curve = sweeps.split(heavy(LLAMA_70B))
    tp, batch = curve.points.sharding.tp, curve.points.batch
    up, down = _rank_trend(curve.user, tp), _rank_trend(curve.user, batch)
    return (
        part(
            "decode TP, loosest to tightest",
            f"{tp[0]:.0f} to {tp[-1]:.0f}",
            bool(tp[0] <= 4 and tp[-1] >= 32),
        ),
        part("rank correlation of TP with interactivity", f"{up:.2f}", up > 0.8),
        part("the same of batch", f"{down:.2f} ({batch[0]:,.0f} to {batch[-1]:,.0f})", down < -0.8),
    )


def _twenty(sweeps: Sweeps) -> tuple[Part, ...]:
    parts = []
    for scenario, last_useful in ((heavy(LLAMA_70B), 8), (HEAVY, 1)):
        setup = sweeps.setup(scenario)
        tp = np.array([1, 2, 4, 8, 16, 32, 64])
        one = np.ones_like(tp)
        at = Layouts(tp=tp, pp=one, attention_dp=one, moe_tp=tp, moe_ep=one)
        isl = scenario.traffic.isl
        flow = np.asarray(kv_transfer.bytes_per_s_per_gpu(setup.model, setup.precision, at, isl, one))
        falls = tp[1:][np.diff(flow) < 0]
        until = float(falls[-1]) if len(falls) else 1.0
        halves = bool(np.allclose(flow[tp <= last_useful], flow[0] / tp[tp <= last_useful]))
        parts.append(
            part(
                f"{scenario.model} bandwidth per GPU falls until TP",
                f"{until:.0f}",
                until == last_useful and halves,
            )
        )
    return tuple(parts)


def _twenty_one(sweeps: Sweeps) -> tuple[Part, ...]:
    _, varying, static = readings.varying_traffic(sweeps)
    drawn = trace.log_normal(MEDIANS.traffic.isl, MEDIANS.traffic.osl)

    def off(curve: Curve) -> tuple[float, str]:
        user = STEPS * readings.axis_end(static, curve)
        ratio = curve.at(user) / static.at(user)
        distance = float(np.exp(np.mean(np.abs(np.log(ratio))))) - 1
        return distance, f"{distance:.0%} (trace over medians {readings.mean(ratio):.2f}x)"

    distance, line = off(varying)
    return (
        part("mean distance of the two frontiers", line, distance <= 0.15),
        fact("the same with log-normal lengths", off(sweeps.under_trace(MEDIANS, drawn))[1]),
    )


def _twenty_two(sweeps: Sweeps) -> tuple[Part, ...]:
    found = dynamic.measured(sweeps.catalog)
    planner, forecasts = found["planner"], found["forecasts"]
    parts, per_gpu = [], []
    for name in dynamic.STATIC:
        static = found[name]
        times = planner.share / static.share
        low, high = BEST_TIMES if name == dynamic.BEST else POOR_TIMES
        parts.append(
            part(
                f"goodput over that of {name}",
                f"{times:.2f}x ({planner.share:.0%} against {static.share:.0%} of the requests)",
                low / TIMES_OFF <= times <= high * TIMES_OFF,
            )
        )
        per_gpu.append(f"{times * static.gpus / planner.gpus:.2f}x")
    parts.append(
        fact("the same per GPU", f"{', '.join(per_gpu)}; {planner.gpus:.1f} GPUs in the mean against 4")
    )
    less = forecasts.share / found[dynamic.BEST].share
    parts.append(
        fact(
            f"with a forecast in place of foresight, {dynamic.START_S:g} s to start",
            f"{less:.2f}x of {dynamic.BEST}",
        )
    )
    return tuple(parts)


def _twenty_three(sweeps: Sweeps) -> tuple[Part, ...]:
    base = sweeps.split(HEAVY)
    parts = []
    for name, scenario, up in (
        ("half of each prompt cached", with_traffic(HEAVY, cached_share=0.5), False),
        ("two tokens drafted per step", replace(HEAVY, mtp=2), True),
    ):
        other = sweeps.split(scenario)
        user = STEPS[readings.part_of_axis(MEDIUM)] * readings.axis_end(base, other)
        moved = readings.mean(other.column(other.ratio, user) / base.column(base.ratio, user))
        parts.append(part(f"ctx:gen ratio, {name}", f"{moved:.2f}x", moved > 1 if up else moved < 1))
    return tuple(parts)


CHECKS: Mapping[int, Check] = {
    7: _seven,
    8: _eight,
    9: _nine,
    10: _ten,
    11: _eleven,
    20: _twenty,
    21: _twenty_one,
    22: _twenty_two,
    23: _twenty_three,
}
