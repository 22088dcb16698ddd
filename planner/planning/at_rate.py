"""Passes and token intervals of an instance with what comes to it, not with all that it could take."""

from __future__ import annotations

import numpy as np

from planner.arrays import FloatArray, IndexArray
from planner.planning import first_token, uneven_passes
from planner.planning.resolve import Question
from planner.planning.result import PoolPlan
from planner.simulate import erlang, gathered, lockstep
from planner.simulate.points import Points
from planner.values import dataclass

ROUNDS = 30  # of a fixed point; it contracts, since more at a time are slower
EVENLY = (np.arange(200) + 0.5) / 200  # shares of equally likely values that stand for a Poisson law


def prompt_share(points: Points, pool: PoolPlan) -> float:
    """Share of its time that the pool's own point is busy with prompts."""
    rows = points.rows_of(pool.layout, pool.mode)
    each = pool.requests_per_s / pool.instances
    off = np.abs(points.requests_per_s[rows] / each - 1.0) + np.abs(points.ttl_s[rows] / pool.ttl_s - 1.0)
    nearest = np.argmin(off)
    return float(points.prompt_share[rows[nearest]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """Passes of a prefill instance with the prompts that have come, not with as many as it could take."""

    saved_s: float  # that their first token is earlier than that of a full pass, or later below 0
    stretch: float  # their time for a prompt over that of a full one
    waited_s: float = 0.0  # for the pass that other ranks run, mean: it is uniform from 0 on
    # where prompts vary: with all waits, ascending, and the share of the requests that have each
    first_s: FloatArray | None = None
    weight: FloatArray | None = None


def passes(question: Question, points: Points, pool: PoolPlan, requests_per_s: float) -> Passes:
    """The passes of an instance at a rate.

    A pass takes all that came during the one before: m prompts where ``m = rate t(m)``, and at least one. It
    is waited for by those who come while it runs, on average for half of it where it is more than their own,
    or other ranks'.
    """
    if points.phase != "prefill":
        return Passes(saved_s=0.0, stretch=1.0)
    # of one stage, passes cut a prompt where they are full, not where it comes alone
    shorter = points.chunk_tokens < pool.chunk_tokens - 1.0
    other = shorter if pool.layout.pp == 1 else shorter | (points.chunk_tokens > pool.chunk_tokens + 1.0)
    rows = _up_to_its_batch(points, pool, points.ftl_s, other.astype(np.float64))
    batch, ftl_s = points.batch[rows], points.ftl_s[rows]
    busy_s = batch / points.requests_per_s[rows]
    if pool.layout.attention_dp > 1:
        if uneven_passes.uneven(question, points, np.array(pool.layout.attention_dp)):
            found = _uneven(question, points, pool, requests_per_s)
            if found is not None:
                return found
        return _lockstep(pool, requests_per_s, batch, busy_s, ftl_s)
    prompts = float(batch[0])
    for _ in range(ROUNDS):
        prompts = max(requests_per_s * float(np.interp(prompts, batch, busy_s)), float(batch[0]))
    prompts = min(prompts, float(pool.batch))
    pass_s = float(np.interp(prompts, batch, busy_s))
    beyond = 0.5 * (1.0 - float(batch[0]) / prompts) * pass_s
    each_s = pool.instances / pool.requests_per_s
    return Passes(
        saved_s=max(pool.ftl_s - float(np.interp(prompts, batch, ftl_s)) - beyond, 0.0),
        stretch=max(pass_s / prompts / each_s, 1.0),
    )


def _lockstep(
    pool: PoolPlan, requests_per_s: float, batch: FloatArray, busy_s: FloatArray, ftl_s: FloatArray
) -> Passes:
    """The same of ranks in lockstep, whose passes are as long for one prompt as for one of each rank.

    As many as a Poisson law has come during a pass. Who comes waits for the rest of one,
    ``E[t^2] / (2 E[t])`` as often as there is one, and then for a pass with those others.
    """
    mean_s = float(busy_s[0])
    for _ in range(ROUNDS):
        came = erlang.poisson(EVENLY, requests_per_s * mean_s)
        pass_s = np.interp(came, batch, busy_s)
        mean_s = float(np.mean(pass_s))
    running = float(lockstep.in_passes(requests_per_s * mean_s))
    waited = running * float(np.mean(pass_s**2)) / (2.0 * mean_s)
    own_s = float(ftl_s[0] - busy_s[0] + np.mean(np.interp(came + 1.0, batch, busy_s)))
    each_s = pool.instances / pool.requests_per_s
    return Passes(
        saved_s=pool.ftl_s - own_s,
        stretch=max(mean_s / max(float(np.mean(came)), float(batch[0])) / each_s, 1.0),
        waited_s=waited,
    )


def _uneven(question: Question, points: Points, pool: PoolPlan, requests_per_s: float) -> Passes | None:
    """The same of prompts that vary, whose passes are as long as their longest; None where none is known."""
    rows = points.rows_of(pool.layout, pool.mode)
    each = pool.requests_per_s / pool.instances
    off = np.abs(points.batch[rows] / pool.batch - 1.0) + np.abs(
        points.chunk_tokens[rows] / pool.chunk_tokens - 1.0
    )
    row = rows[np.lexsort((np.abs(points.requests_per_s[rows] / each - 1.0), off))[:1]]
    of = uneven_passes.ranks_of(question, points, row)
    if of is None:
        return None
    prompts = uneven_passes.prompts_of(question)
    seen = gathered.first_tokens(of, np.array([requests_per_s]), prompts)
    routing, servers = question.scenario.traffic.routing, np.array([float(pool.instances)])
    meets = float(seen.meets(servers, routing, np.zeros(1, dtype=np.int64))[0])
    met_s, fresh_s = seen.met_s[0], seen.fresh_s[0]
    first_s = np.concatenate([fresh_s, met_s])
    weight = np.concatenate([(1.0 - meets) * prompts.weight, np.full(len(met_s), meets / len(met_s))])
    order = np.argsort(first_s, kind="stable")
    return Passes(
        saved_s=pool.ftl_s - float(fresh_s @ prompts.weight) - first_token.alone_once_s(question),
        stretch=1.0,
        first_s=first_s[order],
        weight=weight[order],
    )


def mixed(question: Question, points: Points, pool: PoolPlan, sequences: float) -> Passes:
    """The passes of a co-located instance that has so many sequences in flight, not all that it can.

    Of each batch the point with the most similar chunk stands for it.
    """
    chunk = np.maximum(points.chunk_tokens, 1.0) / max(pool.chunk_tokens, 1)
    rows = _up_to_its_batch(points, pool, points.ftl_s, np.abs(np.log(chunk)))
    early_s = points.ftl_s[rows] - first_token.sooner_s(question, points, rows)
    first_s = float(np.interp(sequences, points.batch[rows], early_s))
    riding, chunks, mixed_s = first_token.chunked(question, points, rows)
    work_s = np.where(
        riding, chunks * mixed_s, np.maximum(early_s - first_token.once_s(question, "colocated"), 0.0)
    )
    stretch = float(np.interp(sequences, points.batch[rows], work_s)) / max(float(work_s[-1]), 1e-12)
    return Passes(saved_s=max(pool.ftl_s - first_s, 0.0), stretch=min(stretch, 1.0))


def _up_to_its_batch(points: Points, pool: PoolPlan, *least: FloatArray) -> IndexArray:
    """One row of the pool's points for each batch up to its own, ascending: that with the least values.

    The last of the values, each of shape ``(points,)``, decides first.
    """
    rows = points.rows_of(pool.layout, pool.mode)
    rows = rows[points.batch[rows] <= pool.batch * (1 + 1e-9)]
    order = np.lexsort((*(values[rows] for values in least), points.batch[rows]))
    return np.asarray(rows[order][np.unique(points.batch[rows][order], return_index=True)[1]])


def decoding(points: Points, pool: PoolPlan) -> tuple[FloatArray, FloatArray]:
    """Token intervals and batches of an instance, both ascending, up to the pool's own batch."""
    rows = _up_to_its_batch(points, pool, points.ttl_s)
    batch, ttl = points.batch[rows], points.ttl_s[rows]
    # the pool runs at its own point, which may not be the fastest of its batch
    ttl = np.maximum.accumulate(ttl * (pool.ttl_s / float(ttl[-1])) ** (batch / batch[-1]))
    return ttl, batch
