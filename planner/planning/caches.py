"""What prefix caches of a plan's instances would find of the prompts of its trace.

A cache has what weights, activations and the sequences in flight leave of an instance's memory; ranks of
attention data parallelism each have one of their own. The plan itself counts on `cached`, what the user says.
"""

from __future__ import annotations

import numpy as np

from planner.inputs.conversations import BLOCK_TOKENS
from planner.inputs.requests import NO_SESSION, Requests
from planner.inputs.reuse import reuse
from planner.planning import load
from planner.planning.resolve import Question
from planner.planning.result import Caches, Serving
from planner.simulate import times

MOST_BLOCKS = 500_000  # of a trace: more take longer than a plan; `ratematch trace` has no limit


def caches(question: Question, serving: Serving | None, requests: Requests | None) -> Caches | None:
    """What the pool that works on prompts would find; None without such a trace, or where it is too long."""
    if serving is None or requests is None or not _blocks(requests):
        return None
    pool = next((p for p in serving.pools if p.phase != "decode"), None)
    if pool is None:
        return None
    then = next((p for p in serving.pools if p.phase != "prefill"), pool)
    setup, lengths = question.pools[pool.phase].setup, question.lengths
    of = load.deployment(question, pool, then)
    ranks = pool.layout.attention_dp
    room = times.cache_room(
        setup,
        of.prefill,
        mtp=of.mtp if pool.phase == "colocated" else 0,
        live_tokens=of.pass_tokens,
        lengths=(float(lengths.isl), float(lengths.isl + lengths.osl)),
    )
    answer = 0.5 * lengths.osl if pool.phase == "colocated" else 0.0
    live = pool.batch / ranks * (lengths.isl + answer + room.sequence_tokens)
    tokens = max(room.tokens - live, 0.0)
    many = pool.instances * ranks
    aware = reuse(requests, instances=many)
    turns = aware if many == 1 else reuse(requests, instances=many, routing="round-robin")
    return Caches(
        phase=pool.phase,
        instances=many,
        tokens=tokens,
        prefix_aware=float(aware.hit_rate(np.array(tokens))),
        round_robin=float(turns.hit_rate(np.array(tokens))),
        most=reuse(requests).most,
    )


def _blocks(requests: Requests) -> bool:
    """Whether prompts are known to share something, and few enough blocks of it."""
    if len(requests.blocks):
        return len(requests.blocks) <= MOST_BLOCKS
    turns = requests.session != NO_SESSION
    return bool(turns.any()) and int(requests.isl.sum()) <= MOST_BLOCKS * BLOCK_TOKENS
