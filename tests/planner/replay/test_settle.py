"""Plans that their replay confirms, with more headroom where it has to be."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from planner import Scenario, load
from planner.errors import InputError
from planner.inputs.scenario import Deployment, Fleet, Limits, Traffic
from planner.planning.result import Plan
from planner.replay import settle as module
from planner.replay.fleet import Options
from planner.replay.settle import Settled, at, settle, to_dict, to_lines

SCENARIO = Scenario(
    model="llama-3.1-8b",
    system="h100",
    traffic=Traffic(isl=2000, osl=100, requests_per_s=20.0),
    limits=Limits(ftl_s=0.5, ttl_s=0.02),
    fleet=Fleet(gpus=None),
    goal="fewest-gpus",
)


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch):
    """Replays that find a first token of ``1 s (1 - headroom)``, of plans with 10 GPUs over what is left."""
    tried: list[float] = []

    def prove(scenario: Scenario, *_: object, **__: object) -> object:
        tried.append(scenario.headroom)
        latency = np.full(100, 1.0 - scenario.headroom)
        result = SimpleNamespace(ftl_s=latency, ttl_s=0.01 * latency, finished=np.ones(100, dtype=bool))
        serving = SimpleNamespace(gpus=round(10 / (1.0 - scenario.headroom)))
        return SimpleNamespace(result=result, serving=serving, stopped=False)

    monkeypatch.setattr(module, "prove", prove)
    monkeypatch.setattr(module, "static_gpus", lambda *_: {"steady": 3, "poisson": None})
    return tried


def settled(scenario: Scenario) -> Settled:
    found = settle(scenario, load(), Options())
    assert isinstance(found, Settled)
    return found


def test_a_plan_that_holds_is_kept_as_it_is(replays: list[float]) -> None:
    found = settled(replace(SCENARIO, limits=Limits(ftl_s=1.0, ttl_s=0.02)))
    assert found.meets and found.headroom == 0.0 and replays == [0.0]


@pytest.mark.parametrize("limit_s", [0.97, 0.62, 0.5, 0.1001])
def test_one_that_does_not_gets_the_least_headroom_at_which_it_does(
    replays: list[float], limit_s: float
) -> None:
    found = settled(replace(SCENARIO, limits=Limits(ftl_s=limit_s, ttl_s=0.02)))
    assert found.meets and 1.0 - found.headroom <= limit_s < 1.0 - found.headroom + module.STEP
    assert found.proof.serving.gpus == round(10 / (1.0 - found.headroom))
    assert replays == sorted(replays)
    said = json.loads(json.dumps(to_dict(found)))
    assert said["static_gpus"] == {"steady": 3, "poisson": None}
    assert "hold in the replay" in to_lines(found)[0] and "poisson none" in to_lines(found)[1]


def test_more_headroom_that_plans_worse_is_not_taken_for_the_least(
    replays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it takes the other way of serving, whose replay does not hold."""
    prove = module.prove
    worse = replace(SCENARIO, headroom=0.0)
    monkeypatch.setattr(
        module, "prove", lambda s, *a, **k: prove(worse if 0.15 < s.headroom < 0.5 else s, *a, **k)
    )
    found = settled(replace(SCENARIO, limits=Limits(ftl_s=0.86, ttl_s=0.02)))
    assert found.meets and found.headroom == 0.15


def test_what_no_headroom_helps_is_said(replays: list[float]) -> None:
    found = settled(replace(SCENARIO, limits=Limits(ftl_s=0.05, ttl_s=0.02)))
    assert not found.meets and not any(one.meets for one in found.rounds)
    assert "no plan that was replayed meets" in to_lines(found)[0]


def test_more_headroom_than_there_are_gpus_for_ends_the_search(
    replays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    prove = module.prove
    none = object.__new__(Plan)
    monkeypatch.setattr(module, "prove", lambda s, *a, **k: none if s.headroom > 0.4 else prove(s, *a, **k))
    assert settled(replace(SCENARIO, limits=Limits(ftl_s=0.7, ttl_s=0.02))).headroom == 0.3
    assert not settled(replace(SCENARIO, limits=Limits(ftl_s=0.5, ttl_s=0.02))).meets


def test_what_a_limit_reads() -> None:
    first = np.array([1.0, 2.0, 3.0, np.nan])
    result = SimpleNamespace(ftl_s=first, ttl_s=first, finished=np.array([True, True, True, True]))
    assert at(result, "p50", "ftl_s") == 3.0  # that which never came is the latest
    assert at(result, "p99", "ftl_s") == np.inf == at(result, "mean", "ftl_s")
    assert at(result, "mean", "ttl_s") == 2.0  # one token has no interval
    result.finished[3] = False
    assert at(result, "mean", "ttl_s") == np.inf


@pytest.mark.parametrize(
    ("scenario", "options"),
    [
        (replace(SCENARIO, traffic=Traffic()), Options()),
        (SCENARIO, Options(in_flight=8)),
    ],
)
def test_it_needs_a_demand_that_arrives(scenario: Scenario, options: Options) -> None:
    with pytest.raises(InputError, match="settle"):
        settle(scenario, load(), options)


@pytest.mark.slow
def test_a_plan_and_its_replay_agree_that_it_holds() -> None:
    one = Deployment(prefill_layout="TP1", decode_layout="TP1", colocated_layout="TP1")
    found = settle(replace(SCENARIO, deployment=one), load(), Options(), count=300)
    assert isinstance(found, Settled) and found.meets
    assert found.rounds[-1].ftl_s <= SCENARIO.limits.ftl_s
    assert None not in found.static_gpus.values()
