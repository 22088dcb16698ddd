"""Images of requests, encoded on GPUs of their own before their prompts: by hand, and of plans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.errors import InputError
from planner.inputs.catalog import load
from planner.inputs.scenario import Fleet as Gpus
from planner.inputs.scenario import Limits, Scenario, Traffic
from planner.replay import plans
from planner.replay.fleet import Change, Encoding, Options
from planner.replay.run import run

from .small import colocated, split, steady

ONE = Encoding(instances=1, pass_s=(0.3, 0.4), each_s=0.01, moved_s=0.05)


@pytest.mark.parametrize("fleet", [split(), colocated()])
def test_a_first_token_is_later_by_the_pass_and_the_way_of_the_images(fleet):
    come = steady(20, 1.0)  # far apart: none waits for another
    plain, seeing = run(fleet, come), run(replace(fleet, encoding=ONE), come)
    assert seeing.ftl_s - plain.ftl_s == pytest.approx(np.full(20, 0.35))
    (use,) = seeing.encoders
    assert (use.requests, use.passes) == (20, 20)
    assert use.busy_s == pytest.approx(20 * 0.31)


def test_a_full_pass_takes_those_that_waited():
    """Four at once: one goes alone, two more in the next pass as it ends, then the last."""
    at_once = replace(steady(4, 1.0), arrival_s=np.zeros(4))
    found = run(replace(split(8), encoding=ONE), at_once)
    begun = np.sort(found.ftl_s) - run(split(8), steady(1, 1.0)).ftl_s[0]
    # the second pass starts when the host is through with the first: 0.31, and so on
    assert begun == pytest.approx([0.35, 0.31 + 0.45, 0.31 + 0.45, 0.31 + 0.42 + 0.35], abs=0.01)


@pytest.mark.parametrize("encoders", [1, 2, 5])
def test_encoders_serve_what_their_passes_allow_and_no_more(encoders):
    """Flooded, each makes full passes without a pause, whatever comes after them."""
    many = replace(steady(400, 0.0, isl=10, osl=1), arrival_s=np.zeros(400))
    of = replace(ONE, instances=encoders)
    found = run(replace(colocated(8), encoding=of), many)
    whole = 0.42 / 2 * 400 / encoders
    assert found.end_s.max() == pytest.approx(whole, rel=0.05)
    assert sum(use.busy_s for use in found.encoders) == pytest.approx(0.42 / 2 * 400, rel=0.02)


def test_requests_without_images_do_not_wait():
    some = run(replace(split(), encoding=replace(ONE, share=0.25)), steady(2000, 0.5))
    late = some.ftl_s > some.ftl_s.min() + 0.2
    assert late.mean() == pytest.approx(0.25, abs=0.04)
    assert sum(use.requests for use in some.encoders) == late.sum()


@pytest.mark.parametrize("rule", ["least-loaded", "central", "round-robin", "random"])
def test_a_lost_encoder_leaves_its_requests_to_the_others(rule):
    lost = (Change(at_s=1.0, event="fail", pool=1, instance=0),)
    fleet = replace(colocated(2, changes=lost), encoding=replace(ONE, instances=2))
    found = run(fleet, steady(100, 0.05), Options(routing=rule))
    assert found.finished.all()
    assert [use.alive for use in found.encoders] == [False, True]
    assert found.encoders[0].up_s == 1.0
    assert sum(use.requests for use in found.encoders) == 100


def test_encoders_fail_alone():
    changes = (Change(at_s=1.0, event="drain", pool=1),)
    with pytest.raises(InputError, match="encoders neither start nor drain"):
        run(replace(colocated(changes=changes), encoding=ONE), steady(1, 1.0))


ASKED = Scenario(
    model="qwen3.6-27b",
    engine="vllm",
    system="h200",
    goal="fewest-gpus",
    traffic=Traffic(isl=1024, osl=128, requests_per_s=20.0, images=4, encoder="pool"),
    limits=Limits(ftl_s=3.0, ttl_s=0.05),
)


def test_a_plan_with_an_encoder_pool_keeps_its_limits():
    proof = plans.prove(ASKED, load(), Options(seed=1, ftl_limit_s=3.0, ttl_limit_s=0.05), count=1500)
    assert isinstance(proof, plans.Proof)
    encoder = proof.serving.encoder
    assert encoder is not None and encoder.instances
    assert proof.fleet.gpus == proof.serving.gpus
    assert proof.result.good.mean() > 0.99
    up_s = sum(use.up_s for use in proof.result.encoders)
    busy = sum(use.busy_s for use in proof.result.encoders) / up_s
    # passes that are not full take a little longer for each of their requests than the plan's
    assert busy == pytest.approx(encoder.utilisation, rel=0.2)


def test_the_plan_keeps_its_limits_when_an_encoder_is_lost():
    asked = replace(ASKED, fleet=Gpus(survive="gpu"))
    proof = plans.prove(asked, load(), Options(seed=1), count=1500, fail="gpu")
    assert isinstance(proof, plans.Proof)
    assert proof.failure is not None and proof.failure["holds"] == {"ftl": True, "ttl": True}


def test_images_in_place_take_their_time_in_a_replay():
    """In place the pass over a prompt has the encoder in it, too."""
    at_hand = replace(ASKED, traffic=replace(ASKED.traffic, encoder="in-place"))
    without = replace(at_hand, traffic=replace(at_hand.traffic, images=0, isl=1024 + 4 * 1024))
    tables = []
    for asked in (at_hand, without):
        proof = plans.prove(asked, load(), Options(seed=1), count=20)
        assert isinstance(proof, plans.Proof)
        tables.append(proof.fleet.pools[0].kind.passes)
    assert proof.fleet.encoding is None
    assert tables[0].alone_s[-1, 0] > 1.02 * tables[1].alone_s[-1, 0]
