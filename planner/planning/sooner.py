"""Within a slack, where requests queue: what is given up is for an earlier first token, or for GPUs.

Alone, the first token of a smaller batch is earlier. At a rate passes are as full as prompts come, whatever
they could take, and who serves less has the longer queue: a choice by first tokens alone may be later under
its load than the best without a slack, with less capacity on as many GPUs.
"""

from __future__ import annotations

from dataclasses import replace

from planner.planning import arrived
from planner.planning.resolve import Question
from planner.planning.result import Serving
from planner.planning.sweep import Sweep

ALIKE = 0.005  # share: first tokens that differ by less come as early


def sooner(question: Question, sweep: Sweep, near: Serving | None, best: Serving | None) -> Serving | None:
    """Of a serving within the slack and the best one, that whose first token is earlier under its load.

    The former where it takes fewer GPUs; its knee has the first token of the best under its load. The best
    has none: nothing is given up.
    """
    if near is None or best is None or near.knee is None or not question.queues:
        return near
    if _deployed(near, best):
        return best
    one, two = (arrived.first_token_s(question, sweep, way) for way in (near, best))
    if near.gpus < best.gpus or one < two * (1 - ALIKE):
        return replace(near, knee=replace(near.knee, best_ftl_s=two))
    return best


def _deployed(one: Serving, other: Serving) -> bool:
    """Whether two servings deploy the same."""
    pools = (
        [(p.phase, p.layout.label, p.mode, p.batch, p.chunk_tokens, p.instances) for p in way.pools]
        for way in (one, other)
    )
    return next(pools) == next(pools)
