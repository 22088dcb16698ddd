"""The two curves: the best throughput per GPU at each TTL, split and co-located."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from planner.arrays import BoolArray, FloatArray, IndexArray, IntArray
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

CLOUD_COLUMNS, CLOUD_ROWS = 200, 100  # cells that the drawn cloud of points is thinned to
ALTERNATIVES, MAY_MEET = 32, 4  # layouts kept of each kind, of those that miss a limit by less than the error
CLOUD_MOST = 4096  # decode points matched for the cloud: a picture needs no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Options that can be part of some best plan within the FTL limit, whatever the TTL."""

    prefill: Options
    decode: Options
    colocated: Options


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Deployments:
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


_COLUMNS = tuple(f.name for f in fields(_Deployments) if f.name != "points")


def candidates(question: Question, sweep: Sweep, decode: Options | None = None) -> Candidates:
    """Drop what fails the FTL limit and what another dominates; `decode` is of its pool, if it is known."""
    limit = question.scenario.limits.ftl_s
    prefill = prompts(question, sweep, np.flatnonzero(sweep.split_ftl_s <= limit))
    if decode is None:
        rows = worth_matching(sweep.decode, np.arange(len(sweep.decode)), sweep.decode.ttl_s, question)
        tokens = options.of(question, sweep.decode, rows)
        decode = options.worth_matching(tokens, sweep.decode.ttl_s[tokens.row])
    copies = colocations(question, sweep, np.flatnonzero(sweep.colocated.ftl_s <= limit))
    return Candidates(
        # with the FTL limit met only size and rate matter: one latency for all
        prefill=options.worth_matching(prefill, np.zeros(len(prefill))),
        decode=decode,
        colocated=options.worth_matching(copies, sweep.colocated.ttl_s[copies.row]),
    )


def worth_matching(
    points: Points, rows: IndexArray, latency_s: FloatArray, question: Question | None = None
) -> IndexArray:
    """Of some rows, those that matching under some limit on their latency and some budget could take."""
    if question is not None:
        kept = options.standing(question, points, rows)
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


def split(question: Question, sweep: Sweep, kept: Candidates) -> Frontier:
    """The split's frontier: under a budget exactly, without one at the ideal ratio."""
    if not len(kept.prefill) or not len(kept.decode):
        return _empty()
    deployments = _split(question, sweep, kept.prefill, kept.decode)
    front = _frontier(sweep, deployments, _staircase(question, deployments))
    most = CLOUD_MOST // options.DENSE if question.counted else CLOUD_MOST
    some = np.arange(0, len(sweep.decode), -(-len(sweep.decode) // most))
    others = _split(question, sweep, kept.prefill, options.of(question, sweep.decode, some))
    return _cloud(question, others.ttl_s, others.gpus, others.tokens_per_s_per_gpu, front)


def colocated(question: Question, sweep: Sweep, kept: Candidates) -> Frontier:
    """The co-located frontier: as many copies of one instance as the budget holds."""
    if not len(kept.colocated):
        return _empty()
    deployments = _colocated(question, kept.colocated)
    front = _frontier(sweep, deployments, _staircase(question, deployments))
    points = sweep.colocated
    others = colocations(question, sweep, np.flatnonzero(points.ftl_s <= question.scenario.limits.ftl_s))
    return _cloud(question, points.ttl_s[others.row], *_copies(question, others), front)


def alternatives(question: Question, sweep: Sweep, kept: Candidates) -> tuple[Frontier, Frontier]:
    """The best deployment of each layout at the asked limits, split and co-located, the best first.

    One point of a layout serves: that with the most requests/s of those that meet the TTL limit, since
    all its instances are of one size. A decode layout comes with the prefill pool that suits it best.
    """
    limits, points = question.scenario.limits, sweep.colocated
    decode = best_of_each(sweep.decode, sweep.decode.ttl_s <= limits.ttl_s)
    colocated = best_of_each(points, (points.ttl_s <= limits.ttl_s) & (points.ftl_s <= limits.ftl_s))
    decode, colocated = (
        rows[options.standing(question, of, rows)]
        for of, rows in ((sweep.decode, decode), (points, colocated))
    )
    return (
        _ranked(
            question, sweep, _split(question, sweep, kept.prefill, options.of(question, sweep.decode, decode))
        )
        if len(kept.prefill) and len(decode)
        else _empty(),
        _ranked(question, sweep, _colocated(question, options.of(question, points, colocated)))
        if len(colocated)
        else _empty(),
    )


def may_meet(question: Question, sweep: Sweep, kept: Candidates) -> tuple[Frontier, Frontier]:
    """As `alternatives`, of layouts that miss a limit at every batch, but by less than the error.

    The low end of the error band, times the prediction, meets the limit. In a split one pool does so.
    """
    limits, points = question.scenario.limits, sweep.colocated
    split = together = _empty()
    if question.scenario.fleet.survive != "none" or question.encoder is not None:
        return split, together  # what may miss a limit is not what is left after a loss, or is fed
    band = question.bands.get("disaggregated")
    if band is not None:
        of_ftl, of_ttl = sweep.split_ftl_s / limits.ftl_s, sweep.decode.ttl_s / limits.ttl_s
        prefill = _nearly(sweep.prefill, of_ftl, of_ftl * band.ftl[0])
        decode = _nearly(sweep.decode, of_ttl, of_ttl * band.ttl[0])
        in_time = kept.decode.take(np.flatnonzero(of_ttl[kept.decode.row] <= 1))
        late, slow = _late(question, sweep.prefill, prefill), options.of(question, sweep.decode, decode)
        # slow decode with the prefill that suits it best, late prefill with the decode that suits it best
        pairs = [(kept.prefill if len(kept.prefill) else late, slow)]
        pairs += [(late.take(np.array([i])), in_time) for i in range(min(len(late), MAY_MEET))]
        found = [(_split(question, sweep, *pair), pair[1]) for pair in pairs if all(map(len, pair))]
        if found:
            best = [_take(of, _best(question, of, MAY_MEET if tried is slow else 1)) for of, tried in found]
            split = _ranked(question, sweep, _joined(best), MAY_MEET)
    band = question.bands.get("colocated")
    if band is not None:
        of_ftl, of_ttl = points.ftl_s / limits.ftl_s, points.ttl_s / limits.ttl_s
        low = np.maximum(of_ftl * band.ftl[0], of_ttl * band.ttl[0])
        rows = _nearly(points, np.maximum(of_ftl, of_ttl), low)
        if len(rows):
            copied = _late(question, points, rows)
            together = _ranked(question, sweep, _colocated(question, copied), MAY_MEET)
    return split, together


def _late(question: Question, points: Points, rows: IndexArray) -> Options:
    """Single instances at their full rate: of rows that may miss a limit, which no queue is to make worse."""
    return Options(
        points=points,
        row=rows,
        instances=np.ones(len(rows), dtype=np.int64),
        requests_per_s=points.requests_per_s[rows],
    )


def _nearly(points: Points, used: FloatArray, least: FloatArray) -> IndexArray:
    """The best row of each layout that misses a limit at every row, but at some by less than its error.

    `used` is the share of the limit that each row uses, `least` the same at the low end of its band; the
    rows with the highest rate per GPU come first.
    """
    meets = np.zeros(len(points.layouts), dtype=np.bool_)
    meets[points.layout[used <= 1]] = True
    rows = best_of_each(points, (least <= 1) & ~meets[points.layout])
    return rows[np.argsort(-points.requests_per_s[rows] / points.gpus[rows], kind="stable")]


def best_of_each(points: Points, usable: BoolArray) -> IndexArray:
    """Of the usable rows, that with the highest rate in each layout."""
    rows = np.flatnonzero(usable)
    layout, rate = points.layout[rows], points.requests_per_s[rows]
    best = np.zeros(int(points.layout.max(initial=0)) + 1)
    np.maximum.at(best, layout, rate)
    rows = rows[rate == best[layout]]
    return np.asarray(rows[np.unique(points.layout[rows], return_index=True)[1]])


def _split(question: Question, sweep: Sweep, prefill: Options, decode: Options) -> _Deployments:
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
    found = _Deployments(
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


def _colocated(question: Question, of: Options) -> _Deployments:
    """As many copies of each co-located row as the budget holds; one where there is no budget."""
    points, rows = of.points, of.row
    fleet, per_gpu = _copies(question, of)
    found = _Deployments(
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


def _one_of_each(question: Question, of: _Deployments) -> _Deployments:
    """The best of each row, where a row has several options."""
    if not question.counted:
        return of
    worth = _worth(question, of.gpus, of.tokens_per_s_per_gpu)
    order = np.lexsort((of.gpus, -worth, of.row))
    return _take(of, order[np.unique(of.row[order], return_index=True)[1]])


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


def _worth(question: Question, gpus: IntArray, per_gpu: FloatArray) -> FloatArray:
    """What deployments are ranked by: under a budget all of their tokens/s, which is what a fleet is for;
    else those per GPU. Nothing where nothing fits.
    """
    worth = per_gpu if question.scenario.fleet.gpus is None else per_gpu * gpus
    return np.where(np.isfinite(worth) & (gpus > 0), worth, 0.0)


def counts_of(question: Question) -> Counts:
    """The options of a split that are given, as many of each pool."""
    return Counts(prefill=options.given(question, "prefill"), decode=options.given(question, "decode"))


def _staircase(question: Question, of: _Deployments) -> IndexArray:
    """The deployments that no other beats in TTL and worth, the slowest first."""
    worth = _worth(question, of.gpus, of.tokens_per_s_per_gpu)
    useful = np.flatnonzero(worth > 0)
    return useful[pareto.pareto(-of.ttl_s[useful], worth[useful])]


def _ranked(question: Question, sweep: Sweep, of: _Deployments, most: int = ALTERNATIVES) -> Frontier:
    """The deployments that are worth most, the best first."""
    return _frontier(sweep, of, _best(question, of, most))


def _best(question: Question, of: _Deployments, most: int) -> IndexArray:
    """Which deployments are worth most, the best first."""
    worth = _worth(question, of.gpus, of.tokens_per_s_per_gpu)
    useful = np.flatnonzero(worth > 0)
    return useful[np.argsort(-worth[useful], kind="stable")][:most]


def _take(of: _Deployments, rows: IndexArray) -> _Deployments:
    """Some of the deployments."""
    columns: dict[str, Any] = {name: getattr(of, name)[rows] for name in _COLUMNS}
    return replace(of, **columns)


def _joined(parts: Sequence[_Deployments]) -> _Deployments:
    """Deployments around the same points, one after the other."""
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS
    }
    return replace(parts[0], **columns)


def _frontier(sweep: Sweep, of: _Deployments, rows: IndexArray) -> Frontier:
    """Some rows of deployments, without a cloud."""
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
    worth = _worth(question, gpus[kept], per_gpu)
    reached = _worth(question, front.gpus, front.tokens_per_s_per_gpu)
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


def _empty() -> Frontier:
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
