"""What is said of a mix that is deployed: it is not either way's answer."""

from __future__ import annotations

import dataclasses
import json

import pytest

from planner import Fleet, Limits, Scenario, Traffic, load, plan
from planner.output.data import to_json
from planner.output.limits import limits
from planner.output.text import to_text
from planner.output.verdict import answer_sentence, found_of, verdict, ways
from planner.output.words import expected
from planner.planning.bands import Band
from planner.planning.result import Mix, Plan
from tests.planner.output.plans import pool, serving
from tui.cli import main

SPLIT = Band(rows=99, level="both", ftl=(0.5, 2.0), ttl=(0.8, 1.2), throughput=(0.8, 1.2))
BOTH = Band(rows=99, level="both", ftl=(0.9, 1.1), ttl=(0.95, 1.05), throughput=(0.95, 1.05))
FLAGS = (
    "--model llama-3.1-70b --system h100 --engine vllm --gpus 12 --isl 2000 --osl 500",
    "--ftl 5s --ttl 40ms --mix --arrivals steady --rate 15.8",
)


@pytest.fixture
def tied(split_plan: Plan) -> Plan:
    """Ways that are a tie, of which co-located serving is the choice: a mix was asked for."""
    return dataclasses.replace(
        split_plan,
        choice="colocated",
        scenario=dataclasses.replace(split_plan.scenario, mix=True),
        colocated=serving(pool("colocated"), per_gpu=1200.0),
        bands={"disaggregated": SPLIT, "colocated": BOTH},
    )


def mixed(plan: Plan, *phases: str, per_gpu: float = 1600.0) -> Plan:
    of = serving(*(pool(phase) for phase in phases), per_gpu=per_gpu)
    return dataclasses.replace(plan, mix=Mix(serving=of, gain=0.2))


@pytest.mark.parametrize(
    ("phases", "says", "against"),
    [
        (("prefill", "prefill", "decode"), "Split prefill from decode: ", "co-located serving"),
        (("prefill", "decode", "colocated"), "Split prefill from decode in part: ", "co-located serving"),
        (("colocated", "colocated"), "Do not split prefill from decode: ", "a split"),
    ],
)
def test_the_answer_is_that_of_the_pools_that_are_deployed(
    tied: Plan, phases: tuple[str, ...], says: str, against: str
) -> None:
    found = mixed(tied, *phases)
    said = answer_sentence(found)
    assert said.startswith(says) and f"more than {against} (beyond the error)" in said
    one, other = ways(found)
    assert one is found.deployed and other is (tied.disaggregated if against == "a split" else tied.colocated)
    told = verdict(found)
    assert told is not None and all(text.startswith(("Split", "Do not split")) for text in told.headlines)
    assert (
        json.loads(to_json(found))["verdict"] == found_of(found) == ("split" if told.split else "colocated")
    )


def test_a_mix_of_both_ways_is_held_to_the_better_of_them(tied: Plan) -> None:
    better = dataclasses.replace(tied, choice="disaggregated")
    found = mixed(better, "prefill", "decode", "colocated")
    assert ways(found) == (found.deployed, tied.disaggregated)
    assert "more than a split" in answer_sentence(found)


def test_a_mix_has_the_error_of_what_it_is_made_of(tied: Plan) -> None:
    split, together = mixed(tied, "prefill", "decode", "colocated"), mixed(tied, "colocated", "colocated")
    for found, band in ((split, SPLIT), (together, BOTH)):
        assert found.deployed is not None
        item = expected(found, found.deployed)[1]
        assert item.range == pytest.approx([item.value * factor for factor in band.ttl])
        use = next(use for use in limits(found, found.deployed) if use.key == "ttl")
        assert use.range == pytest.approx([use.value * factor for factor in band.ttl])


def test_a_mix_within_its_error_of_the_other_way_says_so(tied: Plan) -> None:
    found = mixed(tied, "prefill", "prefill", "decode", per_gpu=1300.0)
    assert found_of(found) == "tie"
    assert "more than co-located serving (within the error)" in answer_sentence(found)
    together = mixed(tied, "colocated", "colocated", per_gpu=1220.0)
    assert answer_sentence(together).startswith("A tie, so keep prefill and decode together: ")


def test_a_mix_that_alone_serves_the_demand_is_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    scenario = Scenario(
        model="llama-3.1-70b",
        system="h100",
        engine="vllm",
        mix=True,
        fleet=Fleet(gpus=12),
        traffic=Traffic(isl=2000, osl=500, requests_per_s=15.8, arrivals="steady"),
        limits=Limits(ftl_s=5.0, ttl_s=0.04),
    )
    found = plan(scenario, load())
    assert found.disaggregated is found.colocated is None and found.deployed is not None
    assert found.deployed.expected_requests_per_s >= 15.8 * (1 - 1e-6)
    said = answer_sentence(found)
    assert said.startswith("Split prefill from decode in part: a capacity of ")
    assert said.endswith("and neither way alone can meet the limits.")
    assert "The two ways" not in to_text(found)
    data = json.loads(to_json(found))
    assert (data["choice"], data["verdict"], data["status"]) == ("disaggregated", "split", "optimal")
    assert main.main(["plan", *" ".join(FLAGS).split()]) == 0
    assert capsys.readouterr().out.startswith("Split prefill from decode in part")
