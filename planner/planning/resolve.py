"""A scenario with its names resolved: what the planner works on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Literal, TypeAlias, get_args

from planner.errors import InputError
from planner.inputs import failures, fields, images, precision
from planner.inputs.catalog import Catalog
from planner.inputs.engine import EngineProfile
from planner.inputs.fleet import MOST_GPUS, Stock
from planner.inputs.images import Images
from planner.inputs.kernels import deployed
from planner.inputs.layout_label import label
from planner.inputs.lengths import Lengths, of_traffic
from planner.inputs.model import ModelSpec
from planner.inputs.scenario import Scenario, Traffic
from planner.inputs.system import System
from planner.match.robust import KNOWN, Errors
from planner.match.room import ROUNDING, Room
from planner.planning import bands, demand, evidence
from planner.planning.bands import Alike, Band
from planner.planning.demand import Demand, Held
from planner.planning.evidence import Seen
from planner.simulate import encode, kv_transfer, space
from planner.simulate.backlog import Windows
from planner.simulate.decode import ACCEPTANCE
from planner.simulate.encode import Encoder
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.setup import Setup
from planner.simulate.operators.sources import Lookups
from planner.simulate.points import Prompt
from planner.values import dataclass
from planner.words import At, Goal, Level, Phase, Tariff, Vendor, Way, Weights

LATE: Mapping[At, float] = {"auto": 0.05, "p50": 0.5, "p90": 0.1, "p95": 0.05, "p99": 0.01}
WATTS: tuple[Goal, ...] = ("watts", "tokens-per-watt")
VENDORS: Mapping[Vendor, str] = {"nvidia": "NVIDIA", "amd": "AMD"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSetup:
    """What the instances of one phase run on, and what that costs."""

    system: System
    setup: Setup
    usd_per_gpu_hour: float
    watts_per_gpu: float  # all-in
    link_bytes_per_s: float  # of one GPU, towards the other pool


Whole: TypeAlias = Literal["no", "hosts", "domains"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The scenario, and what follows from it at once: what the pool of each phase runs on."""

    scenario: Scenario
    pools: Mapping[
        Phase, PoolSetup
    ]  # all three phases; on one system, or prefill on one and the rest on another
    room: Room | None = None  # of the pools where they are on two systems; None: all of `scenario.fleet.gpus`
    whole_gpus: int | None = None  # of the whole fleet: what a picture counts tokens/s per GPU of
    bands: Mapping[str, Band] = field(default_factory=dict)  # of either way; {} where nothing was measured
    levels: Mapping[Way, Mapping[Level, Band]] = field(default_factory=dict)  # the bands by how much is known
    alike: Mapping[str, Alike] = field(default_factory=dict)  # what errors of candidates have in common
    acceptance: float = ACCEPTANCE  # of the first drafted token
    lengths: Lengths = field(default_factory=lambda: of_traffic(Traffic()))  # of the requests
    prompt_windows: Windows | None = None  # how the load of prompts changes; None: it does not
    decode_windows: Windows | None = None  # and that of output tokens
    seen: Seen | None = None  # what the runs behind the fit have that is near it; None where not known
    whole: Whole = "no"  # what instances of its layouts fill without a rest (`planner.planning.housed`)
    images: Images | None = None  # of the requests; None: they have none
    encoder: Encoder | None = None  # an instance of the pool that encodes them; None: they are in place

    @property
    def errors(self) -> Errors:
        """What the rates of a split's pools may be off by."""
        return bands.pool_errors(self.bands.get("disaggregated")) if self.scenario.robust else KNOWN

    @property
    def prompt(self) -> Prompt:
        """What prefill computes of a mean prompt."""
        return Prompt(new=self.lengths.new, prefix=self.lengths.prefix)

    @property
    def queues(self) -> bool:
        """Whether requests come at their own time, so that they wait for each other."""
        return self.scenario.traffic.arriving != "steady"

    @property
    def counted(self) -> bool:
        """Whether what instances of a pool serve together is no multiple of what one does.

        They share a queue, the last of them stand by for a loss, or encoders feed them.
        """
        return self.queues or self.scenario.fleet.survive != "none" or self.encoder is not None

    def counted_in(self, phase: Phase) -> bool:
        """The same of the pool of one phase: an encoder pool goes with what computes prompts."""
        apart = self.queues or self.scenario.fleet.survive != "none"
        return apart or (self.encoder is not None and phase != "decode")

    @property
    def encoding_s(self) -> float:
        """What an encoder pool adds to a first token; where requests come at any time, they may wait a pass.

        0 where images are encoded in place: that is part of the pass over the prompt.
        """
        if self.encoder is None:
            return 0.0
        return self.encoder.latency_s + (self.encoder.pass_s if self.queues else 0.0)

    @property
    def arrival_variation(self) -> float:
        """Squared coefficient of variation of the gaps between arrivals."""
        asked = self.scenario.traffic
        return asked.burstiness**2 if asked.arriving == "bursty" else 1.0

    def late_share(self, limit: Literal["ftl", "ttl"]) -> float | None:
        """Share of the requests that may be later than a limit; None where it binds the mean.

        Under arrivals a limit binds P95, if not told; a steady queue has no percentiles.
        """
        limits = self.scenario.limits
        at = limits.ftl_at if limit == "ftl" else limits.ttl_at
        if at == "mean" or not self.queues:
            return None
        return LATE[at]

    @property
    def link_bytes_per_s(self) -> float:
        """Bandwidth of one GPU between prefill and decode: that of the side whose link is slower."""
        return min(self.pools["prefill"].link_bytes_per_s, self.pools["decode"].link_bytes_per_s)

    @property
    def most_gpus(self) -> int | None:
        """What all pools of a split may have together."""
        return self.scenario.fleet.gpus if self.room is None else self.room.gpus

    def gpus_of(self, phase: Phase) -> int | None:
        """What one pool may have, beside none of another."""
        if self.room is None:
            return self.scenario.fleet.gpus
        return self.room.prefill if phase == "prefill" else self.room.decode

    def on(self, pool: PoolSetup) -> Question:
        """The same question with every phase on one setup."""
        return replace(self, pools=dict.fromkeys(self.pools, pool))

    def remembering(self) -> Question:
        """The same with each set of kernel constants looked up once: for one plan, on one thread."""
        once: dict[int, PoolSetup] = {}  # by the identity of a pool's setup: pools may share one
        for pool in self.pools.values():
            known = Lookups(source=pool.setup.machine.kernels)
            once.setdefault(id(pool), replace(pool, setup=pool.setup.on_kernels(known)))
        return replace(self, pools={phase: once[id(pool)] for phase, pool in self.pools.items()})


def prepare(scenario: Scenario, catalog: Catalog, held: Held | None = None) -> Question:
    """Check every field and look up every name; of a trace `held` find what its prompts share.

    Raises InputError for the first that cannot be used, and for a fleet of several systems
    (`planner.planning.inventory` takes those).
    """
    fields.check(scenario)
    stocks = scenario.fleet.stocks
    if len(stocks) > 1:
        raise InputError("fleet", scenario.fleet.systems, "one system here: several are for plan and export")
    return on_system(demand.of(scenario, held), stocks[0] if stocks else None, catalog)


def on_system(asked: Demand, stock: Stock | None, catalog: Catalog) -> Question:
    """The question with every phase on one system of its fleet; without a stock, on the scenario's own.

    Raises InputError for what cannot be used.
    """
    scenario = asked.scenario
    model = catalog.model(scenario.model)
    if stock is None:
        system = catalog.system(scenario.system)
    else:
        system, usd = _stocked(stock, catalog), scenario.fleet.usd_per_gpu_hour
        usd = usd if stock.usd_per_gpu_hour is None else stock.usd_per_gpu_hour
        alone = replace(scenario.fleet, systems=None, gpus=stock.gpus, usd_per_gpu_hour=usd)
        scenario = replace(scenario, system=system.name, fleet=alone)
    engine = catalog.engine(scenario.engine)
    if scenario.memory_fraction is not None:
        engine = replace(engine, memory_fraction=scenario.memory_fraction)
    _check_vendor(engine, system, catalog)
    model, acceptance = drafting(model, scenario.mtp, scenario.mtp_acceptance, scenario.draft_cost)
    formats = precision.resolve(scenario.weights, scenario.kv, model, system.gpu, system.vendor)
    _check_formats(scenario, engine, system, formats, model)
    _check_deployment(scenario, engine, model)
    kernels = deployed(catalog.kernels(system, engine.name), engine)
    machine = Machine(
        gpu=system.gpu, fabric=system.fabric, kernels=kernels, engine=engine, vendor=system.vendor
    )
    usd_per_gpu_hour = price(scenario.fleet.usd_per_gpu_hour, system)
    whole = scenario.fleet.gpus
    if scenario.fleet.capped:
        gpus = _allowed(scenario, system, usd_per_gpu_hour)
        scenario = replace(scenario, fleet=replace(scenario.fleet, gpus=gpus))
    everywhere = PoolSetup(
        system=system,
        setup=Setup(machine=machine, model=model, precision=formats, mla_cache=scenario.mla_cache),
        usd_per_gpu_hour=usd_per_gpu_hour,
        watts_per_gpu=system.watts_per_gpu,
        link_bytes_per_s=kv_transfer.link_bytes_per_s(system.fabric, scenario.fleet.gpus),
    )
    seeing, lengths = images.of(scenario.traffic, model, asked.lengths)
    pools: dict[Phase, PoolSetup] = dict.fromkeys(get_args(Phase), everywhere)
    if seeing is not None:
        pools |= dict.fromkeys(("prefill", "colocated"), _seeing(everywhere, seeing))
    question = Question(
        scenario=scenario,
        images=seeing,
        pools=pools,
        whole_gpus=whole,
        acceptance=acceptance,
        lengths=lengths,
        prompt_windows=asked.prompts,
        decode_windows=asked.decode,
    )
    return known(question, catalog)


def _seeing(pool: PoolSetup, images: Images) -> PoolSetup:
    """Where images are encoded in place: each GPU holds the encoder, and passes over prompts run it."""
    setup = pool.setup
    beside = encode.weight_bytes(images, setup.model.hidden)
    model = replace(setup.model, beside_bytes=beside)
    return replace(pool, setup=replace(setup, model=model, images=images))


def encoded_apart(question: Question) -> tuple[Question, ...]:
    """The same question with an encoder pool beside what computes prompts: one for each way to run it.

    () where images are to be encoded in place, and for goals that count watts: those are weighed without.
    """
    seeing, scenario = question.images, question.scenario
    if seeing is None or scenario.traffic.encoder == "in-place" or scenario.goal in WATTS:
        return ()
    pools = {
        phase: replace(
            pool,
            setup=replace(pool.setup, model=replace(pool.setup.model, beside_bytes=0.0), images=None),
        )
        for phase, pool in question.pools.items()
    }
    pool = pools["prefill"]
    setup = pool.setup
    try:
        found = encode.encoders(setup.machine, seeing, setup.model.hidden, pool.link_bytes_per_s)
    except LookupError:  # the sweep in place says what is missing
        return ()
    return tuple(replace(question, pools=pools, encoder=one) for one in found)


def known(question: Question, catalog: Catalog) -> Question:
    """The question with what is known of its predictions on the systems that its pools are on."""
    table = catalog.accuracy()
    return replace(
        question,
        bands=bands.bands(question, table),
        levels=bands.levels(question, table),
        alike=bands.alike(table),
        seen=evidence.seen(question, table),
    )


class NothingAllowed(InputError):
    """A cap that no GPU of a system keeps."""


def _stocked(stock: Stock, catalog: Catalog) -> System:
    """The system of a fleet's entry, with the domain and network that it says. Raises InputError."""
    try:
        system = catalog.system(catalog.canonical("system", stock.system))
    except InputError as error:
        raise InputError("fleet", stock.system, error.accepted) from None
    fabric = system.fabric
    return replace(
        system,
        fabric=replace(
            fabric,
            scale_up_gpus=stock.domain_gpus or fabric.scale_up_gpus,
            scale_out_bytes_per_s=stock.network_bytes_per_s or fabric.scale_out_bytes_per_s,
        ),
        rack_gpus=_rack(stock, system),
    )


def _rack(stock: Stock, system: System) -> int:
    """GPUs of a rack as a fleet's entry says them. Raises InputError where a rack has other ones."""
    if stock.rack_gpus is None:
        return system.rack_gpus
    domain = stock.domain_gpus or system.fabric.scale_up_gpus
    nodes = failures.nodes_of(system.name, domain, stock.rack_gpus)
    if nodes.rack_gpus != stock.rack_gpus:
        accepted = f"whole hosts of {nodes.host_gpus} GPUs"
        if nodes.domain_hosts > 1:
            accepted = f"{nodes.rack_gpus}, the GPUs of a scale-up domain of {system.label}, as its rack"
        raise InputError("fleet: rack", stock.rack_gpus, accepted)
    return stock.rack_gpus


def _allowed(scenario: Scenario, system: System, usd_per_gpu_hour: float) -> int | None:
    """GPUs of one system within the budget and the caps. Raises InputError where a cap allows none."""
    fleet, allowed = scenario.fleet, math.inf if scenario.fleet.gpus is None else scenario.fleet.gpus
    for key, most, each, unit in (
        ("max-usd-per-hour", fleet.max_usd_per_hour, usd_per_gpu_hour, "$/h"),
        ("max-kw", fleet.max_kw, system.watts_per_gpu / 1e3, "kW"),
    ):
        if most is None or not each:
            continue
        if (within := math.floor(most * (1 + ROUNDING) / each)) < 1:
            raise NothingAllowed(
                key, most, f"at least {each:.3g} {unit}: one GPU of {system.label} takes that"
            )
        allowed = min(allowed, within)
    if fleet.max_racks is not None:
        allowed = min(allowed, fleet.max_racks * failures.nodes(system).rack_gpus)
    return None if allowed == math.inf else min(int(allowed), MOST_GPUS)


def drafting(
    model: ModelSpec, mtp: int, acceptance: float | None, draft_cost: float | None
) -> tuple[ModelSpec, float]:
    """The model with what drafts for it, and how often the first of `mtp` drafted tokens is taken.

    What is known of a model's own heads says nothing of a draft model beside them.

    Raises InputError where tokens are drafted and nothing could.
    """
    if draft_cost is not None:
        known = () if model.mtp_layers else model.mtp_acceptance
        model = replace(model, mtp_layers=0, mtp_acceptance=known, draft_share=draft_cost)
    elif mtp and not (model.mtp_layers or model.draft_share):
        raise InputError(
            "mtp", mtp, f"0, or a draft cost beside it: {model.name} has no multi-token prediction layers"
        )
    first = model.mtp_acceptance[0] if model.mtp_acceptance else ACCEPTANCE
    return model, first if acceptance is None else acceptance


def with_weights(question: Question, weights: Weights) -> Question:
    """The same question with weights of another format.

    Raises InputError where an engine has no kernels for it.
    """
    scenario, pools = replace(question.scenario, weights=weights), {}
    for phase, pool in question.pools.items():
        setup, system = pool.setup, pool.system
        formats = precision.resolve(weights, scenario.kv, setup.model, system.gpu, system.vendor)
        _check_formats(scenario, setup.machine.engine, system, formats, setup.model)
        pools[phase] = replace(pool, setup=replace(setup, precision=formats))
    return replace(question, scenario=scenario, pools=pools)


def price(asked: float | Tariff | None, system: System) -> float:
    """$ per GPU-hour: as asked, or what the system's preset says of owning or renting one.

    Raises InputError for a rental price that is not known.
    """
    if isinstance(asked, (int, float)):
        return asked
    if asked is None:
        return system.usd_per_gpu_hour
    if not system.rental_usd_per_gpu_hour:
        raise InputError(
            "price", asked, f"a number of $ per GPU-hour: what renting {system.label} costs is not known"
        )
    return system.rental_usd_per_gpu_hour


def _check_vendor(engine: EngineProfile, system: System, catalog: Catalog) -> None:
    """Raises InputError for an engine that does not run on the system's GPUs."""
    if system.vendor in engine.can.vendors:
        return
    others = [name for name in catalog.names("engine") if system.vendor in catalog.engine(name).can.vendors]
    runs = " and ".join(VENDORS[vendor] for vendor in engine.can.vendors)
    raise InputError(
        "engine",
        engine.name,
        f"{engine.label} runs on GPUs of {runs} alone; on {system.label}: {', '.join(others) or 'none'}",
    )


def _check_deployment(scenario: Scenario, engine: EngineProfile, model: ModelSpec) -> None:
    """Raises InputError for a given layout that the model or the engine does not allow."""
    for phase in get_args(Phase):
        given = scenario.deployment.layout(phase)
        if given is None:
            continue
        wrong = space.obstacle(model, phase, given, engine.can, scenario.mtp)
        if wrong:
            name = label(**given._asdict())
            raise InputError(f"{phase}-layout", name, f"{model.name} with {engine.label} takes {wrong}")


def _check_formats(
    scenario: Scenario, engine: EngineProfile, system: System, formats: precision.Precision, model: ModelSpec
) -> None:
    """Raises InputError for weights that the engine has no kernels for on the system's GPUs."""
    for fmt in (formats.gemm, *([formats.moe] if model.is_moe else [])):
        if system.family in engine.can.lacks.get(fmt.name, ()):
            raise InputError(
                "weights",
                scenario.weights,
                f"{engine.label} has no kernels for {fmt.name} on {system.label}; another format or engine",
            )
