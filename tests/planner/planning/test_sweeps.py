"""What is known of a sweep is not swept again, and changes no answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from planner import load
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.planning import sweep
from planner.planning.plan import plan
from planner.planning.result import Plan
from planner.planning.sweep import Sweeps
from planner.simulate import prefill
from planner.simulate.points import Points

SMALL = Scenario(model="llama-3.1-8b", traffic=Traffic(isl=2048, osl=256), fleet=Fleet(gpus=64))
EDITS = (
    replace(SMALL, limits=Limits(ttl_s=0.012)),
    replace(SMALL, limits=Limits(ftl_s=0.4, ttl_s=0.03)),
    replace(SMALL, goal="cost"),
    replace(SMALL, headroom=0.1, robust=False),
    replace(SMALL, fleet=Fleet(gpus=96)),
    replace(SMALL, traffic=Traffic(isl=2048, osl=256, requests_per_s=4.0)),
)


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What has been swept, in order."""
    asked: list[object] = []
    run = sweep.run

    def counted(question: object, *rest: object, **named: object) -> sweep.Sweep:
        asked.append(question)
        return run(question, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep, "run", counted)
    return asked


def told(found: Plan) -> list[object]:
    """What a plan says, but for the time that it took."""
    curves = (found.frontier_disaggregated, found.frontier_colocated)
    numbers = [(f.ttl_s.tolist(), f.tokens_per_s_per_gpu.tolist(), f.gpus.tolist(), f.decode) for f in curves]
    ways = [
        repr(way and replace(way, solver=replace(way.solver, seconds=0.0)))
        for way in (found.disaggregated, found.colocated)
    ]
    return [found.choice, ways, found.design_points, found.kernels, *numbers]


def test_an_edit_that_no_sweep_knows_of_has_the_same_answer_and_sweeps_nothing(swept: list[object]) -> None:
    catalog, sweeps = load(), Sweeps()
    plan(SMALL, catalog, sweeps=sweeps)
    first = [plan(edit, catalog, sweeps=sweeps) for edit in EDITS]
    assert len(swept) == 1
    assert [told(one) for one in first] == [told(plan(edit, catalog)) for edit in EDITS]


@pytest.mark.parametrize(
    "other",
    [
        replace(SMALL, traffic=Traffic(isl=2049, osl=256)),
        replace(SMALL, engine="vllm"),
        replace(SMALL, system="b200"),
        replace(SMALL, fleet=Fleet(gpus=4)),
        replace(SMALL, memory_fraction=0.7),
    ],
    ids=["isl", "engine", "system", "gpus", "memory"],
)
def test_another_question_is_swept(other: Scenario, swept: list[object]) -> None:
    catalog, sweeps = load(), Sweeps()
    plan(SMALL, catalog, sweeps=sweeps)
    assert told(plan(other, catalog, sweeps=sweeps)) == told(plan(other, catalog))
    assert len(swept) == 3


def test_outputs_of_another_length_need_no_other_prefill(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated: list[int] = []
    simulate = prefill.simulate

    def counted(*given: Any, **rest: Any) -> Points:
        simulated.append(given[2])
        return simulate(*given, **rest)

    monkeypatch.setattr(prefill, "simulate", counted)
    catalog, sweeps = load(), Sweeps()
    base = replace(SMALL, model="deepseek-r1", system="gb200", fleet=Fleet(gpus=32))
    plan(base, catalog, sweeps=sweeps)
    for osl in (1024, 64):
        other = replace(base, traffic=replace(base.traffic, osl=osl))
        quick = plan(other, catalog, sweeps=sweeps)
        assert len(simulated) == 1
        assert told(quick) == told(plan(other, catalog))
        simulated.pop()
    longer = replace(base, traffic=replace(base.traffic, osl=64, isl=4096))
    plan(longer, catalog, sweeps=sweeps)
    assert simulated == [2048, 4096]


def test_presets_that_have_changed_are_swept_anew(swept: list[object]) -> None:
    sweeps = Sweeps()
    plan(SMALL, load(), sweeps=sweeps)
    plan(SMALL, load(), sweeps=sweeps)
    assert len(swept) == 2


def test_what_does_not_learn_leaves_the_last_sweep_in_place(swept: list[object]) -> None:
    catalog, sweeps = load(), Sweeps()
    plan(SMALL, catalog, sweeps=sweeps)
    sweeps.learns = False
    plan(replace(SMALL, traffic=Traffic(isl=1024, osl=256)), catalog, sweeps=sweeps)
    sweeps.learns = True
    plan(EDITS[0], catalog, sweeps=sweeps)
    assert len(swept) == 2
    fleet = replace(SMALL, fleet=Fleet(systems="h100:16,h200:8"))
    plan(fleet, catalog, sweeps=sweeps)
    sweeps.learns = False
    plan(replace(SMALL, system="h200", fleet=Fleet(gpus=8)), catalog, sweeps=sweeps)  # as the fleet has it
    sweeps.learns = True
    plan(fleet, catalog, sweeps=sweeps)
    assert len(swept) == 4


def test_a_fleet_is_swept_once_for_each_of_its_systems(swept: list[object]) -> None:
    catalog, sweeps = load(), Sweeps()
    asked = replace(SMALL, fleet=Fleet(systems="h100:16,h200:8"))
    edits = (
        replace(asked, limits=Limits(ttl_s=0.012)),
        replace(asked, goal="cost"),
        replace(asked, fleet=Fleet(systems="h100:16@9,h200:8")),
        replace(asked, fleet=Fleet(systems="h200:8,h100:16", max_kw=1e3, max_racks=9)),
        replace(asked, mix=True),
    )
    plan(asked, catalog, sweeps=sweeps)
    first = [plan(edit, catalog, sweeps=sweeps) for edit in edits]
    assert len(swept) == 2
    assert [told(one) for one in first] == [told(plan(edit, catalog)) for edit in edits]
    del swept[:]
    domain = replace(asked, fleet=Fleet(systems="h100:16+domain=4,h200:8"))
    assert told(plan(domain, catalog, sweeps=sweeps)) == told(plan(domain, catalog))
    assert len(swept) == 1 + 2  # H100 alone, then both without what is known
    plan(replace(SMALL, system="h200", fleet=Fleet(gpus=8)), catalog, sweeps=sweeps)
    plan(domain, catalog, sweeps=sweeps)
    assert len(swept) == 1 + 2 + 1  # H200 alone is what the fleet has of it; it left H100's no room
