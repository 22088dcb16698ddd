"""What prefix caches of a plan's instances would find of the prompts of its trace.

A cache has what weights, activations and the sequences in flight leave of an instance's memory; ranks of
attention data parallelism each have one of their own. The plan itself counts on `cached`, what the user says,
or on what these caches find (`settled`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar, get_args

import numpy as np

from planner.inputs.requests import Requests
from planner.inputs.scenario import Scenario
from planner.planning import demand, load
from planner.planning.demand import Held
from planner.planning.resolve import Question
from planner.planning.result import Caches, Serving
from planner.simulate import times
from planner.words import PrefixRouting

PREFIX_ROUTINGS: tuple[PrefixRouting, ...] = get_args(PrefixRouting)

HOST_LINK_BYTES_PER_S = 50e9  # of a GPU, to its host's memory and back; measured on H100
CLOSE = 0.005  # of all prompt tokens, that what a plan counts on may be off by
ROUNDS = 6  # plans at most, until what each counts on is what its caches find


def caches(question: Question, serving: Serving | None, requests: Requests | None) -> Caches | None:
    """What the pool that works on prompts would find; None without such a trace, or where it is too long."""
    if serving is None or requests is None or not demand.shares_prefixes(requests):
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
    many, asked = pool.instances * ranks, question.scenario.traffic
    assert asked.trace is not None
    trace: str = asked.trace
    host = asked.host_bytes / room.bytes_per_token
    rank_s = many / (pool.requests_per_s * lengths.new)  # that a rank takes for a token of a prompt
    loading = min(room.bytes_per_token / HOST_LINK_BYTES_PER_S / rank_s, 1.0) if host else 0.0

    def worth(routing: PrefixRouting) -> float:
        found = demand.found_by(trace, many, routing, asked.requests_per_s)
        here, there = found.hit_rate(np.array([tokens, tokens + host]))
        return float(there - loading * (there - here))

    aware, turns = map(worth, PREFIX_ROUTINGS)
    return Caches(
        phase=pool.phase,
        instances=many,
        tokens=tokens,
        prefix_aware=aware,
        round_robin=turns,
        most=demand.found_by(asked.trace, 1, "prefix-aware", asked.requests_per_s).most,
        counted=asked.cached_share if asked.reuse == "none" else 1.0 - lengths.new / lengths.isl,
        host_tokens=host,
        loading=loading,
    )


class Counting(Protocol):
    """What counts on prefix caches: a plan, or its draft."""

    @property
    def scenario(self) -> Scenario:
        """What was asked."""

    @property
    def chosen(self) -> Serving | None:
        """What is deployed."""

    @property
    def caches(self) -> Caches | None:
        """What its caches find, and what it counts on."""


Made = TypeVar("Made", bound=Counting)


def settled(make: Callable[[Held | None], Made]) -> Made:
    """The plan that counts on what its own caches find.

    `make` plans with what some caches find, first with caches without end. Fewer instances hold less, find
    less and are too few, so it goes half of the way where what the last plan finds does not lie between what
    others found and missed. It need not converge: then it is the least plan that counts on no more than it
    finds, else the last.
    """
    held: Held | None = None
    tried: list[tuple[Made, float]] = []  # and how much more it finds than it counts on
    kept, missed = 0.0, 1.0  # the most that a plan counted on and found, the least that one did not find
    for _ in range(ROUNDS):
        found = make(held)
        caches = found.caches
        if caches is None:
            return found
        finds = caches.finds(found.scenario.traffic.reuse)
        surplus = finds - caches.counted
        tried.append((found, surplus))
        if abs(surplus) <= CLOSE:
            return found
        if surplus > 0.0:
            kept = max(kept, caches.counted)
        else:
            missed = min(missed, caches.counted)
        tokens = caches.tokens
        if len(tried) > 2 and not kept < finds < missed:  # they chase each other: half of the way
            tokens = math.sqrt(max(tokens, 1.0) * max(held.tokens if held else 1.0, 1.0))
        held = replace(held_of(caches), tokens=tokens)
    safe = [found for found, surplus in tried if surplus >= -CLOSE]
    return min(safe, key=lambda found: found.chosen.gpus if found.chosen else 0) if safe else tried[-1][0]


def held_of(caches: Caches) -> Held:
    """The caches of a plan, for the plan that counts on them."""
    return Held(
        caches=caches.instances,
        tokens=caches.tokens,
        host_tokens=caches.host_tokens,
        loading=caches.loading,
    )
