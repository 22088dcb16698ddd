"""What a plan is: one immutable answer, ready to be drawn, printed or saved. SI units."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from planner.inputs.engine import EngineProfile
from planner.inputs.kernels import Provenance
from planner.inputs.model import ModelSpec
from planner.inputs.scenario import Scenario
from planner.inputs.system import System
from planner.planning.bands import Band
from planner.planning.energy import Power
from planner.planning.evidence import Evidence, Seen
from planner.planning.frontier import Frontier as Frontier
from planner.planning.pool_parts import MemoryUse as MemoryUse
from planner.planning.pool_parts import OperatorTime as OperatorTime
from planner.planning.survival import Survival
from planner.planning.under_load import LaterTurns as LaterTurns
from planner.planning.under_load import Load as Load
from planner.planning.under_load import Percentiles as Percentiles
from planner.planning.under_load import Queued as Queued
from planner.planning.under_load import Replayed as Replayed
from planner.simulate import encode
from planner.simulate.space import LayoutChoice as LayoutChoice
from planner.values import dataclass
from planner.words import (
    Batching,
    CacheFormat,
    Choice,
    Exchange,
    Phase,
    PrefixReuse,
    Status,
    Stop,
    Way,
    WeightFormat,
)

if TYPE_CHECKING:
    from planner.planning.alone import Alone
    from planner.planning.one_more import OneMore


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan:
    """The instances of one phase. Rates are of the whole pool; latencies of one request."""

    phase: Phase
    layout: LayoutChoice
    instances: int
    batch: int  # sequences in flight per instance
    chunk_tokens: int  # prompt tokens per chunk (prefill, piggybacked co-located); 0 means no prompt work
    mode: Batching
    ftl_s: float  # nan where the phase has none
    ttl_s: float
    requests_per_s: float  # capacity of the pool
    utilisation: float  # share of that capacity the plan uses
    memory: MemoryUse
    breakdown: tuple[OperatorTime, ...]  # of one forward pass
    # what a deployment sets
    system: str
    max_batch: int  # sequences in flight on an attention rank
    max_batched_tokens: int  # of one forward pass of an attention rank
    memory_fraction: float  # of the GPU's memory that the engine may fill
    link_bytes_per_s: float  # of one GPU, towards the other pool
    # experts that the ranks of an instance hold in all: more than the model has where copies of some fill
    # them up evenly (redundant experts); 0 in a dense model
    expert_slots: int = 0
    domain_gpus: int = 0  # of the scale-up domains that its instances lie in; 0 where not known
    rack_gpus: int = 0  # of a rack, where its system says them
    sustained_per_s: float | None = None  # requests within the limits, with queues or a loss; None: capacity
    evidence: Evidence | None = None  # what the pool rests on; None where that is not known
    over_bf16: float = 1.0  # time of a pass over what it takes with weights and activations in bf16
    exchange: Exchange = "replicated"  # how tokens reach their experts in such a pass
    two_batches: bool = (
        False  # such passes run in two halves, the exchange of one behind the work of the other
    )
    # makes the last three, and the breakdown, of a pool that is weighed (`planner.planning.servings.timed`);
    # None once it has
    timing: Callable[[bool], tuple[tuple[OperatorTime, ...], float, Exchange, bool]] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def gpus(self) -> int:
        """GPUs of the pool."""
        return self.instances * self.layout.gpus

    @property
    def served_per_s(self) -> float:
        """Requests/s that the pool serves within the limits."""
        return self.requests_per_s if self.sustained_per_s is None else self.sustained_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderPlan:
    """What encodes the images of requests; in place (no instances of its own), or a pool of its own."""

    system: str
    instances: int  # of one GPU; 0 in place
    images: float  # of a request, mean
    image_tokens: int  # of the prompt, of one image
    batch: int  # requests whose images a pass takes; 0 in place
    pass_s: float  # in place: of the images of one request, on the GPUs of an attention rank
    light_s: float
    added_ftl_s: float  # that a pool adds to the first token: its pass, the way of the images, a hand-over
    requests_per_s: float  # capacity of the pool; nan in place
    utilisation: float  # of that; nan in place
    weights_bytes: float  # on each GPU that encodes

    @property
    def gpus(self) -> int:
        """GPUs of the pool."""
        return self.instances * encode.GPUS

    @property
    def tokens(self) -> int:
        """Of a prompt, that are of images."""
        return round(self.images * self.image_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedAt:
    """The best of a way of serving where images are encoded in one place, or in the other."""

    way: Way
    pool: bool  # whether encoders have GPUs of their own
    serving: Serving | None  # without its pools; None where none meets the limits


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverReport:
    """What the integer program says of its own answer."""

    status: Status  # feasible: the time limit ended the proof
    gap: float  # relative optimality gap
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Knee:
    """What an earlier first token costs, within the slack."""

    best_ftl_s: float  # of the best plan, were there no slack
    best_requests_per_s: float  # that it is expected to serve
    costs: float  # share of the best plan's value that is given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Instances of one layout."""

    phase: Phase
    layout: LayoutChoice
    instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyMatch:
    """The split as the study matches it: rates taken as known, and the best of them without slack."""

    pools: tuple[Count, ...]  # prefill, decode
    gpus: int
    ftl_s: float
    requests_per_s: float  # as predicted
    expected_requests_per_s: float  # the errors of the pools considered


@dataclass(frozen=True, slots=True, kw_only=True)
class WithinMeasured:
    """The best plan whose layouts were all measured on this GPU, engine and format."""

    is_best: bool  # it is the plan itself
    choice: Choice  # "" where no such plan meets the limits, and nothing below says anything
    pools: tuple[Count, ...]
    gpus: int
    requests_per_s: float
    tokens_per_s_per_gpu: float  # output tokens over the GPUs of all pools
    expected_tokens_per_s_per_gpu: float
    ftl_s: float
    ttl_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """One way to serve the scenario, as numbers that can be compared across ways."""

    pools: tuple[PoolPlan, ...]  # prefill pools, then decode pools; or co-located pools
    gpus: int
    requests_per_s: float  # at the rate asked for, as all else; of the capacity where none is
    tokens_per_s_per_gpu: float  # output tokens over the GPUs of all pools
    ftl_s: float
    ttl_s: float
    usd_per_million_tokens: float  # of output tokens
    watts: float  # all-in, as rated: what a facility is built for
    solver: SolverReport
    ctx_gen_ratio: float = float("nan")  # prefill GPUs over decode GPUs; nan when not split
    kv_egress_bytes_per_s_per_gpu: float = float("nan")
    kv_ingress_bytes_per_s_per_gpu: float = float("nan")
    capacity_requests_per_s: float = float("nan")  # what the pools can serve, headroom kept
    # the same with the errors of the pools and of their layouts considered (`planner.planning.expected`)
    expected_requests_per_s: float = float("nan")
    # factors on its capacity between which 80 % of what it serves within its limits lie; None: not known
    range: tuple[float, float] | None = None
    knee: Knee | None = None  # what its first token costs; None without slack
    load: Load | None = None  # what requests see when many are in flight; None for a mix of layouts
    kv_transfer_s: float = 0.0  # what moving the cache adds to the first token; in a mix, the most
    encoder: EncoderPlan | None = None  # what encodes its images; None: requests have none
    power: Power | None = None  # what the GPUs draw at that rate; a plan has it of both ways

    @property
    def queued(self) -> Queued | None:
        """What requests see that come at their own time; None in a closed loop."""
        return None if self.load is None else self.load.queued

    @property
    def tokens_per_s_per_user(self) -> float:
        """Interactivity, 1/TTL."""
        return 1.0 / self.ttl_s

    @property
    def capacity_tokens_per_s_per_gpu(self) -> float:
        """Output tokens/s over the GPUs of all pools at capacity."""
        if not (self.requests_per_s and self.capacity_requests_per_s > 0):  # not told: as it runs
            return self.tokens_per_s_per_gpu
        return self.tokens_per_s_per_gpu * self.capacity_requests_per_s / self.requests_per_s

    @property
    def expected_tokens_per_s_per_gpu(self) -> float:
        """Output tokens/s over the GPUs of all pools, errors considered; nan where none serves."""
        if not self.requests_per_s:
            return float("nan")
        if self.expected_requests_per_s != self.expected_requests_per_s:  # not told: as predicted
            return self.tokens_per_s_per_gpu
        return self.tokens_per_s_per_gpu * self.expected_requests_per_s / self.requests_per_s

    @property
    def prefill(self) -> PoolPlan:
        """The (first) prefill pool of a split."""
        return next(p for p in self.pools if p.phase == "prefill")

    @property
    def decode(self) -> PoolPlan:
        """The (first) decode pool of a split."""
        return next(p for p in self.pools if p.phase == "decode")

    @property
    def colocated(self) -> PoolPlan:
        """The (first) co-located pool."""
        return next(p for p in self.pools if p.phase == "colocated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """The smallest change of one input that makes the scenario feasible."""

    field: str  # key of planner.inputs.fields, e.g. "ttl"
    value: float | str | None  # the value that would do, SI units; None lifts the limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A limit that stops design points."""

    limit: Stop
    points: int  # that it stops first; 0 where all limits can be met and the load is too much
    best: float = math.nan  # of all points, s; of the whole budget, requests/s
    memory_bytes: tuple[float, ...] = ()  # of the GPUs that the points do not fit in, ascending


@dataclass(frozen=True, slots=True, kw_only=True)
class Infeasible:
    """Why nothing fits: counts by the first limit that fails, and what would help."""

    reasons: tuple[Reason, ...]
    relax: tuple[Relaxation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """The plan when pools may mix layouts and idle GPUs may serve co-located."""

    serving: Serving
    gain: float  # throughput over the best single-layout plan, minus one


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """The formats behind "auto", by their names in `planner.inputs.precision`."""

    weights: WeightFormat
    experts: WeightFormat | None  # None for a model without
    kv: CacheFormat
    kv_bytes_per_token: float = float("nan")  # that one token more of a long context adds, over all layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """What drafting brings a step, and where that is known from."""

    tokens: int  # drafted per step
    acceptance: float  # of the first of them
    tokens_per_step: float  # that come of it: the acceptance length
    source: str  # of the acceptance; "" where it is assumed, "given" where the scenario says


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBuild:
    """The serving software that a plan is for."""

    name: str
    label: str
    version: str  # the newest whose runs its constants are fitted to; "" where that is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What the scenario's names stood for when the plan was made: a deployment is written from it."""

    model: ModelSpec
    system: System  # of decode
    engine: EngineProfile
    systems: Mapping[str, System] = field(default_factory=dict)  # of every pool, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Caches:
    """Shares of a trace's prompt tokens that prefix caches would find in the memory a pool leaves free."""

    phase: Phase
    instances: int  # caches: instances, times their ranks of attention data parallelism
    tokens: float  # of each
    prefix_aware: float  # what comes back from the host's memory less what its way takes
    round_robin: float
    most: float  # by one cache without end
    counted: float = 0.0  # that the plan counts on
    host_tokens: float = 0.0  # of each, beside its own, in the host's memory
    loading: float = 0.0  # time that a token of those takes to come back, over that of computing it

    def finds(self, reuse: PrefixReuse) -> float:
        """What is found where requests are spread in that way."""
        return self.round_robin if reuse == "round-robin" else self.prefix_aware


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer to a scenario."""

    status: Status
    choice: Choice
    scenario: Scenario
    disaggregated: Serving | None
    colocated: Serving | None
    mix: Mix | None
    frontier_disaggregated: Frontier
    frontier_colocated: Frontier
    design_points: Mapping[str, int]  # prefill, decode, colocated
    seconds: Mapping[str, float]  # simulate, match, total
    infeasible: Infeasible | None = None
    bands: Mapping[str, Band] = field(default_factory=dict)  # by disaggregated, colocated; may be empty
    kernels: tuple[Provenance, ...] = ()  # where the constants of the kernels come from
    link_bytes_per_s: float = float("nan")  # of one GPU between the pools: the slower side's
    precision: Formats | None = None
    engine: EngineBuild | None = None
    drafts: Drafts | None = None  # None where nothing is drafted
    max_context: int = 0  # tokens that the model was published for; 0 where not known
    not_read: tuple[str, ...] = ()  # of the model's config: what is not modelled, see `ModelSpec.not_read`
    kernels_of: str = ""  # the system whose kernel constants these are; "" where not known
    study: StudyMatch | None = None  # beside `disaggregated`; None where no split meets the limits
    # the best deployment of each layout at the limits, split and co-located, the best first
    alternatives: tuple[Frontier, Frontier] | None = None
    # the same of layouts that miss a limit by less than the error of the prediction, and never meet it
    may_meet: tuple[Frontier, Frontier] | None = None
    short_of_demand: Way | None = None  # that meets the limits as predicted, and is not expected to serve it
    within_measured: WithinMeasured | None = None  # None where nothing meets the limits or nothing is known
    caches: Caches | None = None  # None where no trace says what prompts share
    mended: tuple[str, ...] = ()  # in its trace so that it can be used, counted
    survival: Survival | None = None  # None where no loss is to be survived, or nothing meets the limits
    resolved: Resolved | None = None  # None in a plan that was put together by hand
    seen: Seen | None = None  # what is known of layouts, with which `evidence.judged` tells of any
    encoded: tuple[EncodedAt, ...] = ()  # the best of either way by where images are encoded
    alone: tuple[Alone, ...] = ()  # the best plan on each system of a fleet of several
    one_more: tuple[OneMore, ...] = ()  # what more of each cap buys (`planner.planning.one_more.told`)
    whole_hosts: bool = (
        False  # the best of all do not lie on the hosts there are: of layouts that fill theirs, or fewer GPUs
    )

    @property
    def chosen(self) -> Serving | None:
        """The serving that `choice` names."""
        if self.choice == "disaggregated":
            return self.disaggregated
        return self.colocated if self.choice == "colocated" else None

    @property
    def mixed(self) -> bool:
        """Whether a mix is deployed: where several layouts per pool were asked for."""
        return self.scenario.mix and self.mix is not None

    @property
    def deployed(self) -> Serving | None:
        """What to deploy: the mix where one was asked for, else the chosen way."""
        return self.mix.serving if self.mix is not None and self.mixed else self.chosen

    @property
    def way(self) -> Choice:
        """That of what is deployed; of a mix that splits anything a split, whose error it has."""
        if self.mix is None or not self.mixed:
            return self.choice
        phases = {pool.phase for pool in self.mix.serving.pools}
        return "colocated" if phases == {"colocated"} else "disaggregated"
