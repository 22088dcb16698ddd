"""What a plan says of the prefixes that its trace's prompts share."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from planner import Scenario, load, plan
from planner.errors import InputError
from planner.inputs.reuse import reuse
from planner.inputs.scenario import Fleet, Limits, Traffic
from planner.output import data, traffic_words
from planner.output.notes import notes
from planner.planning import asked, caches, demand, draft, survive
from planner.planning import plan as plan_module
from planner.planning.demand import Held
from planner.planning.judge import Judgement
from planner.planning.result import Caches, Serving

pytest.importorskip("pyarrow")

SCENARIO = Scenario(
    model="llama-3.1-8b",
    system="h100",
    traffic=Traffic(trace="mooncake-conversations"),
    limits=Limits(ftl_s=5.0, ttl_s=0.03),
    fleet=Fleet(gpus=16),
    goal="fewest-gpus",
)


@pytest.fixture(scope="module")
def found():
    return plan(SCENARIO, load())


def test_it_is_what_reuse_says_of_caches_of_that_size(found) -> None:
    said = found.caches
    pool = next(p for p in found.chosen.pools if p.phase == said.phase)
    assert said.phase in ("prefill", "colocated")
    assert said.instances == pool.instances * pool.layout.attention_dp
    requests = demand.recorded(SCENARIO)
    for routing, share in (("prefix-aware", said.prefix_aware), ("round-robin", said.round_robin)):
        by_hand = reuse(requests, instances=said.instances, routing=routing).hit_rate(said.tokens)
        assert share == pytest.approx(float(by_hand))
    assert 0 < said.round_robin <= said.prefix_aware <= said.most == pytest.approx(0.294, abs=0.001)


def test_caches_fit_beside_weights_and_work(found) -> None:
    said = found.caches
    memory = next(p for p in found.chosen.pools if p.phase == said.phase).memory
    left = memory.capacity_bytes - memory.weights_bytes - memory.kv_bytes - memory.activation_bytes
    per_token = left / said.tokens
    assert found.precision.kv_bytes_per_token * 0.9 < per_token * 8  # an eighth of it on a GPU at least
    assert said.tokens * found.precision.kv_bytes_per_token / 16 < memory.capacity_bytes


def test_text_and_json_have_it(found) -> None:
    note = next(note for note in notes(found) if "share prefixes" in note)
    assert "this plan counts on 0 % (cached)" in note and "% with prefix-aware" in note
    assert json.loads(data.to_json(found))["caches"]["tokens"] == pytest.approx(found.caches.tokens)


def test_without_shared_prefixes_nothing_is_said(found, monkeypatch) -> None:
    azure = plan(replace(SCENARIO, traffic=Traffic(trace="azure-code")), load())
    assert azure.caches is None and not any("share prefixes" in note for note in notes(azure))
    monkeypatch.setattr(demand, "MOST_BLOCKS", 10)  # a trace that takes longer than a plan
    assert plan(SCENARIO, load()).caches is None


@pytest.mark.slow
def test_a_plan_may_count_on_what_its_own_caches_find(found) -> None:
    counting = plan(replace(SCENARIO, traffic=replace(SCENARIO.traffic, reuse="prefix-aware")), load())
    said = counting.caches
    assert 0.0 < said.counted <= said.prefix_aware + caches.CLOSE  # it need not settle on just that
    assert counting.chosen.gpus <= found.chosen.gpus
    assert any("counts on" in note and "(reuse prefix-aware)" in note for note in notes(counting))


def test_what_is_found_of_each_prompt_is_not_computed() -> None:
    traffic = replace(SCENARIO.traffic, reuse="prefix-aware")
    held = Held(caches=4, tokens=1e6)
    lengths = demand.of(replace(SCENARIO, traffic=traffic), held).lengths
    by_hand = reuse(demand.recorded(SCENARIO), instances=4).hit_rate(held.tokens)
    assert 1.0 - lengths.new / lengths.isl == pytest.approx(float(by_hand), abs=1e-4)
    whole = demand.of(SCENARIO).lengths
    assert lengths.variation > whole.variation and lengths.context_isl == whole.context_isl


def test_traces_that_share_nothing_cannot_be_counted_on() -> None:
    traffic = Traffic(trace="azure-code", reuse="prefix-aware")
    with pytest.raises(InputError, match="reuse: 'prefix-aware' is not accepted"):
        plan(replace(SCENARIO, traffic=traffic), load())


def made(finds: dict[int, float]):
    """Plans of as many instances as what they count on asks for; what n of them find is told."""
    tried: list[int] = []

    def make(held: Held | None) -> SimpleNamespace:
        counted = 0.9 if held is None else finds[held.caches]
        gpus = round(10 * (1 - counted))
        tried.append(gpus)
        one = Caches(
            phase="prefill",
            instances=gpus,
            tokens=1.0,
            prefix_aware=finds[gpus],
            round_robin=0.0,
            most=0.9,
            counted=counted,
        )
        chosen = SimpleNamespace(gpus=gpus)
        return SimpleNamespace(
            caches=one, scenario=SimpleNamespace(traffic=traffic), chosen=chosen, held=held
        )

    traffic = Traffic(reuse="prefix-aware")
    return make, tried


def test_plans_settle_on_what_they_find() -> None:
    make, tried = made({1: 0.5, 5: 0.7, 3: 0.7})
    found = caches.settled(make)
    assert found.chosen.gpus == 3 and tried == [1, 5, 3] and found.held.caches == 5


def test_of_plans_that_go_round_it_is_the_one_that_finds_enough() -> None:
    make, tried = made({1: 0.5, 5: 0.7, 3: 0.5})
    found = caches.settled(make)
    assert found.chosen.gpus == 5 and len(tried) == caches.ROUNDS
    assert found.caches.prefix_aware >= found.caches.counted
    tried.clear()
    assert make(found.held).chosen.gpus == 5  # made with what it counts on, which is less than it finds


def test_a_plan_that_counts_on_its_caches_tells_and_replays_the_settled_draft_alone(monkeypatch) -> None:
    """What is told beside the ways takes as long as they do: once, not for each draft of what caches find."""
    made: list[Held | None] = []
    proven: list[Judgement] = []
    told: list[Serving | None] = []
    drafted, survival = draft.draft, survive.survival

    def drafting(scenario, catalog, held, **rest):
        made.append(held)
        return drafted(scenario, catalog, held, **rest)

    def replayed(judgement, *_, **__):
        proven.append(judgement)
        return judgement

    def surviving(question, chosen, without):
        told.append(chosen)
        return survival(question, chosen, without)

    monkeypatch.setattr(draft, "draft", drafting)
    monkeypatch.setattr(asked, "proven", replayed)
    monkeypatch.setattr(survive, "survival", surviving)
    counting = replace(
        SCENARIO,
        traffic=replace(SCENARIO.traffic, reuse="round-robin"),
        fleet=Fleet(gpus=32, survive="gpu"),
    )
    drawn: list[Any] = []
    found = plan_module.plan(
        counting, load(), ask=SimpleNamespace(), on_frontier=lambda *some: drawn.append(some)
    )
    assert len(made) > 1 and made[0] is None and len(set(made)) == len(made)
    assert len(proven) == len(told) == 1 and found.survival is not None
    assert drawn[-1] == (found.frontier_disaggregated, found.frontier_colocated) and len(drawn) <= 2
    assert found.caches is not None
    assert abs(found.caches.round_robin - found.caches.counted) <= caches.CLOSE


def test_a_plan_says_what_was_mended_and_what_is_not_read(found, tmp_path) -> None:
    assert any(note.startswith("trace: 2,000 requests spread evenly") for note in notes(found))
    lost = replace(SCENARIO, traffic=Traffic(reuse="round-robin", host_gb=20.0, requests_per_s=1.0))
    assert traffic_words.idle_notes(lost) == [
        "prefix reuse round-robin has no effect without a trace",
        "host cache 20 has no effect without prefix reuse of a trace",
    ]
    assert traffic_words.idle_notes(SCENARIO) == traffic_words.idle_notes(Scenario()) == []
    damaged = tmp_path / "damaged.csv"
    damaged.write_text("time_s,input_tokens,output_tokens\n0,100,10\n1,-3,8\n2,200,20\n")
    traffic = replace(SCENARIO.traffic, trace=str(damaged))
    assert demand.mended(replace(SCENARIO, traffic=traffic)) == ("1 row with a length below 1 left out",)


def test_host_memory_finds_what_a_cache_of_both_would_less_its_way() -> None:
    traffic = replace(SCENARIO.traffic, reuse="prefix-aware")
    asked = replace(SCENARIO, traffic=traffic)
    small, beside = Held(caches=4, tokens=2e5), Held(caches=4, tokens=2e5, host_tokens=8e5, loading=0.25)
    found = reuse(demand.recorded(SCENARIO), instances=4)
    here, both = (float(found.hit_rate(np.array(tokens))) for tokens in (2e5, 1e6))
    counted = [1.0 - of.new / of.isl for of in (demand.of(asked, held).lengths for held in (small, beside))]
    assert here < both
    assert counted[0] == pytest.approx(here, abs=1e-4)
    assert counted[1] == pytest.approx(both - 0.25 * (both - here), abs=1e-4)


def test_a_plan_counts_on_the_memory_of_its_hosts() -> None:
    tight = replace(
        SCENARIO,
        memory_fraction=0.3,
        traffic=replace(SCENARIO.traffic, reuse="prefix-aware", host_gb=200.0),
    )
    with_host = plan(tight, load())
    found = with_host.caches
    assert found is not None and with_host.chosen is not None
    assert found.host_tokens > found.tokens and 0.0 < found.loading < 0.2
    assert found.prefix_aware <= found.most and "in its hosts" in notes(with_host)[-1]


def test_a_share_found_between_those_kept_and_missed_is_counted_on() -> None:
    """Few small instances find little, many find much, and one larger finds what it counts on: as found."""
    finds = {1: 0.91, 2: 0.82, 6: 0.92}  # instances: what their caches find
    tokens = {1: 3e6, 2: 1e6, 6: 1e6}  # of each; with fewer they find no more than two
    asked = []

    def make(held: Held | None) -> Any:
        counted = 0.94 if held is None else 0.82
        if held is not None and held.tokens >= tokens[held.caches]:
            counted = finds[held.caches]
        asked.append(counted)
        instances = 2 if counted > 0.93 else 1 if counted > 0.9 else 6
        found = SimpleNamespace(
            instances=instances,
            tokens=tokens[instances],
            host_tokens=0.0,
            loading=0.0,
            counted=counted,
            finds=lambda _: finds[instances],
        )
        traffic = SimpleNamespace(reuse="prefix-aware")
        return SimpleNamespace(
            caches=found,
            chosen=SimpleNamespace(gpus=instances),
            scenario=SimpleNamespace(traffic=traffic),
            held=held,
        )

    plan = caches.settled(make)
    assert asked == [0.94, 0.82, 0.92, 0.91]
    assert plan.caches is not None and plan.caches.instances == 1
    assert plan.held is not None and plan.held.tokens == 3e6  # as they are, not half of the way
