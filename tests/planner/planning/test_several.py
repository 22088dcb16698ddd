"""Scenarios that share a sweep: the same answers, from fewer sweeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner import Fleet, Limits, Scenario, Traffic, load, plan
from planner.planning import several, sweep
from planner.planning.several import Answer, Refused

SMALL = Scenario(model="llama-3.1-8b", fleet=Fleet(gpus=16, instance_gpus=8))


def _served(serving: object) -> object:
    names = (
        "gpus",
        "ftl_s",
        "ttl_s",
        "requests_per_s",
        "expected_requests_per_s",
        "range",
        "usd_per_million_tokens",
        "load",
    )
    return serving and {name: getattr(serving, name) for name in names}


def test_answers_are_those_of_plans() -> None:
    catalog, dear = load(), replace(SMALL.fleet, gpus=256, usd_per_gpu_hour=9.0)
    scenarios = [
        replace(SMALL, limits=Limits(ftl_s=ftl, ttl_s=ttl), fleet=fleet, goal=goal)
        for ftl, ttl in ((10.0, 0.05), (0.5, 0.01), (10.0, 0.0002))
        for fleet, goal in ((SMALL.fleet, "throughput"), (dear, "cost"))
    ]
    for scenario, answer in zip(scenarios, several.answers(scenarios, catalog), strict=True):
        one = plan(scenario, catalog)
        assert isinstance(answer, Answer) and answer.scenario == scenario
        assert _served(answer.split) == _served(one.disaggregated)
        assert _served(answer.colocated) == _served(one.colocated)
        assert (answer.chosen is None) == (one.chosen is None)
        assert _served(answer.chosen) == _served(one.chosen)
        reasons = one.infeasible.reasons if one.infeasible else ()
        assert repr(answer.reasons) == repr(reasons)  # from Python 3.13 on nan is not even itself in them
        assert answer.within_measured is None


def test_neighbours_share_one_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[int | None] = []

    def counted(question: object, budget: int | None, *rest: object) -> sweep.Sweep:
        swept.append(budget)
        return run(question, budget, *rest)  # type: ignore[arg-type]

    run = sweep.run
    monkeypatch.setattr(sweep, "run", counted)
    scenarios = [
        *(replace(SMALL, limits=Limits(ttl_s=ttl)) for ttl in (0.01, 0.02, 0.05)),
        replace(SMALL, fleet=replace(SMALL.fleet, gpus=64)),
        replace(SMALL, fleet=replace(SMALL.fleet, gpus=4)),
        replace(SMALL, traffic=Traffic(isl=4096)),
    ]
    assert len(list(several.answers(scenarios, load()))) == 6
    assert swept == [16, 4, 16]  # a small fleet tries smaller instances, other lengths are another sweep


def test_what_cannot_be_answered_is_told_in_its_place() -> None:
    scenarios = [SMALL, replace(SMALL, model="nonesuch"), replace(SMALL, mtp=2), SMALL]
    found = list(several.answers(scenarios, load(), measured=True))
    assert [type(one) for one in found] == [Answer, Refused, Refused, Answer]
    assert "nonesuch" in found[1].reason and found[2].reason.startswith("mtp:")  # type: ignore[union-attr]
    assert found[0].within_measured is not None  # type: ignore[union-attr]
    assert sweep.shared_sweep(scenarios[1], load()) != sweep.shared_sweep(SMALL, load())
