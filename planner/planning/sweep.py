"""The sweep: every design point of all three phases for one question."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from planner.arrays import FloatArray
from planner.errors import InputError
from planner.inputs.catalog import Catalog
from planner.inputs.kernels import Provenance
from planner.inputs.scenario import Scenario
from planner.inputs.system import System
from planner.planning.resolve import Question
from planner.simulate import colocated, decode, kv_transfer, prefill, space
from planner.simulate.operators.setup import Setup
from planner.simulate.operators.sources import Lookups
from planner.simulate.points import Points, Prompt
from planner.values import dataclass
from planner.words import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefilled:
    """Prefill points and what they were made with: enough for another sweep of the same prompts."""

    points: Points
    isl: int
    prompt: Prompt
    asked: frozenset[tuple[str, str]]  # operators and formats whose constants they needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Simulated points of the three phases, and the first-token latency a user of the split sees."""

    prefill: Points
    decode: Points
    colocated: Points
    prefilled: Prefilled  # what else is known of its prefill
    split_ftl_s: FloatArray  # of each prefill point, KV transfer included
    kernels: tuple[Provenance, ...]  # where the constants it used were measured
    seconds: float

    @property
    def design_points(self) -> dict[str, int]:
        """Points simulated, by phase."""
        return {p.phase: len(p) for p in (self.prefill, self.decode, self.colocated)}


def run(
    question: Question,
    budget: int | None,
    should_stop: Callable[[], bool] | None = None,
    decoding: Points | None = None,
    *,
    prefilling: Prefilled | None = None,
    light: bool = False,
) -> Sweep:
    """Simulate prefill, decode and co-located instances of at most `budget` GPUs.

    What decodes may be known, and what prefills, of a sweep with the same prompts on the same system.

    With the speed of `light` of each point only where it is asked for: a third of the time of a sweep.

    Raises `planner.simulate.points.Stopped` when `should_stop()` turns true, InputError for a
    system without kernel constants that the model needs.
    """
    start = time.perf_counter()
    scenario, pools = question.scenario, question.pools
    lookups: dict[int, Lookups] = {}  # by the identity of their source: pools may share one

    def of(phase: Phase) -> tuple[Setup, space.Layouts]:
        setup = pools[phase].setup
        source = setup.machine.kernels
        known = lookups.setdefault(id(source), Lookups(source=source))
        setup = setup.on_kernels(known)
        return setup if light else setup.in_the_dark(), layouts(question, phase, budget)

    lengths, prompt = question.lengths, question.prompt
    mtp, taken, stop = scenario.mtp, question.acceptance, should_stop
    live = lengths.context_isl, lengths.osl
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            setup, at = of("prefill")
            asking = lookups[id(pools["prefill"].setup.machine.kernels)]
            if prefilling is not None:
                prompts, asking.before = prefilling.points, prefilling.asked
            else:
                prompts = prefill.simulate(setup, at, lengths.isl, prompt=prompt, should_stop=stop)
            asked = asking.asked
            steps = decoding
            if steps is None:
                steps = decode.simulate(*of("decode"), *live, mtp=mtp, acceptance=taken, should_stop=stop)
            colocated_points = colocated.simulate(
                *of("colocated"), *live, prompt=prompt, mtp=mtp, acceptance=taken, should_stop=stop
            )
    except LookupError as missing:
        names = " or ".join(dict.fromkeys(pool.system.name for pool in pools.values()))
        raise InputError("system", names, f"{missing}; add them to its kernels file") from None
    if question.encoder is not None:
        later = colocated_points.ftl_s + question.encoding_s
        colocated_points = replace(colocated_points, ftl_s=later)
    return Sweep(
        prefill=prompts,
        decode=steps,
        colocated=colocated_points,
        prefilled=Prefilled(points=prompts, isl=lengths.isl, prompt=prompt, asked=asked),
        split_ftl_s=split_ftl_s(question, prompts),
        kernels=tuple(source for known in lookups.values() for source in known.used()),
        seconds=time.perf_counter() - start,
    )


def shared_sweep(scenario: Scenario, catalog: Catalog, system: System | None = None) -> Scenario:
    """What a scenario's sweep depends on, as a scenario: equal ones have the same sweep.

    Fields that come after a sweep are the defaults. A budget is cut to the largest instance that is tried;
    it stays what it is where the system or the model is not known, which no plan will be. `system` is that
    of the scenario where a fleet has another domain than its preset.

    >>> from planner.inputs.catalog import load
    >>> from planner.inputs.scenario import Fleet, Limits
    >>> one = Scenario(fleet=Fleet(gpus=64))
    >>> other = Scenario(fleet=Fleet(gpus=512), limits=Limits(ttl_s=0.01))
    >>> shared_sweep(one, load()) == shared_sweep(other, load())
    True
    """
    fleet = replace(scenario.fleet, usd_per_gpu_hour=None)
    try:
        domain = (system or catalog.system(scenario.system)).fabric.scale_up_gpus
        moe = catalog.model(scenario.model).is_moe
        largest = space.instance_limit(domain, fleet.instance_gpus, fleet.gpus, moe=moe)
        fleet = replace(fleet, gpus=largest)
    except InputError:
        pass
    own = Scenario()
    return replace(
        scenario,
        fleet=fleet,
        limits=own.limits,
        traffic=replace(
            scenario.traffic,
            requests_per_s=None,
            arrivals=own.traffic.arrivals,
            burstiness=own.traffic.burstiness,
            routing=own.traffic.routing,
        ),
        goal=own.goal,
        headroom=own.headroom,
        robust=own.robust,
        slack=own.slack,
        mix=own.mix,
        time_limit_s=own.time_limit_s,
    )


class Sweeps:
    """The last sweep of each system: an edit of a limit, a rate or a cap waits for none.

    One of OSL waits for no prefill. For one thread. A trace or images are swept each time.
    """

    def __init__(self) -> None:
        self.learns = True  # whether a new sweep takes the place of the last
        self._last: dict[str, tuple[Catalog, Scenario, System, float, Sweep]] = {}  # the latest at the end

    def run(
        self,
        question: Question,
        scenario: Scenario,
        catalog: Catalog,
        should_stop: Callable[[], bool] | None = None,
    ) -> Sweep:
        """As `run` of this module for a scenario's question on one system; what is known takes no seconds."""
        asked, system = question.scenario, question.pools["decode"].system
        budget, link = asked.fleet.gpus, question.link_bytes_per_s
        if scenario.traffic.trace is not None or scenario.traffic.images:
            return run(question, budget, should_stop)
        # what the caps allow is in the budget
        fleet = replace(asked.fleet, max_usd_per_hour=None, max_kw=None, max_racks=None)
        shared = shared_sweep(replace(asked, fleet=fleet), catalog, system)
        known = self._last.get(system.name)
        if known is not None and known[0] is catalog and known[1:3] == (shared, system):
            *_, moved_over, swept = known
            if link != moved_over:
                swept = replace(swept, split_ftl_s=split_ftl_s(question, swept.prefill))
            swept = replace(swept, seconds=0.0)
        else:
            prompts = None
            if known is not None and known[0] is catalog and known[2] == system:
                prompts = _same_prompts(question, shared, known[1], known[-1].prefilled)
            if not self.learns:
                return run(question, budget, should_stop, prefilling=prompts)
            known = None
            self._last.pop(system.name, None)  # an old one need not stay while the new one is made
            swept = run(question, budget, should_stop, prefilling=prompts)
            known = catalog, shared, system, link, swept
        self._last.pop(system.name, None)
        self._last[system.name] = known
        while self.learns and len(self._last) > max(len(scenario.fleet.stocks), 1):
            self._last.pop(next(iter(self._last)))
        return swept


def _same_prompts(
    question: Question, shared: Scenario, before: Scenario, known: Prefilled
) -> Prefilled | None:
    """What is known of prefill, where another sweep differs in the length of outputs at most.

    `shared` and `before` are what the sweeps depend on.
    """
    outputs = replace(shared.traffic, osl=before.traffic.osl)
    same = replace(shared, traffic=outputs) == before
    return known if same and (question.lengths.isl, question.prompt) == (known.isl, known.prompt) else None


def layouts(question: Question, phase: Phase, budget: int | None) -> space.Layouts:
    """Every layout of a phase that the engine makes, up to the largest instance worth trying in a budget.

    The given one alone, where one is (`planner.planning.resolve` has checked it).
    """
    setup = question.pools[phase].setup
    given = question.scenario.deployment.layout(phase)
    if given is not None:
        return space.only(given)
    domain = setup.machine.fabric.scale_up_gpus
    asked, moe = question.scenario.fleet.instance_gpus, setup.model.is_moe
    limit = space.instance_limit(domain, asked, budget, moe=moe)
    return space.layouts(
        setup.model,
        phase,
        max_gpus=limit,
        scale_up_gpus=domain,
        can=setup.machine.engine.can,
        mtp=question.scenario.mtp,
    )


def split_ftl_s(question: Question, points: Points) -> FloatArray:
    """First token of each prefill point in a split: its own, encoders', moving the cache, hand-over."""
    setup, isl = question.pools["prefill"].setup, question.lengths.isl
    link = question.link_bytes_per_s
    moving = np.asarray(kv_transfer.moving_s(setup.model, setup.precision, points.layouts, isl, link))
    added = kv_transfer.left_to_move_s(setup.model, moving[points.layout], points.ftl_s)
    return np.asarray(points.ftl_s + added + (setup.machine.engine.handover_s + question.encoding_s))
