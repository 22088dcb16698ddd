"""What a plan says of the prefixes that its trace's prompts share."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from planner import Scenario, load, plan
from planner.inputs.reuse import reuse
from planner.inputs.scenario import Fleet, Limits, Traffic
from planner.output import data, words
from planner.planning import caches, demand

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
    note = next(note for note in words.notes(found) if "share prefixes" in note)
    assert "this plan counts on 0 % (cached)" in note and "% with prefix-aware" in note
    assert json.loads(data.to_json(found))["caches"]["tokens"] == pytest.approx(found.caches.tokens)


def test_without_shared_prefixes_nothing_is_said(found, monkeypatch) -> None:
    azure = plan(replace(SCENARIO, traffic=Traffic(trace="azure-code")), load())
    assert azure.caches is None and not any("share prefixes" in note for note in words.notes(azure))
    monkeypatch.setattr(caches, "MOST_BLOCKS", 10)  # a trace that takes longer than a plan
    assert plan(SCENARIO, load()).caches is None
