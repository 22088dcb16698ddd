"""Prefill whose ranks go in lockstep over prompts that vary: the load that keeps the limit of first tokens.

`planner.simulate.gathered` has the passes; here they are made of the points of a sweep. The pass over one
prompt of each length is simulated, for how much faster than its tokens it grows is a matter of the layout.
"""

from __future__ import annotations

import numpy as np

from planner.arrays import BoolArray, FloatArray, IndexArray, IntArray
from planner.planning.resolve import Question
from planner.simulate import forward, gathered, lockstep, prefill
from planner.simulate.gathered import Prompts, Ranks
from planner.simulate.points import Points
from planner.simulate.space import EXCHANGES, Layouts

LOADS = np.array([0.02, 0.15, 0.3, 0.45, 0.6, 0.75, 0.87, 0.96])  # tried, of the full rate


def uneven(question: Question, points: Points, ranks: IntArray) -> BoolArray:
    """Which pools of so many ranks these passes are of: prefill of several, where prompts vary."""
    varied = points.phase == "prefill" and len(question.lengths.prompt) > 1
    return np.asarray((ranks > 1) & varied)


def prompts_of(question: Question) -> Prompts:
    """The question's prompts, with the longest of smaller shares."""
    work = question.lengths.work()
    return Prompts(tokens=work.tail, weight=work.weight)


def ranks_of(question: Question, points: Points, rows: IndexArray) -> Ranks | None:
    """The passes of some rows of a prefill sweep; None where a kernel of theirs was never measured.

    Times of full passes are the row's; those of one prompt for each rank are of the row of its layout that
    has no more, so that between the two they grow evenly.
    """
    layouts, engine = points.layouts.take(points.layout[rows]), question.pools["prefill"].setup.machine.engine
    ranks, new = layouts.attention_dp.astype(np.float64), float(question.lengths.new)
    batch, busy_s = points.batch[rows], points.batch[rows] / points.requests_per_s[rows]
    cap = batch / ranks * np.minimum(points.chunk_tokens[rows] / new, 1.0)
    most = cap * ranks
    full_s = busy_s * most / batch
    few, few_s = most, full_s
    least = _one_each(points)
    at = np.minimum(np.searchsorted(points.layout[least], points.layout[rows]), max(len(least) - 1, 0))
    if len(least):
        there = (points.layout[least[at]] == points.layout[rows]) & (most > 1.01 * ranks)
        few = np.where(there, ranks, most)
        few_s = np.where(there, ranks / points.requests_per_s[least[at]], full_s)
    slope = np.where(most > few, (full_s - few_s) / np.maximum(most - few, 1e-12), full_s / most)
    base = np.maximum(few_s - slope * few, 0.0)
    host = lockstep.serial_s(ranks, engine.arrival_s, engine.serial_share) / ranks
    host = np.minimum(host, slope)
    try:
        alone = _alone_s(question, layouts)
    except LookupError:
        return None
    return Ranks(
        base_s=base,
        each_s=slope - host,
        alone_s=alone,
        host_s=host,
        cap=cap,
        ranks=ranks,
        stages=layouts.pp.astype(np.float64),
    )


def _one_each(points: Points) -> IndexArray:
    """The first row of each layout that has one whole prompt for each rank in a pass, by layout."""
    ranks = points.layouts.attention_dp[points.layout]
    rows = np.flatnonzero(np.abs(points.batch / ranks - 1.0) < 1e-9)
    order = rows[np.lexsort((points.ftl_s[rows], -points.chunk_tokens[rows], points.layout[rows]))]
    return np.asarray(order[np.unique(points.layout[order], return_index=True)[1]])


def _alone_s(question: Question, layouts: Layouts) -> FloatArray:
    """A pass over one prompt of a rank, by its kind, shape ``(layouts, kinds)``."""
    lengths, setup = question.lengths, question.pools["prefill"].setup
    kinds = prompts_of(question).tokens.reshape(1, 1, -1)
    found = np.empty((len(layouts), kinds.size))
    which = layouts.exchange()
    one, new = np.ones((1, 1, 1)), lengths.new * kinds
    for exchange in np.unique(which):
        some = np.flatnonzero(which == exchange)
        at = layouts.take(some).spread(2)
        name = EXCHANGES[int(exchange)]
        work = prefill.pass_over(setup, at, name, one, new, (lengths.isl - lengths.new) * kinds)
        stretch = setup.machine.engine.prefill_stretch
        pace = forward.pace(setup, at, work.layers(), work.head, new, one, stretch)
        found[some] = np.broadcast_to(pace.seconds, (len(some), 1, kinds.size))[:, 0]
    return found


def most_in_time(
    question: Question,
    points: Points,
    rows: IndexArray,
    servers: IntArray,
    before_s: FloatArray,
    share: float | None,
    most: FloatArray,
) -> FloatArray:
    """The highest load at which first tokens keep their limit, of uneven passes; `most` of all other rows.

    Of a load that changes over time no more than `most` of any. Parameters as of `loads_in_time`.
    """
    some = uneven(question, points, points.layouts.attention_dp[points.layout[rows]])
    if not some.any():
        return most
    found = loads_in_time(question, points, rows[some], servers[some].astype(float), before_s[some], share)
    if found is None:
        return most
    told = np.array(most)
    told[some] = found if question.prompt_windows is None else np.minimum(found, most[some])
    return told


def loads_in_time(
    question: Question,
    points: Points,
    rows: IndexArray,
    servers: FloatArray,
    before_s: FloatArray,
    share: float | None,
) -> FloatArray | None:
    """The highest load, of their full rate, at which first tokens of some rows keep the limit; 0 where none.

    Parameters
    ----------
    servers
        Instances, shape ``(rows,)``.
    before_s
        What a first token takes beside its passes, shape ``(rows,)``, seconds.
    share
        Of the requests that may be late; None where the mean has to keep the limit.

    Returns None where a kernel of theirs was never measured.
    """
    used, again = np.unique(np.stack([rows, before_s]), axis=1, return_inverse=True)
    distinct, again = used[0].astype(np.int64), again.ravel()
    of = ranks_of(question, points, np.repeat(distinct, len(LOADS)))
    if of is None:
        return None
    prompts = prompts_of(question)
    rate = np.outer(points.requests_per_s[distinct], LOADS).ravel()
    seen = gathered.first_tokens(of, rate, prompts)
    limit = np.repeat(question.scenario.limits.ftl_s - used[1], len(LOADS))[:, None]
    if share is None:
        met, fresh = seen.met_s.mean(axis=1), seen.fresh_s @ prompts.weight
        share_of, most = limit[:, 0], 1.0
    else:
        met, fresh = (seen.met_s > limit).mean(axis=1), (seen.fresh_s > limit) @ prompts.weight
        share_of, most = np.ones(len(met)), share
    cases = again[:, None] * len(LOADS) + np.arange(len(LOADS))
    meets = seen.meets(servers[:, None], question.scenario.traffic.routing, cases)
    over = (meets * met[cases] + (1.0 - meets) * fresh[cases]) / np.maximum(share_of[cases], 1e-12) - most
    over = np.where(limit[cases, 0] > 0, np.maximum.accumulate(over, axis=1), 1.0)
    kept = np.count_nonzero(over <= 0.0, axis=1)
    low, high = np.maximum(kept - 1, 0), np.minimum(kept, len(LOADS) - 1)
    each = np.arange(len(rows))
    below, above = over[each, low], over[each, high]
    part = np.clip(-below / np.maximum(above - below, 1e-12), 0.0, 1.0)
    return np.asarray(np.where(kept > 0, LOADS[low] + part * (LOADS[high] - LOADS[low]), 0.0))
