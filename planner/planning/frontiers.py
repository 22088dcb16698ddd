"""The two curves: the best throughput per GPU at each TTL, split and co-located."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np

from planner.arrays import BoolArray, FloatArray, IndexArray, IntArray, most_of_each
from planner.match import counted, pareto, rate_match
from planner.match.counted import Counts
from planner.planning import options
from planner.planning.expected import Expected
from planner.planning.options import Options
from planner.planning.resolve import Question
from planner.planning.result import Frontier
from planner.planning.servings import SECONDS_PER_HOUR, tokens_per_request
from planner.planning.sweep import Sweep
from planner.simulate.points import Points
from planner.values import dataclass

CLOUD_COLUMNS, CLOUD_ROWS = 200, 100  # cells that the drawn cloud of points is thinned to
CLOUD_MOST = 4096  # points matched for the cloud: a picture needs no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Options that can be part of some best plan within the FTL limit, whatever the TTL."""

    prefill: Options
    decode: Options
    colocated: Options


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deployments:
    """The best deployment around each row of some decode or co-located points; arrays (n,)."""

    points: Points  # those rows' own
    row: IndexArray
    prefill_row: IndexArray  # of the prefill points; -1 for co-located and where nothing fits
    ftl_s: FloatArray
    gpus: IntArray  # in use, over all pools
    usd_per_hour: FloatArray  # of those
    ctx_gen_ratio: FloatArray
    tokens_per_s_per_gpu: FloatArray  # of the GPUs in use

    @property
    def ttl_s(self) -> FloatArray:
        """Token to token, seconds."""
        return self.points.ttl_s[self.row]


COLUMNS = tuple(f.name for f in fields(Deployments) if f.name != "points")


def candidates(
    question: Question,
    sweep: Sweep,
    prefill: Options | None = None,
    decode: Options | None = None,
    *,
    colocated_ttl_s: float = math.inf,
) -> Candidates:
    """Drop what fails the FTL limit and what another dominates; of a pool that is known, nothing more.

    Of what does both, what is slower than `colocated_ttl_s` too: of the rest it dominates nothing.
    """
    return Candidates(
        prefill=prefill_candidates(question, sweep) if prefill is None else prefill,
        decode=decode_candidates(question, sweep) if decode is None else decode,
        colocated=colocated_candidates(question, sweep, colocated_ttl_s),
    )


def prefill_candidates(question: Question, sweep: Sweep) -> Options:
    """Those of `candidates` that prefill: with the FTL limit met only size and rate matter."""
    rows = np.flatnonzero(sweep.split_ftl_s <= question.scenario.limits.ftl_s)
    if not question.counted_in("prefill"):  # else fewer of a row may be worth more
        rows = worth_matching(sweep.prefill, rows, np.zeros(len(rows)), question)
    prefill = prompts(question, sweep, rows)
    return options.worth_matching(prefill, np.zeros(len(prefill)))


def decode_candidates(question: Question, sweep: Sweep) -> Options:
    """Those of `candidates` that decode."""
    rows = worth_matching(sweep.decode, np.arange(len(sweep.decode)), sweep.decode.ttl_s, question)
    tokens = options.of(question, sweep.decode, rows)
    return options.worth_matching(tokens, sweep.decode.ttl_s[tokens.row])


def colocated_candidates(question: Question, sweep: Sweep, ttl_s: float = math.inf) -> Options:
    """Those of `candidates` that do both, no slower than a TTL."""
    points = sweep.colocated
    rows = np.flatnonzero((points.ftl_s <= question.scenario.limits.ftl_s) & (points.ttl_s <= ttl_s))
    if not question.counted_in("colocated"):
        rows = worth_matching(points, rows, points.ttl_s[rows], question)
    copies = colocations(question, sweep, options.unbeaten(question, points, rows, points.ttl_s[rows]))
    return options.worth_matching(copies, points.ttl_s[copies.row])


def worth_matching(
    points: Points, rows: IndexArray, latency_s: FloatArray, question: Question | None = None
) -> IndexArray:
    """Of some rows, those that matching under some limit on their latency and some budget could take."""
    if question is not None:
        kept = options.standing(question, points, rows)
        if not kept.all():
            rows, latency_s = rows[kept], latency_s[kept]
    packed = question is None or options.given(question, points.phase) is None
    return rows[pareto.prune(latency_s, points.gpus[rows], points.requests_per_s[rows], packed=packed)]


def prompts(question: Question, sweep: Sweep, rows: IndexArray, expected: Expected | None = None) -> Options:
    """The options of some prefill rows that meet the FTL limit."""
    points = sweep.prefill
    rows = options.usable(question, points, rows, sweep.split_ftl_s[rows], expected)
    return options.of(question, points, rows, sweep.split_ftl_s[rows], expected)


def colocations(
    question: Question, sweep: Sweep, rows: IndexArray, expected: Expected | None = None
) -> Options:
    """The options of some co-located rows that meet the FTL limit."""
    points = sweep.colocated
    rows = options.usable(question, points, rows, points.ftl_s[rows], expected)
    return options.of(question, points, rows, expected=expected)


def split(question: Question, sweep: Sweep, kept: Candidates, pictures: int = 1) -> Frontier:
    """The split's frontier: under a budget exactly, without one at the ideal ratio.

    `pictures` share one cloud of points.
    """
    if not len(kept.prefill) or not len(kept.decode):
        return empty()
    deployments = splits(question, sweep, kept.prefill, kept.decode)
    front = drawn(sweep, deployments, _staircase(question, deployments))
    most = -(-CLOUD_MOST // (options.DENSE if question.counted else 1) // pictures)
    some = np.arange(0, len(sweep.decode), -(-len(sweep.decode) // most))
    others = splits(question, sweep, kept.prefill, options.of(question, sweep.decode, some))
    return _cloud(question, others.ttl_s, others.gpus, others.tokens_per_s_per_gpu, front)


def colocated(question: Question, sweep: Sweep, kept: Candidates) -> Frontier:
    """The co-located frontier: as many copies of one instance as the budget holds."""
    if not len(kept.colocated):
        return empty()
    deployments = copied(question, kept.colocated)
    front = drawn(sweep, deployments, _staircase(question, deployments))
    points = sweep.colocated
    rows = np.flatnonzero(points.ftl_s <= question.scenario.limits.ftl_s)
    others = colocations(question, sweep, rows[:: -(-len(rows) // CLOUD_MOST) or 1])
    return _cloud(question, points.ttl_s[others.row], *_copies(question, others), front)


def best_of_each(points: Points, usable: BoolArray) -> IndexArray:
    """Of the usable rows, that with the highest rate in each layout."""
    rows = np.flatnonzero(usable)
    layout, rate = points.layout[rows], points.requests_per_s[rows]
    best = most_of_each(rate, layout, len(points.layouts))
    rows = rows[rate == best[layout]]
    return np.asarray(rows[np.unique(points.layout[rows], return_index=True)[1]])


def splits(question: Question, sweep: Sweep, prefill: Options, decode: Options) -> Deployments:
    """The deployment of each decode row with the prefill option that suits it best; neither may be empty."""
    scenario, dec = question.scenario, sweep.decode
    osl, budget, headroom = question.lengths.osl, question.most_gpus, scenario.headroom
    match: rate_match.Ratio | rate_match.Match
    counts = counts_of(question)
    if budget is None and not counts.given:
        # all candidates meet the FTL limit
        best = rate_match.most_per_size(prefill.gpus, prefill.requests_per_s)
        match = ideal = rate_match.match_unbounded(
            int(prefill.gpus[best]),
            float(prefill.requests_per_s[best]),
            decode.gpus,
            decode.requests_per_s,
            osl=osl,
            headroom=headroom,
        )
        per_gpu, ratio = ideal.tokens_per_s_per_gpu, ideal.ctx_gen_ratio
        prefill_row = np.full(len(decode), prefill.row[best])
    else:
        pools = prefill.gpus, prefill.requests_per_s, decode.gpus, decode.requests_per_s
        if counts.given or budget is None:
            budgeted = counted.match(*pools, counts, budget=budget, headroom=headroom)
        else:
            budgeted = rate_match.match_budget(*pools, budget=budget, headroom=headroom, room=question.room)
        match = budgeted
        at = budgeted.prefill
        with np.errstate(divide="ignore", invalid="ignore"):
            per_gpu = budgeted.requests_per_s * tokens_per_request(osl) / budgeted.gpus
            ratio = budgeted.n_prefill * prefill.gpus[at] / (budgeted.n_decode * decode.gpus)
        prefill_row = np.where(at >= 0, prefill.row[at], -1)
    prices = question.pools["prefill"].usd_per_gpu_hour, question.pools["decode"].usd_per_gpu_hour
    with_decode = match.n_decode * decode.gpus
    found = Deployments(
        points=dec,
        row=decode.row,
        prefill_row=prefill_row,
        ftl_s=sweep.split_ftl_s[prefill_row],
        gpus=match.gpus,
        usd_per_hour=(match.gpus - with_decode) * prices[0] + with_decode * prices[1],
        ctx_gen_ratio=ratio,
        tokens_per_s_per_gpu=per_gpu,
    )
    return _one_of_each(question, found)


def copied(question: Question, of: Options) -> Deployments:
    """As many copies of each co-located row as the budget holds; one where there is no budget."""
    points, rows = of.points, of.row
    fleet, per_gpu = _copies(question, of)
    found = Deployments(
        points=points,
        row=rows,
        prefill_row=np.full(len(rows), -1),
        ftl_s=points.ftl_s[rows],
        gpus=fleet,
        usd_per_hour=np.asarray(fleet * question.pools["colocated"].usd_per_gpu_hour),
        ctx_gen_ratio=np.full(len(rows), np.nan),
        tokens_per_s_per_gpu=per_gpu,
    )
    return _one_of_each(question, found)


def _one_of_each(question: Question, of: Deployments) -> Deployments:
    """The best of each row, where a row has several options."""
    if not question.counted:
        return of
    worth = worth_of(question, of.gpus, of.tokens_per_s_per_gpu)
    order = np.lexsort((of.gpus, -worth, of.row))
    return take(of, order[np.unique(of.row[order], return_index=True)[1]])


def _copies(question: Question, of: Options) -> tuple[IntArray, FloatArray]:
    """GPUs that copies of each option fill, and tokens/s of each of them."""
    scenario, budget = question.scenario, question.scenario.fleet.gpus
    tokens = tokens_per_request(question.lengths.osl) * (1.0 - scenario.headroom)
    gpus = of.gpus
    copies = options.given(question, "colocated")
    if copies is not None:
        fleet = gpus * np.where(gpus * copies <= (budget or np.inf), copies, 0)
    else:
        fleet = gpus if budget is None else gpus * (budget // gpus)
    return fleet, of.requests_per_s * tokens / gpus


def worth_of(question: Question, gpus: IntArray, per_gpu: FloatArray) -> FloatArray:
    """What deployments are ranked by: under a budget all of their tokens/s, which is what a fleet is for;
    else those per GPU. Nothing where nothing fits.
    """
    worth = per_gpu if question.scenario.fleet.gpus is None else per_gpu * gpus
    return np.where(np.isfinite(worth) & (gpus > 0), worth, 0.0)


def counts_of(question: Question) -> Counts:
    """The options of a split that are given, as many of each pool."""
    return Counts(prefill=options.given(question, "prefill"), decode=options.given(question, "decode"))


def _staircase(question: Question, of: Deployments) -> IndexArray:
    """The deployments that no other beats in TTL and worth, the slowest first."""
    worth = worth_of(question, of.gpus, of.tokens_per_s_per_gpu)
    useful = np.flatnonzero(worth > 0)
    return useful[pareto.pareto(-of.ttl_s[useful], worth[useful])]


def take(of: Deployments, rows: IndexArray) -> Deployments:
    """Some of the deployments."""
    columns: dict[str, Any] = {name: getattr(of, name)[rows] for name in COLUMNS}
    return replace(of, **columns)


def drawn(sweep: Sweep, of: Deployments, rows: IndexArray) -> Frontier:
    """Some rows of deployments around a sweep's points, without a cloud."""
    per_gpu, gpus, prefill_row = of.tokens_per_s_per_gpu[rows], of.gpus[rows], of.prefill_row[rows]
    with_prefill = of.points is sweep.decode
    return Frontier(
        ttl_s=of.ttl_s[rows],
        tokens_per_s_per_gpu=per_gpu,
        ctx_gen_ratio=of.ctx_gen_ratio[rows],
        gpus=gpus,
        prefill=sweep.prefill.take(prefill_row).labels() if with_prefill else ("",) * len(rows),
        decode=of.points.take(of.row[rows]).labels(),
        prefill_row=prefill_row,
        decode_row=of.row[rows],
        ftl_s=of.ftl_s[rows],
        usd_per_million_tokens=1e6 * of.usd_per_hour[rows] / SECONDS_PER_HOUR / (per_gpu * gpus),
    )


def _cloud(
    question: Question, ttl_s: FloatArray, gpus: IntArray, per_gpu: FloatArray, front: Frontier
) -> Frontier:
    """The frontier with other deployments as faint dots: tokens/s per GPU in use, as its own.

    None lies above it, in what it ranks by and as drawn. Without a budget one could, by up to
    `rate_match.TOLERANCE`: whole instances of a dominated point may balance by luck. The frontier's own
    have as good a match on more GPUs.
    """
    kept = _one_per_cell(ttl_s, np.where(gpus > 0, per_gpu, 0.0))
    ttl_s, per_gpu = ttl_s[kept], per_gpu[kept]
    worth = worth_of(question, gpus[kept], per_gpu)
    reached = worth_of(question, front.gpus, front.tokens_per_s_per_gpu)
    highest = np.maximum.accumulate(front.tokens_per_s_per_gpu[::-1])[::-1]  # of all that are as fast
    # the best of the frontier's points that are as fast: TTL descends along it, and so does what they reach
    at = np.searchsorted(-front.ttl_s, -ttl_s * (1 + 1e-9))
    below = worth <= np.append(reached, 0.0)[at] * (1 + 1e-9)
    below &= per_gpu <= np.append(highest, 0.0)[at] * (1 + 1e-9)
    return replace(front, cloud_ttl_s=ttl_s[below], cloud_tokens_per_s_per_gpu=per_gpu[below])


def thin(ttl_s: FloatArray, per_gpu: FloatArray) -> tuple[FloatArray, FloatArray]:
    """One point per cell of a grid that is logarithmic along the TTL: all that a plot can show.

    >>> len(thin(np.geomspace(0.01, 0.1, 10_000), np.ones(10_000))[0])
    200
    """
    kept = _one_per_cell(ttl_s, per_gpu)
    return ttl_s[kept], per_gpu[kept]


def _one_per_cell(ttl_s: FloatArray, per_gpu: FloatArray) -> IndexArray:
    """Rows of the points that `thin` keeps."""
    good = np.isfinite(ttl_s) & np.isfinite(per_gpu) & (ttl_s > 0) & (per_gpu > 0)
    rows = np.flatnonzero(good)
    if len(rows) < len(good):
        ttl_s, per_gpu = ttl_s[rows], per_gpu[rows]
    if not len(rows):
        return rows
    at = -np.log10(ttl_s)  # in place from here: fresh memory costs more than arithmetic
    lowest, highest = at.min(), at.max()
    at -= lowest
    at /= max(float(highest - lowest), 1e-9)
    at *= CLOUD_COLUMNS - 1
    where = at.astype(np.int32)
    where *= CLOUD_ROWS
    np.divide(per_gpu, per_gpu.max(), out=at)
    at *= CLOUD_ROWS - 1
    where += at.astype(np.int32)
    cell = np.full(CLOUD_COLUMNS * CLOUD_ROWS, -1, dtype=np.int64)
    cell[where] = np.arange(len(ttl_s))
    return rows[cell[cell >= 0]]


def empty() -> Frontier:
    """No deployment at all."""
    none = np.empty(0)
    return Frontier(
        ttl_s=none,
        tokens_per_s_per_gpu=none,
        ctx_gen_ratio=none,
        gpus=np.empty(0, dtype=np.int64),
        prefill=(),
        decode=(),
        ftl_s=none,
    )
