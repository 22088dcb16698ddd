"""Where images are encoded, told: in text, data, the map and what has no place for it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from planner.inputs.catalog import load
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output import place_map
from planner.output.command import command_line
from planner.output.data import to_dict
from planner.output.deploy.parts import Options, Refused
from planner.output.deploy.write import export
from planner.output.markdown import to_markdown
from planner.output.text import to_text
from planner.planning.plan import plan
from planner.planning.result import Plan
from planner.replay.fleet import Options as ReplayOptions
from planner.replay.plans import drawn, started

PRESETS = load()
ASKED = Scenario(
    model="qwen3.6-27b",
    system="h100",
    engine="vllm",
    traffic=Traffic(isl=512, osl=128, images=3.0, encoder="pool"),
    limits=Limits(ftl_s=1.5, ttl_s=0.04),
    fleet=Fleet(gpus=12),
)


@cache
def planned(where: str) -> Plan:
    return plan(replace(ASKED, traffic=replace(ASKED.traffic, encoder=where)), PRESETS)  # type: ignore[arg-type]


def test_a_pool_of_encoders_is_told_with_its_gpus_in_every_form() -> None:
    found = planned("pool")
    serving = found.deployed
    assert serving is not None and serving.encoder is not None
    text, data = to_text(found), to_dict(found)
    assert f"image encoder: {serving.encoder.instances} × 1 GPU" in text
    assert "a pool of its own" in text and "3 images of 1,024 tokens" in text and "images 3" in text
    assert "image encoder" in to_markdown(found)
    assert data["encoder"]["gpus"] + sum(pool["gpus"] for pool in data["pools"]) == serving.gpus
    assert [one["pool"] for one in data["encoder"]["places"]] == [False, True, False, True]
    assert "--images 3" in command_line(found.scenario) and "--encoder pool" in command_line(found.scenario)
    drawn_map = place_map.lines(found, serving, 80, ascii=False)
    assert sum(line.count("E") for line in drawn_map) >= serving.encoder.instances
    where = place_map.to_data(found, serving)["instances"]
    assert sum(one["phase"] == "encode" for one in where) == serving.encoder.instances


def test_in_place_is_told_as_part_of_the_first_token() -> None:
    text = to_text(planned("in-place"))
    assert "image encoder: in place" in text and "part of the first token" in text
    assert any(part.name == "image encoder" for part in planned("in-place").disaggregated.prefill.breakdown)  # type: ignore[union-attr]


def test_a_plan_without_images_says_nothing_of_them() -> None:
    found = plan(replace(ASKED, traffic=Traffic(isl=512, osl=128)), PRESETS)
    assert "encod" not in to_text(found) and "encoder" not in to_dict(found)


def test_a_plan_with_an_encoder_pool_is_replayed_and_exported() -> None:
    found = planned("pool")
    for of in (found, planned("in-place")):
        assert not isinstance(export(of, "vllm", Options()), Refused)
    refused = export(found, "dynamo", Options())
    assert isinstance(refused, Refused) and "encoder" in refused.reason
    begun = started(found, found.scenario, PRESETS, ReplayOptions(), count=10)
    assert begun is not None and begun.fleet.encoding is not None


def test_a_replay_in_place_sends_the_tokens_of_images() -> None:
    found = planned("in-place")
    serving = found.deployed
    assert serving is not None
    assert set(drawn(found.scenario, serving, 20, seed=1).isl.tolist()) == {512 + 3 * 1024}
