"""A serving under load: how many requests in flight bring its rate, and what they then see, queues included.

The sweeps price every candidate as if each request came when its turn did. Here the one that was chosen is
asked as a measured run would be: requests in flight, in a closed loop of constant lengths.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.planning import arrived
from planner.planning.resolve import Question
from planner.planning.result import LayoutChoice, Load, PoolPlan, Serving
from planner.planning.sweep import Sweep
from planner.simulate import service, waiting
from planner.simulate.colocated import PASS_TOKENS
from planner.simulate.service import Deployment
from planner.simulate.space import Layouts
from planner.simulate.waiting import Client

TRIED = 96  # numbers of requests in flight that are tried
BUSY = 0.9  # of its capacity at which a serving without a rate of its own is asked: queues have no end at 1


def loaded(question: Question, sweep: Sweep, serving: Serving | None) -> Serving | None:
    """The serving with its `load`: in a closed loop where arrivals are steady, else with percentiles."""
    if question.queues:
        return arrived.queued(question, sweep, serving)
    return serving and replace(serving, load=at_load(question, serving))


def at_load(question: Question, serving: Serving) -> Load | None:
    """What requests see at the rate asked for, else at `BUSY` of the capacity; None for a mix of layouts.

    The fewest requests in flight that bring that rate, or, where none do, those that bring the most.
    """
    first, then = serving.pools[0], serving.pools[-1]
    colocated = first is then
    if len(serving.pools) > (1 if colocated else 2) or serving.requests_per_s <= 0:
        return None
    steps = max(question.lengths.osl - 1.0, 1.0)
    decode_ranks = float(then.instances * then.layout.attention_dp)
    prefill_ranks = float(first.instances * first.layout.attention_dp)
    most = then.batch / then.layout.attention_dp
    setup = question.pools[then.phase].setup
    found = service.service(
        question.pools[first.phase].setup, setup, deployment(question, first, then), 2.0 * most
    )
    in_flight = serving.requests_per_s * (serving.ftl_s + steps * serving.ttl_s)
    requests = np.geomspace(min(1.0, in_flight), 4.0 * in_flight, TRIED)
    waits = waiting.closed_loop(
        Client(
            decode_requests=np.maximum(requests / decode_ranks, 1.0),
            prefill_requests=np.maximum(requests / prefill_ranks, 1.0),
            steps=np.full(TRIED, steps),
            waves=np.full(TRIED, 1e9),
            spread=np.ones(TRIED),
        ),
        service.server([found] * TRIED),
        service.scheduler([setup.machine.engine] * TRIED),
    )
    rate = requests / (waits.ttft_s + steps * waits.tpot_s)
    enough = rate >= min(serving.requests_per_s, BUSY * serving.capacity_requests_per_s)
    at = int(np.argmax(enough)) if enough.any() else int(np.argmax(rate))
    once = float(waiting.single_s(setup.machine.engine.prefill_request_s))
    return Load(
        requests_in_flight=float(requests[at]),
        requests_per_s=float(rate[at]),
        alone_ftl_s=found.prompt_s + found.transfer_s + once,
        ftl_s=float(waits.ttft_s[at]),
        ttl_s=float(waits.tpot_s[at]),
    )


def deployment(question: Question, first: PoolPlan, then: PoolPlan) -> Deployment:
    """The deployment of a serving's pools, as a measured run would describe it."""
    scenario, lengths, colocated = question.scenario, question.lengths, first is then
    prompts = first.batch / first.layout.attention_dp
    riding = first.mode == "piggyback"
    cut = first.chunk_tokens and (riding or first.chunk_tokens < lengths.new)
    whole = PASS_TOKENS if colocated else prompts * lengths.new
    return Deployment(
        prefill=_one(first.layout),
        decode=_one(then.layout),
        colocated=colocated,
        isl=lengths.isl,
        osl=lengths.osl,
        cached=lengths.isl - lengths.new,
        mtp=scenario.mtp,
        acceptance=question.acceptance,
        pass_tokens=float(first.chunk_tokens) if cut else whole,
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
