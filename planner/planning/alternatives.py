"""The layouts beside the chosen ones: the best deployment of each, and of those that nearly meet a limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from planner.arrays import FloatArray, IndexArray
from planner.match.rate_match import TIE
from planner.planning import frontiers, options
from planner.planning.frontiers import COLUMNS, Deployments, best_of_each, empty
from planner.planning.options import Options
from planner.planning.placed import Placed
from planner.planning.resolve import Question
from planner.planning.result import Frontier
from planner.planning.servings import tokens_per_request
from planner.planning.sweep import Sweep
from planner.simulate.points import Points

LISTED, MAY_MEET = 32, 4  # layouts kept of each kind, of those that miss a limit by less than the error


def both(split: Placed, colocated: Placed) -> tuple[tuple[Frontier, Frontier], tuple[Frontier, Frontier]]:
    """Alternatives at the asked limits, and what may meet them: of the split and of co-located serving.

    Alternatives are the best deployment of each layout, the best first. One point of a layout serves: that
    with the most requests/s of those that meet the TTL limit, since all its instances are of one size. A
    decode layout comes with the prefill pool that suits it best.

    What may meet the limits are layouts that miss one at every batch, but by less than the error: the low end
    of the error band, times the prediction, meets it. In a split one pool does so. Where a demand is given,
    they serve it in the budget: else that is what they miss.
    """
    prefill = split.prefill_kept
    return (
        (_splits(split, prefill), _copied(colocated.question, colocated.sweep)),
        (_nearly_splits(split, prefill), _nearly_copied(colocated.question, colocated.sweep)),
    )


def _splits(placed: Placed, prefill: Options) -> Frontier:
    question, sweep, points = placed.question, placed.sweep, placed.sweep.decode
    rows = best_of_each(points, points.ttl_s <= question.scenario.limits.ttl_s)
    rows = rows[options.standing(question, points, rows)]
    if not len(prefill) or not len(rows):
        return empty()
    return _ranked(
        question, sweep, frontiers.splits(question, sweep, prefill, options.of(question, points, rows))
    )


def _copied(question: Question, sweep: Sweep) -> Frontier:
    limits, points = question.scenario.limits, sweep.colocated
    rows = best_of_each(points, (points.ttl_s <= limits.ttl_s) & (points.ftl_s <= limits.ftl_s))
    rows = rows[options.standing(question, points, rows)]
    if not len(rows):
        return empty()
    return _ranked(question, sweep, frontiers.copied(question, options.of(question, points, rows)))


def _unasked(question: Question) -> bool:
    """Whether nothing is listed that may meet a limit: it is not what is left after a loss, or is fed."""
    return question.scenario.fleet.survive != "none" or question.encoder is not None


def _nearly_splits(placed: Placed, kept: Options) -> Frontier:
    question, sweep = placed.question, placed.sweep
    limits, band = question.scenario.limits, question.bands.get("disaggregated")
    if band is None or _unasked(question):
        return empty()
    of_ftl, of_ttl = sweep.split_ftl_s / limits.ftl_s, sweep.decode.ttl_s / limits.ttl_s
    prefill = _nearly(sweep.prefill, of_ftl, of_ftl * band.ftl[0])
    decode = _nearly(sweep.decode, of_ttl, of_ttl * band.ttl[0])
    late, slow = _late(sweep.prefill, prefill), options.of(question, sweep.decode, decode)
    # slow decode with the prefill that suits it best, late prefill with the decode that suits it best
    pairs = [(kept if len(kept) else late, slow)]
    if len(late):
        in_time = placed.decode_kept
        in_time = in_time.take(np.flatnonzero(of_ttl[in_time.row] <= 1))
        pairs += [(late.take(np.array([i])), in_time) for i in range(min(len(late), MAY_MEET))]
    found = [(frontiers.splits(question, sweep, *pair), pair[1]) for pair in pairs if all(map(len, pair))]
    if not found:
        return empty()
    best = [
        frontiers.take(of, _best(question, of, MAY_MEET if tried is slow else 1))
        for of, tried in ((_enough(question, of), tried) for of, tried in found)
    ]
    return _ranked(question, sweep, _joined(best), MAY_MEET)


def _nearly_copied(question: Question, sweep: Sweep) -> Frontier:
    limits, points = question.scenario.limits, sweep.colocated
    band = question.bands.get("colocated")
    if band is None or _unasked(question):
        return empty()
    of_ftl, of_ttl = points.ftl_s / limits.ftl_s, points.ttl_s / limits.ttl_s
    low = np.maximum(of_ftl * band.ftl[0], of_ttl * band.ttl[0])
    rows = _nearly(points, np.maximum(of_ftl, of_ttl), low)
    if not len(rows):
        return empty()
    return _ranked(
        question, sweep, _enough(question, frontiers.copied(question, _late(points, rows))), MAY_MEET
    )


def _enough(question: Question, of: Deployments) -> Deployments:
    """Those that serve the demand, if there is one: all of any number of GPUs."""
    demand = question.scenario.traffic.requests_per_s
    if demand is None or question.most_gpus is None:
        return of
    tokens_per_s = demand * tokens_per_request(question.lengths.osl)
    return frontiers.take(of, np.flatnonzero(of.tokens_per_s_per_gpu * of.gpus >= tokens_per_s * (1 - TIE)))


def _late(points: Points, rows: IndexArray) -> Options:
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


def _ranked(question: Question, sweep: Sweep, of: Deployments, most: int = LISTED) -> Frontier:
    """The deployments that are worth most, the best first."""
    return frontiers.drawn(sweep, of, _best(question, of, most))


def _best(question: Question, of: Deployments, most: int) -> IndexArray:
    """Which deployments are worth most, the best first."""
    worth = frontiers.worth_of(question, of.gpus, of.tokens_per_s_per_gpu)
    useful = np.flatnonzero(worth > 0)
    return useful[np.argsort(-worth[useful], kind="stable")][:most]


def _joined(parts: Sequence[Deployments]) -> Deployments:
    """Deployments around the same points, one after the other."""
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS
    }
    return replace(parts[0], **columns)
