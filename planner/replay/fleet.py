"""What is replayed on: kinds of instances, how many of each, and what changes on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from planner.simulate.lockstep import held_s, serial_s
from planner.simulate.times import CacheRoom, PassTable, StepTable
from planner.words import Phase, Routing

Rule: TypeAlias = Literal[Routing, "prefix-aware"]  # which instance a request goes to
Event: TypeAlias = Literal["start", "drain", "swap", "fail"]
LEAST = -1  # of a change: the instance of the pool that has least to do, one that still starts before all
RULES: tuple[Rule, ...] = ("least-loaded", "round-robin", "random", "prefix-aware", "central")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduling:
    """How an engine schedules; the meaning of each is that of `planner.simulate.waiting`."""

    request_s: float = 0.0  # of a request, beside its passes
    arrival_s: float = 0.0  # serial host work per request
    handover_s: float = 0.0  # from prefill to decode instance, beside the cache
    exposure: float = 1.0  # share of a prompt's time that the decodes on its GPUs stand still
    overlap: float = 0.0  # share of a decode step that a prompt in the same pass costs nothing
    lockstep: float = 0.0  # 0: attention-DP ranks work on prompts together; 1: each stops all others
    prompt_imbalance: float = 0.0  # of ranks in a pass, over random routing's
    sequence_imbalance: float = 0.0
    serial_share: float = 1.0  # of `arrival_s` that ranks do one after another
    prefill_priority: float = 0.0  # share of the passes over prompts in which no decode step is made
    admission_passes: float = 0.5  # of a closed loop, until a prompt is admitted
    poll_steps: float = 0.0  # decode steps between two looks for new prompts
    whole_lengths: bool = False  # a request is admitted where its whole length fits, and never evicted


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Time of a request's cache over the links of one rank's GPUs: ``fixed_s + token_s tokens``."""

    fixed_s: float = 0.0
    token_s: float = 0.0

    def seconds(self, tokens: float) -> float:
        """Of a request of so many tokens."""
        return self.fixed_s + self.token_s * tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTier:
    """Host memory that keeps what a rank's cache has no room for; a pass that uses it again waits for it."""

    tokens: float = 0.0  # of one rank
    token_s: float = 0.0  # to bring one back, over the links of all its GPUs


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMemory:
    """What a GPU has of its host."""

    bytes: float
    bytes_per_s: float = 50e9  # one way, large blocks; measured on H100


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One instance of a phase: its times, its room, its rules."""

    phase: Phase
    label: str
    gpus: int
    ranks: int  # of attention data parallelism
    passes: PassTable
    steps: StepTable | None  # None in prefill
    room: CacheRoom  # of one rank
    slots: int  # most sequences in flight on the instance
    pass_tokens: int  # most prompt tokens of a rank's pass
    layers: int = 1  # of the model: the cache leaves layer by layer
    link: Link = Link()
    host: HostTier = HostTier()
    scheduling: Scheduling = Scheduling()

    @property
    def host_s(self) -> float:
        """Host work of an instance per request that others of it wait for."""
        rules = self.scheduling
        return float(serial_s(self.ranks, rules.arrival_s, rules.serial_share)) / self.ranks

    @property
    def held_s(self) -> float:
        """What that adds to a pass of prefill, per request: `planner.simulate.lockstep.held_s`."""
        rules = self.scheduling
        return float(held_s(self.ranks, rules.arrival_s, rules.serial_share)) / self.ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Instances of one kind, from the start."""

    kind: Kind
    instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """A pool of encoders of images, before what computes prompts."""

    instances: int
    pass_s: tuple[float, ...]  # over the images of 1, 2, ... requests; the last are the most of a pass
    each_s: float = 0.0  # serial host work per request
    moved_s: float = 0.0  # until a request's images are where its prompt is
    share: float = 1.0  # of requests that have images
    gpus: int = 1  # of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One instance more or less.

    start: the next number of the pool; its GPUs are taken at once, requests after `warm_up_s`.
    drain: the instance takes nothing new and goes when it is empty.
    swap: it drains, and its GPUs then start as an instance of pool `to`, with nothing in its cache; they take
    requests `warm_up_s` after it was empty.
    fail: what it holds is lost; its requests start over elsewhere, what clients have of them in the prompts.
    """

    at_s: float
    event: Event
    pool: int  # index into `Fleet.pools`; behind the last of them, the encoders: those only fail
    instance: int = 0  # within the pool, in the order of start, or `LEAST`; unused by "start"
    warm_up_s: float = 0.0
    to: int = -1  # pool that a "swap" goes to


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Pools of instances and their changes; prefill pools hand over to decode pools."""

    pools: tuple[Pool, ...]
    changes: tuple[Change, ...] = ()
    encoding: Encoding | None = None  # None: no images, or they are encoded in place

    @property
    def gpus(self) -> int:
        """At the start."""
        before = self.encoding.instances * self.encoding.gpus if self.encoding else 0
        return before + sum(pool.instances * pool.kind.gpus for pool in self.pools)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How requests reach the instances.

    With `in_flight` requests come in a closed loop, that many at once, each end being followed by the next
    request; their arrival times are not read.
    """

    routing: Rule = "least-loaded"
    seed: int = 0
    in_flight: int | None = None
    sessions: bool = True  # a turn comes after the one before it has ended
    later_turns: Literal["prefill", "decode"] = "prefill"  # where turns after the first have their prompts
    host: HostMemory | None = None  # of the GPUs of a plan's instances (`planner.replay.build`)
    prefixes: bool = True  # blocks of prompts are found in the caches of instances
    ftl_limit_s: float = math.inf
    ttl_limit_s: float = math.inf
