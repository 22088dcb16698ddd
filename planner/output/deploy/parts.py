"""What a deployment is made of, whatever launches it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any, TypeAlias

from planner.inputs.engine import Abilities
from planner.inputs.model import ModelSpec
from planner.inputs.scenario import Scenario
from planner.inputs.system import System
from planner.output.deploy.schedule import Schedule
from planner.planning import demand
from planner.planning.result import EncoderPlan, Plan, PoolPlan, Serving
from planner.simulate import forward, space
from planner.simulate.operators import collectives
from planner.values import dataclass
from planner.words import Benchmark, EngineFamily, Phase, Reach, Target, Vendor

FARTHEST = 3.09  # standard deviations of a normal distribution that 999 of 1,000 lie below

Value: TypeAlias = "int | float | str | bool | Mapping[str, Any]"  # of a flag; True alone: it takes none
Settings: TypeAlias = Mapping[str, Value]  # by the spelling of the engine, in the order of the command


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTable:
    """How an engine is told a plan: presets/deploy/<engine>.toml."""

    engine: EngineFamily
    label: str
    version: str  # that the spellings were read from
    sources: tuple[str, ...]
    command: tuple[str, ...]
    images: Mapping[str, str]  # of containers, by vendor
    flags: Mapping[str, str]  # what a setting means, to its spelling
    kv: Mapping[str, str]  # formats of the cache
    online: Mapping[str, str]  # formats that a BF16 checkpoint is quantised to as it is loaded
    old_flags: Mapping[str, str] = field(default_factory=dict)  # of older builds that are still launched
    page_tokens: int = 1  # that chunks are whole numbers of
    environment: Mapping[str, str] = field(default_factory=dict)  # what has no flag, to its variable
    # what its all-to-all is called, by vendor, by what lies between the ranks and by phase
    exchange: Mapping[Vendor, Mapping[Reach, Mapping[Phase, str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a user says beside the plan. Empty: what ratematch knows."""

    hosts: tuple[str, ...] = ()  # addresses, the first that of the router
    gpus_per_host: int | None = None
    checkpoint: str = ""  # a repository or a folder
    revision: str = ""
    image: str = ""
    benchmark: Benchmark = "vllm"
    name: str = ""  # of the deployment
    schedule: Schedule | None = None  # of instances over time


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One plan on its way to one target."""

    plan: Plan
    serving: Serving
    model: ModelSpec
    system: System
    target: Target
    table: EngineTable  # of the engine that runs
    can: Abilities  # of the same
    own_engine: bool  # the plan was made for it: its memory fraction means the same
    options: Options

    @property
    def scenario(self) -> Scenario:
        """What was asked."""
        return self.plan.scenario

    @property
    def vendor(self) -> Vendor:
        """Of the GPUs."""
        return self.system.vendor

    @property
    def split(self) -> bool:
        """Whether prefill and decode have instances of their own."""
        return any(pool.phase == "prefill" for pool in self.serving.pools)

    @property
    def encoders(self) -> EncoderPlan | None:
        """The pool that encodes images; None where there is none."""
        of = self.serving.encoder
        return of if of is not None and of.instances else None

    @property
    def mtp(self) -> int:
        """Tokens drafted per step."""
        return self.scenario.mtp

    @property
    def prefill_pipelines(self) -> bool:
        """Whether the cache is sent from several pipeline stages."""
        return any(pool.phase == "prefill" and pool.layout.pp > 1 for pool in self.serving.pools)

    @property
    def context_tokens(self) -> int:
        """The longest request that instances take: the plan's own, or its trace's, and what lengths vary by.

        Of drawn lengths 999 of 1,000 fit, those of the load generators too, whose one spread is of both
        sides. Never beyond what the model was published for.
        """
        traffic = self.scenario.traffic
        seen = self.serving.encoder.tokens if self.serving.encoder is not None else 0  # of images
        mean, longest = traffic.isl + traffic.osl, 0
        if (requests := demand.recorded(self.scenario)) is not None:
            longest = int((requests.isl + requests.osl).max())
        sigma = math.sqrt(math.log1p(max(traffic.isl_spread, traffic.osl_spread) ** 2))  # of the logarithm
        longest = max(longest, math.ceil(mean * math.exp(FARTHEST * sigma - sigma**2 / 2)))
        room = -(-(longest + seen) // 1024) * 1024 + 1024
        most = self.model.max_context
        return min(room, max(most, mean + seen)) if most else room

    def copies(self, pool: PoolPlan) -> int:
        """Redundant experts that fill the slots of this engine's EP ranks up evenly; 0 where none need be."""
        return max(space.expert_slots(self.model, pool.layout.ep, self.can) - self.model.experts, 0) * (
            self.model.is_moe
        )

    def exchange(self, pool: PoolPlan) -> str:
        """What the engine calls the all-to-all that a pool was planned with; "" where it gathers tokens."""
        if pool.exchange != "all-to-all":
            return ""
        reach = self.reach(pool)
        return self.table.exchange.get(self.vendor, {}).get(reach, {}).get(pool.phase, "")

    def reach(self, pool: PoolPlan) -> Reach:
        """What lies between the ranks of a pipeline stage of a pool."""
        return collectives.reach(self.system.fabric, pool.layout.tp * pool.layout.attention_dp)

    def halves(self, pool: PoolPlan) -> bool:
        """Whether the engine is told to run a pool's batches in two halves, as it was planned."""
        told = forward.cuts_in_two(self.can, self.vendor, self.model)
        return pool.two_batches and bool(self.exchange(pool)) and told

    def flag(self, meaning: str) -> str:
        """The spelling of a setting."""
        return self.table.flags[meaning]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An instance on its hosts."""

    name: str  # prefill-0, decode-12
    pool: int  # index of its pool in the serving
    hosts: tuple[int, ...]
    gpus: tuple[tuple[int, ...], ...]  # on each of them
    port: int = 0  # of its HTTP server, on the first host
    side_port: int = 0  # first of those that move the cache, one for each rank of attention DP
    head_port: int = 0  # where its hosts find each other; 0 on one host


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What runs on one host for one instance."""

    name: str
    host: int
    gpus: tuple[int, ...]
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    health: str = ""  # address that answers when it serves; "" where it has no server
    spans: bool = False  # it starts ranks on other hosts itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a target cannot say a plan."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What is written: texts by relative path, and what a user should know."""

    target: Target
    files: Mapping[str, str]
    notes: tuple[str, ...] = ()


def argv(settings: Settings) -> tuple[str, ...]:
    """Settings as words of a command line.

    >>> argv({"--tp": 4, "--on": True, "--config": {"k": 1}})
    ('--tp', '4', '--on', '--config', '{"k": 1}')
    """
    from planner.output.as_json import dumps

    words: list[str] = []
    for flag, value in settings.items():
        words.append(flag)
        if isinstance(value, Mapping):
            words.append(dumps(value, indent=None))
        elif value is not True:
            words.append(str(value))
    return tuple(words)
