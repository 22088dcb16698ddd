"""A serving under load: how many requests in flight bring its rate, and what they then see, queues included.

The sweeps price every candidate as if each request came when its turn did. Here the one that was chosen is
asked as a measured run would be: requests in flight, in a closed loop of constant lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from planner.arrays import FloatArray
from planner.inputs.engine import EngineProfile
from planner.planning import arrived
from planner.planning.resolve import Question
from planner.planning.result import LayoutChoice, Load, PoolPlan, Serving
from planner.planning.sweep import Sweep
from planner.simulate import service, waiting
from planner.simulate.colocated import PASS_TOKENS
from planner.simulate.service import Deployment, Service
from planner.simulate.space import Layouts
from planner.simulate.waiting import Client
from planner.values import dataclass

TRIED = 96  # numbers of requests in flight that are tried
BUSY = 0.9  # of its capacity at which a serving without a rate of its own is asked: queues have no end at 1


def loaded(
    asked: Sequence[tuple[Question, Sweep, Serving | None]],
) -> tuple[Serving | None, ...]:
    """Servings with their `load`: in a closed loop where arrivals are steady, else with percentiles."""
    steady = [
        (question, serving) for question, _, serving in asked if serving is not None and not question.queues
    ]
    loads = iter(at_load(steady))
    return tuple(
        arrived.queued(question, sweep, serving)
        if question.queues
        else serving and replace(serving, load=next(loads))
        for question, sweep, serving in asked
    )


def at_load(asked: Sequence[tuple[Question, Serving]]) -> list[Load | None]:
    """What requests see at the rate asked for, else at `BUSY` of the capacity; None for a mix of layouts.

    The fewest requests in flight that bring that rate, or, where none do, those that bring the most.
    """
    loops = [_loop(question, serving) for question, serving in asked]
    some = [loop for loop in loops if loop is not None]
    if not some:
        return [None for _ in loops]
    waits = waiting.closed_loop(
        Client(
            decode_requests=np.concatenate([np.maximum(x.requests / x.decode_ranks, 1.0) for x in some]),
            prefill_requests=np.concatenate([np.maximum(x.requests / x.prefill_ranks, 1.0) for x in some]),
            steps=np.repeat([loop.steps for loop in some], TRIED),
            waves=np.full(TRIED * len(some), 1e9),
            spread=np.ones(TRIED * len(some)),
        ),
        service.server([loop.service for loop in some], TRIED),
        service.scheduler([loop.engine for loop in some], loads=TRIED),
    )
    ttft_s, tpot_s = (column.reshape(-1, TRIED) for column in (waits.ttft_s, waits.tpot_s))
    found = iter(
        _seen(loop, ttft, tpot, serving)
        for loop, ttft, tpot, serving in zip(
            some, ttft_s, tpot_s, (s for (_, s), at in zip(asked, loops, strict=True) if at), strict=True
        )
    )
    return [None if loop is None else next(found) for loop in loops]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Loop:
    """A serving in a closed loop of each of `TRIED` numbers of requests in flight."""

    requests: FloatArray  # in flight, shape (TRIED,)
    decode_ranks: float  # over all instances
    prefill_ranks: float
    steps: float  # tokens after the first of a request
    service: Service
    engine: EngineProfile


def _loop(question: Question, serving: Serving) -> _Loop | None:
    first, then = serving.pools[0], serving.pools[-1]
    colocated = first is then
    if len(serving.pools) > (1 if colocated else 2) or serving.requests_per_s <= 0:
        return None
    steps = max(question.lengths.osl - 1.0, 1.0)
    most = then.batch / then.layout.attention_dp
    setup = question.pools[then.phase].setup
    in_flight = serving.requests_per_s * (serving.ftl_s + steps * serving.ttl_s)
    return _Loop(
        requests=np.geomspace(min(1.0, in_flight), 4.0 * in_flight, TRIED),
        decode_ranks=float(then.instances * then.layout.attention_dp),
        prefill_ranks=float(first.instances * first.layout.attention_dp),
        steps=steps,
        service=service.service(
            question.pools[first.phase].setup, setup, deployment(question, first, then), 2.0 * most
        ),
        engine=setup.machine.engine,
    )


def _seen(loop: _Loop, ttft_s: FloatArray, tpot_s: FloatArray, serving: Serving) -> Load:
    """What requests see of the numbers in flight, arrays of shape (TRIED,)."""
    rate = loop.requests / (ttft_s + loop.steps * tpot_s)
    enough = rate >= min(serving.requests_per_s, BUSY * serving.capacity_requests_per_s)
    at = int(np.argmax(enough)) if enough.any() else int(np.argmax(rate))
    once = float(waiting.single_s(loop.engine.prefill_request_s))
    before = 0.0 if serving.encoder is None else serving.encoder.added_ftl_s
    return Load(
        requests_in_flight=float(loop.requests[at]),
        requests_per_s=float(rate[at]),
        alone_ftl_s=loop.service.prompt_s + loop.service.transfer_s + once + before,
        ftl_s=float(ttft_s[at]) + before,
        ttl_s=float(tpot_s[at]),
    )


def deployment(question: Question, first: PoolPlan, then: PoolPlan) -> Deployment:
    """The deployment of a serving's pools, as a measured run would describe it."""
    scenario, lengths, colocated = question.scenario, question.lengths, first is then
    riding = first.mode == "piggyback"
    if colocated:
        pass_tokens = float(first.chunk_tokens) if riding else float(PASS_TOKENS)
    else:
        prompts = first.batch / first.layout.attention_dp
        pass_tokens = prompts * min(first.chunk_tokens or lengths.new, lengths.new)
    return Deployment(
        prefill=_one(first.layout),
        decode=_one(then.layout),
        colocated=colocated,
        isl=lengths.isl,
        osl=lengths.osl,
        cached=lengths.isl - lengths.new,
        mtp=scenario.mtp,
        acceptance=question.acceptance,
        pass_tokens=pass_tokens,
        filled=riding,
    )


def _one(layout: LayoutChoice) -> Layouts:
    shape = (1, 1, 1)
    return Layouts(
        tp=np.full(shape, layout.tp, dtype=np.int64),
        pp=np.full(shape, layout.pp, dtype=np.int64),
        attention_dp=np.full(shape, layout.attention_dp, dtype=np.int64),
        moe_tp=np.full(shape, layout.moe_tp, dtype=np.int64),
        moe_ep=np.full(shape, layout.ep, dtype=np.int64),
    )
