"""How long a pass over prompts takes an instance, and when it leaves the stages of its pipeline.

The times are those of `planner.replay.instance`.
"""

from __future__ import annotations

import math

from planner.replay.fleet import Kind
from planner.replay.lookup import Passes


def pass_s(
    kind: Kind,
    passes: Passes,
    count: int,
    pieces: float,
    tokens: int,
    attention: float,
    longest: int,
    behind: int,
    step_s: float | None,
) -> tuple[float, float]:
    """Time that a pass takes the instance, and that it would take alone, seconds.

    Of `count` prompts, or parts of them that come to `pieces` whole prompts or full passes, the longest with
    as many new tokens behind so many; beside a decode step of `step_s` (0 where sequences wait meanwhile),
    or of an instance that decodes nothing (None).
    """
    ranks, rules = kind.ranks, kind.scheduling
    if count == 1:
        alone = passes.alone_s(longest, behind)
    elif ranks == 1:
        alone = passes.rest_s(tokens) + attention
    else:
        uneven = rules.prompt_imbalance * math.sqrt(2.0 * math.log(ranks) * ranks / count)
        share = (1.0 + uneven) / ranks
        fullest = passes.rest_s(tokens * share) + attention * share
        alone = max(fullest, passes.alone_s(longest, behind))
    if step_s is None:
        return alone, alone
    one = rules.exposure * (passes.token_s * tokens + attention) / pieces
    per_rank = pieces / (ranks * passes.stages)
    stops = max(per_rank, min(per_rank * ranks**rules.lockstep, 1.0))
    rides = rules.overlap * min(stops, 1.0) * min(step_s / passes.stages, one)
    return step_s + passes.stages * (stops * one - rides), alone


class Pipeline:
    """The stages behind the first: how far first tokens come after the end of their pass."""

    __slots__ = ("lag_s", "out_s", "stage_s")

    def __init__(self) -> None:
        self.lag_s = 0.0  # first tokens of the pass behind its end
        self.stage_s = 0.0  # of the pass in each stage
        self.out_s = 0.0  # the latest pass leaves the last stage

    def fill(
        self,
        kind: Kind,
        passes: Passes,
        tokens: int,
        attention: float,
        alone_s: float,
        beside_s: float | None,
    ) -> None:
        """A pass begins: `alone_s` on its own, `beside_s` with the decode steps that took the stages, too."""
        self.stage_s = chunk_s = alone_s
        chunks = tokens / (kind.pass_tokens * kind.ranks)
        if chunks > 1.0:  # that follow each other through the stages
            chunk_s = passes.rest_s(kind.pass_tokens) + attention / (chunks * kind.ranks)
            self.stage_s = chunks * chunk_s
        self.lag_s = (passes.stages - 1.0) * chunk_s
        if beside_s is not None:
            self.lag_s = max(self.stage_s + self.lag_s - beside_s, 0.0)

    def leave(self, now: float) -> None:
        """The pass has left the first stage: a short one leaves each behind the long one before it."""
        self.out_s = max(now + self.lag_s, self.out_s + self.stage_s)
        self.lag_s = self.out_s - now
