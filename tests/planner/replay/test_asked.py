"""The replay that a plan asks: bounded, the same each time, and of the requests that the plan is for."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

import planner
from planner.inputs.scenario import Deployment, Fleet, Limits, Scenario, Traffic
from planner.output.queue_words import replayed_sentence
from planner.planning.result import Plan, Queued
from planner.replay import asked as module
from planner.replay.asked import asking

SCENARIO = Scenario(
    model="llama-3.1-8b",
    system="h100",
    traffic=Traffic(isl=2000, osl=60, requests_per_s=20.0, isl_spread=1.0),
    limits=Limits(ftl_s=1.0, ttl_s=0.02),
    fleet=Fleet(gpus=4),
    goal="fewest-gpus",
)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUESTS", 300)


def queued(plan: Plan) -> Queued:
    assert plan.chosen is not None and plan.chosen.load is not None and plan.chosen.load.queued is not None
    return plan.chosen.load.queued


def test_a_plan_has_the_percentiles_of_its_replay() -> None:
    closed, first, again = (
        queued(planner.plan(SCENARIO, ask=asking(how))) for how in ("off", "auto", "auto")
    )
    assert closed.replayed is None and not closed.sure
    assert first.replayed is not None and first.sure and first.replayed.meets
    assert first == again and first.ftl != closed.ftl
    assert first.ftl.p50 < first.ftl.p95 < first.ftl.p99 < first.e2e.p99
    assert first.ftl.p95 == pytest.approx(closed.ftl.p95, rel=0.5)


def test_what_would_take_too_many_requests_is_asked_of_a_slice_or_of_no_replay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST", 200)
    assert queued(planner.plan(SCENARIO, ask=asking())).replayed is not None  # of 8 times those in flight
    monkeypatch.setattr(module, "MOST", 20)
    assert queued(planner.plan(SCENARIO, ask=asking())).replayed is None  # one instance has no slice
    on = queued(planner.plan(SCENARIO, ask=asking("on"))).replayed
    assert on is not None and on.requests >= 300 and on.share == 1.0 and on.of_requests == on.requests
    many = replace(SCENARIO, traffic=replace(SCENARIO.traffic, requests_per_s=200.0), fleet=Fleet(gpus=None))
    given = replace(many, deployment=Deployment(colocated_layout="TP1", colocated_instances=24))
    monkeypatch.setattr(module, "MOST", 400)
    sliced = queued(planner.plan(given, ask=asking())).replayed
    assert sliced is not None and sliced.requests <= 400 and 0 < sliced.share < 1.0


def test_a_trace_is_replayed_as_it_is(tmp_path: Path) -> None:
    lines = [f"{0.1 * i},{1000 + 7 * (i % 100)},{20 + i % 9}" for i in range(250)]
    trace = tmp_path / "trace.csv"
    trace.write_text("\n".join(["time_s,input_tokens,output_tokens", *lines]), encoding="utf-8")
    recorded = replace(SCENARIO, traffic=Traffic(trace=str(trace)))
    replayed = queued(planner.plan(recorded, ask=asking("on"))).replayed
    assert replayed is not None and replayed.requests == replayed.of_requests == 250


def test_requests_that_no_instance_has_room_for_are_told_of(tmp_path: Path) -> None:
    """They made means infinite: "inf in flight; the limits hold"."""
    isl = [600_000 if i in (60, 120) else 1000 + 7 * (i % 100) for i in range(250)]
    lines = [f"{0.5 * i},{tokens},{20 + i % 9}" for i, tokens in enumerate(isl)]
    trace = tmp_path / "trace.csv"
    trace.write_text("\n".join(["time_s,input_tokens,output_tokens", *lines]), encoding="utf-8")
    asked = replace(
        SCENARIO,
        system="l40s",
        engine="vllm",
        traffic=Traffic(trace=str(trace), requests_per_s=0.05),
        limits=Limits(ftl_s=300.0, ttl_s=0.1),
        fleet=Fleet(gpus=None),
    )
    found = planner.plan(asked, ask=asking("on"))
    told = queued(found)
    assert told.replayed is not None and told.replayed.refused == 2
    assert found.chosen is not None and found.chosen.load is not None
    assert math.isfinite(found.chosen.load.requests_in_flight)
    for latency in (told.ftl, told.ttl, told.e2e):
        assert 0 < latency.mean < math.inf and latency.p50 <= latency.p95 < math.inf
    assert "(2 of them, longer than any instance has room for, are refused)" in replayed_sentence(
        told.replayed
    )


def test_of_a_long_trace_its_busiest_stretch_is_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{0.1 * i},{1000 + 7 * (i % 100)},{20 + i % 9}" for i in range(250)]
    trace = tmp_path / "trace.csv"
    trace.write_text("\n".join(["time_s,input_tokens,output_tokens", *lines]), encoding="utf-8")
    monkeypatch.setattr(module, "MOST", 100)
    recorded = replace(SCENARIO, traffic=Traffic(trace=str(trace)))
    replayed = queued(planner.plan(recorded, settle="auto")).replayed
    assert replayed is not None and (replayed.requests, replayed.of_requests) == (100, 250)
    assert "the busiest 100 of 250 requests replayed" in replayed_sentence(replayed)


def test_the_library_settles_where_it_is_told_to() -> None:
    assert queued(planner.plan(SCENARIO)).replayed is None
    assert queued(planner.plan(SCENARIO, settle="auto")) == queued(planner.plan(SCENARIO, ask=asking()))
    with pytest.raises(planner.InputError, match="settle: 'always' is not accepted; auto, on or off"):
        planner.plan(SCENARIO, settle="always")  # type: ignore[arg-type]
