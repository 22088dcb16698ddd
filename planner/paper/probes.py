"""Measurements on the study's curves that figures and claims share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from planner.arrays import BoolArray, FloatArray
from planner.match import rate_match
from planner.paper import pool
from planner.paper.cases import HEAVY, LONG, PIPELINE_GPUS
from planner.paper.pool import STEPS, Curve
from planner.paper.study import Case, Study
from planner.simulate.points import Points
from planner.simulate.space import Layouts

BUDGETS = (8, 16, 32, 72, 144, 288, 576, 1152)  # GPUs; the last four are whole racks


def gains(study: Study, case: Case) -> FloatArray:
    """Split over co-located at STEPS of the axis."""
    return pool.gain(study.split(case), study.together(case))


def fixed_curve(study: Study, case: Case, ratio: float, user: FloatArray) -> FloatArray:
    """Tokens/s per GPU of the best split held at one ctx:gen ratio, at interactivities `user`.

    Every decode instance is free; the ratio is not. 0 beyond the end.
    """
    split, decode = study.split(case), study.decode(case)
    if not len(split) or split.prefill is None:
        return np.zeros(len(user))
    prefill = float((split.prefill.rate / split.prefill.gpus)[0])
    held = rate_match.throughput_at_ratio(ratio, prefill, decode.rate / decode.gpus, case.osl)
    order = np.argsort(-1.0 / decode.ttl_s)
    fast, best = (1.0 / decode.ttl_s)[order], np.maximum.accumulate(np.asarray(held)[order])
    # the best of all instances at least this fast
    count = np.searchsorted(-fast, -user * (1 - 1e-12), side="right")
    return np.where(count > 0, best[np.maximum(count - 1, 0)], 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """The matched ratio along a curve, at STEPS of an axis that ends at `end` tokens/s per user."""

    end: float
    ratio: FloatArray


def ratios(study: Study, case: Case, end: float) -> Ratios:
    """The ctx:gen ratio of the best split at each interactivity."""
    curve = study.split(case)
    return Ratios(end=end, ratio=curve.column(curve.ratio, STEPS * end))


def shared_end(study: Study, cases: tuple[Case, ...]) -> float:
    """The end of an axis that several models share: the first of them to reach single-digit batches."""
    return min(study.split(case).axis_end for case in cases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipelines:
    """Figure 5: one row per pipeline depth."""

    stages: FloatArray
    ftl_s: FloatArray
    tokens_per_s_per_gpu: FloatArray  # of a full pipeline
    one_batch_per_gpu: FloatArray  # batch x ISL over FTL x GPUs, as Algorithm 1 counts
    chunk_tokens: FloatArray


def pipelines(study: Study, case: Case = LONG) -> Pipelines:
    """EP x PP = 64 with data-parallel attention: at each depth the chunks with the least FTL."""
    return study.once(("pipelines", case), lambda: _pipelines(study, case))


def _pipelines(study: Study, case: Case) -> Pipelines:
    stages = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    one = np.ones(len(stages))
    width = PIPELINE_GPUS / stages
    at = Layouts(tp=one, pp=stages, attention_dp=width, moe_tp=one, moe_ep=width)
    points = study.prefill_points(case, at)
    rows = []
    for layout in range(len(stages)):
        mine = np.flatnonzero((points.layout == layout) & (points.batch == width[layout]))
        rows.append(mine[np.argmin(points.ftl_s[mine])])
    best = np.array(rows)
    ftl = points.ftl_s[best]
    return Pipelines(
        stages=stages,
        ftl_s=ftl,
        tokens_per_s_per_gpu=points.requests_per_s[best] * case.isl / PIPELINE_GPUS,
        one_batch_per_gpu=points.batch[best] * case.isl / (ftl * PIPELINE_GPUS),
        chunk_tokens=points.chunk_tokens[best],
    )


def best_under(points: Points, limit_s: float, rows: BoolArray) -> float:
    """Most requests/s per GPU of some points within an FTL limit; 0 if none meets it."""
    usable = rows & (points.ftl_s <= limit_s)
    per_gpu = points.requests_per_s / points.gpus
    return float(np.max(per_gpu[usable], initial=0.0))


def wide_points(study: Study, case: Case = LONG) -> Points:
    """Prefill of every layout of exactly 64 GPUs."""

    def make() -> Points:
        at = study.layouts(case, "prefill")
        return study.prefill_points(case, at.take(np.flatnonzero(at.gpus == PIPELINE_GPUS)))

    return study.once(("wide points", case), make)


def budget_loss(study: Study, case: Case, gpus: int) -> FloatArray:
    """Share of the unbounded match that a fleet of `gpus` loses, at STEPS of the axis."""
    whole = study.split(case)
    user = STEPS * whole.axis_end
    return 1.0 - study.budget(case, gpus).at(user) / whole.at(user)


def matching_loss(study: Study, case: Case, gpus: int) -> FloatArray:
    """The part of `budget_loss` that is due to whole instances, not to instances that do not fit.

    The yardstick is perfect balance of the instances that fit side by side into the fleet.
    """
    pre, dec = study.prefill(case), study.decode(case)
    smallest = float(np.min(pre.gpus[pre.ftl_s <= case.ftl_s])), float(np.min(dec.gpus))
    fitting = pool.split_curve(
        pre.take(pre.gpus <= gpus - smallest[1]),
        dec.take(dec.gpus <= gpus - smallest[0]),
        case.osl,
        case.ftl_s,
    )
    user = STEPS * study.split(case).axis_end
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1.0 - study.budget(case, gpus).at(user) / fitting.at(user))


def domain_gain(study: Study, case: Case, wide: int, narrow: int) -> FloatArray:
    """A wide over a narrow NVLink domain, at STEPS of the axis both reach.

    The axis ends where the wide domain's batches reach single digits; beyond the narrow one's end the
    gain is infinite.
    """
    large = study.split(replace(case, domain=wide))
    small = study.split(replace(case, domain=narrow))
    user = STEPS * large.axis_end
    with np.errstate(divide="ignore"):
        return np.asarray(large.at(user) / small.at(user))


def flow(study: Study, case: Case) -> tuple[float, FloatArray, FloatArray]:
    """(egress, ingress, axis) of figure 12 at STEPS, bytes/s per GPU that holds distinct cache."""
    curve = study.split(case)
    out, into = study.kv_flow(case, curve)
    user = STEPS * curve.axis_end
    return out, curve.column(into, user), user


def decode_row(curve: Curve, user: float) -> int:
    """The curve's point at an interactivity."""
    return int(curve.rows(np.array([user]))[0])


def best_single_ratio(study: Study, case: Case = HEAVY) -> tuple[float, float]:
    """The one ratio that loses least over the axis, and its mean loss against matching."""
    curve = study.split(case)
    user = STEPS * curve.axis_end
    best = curve.at(user)
    candidates = np.geomspace(np.min(curve.ratio), np.max(curve.ratio), 61)
    losses = [float(np.mean(1.0 - fixed_curve(study, case, r, user) / best)) for r in candidates]
    at = int(np.argmin(losses))
    return float(candidates[at]), losses[at]
