"""The one entry point: a scenario in, a plan out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from planner.errors import InputError
from planner.inputs import catalog as presets
from planner.inputs.catalog import Catalog
from planner.inputs.scenario import Scenario, Traffic
from planner.planning import (
    alternatives,
    demand,
    draft,
    mixes,
    power,
    servings,
    settle,
    survive,
    weigh,
    within,
)
from planner.planning.deadline import Deadline
from planner.planning.demand import Held
from planner.planning.draft import Draft
from planner.planning.judge import judge
from planner.planning.placed import Placed
from planner.planning.resolve import Question
from planner.planning.result import Drafts, EngineBuild, Formats, Frontier, Plan, Resolved, Serving
from planner.planning.sweep import Sweeps
from planner.simulate import decode, memory
from planner.simulate.points import Stopped

if TYPE_CHECKING:
    from planner.planning.asked import Ask

__all__ = ["Stopped", "plan"]


def plan(
    scenario: Scenario,
    catalog: Catalog | None = None,
    *,
    should_stop: Callable[[], bool] | None = None,
    on_frontier: Callable[[Frontier, Frontier], None] | None = None,
    ask: Ask | None = None,
    sweeps: Sweeps | None = None,
) -> Plan:
    """Answer a scenario: sweep, match, compare.

    Parameters
    ----------
    scenario
        What the user set; names are looked up in `catalog` (the installed presets by default).
    should_stop
        Asked every few milliseconds of the sweep and between integer programs; when it turns true the
        answer ends with Stopped. A program that runs ends within the scenario's time limit, which is one
        for the whole answer.
    on_frontier
        Called with the disaggregated and the co-located frontier as soon as they are known, before
        the integer program runs.
    ask
        Who replays a plan of whose waits closed forms are not sure (`planner.replay.asked.asking`); without,
        the plan says that they are not.
    sweeps
        What the last call with it simulated, for scenarios that differ in what no sweep knows; the same
        answer sooner.

    Raises
    ------
    InputError
        For a value that cannot be used: one line naming field, value and what is accepted.
    Stopped
        When asked to stop.
    """
    catalog = presets.load() if catalog is None else catalog
    if not isinstance(catalog, Catalog):
        raise InputError("catalog", type(catalog).__name__, "a catalog of planner.load(), or None")
    for name, call in (("should_stop", should_stop), ("on_frontier", on_frontier)):
        if call is not None and not callable(call):
            raise InputError(name, type(call).__name__, "a function, or None")
    start = time.perf_counter()

    def make(held: Held | None, ask: Ask | None = None, *, pictured: bool = True) -> Draft:
        return draft.draft(
            scenario,
            catalog,
            held,
            should_stop=should_stop,
            on_frontier=on_frontier,
            ask=ask,
            sweeps=sweeps,
            pictured=pictured,
        )

    traffic = getattr(scenario, "traffic", None)  # of what may be no scenario: `prepare` says so
    if not isinstance(traffic, Traffic) or traffic.reuse == "none" or traffic.trace is None:
        return _told(make(None, ask), catalog, start)
    from planner.planning.caches import settled

    found = settled(lambda held: make(held, pictured=held is None))
    if found.frontiers is None:
        found = draft.pictured(found, on_frontier)
    found = draft.timed(found)
    if ask is not None and found.caches is not None:
        # not with its own caches: they may find more, which fewer instances would not
        found = draft.proven(found, catalog, ask)
    return _told(found, catalog, start)


def _told(found: Draft, catalog: Catalog, start_s: float) -> Plan:
    """A draft with all that a plan says beside its ways of serving."""
    at, alone, here, placed, deadline = found.at, found.alone, found.here, found.placed, found.deadline
    judgement, choice, chosen, settled = found.judgement, found.choice, found.chosen, found.settled
    question, scenario = here.question, found.scenario
    better = at if judgement.found == "split" else alone
    assert found.frontiers is not None
    deadline.check()
    known = within.measured(here, chosen, deadline)
    split_way, colocated_way = (
        way
        and servings.timed(
            power.powered(on.question, way) if way.power is None else way, chosen=way is chosen
        )
        for on, way in ((at, judgement.split), (alone, judgement.colocated))
    )
    mix = choice.mix
    if mix is not None:
        mixed = servings.timed(mix.serving, chosen=scenario.mix)
        mix = replace(mix, serving=replace(mixed, power=mixes.power_of(mixed, placed)))
    reasons = None
    if chosen is None:
        reasons = settle.infeasible(placed, deadline)
    survived = None
    if chosen is not None and scenario.fleet.survive != "none":
        survived = survive.survival(question, chosen, _without_loss(here, catalog, deadline))
    end = time.perf_counter()
    deadline.check()
    # of placements that share their points each sweep once
    alone_swept = list({id(one.sweep.prefill): one.sweep for one in placed if len(one.systems) == 1}.values())
    listed, may_meet = alternatives.both(at, alone)
    return Plan(
        status="infeasible" if chosen is None else chosen.solver.status,
        choice=weigh.choice(judgement.found),
        scenario=_asked(scenario, question, several=len({one.systems for one in placed}) > 1),
        disaggregated=split_way,
        colocated=colocated_way,
        mix=mix,
        study=choice.study,
        frontier_disaggregated=found.frontiers[0],
        frontier_colocated=found.frontiers[1],
        design_points={
            phase: sum(swept.design_points[phase] for swept in alone_swept)
            for phase in here.sweep.design_points
        },
        seconds={
            "simulate": sum(swept.seconds for swept in alone_swept),
            "match": end - found.began_s,
            "total": end - start_s,
        },
        infeasible=reasons,
        bands=judgement.bands,
        kernels=tuple(dict.fromkeys(source for swept in alone_swept for source in swept.kernels)),
        link_bytes_per_s=at.question.link_bytes_per_s,
        precision=_formats(question),
        engine=_engine(question),
        drafts=_drafts(question),
        max_context=question.pools["decode"].setup.model.max_context,
        not_read=question.pools["decode"].setup.model.not_read,
        kernels_of=question.pools["decode"].system.kernels,
        alternatives=listed,
        may_meet=may_meet,
        short_of_demand=draft.short_of_demand(found) if chosen is not None else None,
        within_measured=known,
        caches=found.caches,
        mended=demand.mended(scenario),
        survival=survived,
        resolved=_resolved(question),
        seen=question.seen,
        alone=settled.alone,
        encoded=settled.encoded,
        whole_hosts=all(one is not better for one in placed),
    )


def _without_loss(placed: Placed, catalog: Catalog, deadline: Deadline) -> Serving | None:
    """The best serving of the same question where nothing is lost."""
    question = placed.question
    fleet = replace(question.scenario.fleet, survive="none")
    free = replace(question, scenario=replace(question.scenario, fleet=fleet))
    found = judge(Placed.of(free, placed.sweep, drawn=False), catalog, deadline, offers=False)
    return {"disaggregated": found.split, "colocated": found.colocated, "": None}[weigh.choice(found.found)]


def _asked(scenario: Scenario, question: Question, *, several: bool) -> Scenario:
    """The scenario as planned: with what its trace says, and on the one system of a fleet of one."""
    planned = question.scenario
    if several:
        return replace(planned, system=scenario.system, fleet=scenario.fleet, mix=scenario.mix)
    return replace(planned, fleet=replace(planned.fleet, gpus=question.whole_gpus))


def _formats(question: Question) -> Formats:
    setup = question.pools["decode"].setup
    formats = setup.precision
    experts = formats.moe.name if setup.model.is_moe else None
    return Formats(
        weights=formats.gemm.name,
        experts=experts,
        kv=formats.kv,
        kv_bytes_per_token=memory.growing_kv_bytes(setup.model, formats),
    )


def _engine(question: Question) -> EngineBuild:
    engine = question.pools["decode"].setup.machine.engine
    return EngineBuild(name=engine.name, label=engine.label, version=engine.version)


def _resolved(question: Question) -> Resolved:
    pool = question.pools["decode"]
    return Resolved(
        model=pool.setup.model,
        system=pool.system,
        engine=pool.setup.machine.engine,
        systems={one.system.name: one.system for one in question.pools.values()},
    )


def _drafts(question: Question) -> Drafts | None:
    scenario, model = question.scenario, question.pools["decode"].setup.model
    if not scenario.mtp:
        return None
    later = decode.later_drafts(model)
    given = scenario.mtp_acceptance is not None
    return Drafts(
        tokens=scenario.mtp,
        acceptance=question.acceptance,
        tokens_per_step=decode.tokens_per_step(scenario.mtp, question.acceptance, later),
        source="given" if given else model.mtp_source if model.mtp_acceptance else "",
    )
