"""The best plan within what was measured, beside the best of all."""

from __future__ import annotations

import math
from collections.abc import Sequence

from planner.planning import evidence, solve, weigh
from planner.planning.deadline import Deadline
from planner.planning.placed import Placed
from planner.planning.result import Count, Serving, WithinMeasured


def measured(placed: Placed, chosen: Serving | None, deadline: Deadline) -> WithinMeasured | None:
    """The best plan of layouts that were measured, with whatever model; None where nothing is known.

    One more match, of those layouts alone; none where those of the chosen serving all were.
    """
    question, sweep = placed.question, placed.sweep
    if question.seen is None or chosen is None:
        return None
    if all(evidence.as_measured(pool.evidence) for pool in chosen.pools):
        pools = [Count(phase=p.phase, layout=p.layout, instances=p.instances) for p in chosen.pools]
        return _told(chosen, pools, is_best=True)
    points = (sweep.prefill, sweep.decode, sweep.colocated)
    usable = {p.phase: evidence.measured(question, p.phase, p.layouts) for p in points}
    split, together = solve.within(placed, usable, deadline)
    found = weigh.finding(
        question.scenario,
        question.bands,
        split[0] if split else None,
        together[0] if together else None,
    )
    if question.scenario.deployment.way is not None:
        best = split if question.scenario.deployment.way == "disaggregated" else together
    else:
        best = split if found == "split" else together
    if best is None:
        nan = math.nan
        return WithinMeasured(
            is_best=False,
            choice="",
            pools=(),
            gpus=0,
            requests_per_s=nan,
            tokens_per_s_per_gpu=nan,
            expected_tokens_per_s_per_gpu=nan,
            ftl_s=nan,
            ttl_s=nan,
        )
    return _told(*best, is_best=False)


def _told(serving: Serving, pools: Sequence[Count], *, is_best: bool) -> WithinMeasured:
    return WithinMeasured(
        is_best=is_best,
        choice="disaggregated" if any(pool.phase == "prefill" for pool in pools) else "colocated",
        pools=tuple(pools),
        gpus=serving.gpus,
        requests_per_s=serving.requests_per_s,
        tokens_per_s_per_gpu=serving.tokens_per_s_per_gpu,
        expected_tokens_per_s_per_gpu=serving.expected_tokens_per_s_per_gpu,
        ftl_s=serving.ftl_s,
        ttl_s=serving.ttl_s,
    )
