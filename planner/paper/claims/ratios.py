"""Claims on the ctx:gen ratio and on the flow of KV cache between the pools: 13, 14, 16, 18, 19."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from planner.arrays import FloatArray
from planner.inputs.scenario import Scenario
from planner.match import rate_match
from planner.paper import readings
from planner.paper.claims.claim import Check, Part, fact, part
from planner.paper.readings import BUDGETS, GB, PLOTTED, STEPS
from planner.paper.scenarios import (
    HEAVY,
    LLAMA_8B,
    LLAMA_70B,
    LLAMA_405B,
    LONG,
    MILLION,
    MODELS,
    R1,
    K,
    heavy,
    with_traffic,
)
from planner.paper.sweeps import Sweeps

# Figure 9, middle of the readings of several people: ratio at the loose and at the tight end.
READINGS = {R1: (3.63, 0.07), LLAMA_405B: (2.07, 0.21), LLAMA_70B: (0.95, 0.46), LLAMA_8B: (0.42, 0.35)}
RISE = 0.10  # a matched ratio may rise this much between neighbouring layouts: batches step by 9 %

KV_SPAN = (0.1 * GB, 4.0 * GB)  # 0.37 to 1.82 GB/s read, and a factor of 2 (KV format) times 2 (speed)


def swings(sweeps: Sweeps) -> dict[str, FloatArray]:
    """The matched ratio of the four models over the axis they share, from START on."""
    cases = tuple(heavy(m) for m in MODELS)
    end = readings.shared_end(sweeps, cases)
    return {m: readings.ratios(sweeps, case, end)[PLOTTED] for m, case in zip(MODELS, cases, strict=True)}


def _thirteen(sweeps: Sweeps) -> tuple[Part, ...]:
    found = swings(sweeps)
    parts = []
    for model, ratio in found.items():
        risen = float(np.max(ratio / np.minimum.accumulate(ratio))) - 1
        loose, tight = READINGS[model]
        parts.append(
            part(
                f"{model} ratio, loose to tight",
                f"{ratio[0]:.2f} to {ratio[-1]:.3g} (read: {loose} to {tight})",
                risen <= RISE and 0.5 <= ratio[0] / loose <= 2.0 and 1 / 3 <= ratio[-1] / tight <= 3.0,
            )
        )
    swing = [float(found[m][0] / found[m][-1]) for m in MODELS]
    parts.append(
        part(
            "swings of R1, 405B, 70B, 8B",
            ", ".join(f"{s:.1f}x" for s in swing),
            bool(np.all(np.diff(swing) < 0)),
        )
    )
    parts.append(part("8B nearly flat", f"{swing[-1]:.1f}x", swing[-1] <= 2.0))
    return tuple(parts)


def _fourteen(sweeps: Sweeps) -> tuple[Part, ...]:
    curve = sweeps.split(HEAVY)
    assert curve.prefill is not None
    prefill_rate = float(curve.prefill.requests_per_s[0] / curve.prefill.gpus[0])
    decode_rate = curve.points.requests_per_s / curve.points.gpus
    closed, user = 0.0, STEPS[PLOTTED] * curve.axis_end
    for held in (0.5, 3.5):
        straight = (
            rate_match.throughput_at_ratio(held, prefill_rate, decode_rate, HEAVY.traffic.osl) / curve.per_gpu
        )
        closed = max(closed, float(np.max(np.abs(straight / rate_match.fixed_ratio(held, curve.ratio) - 1))))
    best = curve.at(user)
    half, most = (readings.fixed_ratio(sweeps, HEAVY, r, user) for r in (0.5, 3.5))
    # 0.5 is flat as long as prefill is the slower pool at every point
    starved = curve.column(curve.ratio, user) >= 0.5
    flat = half[starved] / half[0] if starved.any() else np.ones(1)
    over = max(float(np.max(half / best)), float(np.max(most / best)))
    return (
        part("closed form", f"off by {closed:.1e} at most", closed < 1e-9),
        part("fixed 3.5, loose end over best", f"{most[0] / best[0]:.2f}", most[0] / best[0] >= 0.9),
        part("fixed 3.5, tight end over the peak", f"{most[-1] / best[0]:.3f}", most[-1] / best[0] <= 0.10),
        part(
            "fixed 0.5 over the loose-end best",
            f"{half[0] / best[0]:.2f}",
            abs(half[0] / best[0] - 0.425) <= 0.08,
        ),
        part(
            "fixed 0.5 flat while prefill is short",
            f"within {np.max(np.abs(flat - 1)):.1%}",
            bool(np.max(np.abs(flat - 1)) <= 0.02),
        ),
        part("most of any fixed ratio over best", f"{over:.3f}", over <= 1 + 1e-9),
    )


def _sixteen(sweeps: Sweeps) -> tuple[Part, ...]:
    losses = {b: float(np.mean(readings.fleet_loss(sweeps, HEAVY, b))) for b in BUDGETS}
    small, large = losses[16], losses[BUDGETS[-1]]
    values = list(losses.values())
    matching = readings.matching_loss(sweeps, HEAVY, 16)
    whole = float(np.mean(matching[np.isfinite(matching)]))
    return (
        part(
            "mean loss by fleet",
            ", ".join(f"{b} GPUs {loss:.0%}" for b, loss in losses.items()),
            all(later <= before + 0.01 for before, later in itertools.pairwise(values)),
        ),
        part("loss of 16 GPUs", f"{small:.0%}", small >= 0.05),
        part("of it by whole instances alone", f"{whole:.0%}", whole > 0),
        part(f"loss of {BUDGETS[-1]} GPUs", f"{large:.1%}", large <= 0.03),
    )


def _eighteen(sweeps: Sweeps) -> tuple[Part, ...]:
    parts = []
    for scenario, falls in ((HEAVY, True), (MILLION, False)):
        if not len(sweeps.split(scenario)):
            parts.append(part(f"{scenario.traffic.isl:,} in", "no split within the FTL limit", False))
            continue
        out, into, _ = readings.kv_flow(sweeps, scenario)
        most = np.maximum(out, into)[PLOTTED]
        parts.append(
            part(
                f"{scenario.traffic.isl // K}k/{scenario.traffic.osl // K}k, larger of egress and ingress",
                f"{most[0] / GB:.2f} to {most[-1] / GB:.2f} GB/s per GPU "
                f"(least {np.min(most) / GB:.2f}, most {np.max(most) / GB:.2f})",
                bool(np.min(most) >= KV_SPAN[0] and np.max(most) <= KV_SPAN[1]),
            )
        )
        if falls:
            drop = float(most[0] / most[-1])
            parts.append(part("its fall as TTL tightens", f"{drop:.1f}x", drop >= 2.0))
    return tuple(parts)


def _into(sweeps: Sweeps, scenario: Scenario, user: float) -> float:
    """Ingress at an interactivity, bytes/s per holding GPU."""
    _, into = sweeps.kv_flow(scenario)
    return float(sweeps.split(scenario).column(into, np.array([user]))[0])


def _nineteen(sweeps: Sweeps) -> tuple[Part, ...]:
    user = 20.0  # tokens/s: TTL 50 ms, the loose end
    shorter = [with_traffic(HEAVY, isl=n * K) for n in (4, 16, 64)]
    out = [sweeps.kv_flow(c)[0] for c in (*shorter, LONG)]
    by_isl = [_into(sweeps, c, user) for c in (HEAVY, MILLION)]
    by_osl = [_into(sweeps, with_traffic(HEAVY, osl=n), user) * n for n in (512, 2048, 8192)]
    _, into, _ = readings.kv_flow(sweeps, HEAVY)
    into = into[PLOTTED]
    small, _ = sweeps.kv_flow(heavy(LLAMA_70B))
    spread_isl, spread_osl = max(by_isl) / min(by_isl), max(by_osl) / min(by_osl)
    return (
        part(
            "R1 egress at 4k, 16k, 64k, 256k in",
            ", ".join(f"{v / GB:.2f}" for v in out) + " GB/s",
            bool(np.all(np.diff(out) < 0)),
        ),
        part(
            "R1 ingress at 16k and 1M in, TTL 50 ms",
            " and ".join(f"{v / GB:.2f}" for v in by_isl) + " GB/s",
            spread_isl <= 2.0,
        ),
        fact(
            "the same at 4k and 64k",
            " and ".join(f"{_into(sweeps, c, user) / GB:.2f}" for c in (shorter[0], shorter[2])) + " GB/s",
        ),
        part(
            "R1 ingress x OSL at 512, 2k, 8k out: largest over smallest",
            f"{spread_osl:.2f}x",
            spread_osl <= 1.5,
        ),
        part(
            "R1 ingress, loose to tight TTL",
            f"{into[0] / GB:.2f} to {into[-1] / GB:.3f} GB/s",
            bool(into[-1] < into[0]),
        ),
        part(
            "egress of R1 against Llama-70B, 16k in",
            f"{out[1] / GB:.2f} against {small / GB:.2f} GB/s",
            out[1] < small,
        ),
    )


CHECKS: Mapping[int, Check] = {
    13: _thirteen,
    14: _fourteen,
    16: _sixteen,
    18: _eighteen,
    19: _nineteen,
}
