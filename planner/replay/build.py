"""The fleet that a plan, or a measured run's deployment, stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from planner.inputs.engine import EngineProfile
from planner.inputs.requests import Requests
from planner.inputs.traffic import Traffic
from planner.planning import load
from planner.planning.caches import HOST_LINK_BYTES_PER_S
from planner.planning.resolve import Question
from planner.planning.result import Serving
from planner.replay.fleet import Encoding, Fleet, HostMemory, HostTier, Kind, Link, Pool, Scheduling
from planner.simulate import encode, kv_transfer, times
from planner.simulate.operators.setup import Setup
from planner.simulate.service import SCHEDULING, Deployment, launched
from planner.simulate.space import Layouts
from planner.words import Phase


def host_memory(traffic: Traffic, bytes_per_s: float = HOST_LINK_BYTES_PER_S) -> HostMemory | None:
    """What a scenario's GPUs have of their hosts."""
    if not traffic.host_gb:
        return None
    return HostMemory(bytes=traffic.host_bytes, bytes_per_s=bytes_per_s)


LONGEST_STEP_BATCH = 4096.0  # sequences of a rank up to which steps are evaluated


def of_serving(
    question: Question,
    serving: Serving,
    requests: Requests,
    host: HostMemory | None = None,
    each: Mapping[str, Question] | None = None,
) -> Fleet:
    """The pools of a plan's serving, for requests of these lengths; `host` keeps what caches cannot.

    `each` are the questions on each system of a fleet of several, by its name; None: all are on `question`'s.

    Raises LookupError where a kernel that it needs was never measured.
    """
    pools = []
    decodes = [pool for pool in serving.pools if pool.phase != "prefill"]
    for pool in serving.pools:
        on = question if each is None else each[pool.system]
        setup = on.pools[pool.phase].setup
        # times of a prefill pool know of the decode pool no more than that there is one
        first = pool if pool.phase != "decode" else serving.pools[0]
        of = load.deployment(question, first, pool if pool.phase != "prefill" else decodes[0])
        if pool.phase == "decode":
            of = replace(of, prefill=of.decode)
        slots = pool.max_batch * pool.layout.attention_dp
        link = pool.link_bytes_per_s
        kind = _kind(setup, of, pool.phase, pool.layout.label, slots, link, requests)
        if host is not None:
            token_bytes = kind.room.bytes_per_token
            tier = HostTier(tokens=host.bytes / token_bytes, token_s=token_bytes / host.bytes_per_s)
            kind = replace(kind, host=tier)
        pools.append(Pool(kind=kind, instances=pool.instances))
    encoders, encoding = serving.encoder, None
    if encoders is not None and encoders.instances:
        encoding = _encoding(question if each is None else each[encoders.system], encoders.instances)
    return Fleet(pools=tuple(pools), encoding=encoding)


def _encoding(question: Question, instances: int) -> Encoding:
    """The encoders of a question whose images are encoded on GPUs of their own."""
    one, seeing, setup = question.encoder, question.images, question.pools["prefill"].setup
    assert one is not None and seeing is not None
    engine, each = setup.machine.engine, max(seeing.each, 1.0)
    passes = [
        float(encode.forward_pass(setup.machine, seeing, setup.model.hidden, number * each).seconds)
        for number in range(1, one.batch + 1)
    ]
    return Encoding(
        instances=instances,
        pass_s=tuple(seconds + engine.step_s for seconds in passes),
        each_s=engine.arrival_s,
        moved_s=one.latency_s - one.pass_s,
        share=min(seeing.each, 1.0),
        gpus=encode.GPUS,
    )


def of_deployment(
    first: Setup,
    then: Setup,
    of: Deployment,
    *,
    prefill_instances: int,
    decode_instances: int,
    requests: Requests,
    poll_steps: float = 0.0,
) -> Fleet:
    """The pools of a deployment as a measured run states it.

    Raises LookupError where a kernel that it needs was never measured.
    """
    limit = of.max_batch if of.max_batch is not None else float(then.machine.engine.max_batch)
    slots = max(int(limit), 1) * int(of.decode.attention_dp.ravel()[0])
    link = first.machine.fabric.scale_out_bytes_per_s
    if of.colocated:
        one = _kind(then, of, "colocated", "", slots, link, requests, poll_steps)
        return Fleet(pools=(Pool(kind=one, instances=decode_instances),))
    prefill = _kind(first, of, "prefill", "", slots, link, requests)
    decode = _kind(then, replace(of, prefill=of.decode), "decode", "", slots, link, requests)
    return Fleet(
        pools=(
            Pool(kind=prefill, instances=prefill_instances),
            Pool(kind=decode, instances=decode_instances),
        )
    )


def _kind(
    setup: Setup,
    of: Deployment,
    phase: Phase,
    label: str,
    slots: int,
    link_bytes_per_s: float,
    requests: Requests,
    poll_steps: float = 0.0,
) -> Kind:
    at: Layouts = of.prefill if phase == "prefill" else of.decode
    ranks = int(at.attention_dp.ravel()[0])
    longest = float(np.max(requests.isl + requests.osl, initial=2))
    lengths = (float(np.mean(requests.isl)), float(np.mean(requests.isl + requests.osl)))
    setup = launched(setup, of, slots / ranks)
    passes = times.pass_table(
        setup,
        at,
        most_tokens=times.tokens_at_once(of),
        longest=longest,
        full_tokens=times.full_tokens(of),
    )
    steps = None
    if phase != "prefill":
        most = min(max(slots / ranks, 1.0), LONGEST_STEP_BATCH)
        steps = times.step_table(setup, of, most_batch=most, most_context=longest)
    live = 0.0
    if of.default_settings:
        live = of.pass_tokens
    mtp = 0 if phase == "prefill" else of.mtp
    seconds = [
        float(
            np.ravel(kv_transfer.moving_s(setup.model, setup.precision, at, round(length), link_bytes_per_s))[
                0
            ]
        )
        for length in lengths
    ]
    token_s = max((seconds[1] - seconds[0]) / max(lengths[1] - lengths[0], 1.0), 0.0)
    rules = scheduling(setup.machine.engine, poll_steps)
    if of.filled:  # chunks that ride along, as the engine is told then
        rules = replace(rules, prefill_priority=0.0)
    return Kind(
        phase=phase,
        label=label,
        gpus=int(at.gpus.ravel()[0]),
        ranks=ranks,
        passes=passes,
        steps=steps,
        room=times.cache_room(setup, at, mtp=mtp, live_tokens=live, lengths=lengths),
        slots=slots,
        pass_tokens=int(times.tokens_at_once(of)),
        layers=setup.model.layers,
        link=Link(fixed_s=max(seconds[0] - token_s * lengths[0], 0.0), token_s=token_s),
        scheduling=rules,
    )


def scheduling(engine: EngineProfile, poll_steps: float = 0.0) -> Scheduling:
    """How an engine schedules."""
    as_they_are: dict[str, Any] = {name: getattr(engine, name) for name in SCHEDULING}
    as_they_are["prefill_priority"] = min(engine.prefill_priority, 1.0)
    return Scheduling(
        request_s=engine.prefill_request_s,
        poll_steps=poll_steps if np.isfinite(poll_steps) else 0.0,
        whole_lengths=engine.whole_lengths,
        **as_they_are,
    )
