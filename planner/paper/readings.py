"""What figures and claims read off the study's frontiers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import BoolArray, FloatArray
from planner.inputs import trace
from planner.inputs.catalog import preset_folder
from planner.inputs.scenario import Scenario
from planner.inputs.trace import Trace
from planner.match import rate_match
from planner.paper.scenarios import HEAVY, LONG, MEDIANS, PIPELINE_GPUS
from planner.paper.sweeps import Curve, StudyBatching, Sweeps, split_curve
from planner.simulate.points import Points
from planner.simulate.space import Layouts

# Parts of the study's axis, as shares of its end. The text names loose, medium and tight without bounds;
# these are its quarters, and the plots start near a twentieth.
LOOSE, MEDIUM, TIGHT = (0.05, 0.25), (0.25, 0.75), (0.75, 1.0)
STEPS = np.arange(5, 101) / 100.0
PLOTTED = STEPS >= 0.15 - 1e-9  # figures 9, 10 and 12 start at about 0.15 of their axis
BUDGETS = (8, 16, 32, 72, 144, 288, 576, 1152)  # GPUs; the last four are whole racks
GB = 1e9  # bytes, as the study counts transfers


def axis_end(*curves: Curve) -> float:
    """Where the axis of a comparison ends: where the first curve's does, or any other curve stops."""
    return min([curves[0].axis_end, *(c.end for c in curves[1:])])


def part_of_axis(of: tuple[float, float]) -> BoolArray:
    """Which of `STEPS` lie in a part of the axis."""
    return np.asarray((of[0] - 1e-9 <= STEPS) & (of[1] + 1e-9 >= STEPS))


def mean(ratios: FloatArray, of: tuple[float, float] | None = None) -> float:
    """Geometric mean of ratios at `STEPS`, over a part of the axis or all of it.

    >>> round(mean(np.full(len(STEPS), 2.0), MEDIUM), 6)
    2.0
    """
    chosen = ratios if of is None else ratios[part_of_axis(of)]
    return float(np.exp(np.mean(np.log(chosen))))


def gains(sweeps: Sweeps, scenario: Scenario) -> FloatArray:
    """Throughput of a split over that of co-located serving at `STEPS` of their common axis."""
    split, colocated = sweeps.split(scenario), sweeps.colocated(scenario)
    if not len(split) or not len(colocated):
        return np.full(len(STEPS), np.nan)
    user = STEPS * axis_end(split, colocated)
    return split.at(user) / colocated.at(user)


def over(
    sweeps: Sweeps, scenario: Scenario, batching: StudyBatching, base: StudyBatching | None
) -> FloatArray:
    """Co-located serving of one way of batching over another's, or all of them, at `STEPS`."""
    ours, theirs = sweeps.colocated(scenario, batching), sweeps.colocated(scenario, base)
    user = STEPS * axis_end(sweeps.split(scenario), ours, theirs)
    return ours.at(user) / theirs.at(user)


def fixed_ratio(sweeps: Sweeps, scenario: Scenario, ratio: float, user: FloatArray) -> FloatArray:
    """Tokens/s per GPU of the best split held at one ctx:gen ratio, at interactivities `user`.

    Every decode instance is free; the ratio is not. 0 beyond the end.
    """
    pre, dec = sweeps.split(scenario).prefill, sweeps.decode_points(scenario)
    if pre is None:
        return np.zeros(len(user))
    per_gpu = float(pre.requests_per_s[0] / pre.gpus[0])
    held = rate_match.throughput_at_ratio(ratio, per_gpu, dec.requests_per_s / dec.gpus, scenario.traffic.osl)
    order = np.argsort(dec.ttl_s)
    slowest, best = dec.ttl_s[order], np.maximum.accumulate(np.asarray(held)[order])
    # the best of all instances at least this fast
    count = np.searchsorted(-1.0 / slowest, -user * (1 - 1e-12), side="right")
    return np.where(count > 0, best[np.maximum(count - 1, 0)], 0.0)


def best_single_ratio(sweeps: Sweeps, scenario: Scenario = HEAVY) -> tuple[float, float]:
    """The one ratio that loses least over the axis, and its mean loss against matching."""
    curve = sweeps.split(scenario)
    user = STEPS * curve.axis_end
    best = curve.at(user)
    candidates = np.geomspace(np.min(curve.ratio), np.max(curve.ratio), 61)
    losses = [float(np.mean(1.0 - fixed_ratio(sweeps, scenario, r, user) / best)) for r in candidates]
    at = int(np.argmin(losses))
    return float(candidates[at]), losses[at]


def shared_end(sweeps: Sweeps, scenarios: tuple[Scenario, ...]) -> float:
    """The end of an axis that several models share: the first of them to reach single-digit batches."""
    return min(sweeps.split(scenario).axis_end for scenario in scenarios)


def ratios(sweeps: Sweeps, scenario: Scenario, end: float) -> FloatArray:
    """The ctx:gen ratio that matching takes, at `STEPS` of an axis that ends at `end` tokens/s per user."""
    curve = sweeps.split(scenario)
    return curve.column(curve.ratio, STEPS * end)


def fleet_loss(sweeps: Sweeps, scenario: Scenario, gpus: int) -> FloatArray:
    """Share of the unbounded match that a fleet of `gpus` loses, at `STEPS` of the axis."""
    whole = sweeps.split(scenario)
    user = STEPS * whole.axis_end
    return 1.0 - sweeps.in_fleet(scenario, gpus).at(user) / whole.at(user)


def matching_loss(sweeps: Sweeps, scenario: Scenario, gpus: int) -> FloatArray:
    """The part of `fleet_loss` that is due to whole instances, not to instances that do not fit.

    The yardstick is perfect balance of the instances that fit side by side into the fleet.
    """
    pre, dec = sweeps.prefill_points(scenario), sweeps.decode_points(scenario)
    least_prefill = int(np.min(pre.gpus[pre.ftl_s <= scenario.limits.ftl_s]))
    least_decode = int(np.min(dec.gpus))
    fitting = split_curve(
        pre.take(pre.gpus <= gpus - least_decode), dec.take(dec.gpus <= gpus - least_prefill), scenario
    )
    user = STEPS * sweeps.split(scenario).axis_end
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1.0 - sweeps.in_fleet(scenario, gpus).at(user) / fitting.at(user))


def domain_gain(sweeps: Sweeps, scenario: Scenario, wide: int, narrow: int) -> FloatArray:
    """A wide over a narrow NVLink domain, at `STEPS` of the axis both reach.

    The axis ends where the wide domain's batches reach single digits; beyond the narrow one's end the
    gain is infinite.
    """
    large, small = (sweeps.in_domain(gpus).split(scenario) for gpus in (wide, narrow))
    user = STEPS * large.axis_end
    with np.errstate(divide="ignore"):
        return np.asarray(large.at(user) / small.at(user))


def kv_flow(sweeps: Sweeps, scenario: Scenario) -> tuple[float, FloatArray, FloatArray]:
    """(egress, ingress, axis) of figure 12 at `STEPS`, bytes/s per GPU that holds distinct cache."""
    curve = sweeps.split(scenario)
    out, into = sweeps.kv_flow(scenario)
    user = STEPS * curve.axis_end
    return out, curve.column(into, user), user


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pipelines:
    """Figure 5: one row per pipeline depth."""

    stages: FloatArray
    ftl_s: FloatArray
    tokens_per_s_per_gpu: FloatArray  # of a full pipeline
    one_batch_per_gpu: FloatArray  # batch x ISL over FTL x GPUs, as Algorithm 1 counts
    chunk_tokens: FloatArray


def pipelines(sweeps: Sweeps) -> Pipelines:
    """EP x PP = 64 with data-parallel attention: at each depth the chunks with the least FTL."""
    return sweeps.once(("pipelines",), lambda: _pipelines(sweeps))


def _pipelines(sweeps: Sweeps) -> Pipelines:
    stages = np.array([1, 2, 4, 8, 16, 32])
    one = np.ones_like(stages)
    width = PIPELINE_GPUS // stages
    at = Layouts(tp=one, pp=stages, attention_dp=width, moe_tp=one, moe_ep=width)
    points = sweeps.simulate_prefill(LONG, at)
    points = points.take(points.batch == width[points.layout])
    order = np.lexsort((points.ftl_s, points.layout))
    best = points.take(order[np.unique(points.layout[order], return_index=True)[1]])
    tokens = LONG.traffic.isl / PIPELINE_GPUS
    return Pipelines(
        stages=stages,
        ftl_s=best.ftl_s,
        tokens_per_s_per_gpu=best.requests_per_s * tokens,
        one_batch_per_gpu=best.batch * tokens / best.ftl_s,
        chunk_tokens=best.chunk_tokens,
    )


def wide_points(sweeps: Sweeps) -> Points:
    """Prefill of the 256k prompts on every layout of exactly 64 GPUs."""

    def make() -> Points:
        at = sweeps.layouts(LONG, "prefill")
        return sweeps.simulate_prefill(LONG, at.take(np.flatnonzero(at.gpus == PIPELINE_GPUS)))

    return sweeps.once(("wide points",), make)


def best_under(points: Points, limit_s: float, rows: BoolArray) -> float:
    """Most requests/s per GPU of some points within an FTL limit; 0 if none meets it."""
    usable = rows & (points.ftl_s <= limit_s)
    per_gpu = points.requests_per_s / points.gpus
    return float(np.max(per_gpu[usable], initial=0.0))


def varying_traffic(sweeps: Sweeps) -> tuple[Trace, Curve, Curve]:
    """Measured lengths around the medians of figure 14, their frontier and that of the medians.

    The trace of the study is not public. This one is an hour of production conversations (Azure LLM
    inference trace 2023, every tenth request), its lengths stretched to the medians that the study reports.
    """
    traffic = MEDIANS.traffic

    def make() -> tuple[Trace, Curve]:
        recorded = trace.read(preset_folder() / trace.CONVERSATIONS)
        stretched = recorded.stretched(traffic.isl, traffic.osl)
        return stretched, sweeps.under_trace(MEDIANS, stretched)

    lengths, varying = sweeps.once(("varying traffic",), make)
    return lengths, varying, sweeps.split(MEDIANS)
