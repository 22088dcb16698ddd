"""Deployments with times that can be checked by hand, and random ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from planner.inputs.requests import NO_SESSION, Requests, plain
from planner.replay.fleet import (
    LEAST,
    RULES,
    Change,
    Encoding,
    Fleet,
    HostTier,
    Kind,
    Link,
    Options,
    Pool,
    Scheduling,
)
from planner.simulate.times import CacheRoom, PassTable, StepTable

STEP_S, SEQUENCE_S, CONTEXT_S = 0.01, 0.001, 1e-8  # of a step, per sequence, per token in the caches
PASS_S, TOKEN_S, PAST_S = 0.02, 1e-4, 1e-9  # of a pass, per token, per token and cached one


def passes(stages: float = 1.0) -> PassTable:
    """A pass takes ``PASS_S + TOKEN_S n + PAST_S n (c + n / 2)``."""
    new = np.geomspace(1.0, 1e5, 40)
    past = np.concatenate([[0.0], np.geomspace(16.0, 1e6, 10)])
    attention = PAST_S * new[:, None] * (past[None, :] + new[:, None] / 2)
    rest = PASS_S + TOKEN_S * new
    return PassTable(
        tokens=new,
        rest_s=rest,
        new=new,
        past=past,
        alone_s=rest[:, None] + attention,
        attention_s=attention,
        token_s=TOKEN_S,
        stages=stages,
    )


def steps(stages: float = 1.0) -> StepTable:
    """A step takes ``STEP_S + SEQUENCE_S B + CONTEXT_S B context``."""
    batch, context = np.geomspace(1.0, 512.0, 24), np.geomspace(16.0, 1e6, 12)
    step_s = STEP_S + SEQUENCE_S * batch[:, None] + CONTEXT_S * batch[:, None] * context[None, :]
    return StepTable(batch=batch, context=context, step_s=step_s, stages=stages)


def kind(phase: Any, **changes: Any) -> Kind:
    """One rank with room for all, and an engine that adds nothing."""
    one = Kind(
        phase=phase,
        label=phase,
        gpus=1,
        ranks=1,
        passes=passes(),
        steps=None if phase == "prefill" else steps(),
        room=CacheRoom(tokens=1e9, sequence_tokens=0.0, bytes_per_token=1.0),
        slots=256,
        pass_tokens=8192,
    )
    return replace(one, **changes)


def split(prefills: int = 1, decodes: int = 1, changes: tuple[Change, ...] = (), **more: Any) -> Fleet:
    """Prefill instances before decode instances."""
    pools = (
        Pool(kind=kind("prefill", **more), instances=prefills),
        Pool(kind=kind("decode", **more), instances=decodes),
    )
    return Fleet(pools=pools, changes=changes)


def colocated(instances: int = 1, changes: tuple[Change, ...] = (), **more: Any) -> Fleet:
    """Instances that do both."""
    return Fleet(pools=(Pool(kind=kind("colocated", **more), instances=instances),), changes=changes)


def steady(count: int, gap_s: float, isl: int = 1000, osl: int = 100) -> Requests:
    """Equal requests, evenly spaced."""
    return plain(np.arange(count) * gap_s, np.full(count, isl), np.full(count, osl))


SCHEDULINGS = st.builds(
    Scheduling,
    request_s=st.sampled_from([0.0, 0.02]),
    arrival_s=st.sampled_from([0.0, 0.002]),
    handover_s=st.sampled_from([0.0, 0.1]),
    exposure=st.sampled_from([0.9, 1.1]),
    overlap=st.sampled_from([0.0, 0.3]),
    lockstep=st.sampled_from([0.0, 0.5, 1.0]),
    prompt_imbalance=st.sampled_from([0.0, 0.2]),
    sequence_imbalance=st.sampled_from([0.0, 0.3]),
    prefill_priority=st.sampled_from([0.0, 0.3, 1.0]),
    poll_steps=st.sampled_from([0.0, 10.0]),
    whole_lengths=st.booleans(),
)


@st.composite
def requests(draw: st.DrawFn, most: int = 60) -> Requests:
    """Any mix of lengths and gaps, some in conversations, some with common prefixes."""
    count = draw(st.integers(1, most))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    load = draw(st.sampled_from([0.0, 0.01, 0.1, 1.0]))
    arrival_s = np.cumsum(random.exponential(1.0, count)) * load
    isl = np.maximum(random.lognormal(6, 1.2, count), 1).astype(np.int64)
    osl = np.maximum(random.lognormal(3, 1.5, count), 1).astype(np.int64)
    made = plain(arrival_s, isl, osl)
    form = draw(st.sampled_from(["plain", "sessions", "blocks"]))
    if form == "sessions":
        return replace(made, session=random.integers(NO_SESSION, count // 4 + 1, count))
    if form == "blocks":
        lengths = -(-isl // 64)
        start = np.concatenate([[0], np.cumsum(lengths)])
        place = np.arange(start[-1]) - np.repeat(start[:-1], lengths)
        text = np.repeat(random.integers(0, 4, count), lengths)
        common = np.repeat(random.integers(0, 30, count), lengths)
        blocks = np.where(place < common, text * 10_000 + place, 10**6 + np.arange(start[-1]))
        return replace(made, block_start=start, blocks=blocks, block_tokens=64)
    return made


@st.composite
def fleets(draw: st.DrawFn, needs: float) -> Fleet:
    """Split, co-located or both; room for `needs` tokens at least, and not much more in some."""
    rules = draw(SCHEDULINGS)
    stages = draw(st.sampled_from([1.0, 2.0]))
    pools = []
    ways = draw(st.sampled_from([("prefill", "decode"), ("colocated",), ("prefill", "decode", "colocated")]))
    for phase in ways:
        ranks = draw(st.sampled_from([1, 2, 8]))
        made = kind(
            phase,
            ranks=ranks,
            passes=passes(stages),
            steps=None if phase == "prefill" else steps(stages),
            room=CacheRoom(
                tokens=needs * draw(st.sampled_from([1.0, 3.0, 1000.0])) / ranks,
                sequence_tokens=draw(st.sampled_from([0.0, 50.0])),
                bytes_per_token=1.0,
            ),
            slots=draw(st.integers(1, 40)),
            pass_tokens=draw(st.sampled_from([64, 512, 8192])),
            layers=draw(st.sampled_from([1, 60])),
            host=HostTier(tokens=draw(st.sampled_from([0.0, 0.0, 500.0])), token_s=1e-6),
            link=Link(fixed_s=0.001, token_s=draw(st.sampled_from([0.0, 1e-5, 1e-4]))),
            scheduling=rules,
        )
        pools.append(Pool(kind=made, instances=draw(st.integers(1, 4))))
    changes = []
    for _ in range(draw(st.integers(0, 4))):
        pool = draw(st.integers(0, len(pools) - 1))
        changes.append(
            Change(
                at_s=draw(st.floats(0.0, 20.0)),
                event=draw(st.sampled_from(["start", "drain", "swap", "fail"])),
                pool=pool,
                instance=draw(st.integers(LEAST, 4)),
                warm_up_s=draw(st.sampled_from([0.0, 2.0])),
                to=draw(st.integers(0, len(pools) - 1)),
            )
        )
    encoding = None
    if draw(st.integers(0, 2)) == 0:
        number = draw(st.integers(1, 3))
        encoding = Encoding(
            instances=number,
            pass_s=draw(st.sampled_from([(0.05,), (0.02, 0.03), (0.1, 0.15, 0.2, 0.25)])),
            each_s=draw(st.sampled_from([0.0, 0.002])),
            moved_s=draw(st.sampled_from([0.0, 0.01])),
            share=draw(st.sampled_from([1.0, 0.3])),
        )
        changes += [  # one is left
            Change(at_s=draw(st.floats(0.0, 5.0)), event="fail", pool=len(pools), instance=one)
            for one in range(draw(st.integers(0, number - 1)))
        ]
    # whatever dies, one of each comes in the end
    changes += [Change(at_s=30.0, event="start", pool=index) for index in range(len(pools))]
    return Fleet(pools=tuple(pools), changes=tuple(changes), encoding=encoding)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Fleet, Requests, Options]:
    """A deployment, a load and a way to spread it."""
    load = draw(requests())
    needs = float((load.isl + load.osl).max()) + 500.0
    fleet = draw(fleets(needs))
    options = Options(
        routing=draw(st.sampled_from(RULES)),
        seed=draw(st.integers(0, 9)),
        in_flight=draw(st.sampled_from([None, None, 1, 7])),
        later_turns=draw(st.sampled_from(["prefill", "decode"])),
    )
    return fleet, load, options
