"""The two curves: best throughput per GPU at each interactivity, split and co-located."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.arrays import BoolArray, FloatArray, IndexArray
from planner.match import pareto, rate_match
from planner.planning.resolve import Question
from planner.planning.result import Frontier
from planner.planning.servings import SECONDS_PER_HOUR, tokens_per_request
from planner.planning.sweep import Sweep
from planner.simulate.points import Points

CLOUD_COLUMNS, CLOUD_ROWS = 200, 100  # cells that the drawn cloud of points is thinned to
ALTERNATIVES = 32  # layouts of each kind that are kept beside the frontiers
CLOUD_MOST = 4096  # decode points matched for the cloud under a budget: a picture needs no more
_NO_CLOUD = (np.empty(0), np.empty(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Rows of points that can be part of some best plan within the FTL limit, whatever the TTL."""

    prefill: IndexArray
    decode: IndexArray
    colocated: IndexArray


def candidates(question: Question, sweep: Sweep) -> Candidates:
    """Drop what fails the FTL limit and what another point dominates in latency, size and rate."""
    limit = question.scenario.limits.ftl_s
    first = np.flatnonzero(sweep.split_ftl_s <= limit)
    points = sweep.prefill
    # with the FTL limit met only size and rate matter: one latency for all
    same = np.zeros(len(first))
    kept = pareto.prune(same, points.gpus[first], points.requests_per_s[first])
    together = np.flatnonzero(sweep.colocated.ftl_s <= limit)
    return Candidates(
        prefill=first[kept],
        decode=_prune_ttl(sweep.decode, np.arange(len(sweep.decode))),
        colocated=together[_prune_ttl(sweep.colocated, together)],
    )


def _prune_ttl(points: Points, rows: IndexArray) -> IndexArray:
    return np.asarray(pareto.prune(points.ttl_s[rows], points.gpus[rows], points.requests_per_s[rows]))


def split(question: Question, sweep: Sweep, found: Candidates, *, ranked: bool = False) -> Frontier:
    """The disaggregated frontier: under a budget exactly, without one at the ideal ratio.

    With `ranked`, not the frontier but every candidate's deployment, the best first, and no cloud.
    """
    scenario, pre, dec = question.scenario, sweep.prefill, sweep.decode
    osl, rows = scenario.traffic.osl, found.decode
    if not len(found.prefill) or not len(rows):
        return _empty()
    prefill_gpus, prefill_rate = pre.gpus[found.prefill], pre.requests_per_s[found.prefill]
    decode_gpus, decode_rate = dec.gpus[rows], dec.requests_per_s[rows]
    user = 1.0 / dec.ttl_s[rows]
    if scenario.fleet.gpus is None:
        best = rate_match.best_prefill(np.zeros(len(prefill_gpus)), prefill_gpus, prefill_rate, 1.0)
        matched = rate_match.match_unbounded(
            int(prefill_gpus[best]),
            float(prefill_rate[best]),
            decode_gpus,
            decode_rate,
            osl=osl,
            headroom=scenario.headroom,
        )
        per_gpu = matched.tokens_per_s_per_gpu
        gpus, ratio = matched.gpus, matched.ctx_gen_ratio
        chosen_prefill = np.full(len(rows), best)
    else:
        budgeted = rate_match.match_budget(
            prefill_gpus,
            prefill_rate,
            decode_gpus,
            decode_rate,
            budget=scenario.fleet.gpus,
            headroom=scenario.headroom,
        )
        gpus, chosen_prefill = budgeted.gpus, budgeted.prefill
        with np.errstate(divide="ignore", invalid="ignore"):
            per_gpu = budgeted.requests_per_s * tokens_per_request(osl) / gpus
            ratio = budgeted.n_prefill * prefill_gpus[chosen_prefill] / (budgeted.n_decode * decode_gpus)
    useful = np.flatnonzero(np.isfinite(per_gpu) & (per_gpu > 0))
    top = _top(question, useful, user, per_gpu, gpus, ranked)
    cloud = _NO_CLOUD if ranked else _split_cloud(question, dec, prefill_gpus, prefill_rate)
    return Frontier(
        tokens_per_s_per_user=user[top],
        tokens_per_s_per_gpu=per_gpu[top],
        ctx_gen_ratio=np.asarray(ratio[top], dtype=float),
        gpus=np.asarray(gpus[top], dtype=float),
        prefill=_labels(pre, found.prefill[chosen_prefill[top]], True),
        decode=_labels(dec, rows[top], False),
        cloud_x=cloud[0],
        cloud_y=cloud[1],
        ftl_s=sweep.split_ftl_s[found.prefill[chosen_prefill[top]]],
        usd_per_million_tokens=_usd(question, per_gpu[top]),
    )


def _split_cloud(
    question: Question, dec: Points, prefill_gpus: FloatArray, prefill_rate: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The faint dots: decode points with the best prefill for them, within the budget if there is one."""
    scenario, tokens = question.scenario, tokens_per_request(question.scenario.traffic.osl)
    budget = scenario.fleet.gpus
    if budget is None:
        best_rate = float(np.max(prefill_rate / prefill_gpus))
        own = dec.requests_per_s / dec.gpus
        return _thin(1.0 / dec.ttl_s, tokens / (1.0 / own + 1.0 / best_rate))
    some = np.arange(0, len(dec), -(-len(dec) // CLOUD_MOST))
    matched = rate_match.match_budget(
        prefill_gpus,
        prefill_rate,
        dec.gpus[some],
        dec.requests_per_s[some],
        budget=budget,
        headroom=scenario.headroom,
    )
    return _thin(1.0 / dec.ttl_s[some], matched.requests_per_s * tokens / budget)


def _usd(question: Question, per_gpu: FloatArray) -> FloatArray:
    """Dollars per million output tokens at tokens/s per GPU in use."""
    return np.asarray(1e6 * question.usd_per_gpu_hour / SECONDS_PER_HOUR / per_gpu)


def together(question: Question, sweep: Sweep, found: Candidates, *, ranked: bool = False) -> Frontier:
    """The co-located frontier: as many copies of one instance as the budget holds; `ranked` as in `split`."""
    scenario, points, rows = question.scenario, sweep.colocated, found.colocated
    if not len(rows):
        return _empty()
    tokens = tokens_per_request(scenario.traffic.osl) * (1.0 - scenario.headroom)
    gpus = points.gpus[rows]
    per_gpu = points.requests_per_s[rows] * tokens / gpus
    fleet = gpus if scenario.fleet.gpus is None else gpus * np.floor(scenario.fleet.gpus / gpus)
    user = 1.0 / points.ttl_s[rows]
    useful = np.flatnonzero(fleet > 0)
    top = _top(question, useful, user, per_gpu, fleet, ranked)
    cloud = _NO_CLOUD if ranked else _together_cloud(question, points, tokens)
    return Frontier(
        tokens_per_s_per_user=user[top],
        tokens_per_s_per_gpu=per_gpu[top],
        ctx_gen_ratio=np.full(len(top), np.nan),
        gpus=fleet[top],
        prefill=("",) * len(top),
        decode=_labels(points, rows[top], False),
        cloud_x=cloud[0],
        cloud_y=cloud[1],
        ftl_s=points.ftl_s[rows[top]],
        usd_per_million_tokens=_usd(question, per_gpu[top]),
    )


def _together_cloud(question: Question, points: Points, tokens: float) -> tuple[FloatArray, FloatArray]:
    """The faint dots of co-located points within the FTL limit."""
    scenario = question.scenario
    within = points.ftl_s <= scenario.limits.ftl_s
    faint = points.requests_per_s[within] * tokens / points.gpus[within]
    if (budget := scenario.fleet.gpus) is not None:
        faint *= points.gpus[within] * np.floor(budget / points.gpus[within]) / budget
    return _thin(1.0 / points.ttl_s[within], faint)


def alternatives(question: Question, sweep: Sweep, found: Candidates) -> tuple[Frontier, Frontier]:
    """The best deployment of each layout at the asked limits, split and co-located, the best first.

    One point of a layout serves: that with the most requests/s of those that meet the TTL limit, since
    all its instances are of one size. A decode layout comes with the prefill pool that suits it best.
    """
    ttl_s, ftl_s = question.scenario.limits.ttl_s, question.scenario.limits.ftl_s
    both = sweep.colocated
    each = Candidates(
        prefill=found.prefill,
        decode=_best_of_each(sweep.decode, sweep.decode.ttl_s <= ttl_s),
        colocated=_best_of_each(both, (both.ttl_s <= ttl_s) & (both.ftl_s <= ftl_s)),
    )
    return split(question, sweep, each, ranked=True), together(question, sweep, each, ranked=True)


def _best_of_each(points: Points, usable: BoolArray) -> IndexArray:
    """Of the usable rows, that with the highest rate in each layout."""
    rows = np.flatnonzero(usable)
    layout, rate = points.layout[rows], points.requests_per_s[rows]
    best = np.zeros(int(points.layout.max(initial=0)) + 1)
    np.maximum.at(best, layout, rate)
    rows = rows[rate == best[layout]]
    return np.asarray(rows[np.unique(points.layout[rows], return_index=True)[1]])


def _top(
    question: Question,
    useful: IndexArray,
    user: FloatArray,
    per_gpu: FloatArray,
    gpus: npt.NDArray[Any],
    ranked: bool,
) -> IndexArray:
    """The staircase: under a budget by total throughput, which is what a fleet is for; else per GPU."""
    worth = per_gpu if question.scenario.fleet.gpus is None else per_gpu * gpus
    if ranked:
        return useful[np.argsort(-worth[useful], kind="stable")][:ALTERNATIVES]
    return useful[pareto.pareto(user[useful], worth[useful])]


def _labels(points: Points, rows: IndexArray, chunked: bool) -> tuple[str, ...]:
    at = points.layouts.take(points.layout[rows])
    return tuple(at.choice(row, chunked).label for row in range(len(at)))


def _thin(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """One point per cell of a grid that is logarithmic along x."""
    good = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    x, y = x[good], y[good]
    if not len(x):
        return x, y
    logs = np.log10(x)
    span = max(float(logs.max() - logs.min()), 1e-9)
    column = ((logs - logs.min()) / span * (CLOUD_COLUMNS - 1)).astype(np.int64)
    row = (y / y.max() * (CLOUD_ROWS - 1)).astype(np.int64)
    cell = np.full(CLOUD_COLUMNS * CLOUD_ROWS, -1, dtype=np.int64)
    cell[column * CLOUD_ROWS + row] = np.arange(len(x))
    kept = cell[cell >= 0]
    return x[kept], y[kept]


def _empty() -> Frontier:
    none = np.empty(0)
    return Frontier(
        tokens_per_s_per_user=none,
        tokens_per_s_per_gpu=none,
        ctx_gen_ratio=none,
        gpus=none,
        prefill=(),
        decode=(),
        cloud_x=none,
        cloud_y=none,
        ftl_s=none,
        usd_per_million_tokens=none,
    )
