"""Claims on where a split gains over co-located serving: 1 to 6, 12, 15, 17."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from planner.arrays import FloatArray
from planner.inputs.scenario import Scenario
from planner.paper import readings
from planner.paper.claims.claim import Check, Part, fact, part
from planner.paper.readings import LOOSE, MEDIUM, PLOTTED, STEPS, TIGHT
from planner.paper.scenarios import (
    GENERATION,
    HEAVY,
    LLAMA_8B,
    LLAMA_70B,
    LLAMA_405B,
    PATTERNS,
    R1,
    RACK,
    SMALL_DOMAIN,
    heavy,
    pattern,
    sized,
)
from planner.paper.sweeps import Sweeps

LLAMAS = (LLAMA_405B, LLAMA_70B, LLAMA_8B)
GRID = 0.02  # batches step by up to 9 %: two curves through the same points differ by up to about 2 %


def _times(value: float) -> str:
    return f"{value:.2f}x"


def _medium(sweeps: Sweeps, scenario: Scenario) -> float:
    return readings.mean(readings.gains(sweeps, scenario), MEDIUM)


def _one(sweeps: Sweeps) -> tuple[Part, ...]:
    heavy_gain, light_gain = readings.gains(sweeps, HEAVY), readings.gains(sweeps, GENERATION)
    worst = float(np.min(heavy_gain[readings.part_of_axis(MEDIUM)]))
    large, small = readings.mean(heavy_gain, MEDIUM), readings.mean(light_gain, MEDIUM)
    return (
        part("least gain at 16k/2k, medium", _times(worst), worst >= 1 - GRID),
        part(
            "mean gain at 16k/2k against 1k/32k",
            f"{_times(large)} against {_times(small)}",
            large - 1 >= 2 * (small - 1) and large > 1 + GRID,
        ),
        part("1k/32k nearly coincides", _times(small), abs(small - 1) <= 0.15),
    )


def _two(sweeps: Sweeps) -> tuple[Part, ...]:
    found = {p: _medium(sweeps, pattern(*p)) for p in PATTERNS}
    first, long_long, short_short, last = (found[p] for p in PATTERNS)
    rest = (long_long, short_short, last)
    line = ", ".join(f"{isl // 1024}k/{osl // 1024}k {_times(g)}" for (isl, osl), g in found.items())
    return (
        fact("mean gain, medium", line),
        part("16k/2k largest", _times(first), first >= max(rest) * (1 - GRID)),
        part(
            "16k inputs above 2k inputs",
            f"least {_times(min(first, long_long))}, most {_times(max(short_short, last))}",
            min(first, long_long) >= max(short_short, last) * (1 - GRID),
        ),
        part("2k/16k smallest", _times(last), last <= min(found.values()) * (1 + GRID)),
    )


def _on_one_axis(sweeps: Sweeps) -> list[FloatArray]:
    """Gains of the three Llamas at STEPS of the axis that they share: the same latency targets for all."""
    cases = tuple(sized(m) for m in LLAMAS)
    end = min(readings.shared_end(sweeps, cases), *(sweeps.colocated(case).end for case in cases))
    user = STEPS * end
    return [sweeps.split(case).at(user) / sweeps.colocated(case).at(user) for case in cases]


def _three(sweeps: Sweeps) -> tuple[Part, ...]:
    each = [readings.gains(sweeps, sized(m)) for m in LLAMAS]
    shared = _on_one_axis(sweeps)
    large, middle, small = (readings.mean(g, MEDIUM) for g in each)

    def line(found: list[FloatArray], of: tuple[float, float]) -> str:
        return ", ".join(_times(readings.mean(g, of)) for g in found)

    return (
        part(
            "405B over 70B over 8B",
            f"{_times(large)}, {_times(middle)}, {_times(small)}",
            large > middle > small,
        ),
        part("8B near one", _times(small), small <= 1.15),
        fact("405B, 70B, 8B at loose latency", line(each, LOOSE)),
        fact("405B, 70B, 8B in the middle of an axis that they share, as in figure 9", line(shared, MEDIUM)),
    )


def _four(sweeps: Sweeps) -> tuple[Part, ...]:
    parts = []
    for model in (R1, LLAMA_70B):
        found = readings.gains(sweeps, heavy(model))
        loose, medium, tight = (readings.mean(found, b) for b in (LOOSE, MEDIUM, TIGHT))
        parts.append(
            part(
                f"{model} loose, medium, tight",
                f"{_times(loose)}, {_times(medium)}, {_times(tight)}",
                medium > loose and medium > tight,
            )
        )
        parts.append(
            fact(
                f"{model} largest gain",
                f"{_times(float(np.max(found)))} at {STEPS[int(np.argmax(found))]:.2f} of the axis",
            )
        )
    return tuple(parts)


def _five(sweeps: Sweeps) -> tuple[Part, ...]:
    generation = pattern(*PATTERNS[3])
    many, few = (readings.over(sweeps, of, "steady", "inflight") for of in (generation, HEAVY))
    back = 1.0 / readings.mean(readings.gains(sweeps, generation), LOOSE)
    loose, tight = readings.mean(many, LOOSE), readings.mean(many, TIGHT)
    return (
        part(
            "piggybacked over unchunked, 2k/16k against 16k/2k",
            f"{_times(readings.mean(many))} against {_times(readings.mean(few))}",
            readings.mean(many) > readings.mean(few),
        ),
        part("loose against tight, 2k/16k", f"{_times(loose)} against {_times(tight)}", loose >= tight),
        part("co-located over split, 2k/16k loose", _times(back), back >= 0.97),
    )


def _six(sweeps: Sweeps) -> tuple[Part, ...]:
    plain, llama = (
        readings.mean(readings.over(sweeps, of, "steady", None), MEDIUM) for of in (HEAVY, heavy(LLAMA_70B))
    )
    chunked = sweeps.colocated(HEAVY, "steady")
    cached = sweeps.colocated(replace(HEAVY, mla_cache=True), "steady")
    user = STEPS * readings.axis_end(sweeps.split(HEAVY), chunked, cached)
    lift = readings.mean(cached.at(user) / chunked.at(user), MEDIUM)
    return (
        part("R1 piggybacked over co-located", f"{plain:.0%}", plain <= 0.8),
        part("Llama-70B piggybacked over co-located", f"{llama:.0%}", llama >= 0.9),
        part("R1 with cached up-projections", _times(lift), lift > 1 + GRID),
    )


def _twelve(sweeps: Sweeps) -> tuple[Part, ...]:
    parts = []
    for model in (R1, LLAMA_70B):
        split, colocated = sweeps.split(heavy(model)), sweeps.colocated(heavy(model))
        user = STEPS[readings.part_of_axis(MEDIUM)] * readings.axis_end(split, colocated)
        split_tp = split.column(split.points.sharding.tp, user)
        colocated_tp = colocated.column(colocated.points.sharding.tp, user)
        ratio = readings.mean(split_tp / colocated_tp)
        parts.append(
            part(
                f"{model} decode TP over co-located TP",
                f"{_times(ratio)} (means {np.exp(np.mean(np.log(split_tp))):.1f} and "
                f"{np.exp(np.mean(np.log(colocated_tp))):.1f})",
                ratio > 1,
            )
        )
    return tuple(parts)


def _fifteen(sweeps: Sweeps) -> tuple[Part, ...]:
    split, colocated = sweeps.split(HEAVY), sweeps.colocated(HEAVY)
    user = STEPS[PLOTTED] * readings.axis_end(split, colocated)
    below = readings.fixed_ratio(sweeps, HEAVY, 0.5, user) < colocated.at(user)
    return (
        part(
            "axis on which fixed 0.5 is below co-located",
            f"{np.mean(below):.0%}",
            float(np.mean(below)) > 0.5,
        ),
    )


def _seventeen(sweeps: Sweeps) -> tuple[Part, ...]:
    parts = []
    for model, best in ((R1, "medium"), (LLAMA_70B, "tight")):
        found = readings.domain_gain(sweeps, heavy(model), RACK, SMALL_DOMAIN)
        bands = {"loose": LOOSE, "medium": MEDIUM, "tight": TIGHT}
        means = {name: readings.mean(found, of) for name, of in bands.items()}
        line = ", ".join(f"{name} {_times(value)}" for name, value in means.items())
        worst = float(np.min(found))
        parts.append(part(f"{model} least gain", _times(worst), worst >= 1 - GRID))
        parts.append(
            part(
                f"{model} gains most at {best} latency",
                line,
                means[best] >= max(means.values()) and means[best] > 1 + GRID,
            )
        )
    return tuple(parts)


CHECKS: Mapping[int, Check] = {
    1: _one,
    2: _two,
    3: _three,
    4: _four,
    5: _five,
    6: _six,
    12: _twelve,
    15: _fifteen,
    17: _seventeen,
}
