"""Encoder pools: a server for each encoder, and what computes prompts knows of them; or a reason."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import planner
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output.deploy import write
from planner.output.deploy.parts import Export, Options, Refused
from planner.output.deploy.vllm import IMAGES

CATALOG = planner.load()
KNOWN = Path(__file__).parent / "known"
VERSIONS = {"vllm": "0.33.0", "sglang": "0.5.23"}
ASKED = Scenario(
    model="qwen3.6-27b",
    traffic=Traffic(isl=1024, osl=256, images=4, encoder="pool"),
    limits=Limits(ftl_s=3.0, ttl_s=0.05),
    fleet=Fleet(gpus=16),
)


@cache
def planned(engine):
    return planner.plan(replace(ASKED, engine=engine), CATALOG)


def commands(found):
    """Every command that the hosts run, by the name of its instance."""
    for name, text in found.files.items():
        if name.startswith("host-"):
            for block in text.split("\n# ")[2:]:
                title, command = block.split("\n", 1)
                yield title, shlex.split(command.split(">logs/")[0].replace("\\\n", " "))


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_each_encoder_is_a_server_on_a_gpu_of_its_own(engine):
    plan = planned(engine)
    found = write.export(plan, engine, Options(name="seeing"), CATALOG)
    assert isinstance(found, Export)
    serving = plan.deployed
    run = dict(commands(found))
    encoders = [name for name in run if name.startswith("encode-")]
    assert len(encoders) == serving.encoder.instances >= 1
    assert len(run) == len(encoders) + sum(pool.instances for pool in serving.pools)
    used = [word for of in run.values() for word in of if word.startswith("CUDA_VISIBLE_DEVICES=")]
    gpus = [gpu for word in used for gpu in word.split("=")[1].split(",")]
    assert len(gpus) == serving.gpus
    known = json.loads((KNOWN / f"{engine}-{VERSIONS[engine]}.json").read_text())
    flags = {word for of in run.values() for word in of if word.startswith("--")}
    known = known.get("flags", known)
    assert {flag for flag in flags if flag not in known and flag.replace("--no-", "--") not in known} == set()
    for name, of in run.items():
        alone = "--mm-encoder-only" in of or "--encoder-only" in of
        assert alone == (name in encoders)


def test_sglang_names_every_encoder_to_what_computes_prompts():
    found = write.export(planned("sglang"), "sglang", Options(name="seeing"), CATALOG)
    assert isinstance(found, Export)
    run = dict(commands(found))
    ports = {of[of.index("--port") + 1] for name, of in run.items() if name.startswith("encode-")}
    for name, of in run.items():
        if name.startswith(("prefill-", "serve-")):
            urls = of[of.index("--encoder-urls") + 1 : of.index("--encoder-transfer-backend")]
            assert {url.rsplit(":", 1)[1] for url in urls} == ports and "--language-only" in of
        else:
            assert "--encoder-urls" not in of


def test_vllm_finds_images_where_encoders_leave_them_and_its_router_asks_for_them():
    found = write.export(planned("vllm"), "vllm", Options(name="seeing"), CATALOG)
    assert isinstance(found, Export)
    for name, of in commands(found):
        told = json.loads(of[of.index("--ec-transfer-config") + 1])
        assert told["ec_role"] == ("ec_producer" if name.startswith("encode-") else "ec_consumer")
        assert told["ec_connector_extra_config"] == {"shared_storage_path": IMAGES}
    router = json.loads(found.files["router.json"])
    assert len(router["encode"]) == planned("vllm").deployed.encoder.instances


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_prompts_have_room_for_their_images(engine):
    """With encoders of their own and without."""
    flag = {"vllm": "--max-model-len", "sglang": "--context-length"}[engine]
    for encoder in ("pool", "in-place"):
        asked = replace(ASKED, engine=engine, traffic=replace(ASKED.traffic, encoder=encoder))
        found = write.export(planner.plan(asked, CATALOG), engine, Options(name="seeing"), CATALOG)
        assert isinstance(found, Export)
        serves = [of for name, of in commands(found) if not name.startswith("encode-")]
        assert all(int(of[of.index(flag) + 1]) >= 1024 + 4 * 1024 + 256 for of in serves)


@pytest.mark.parametrize("target", ["dynamo", "llm-d", "trtllm"])
def test_who_is_told_of_no_encoders_says_so(target):
    found = write.export(planned("vllm"), target, Options(name="seeing"), CATALOG)
    assert isinstance(found, Refused)
    assert "encoder pool" in found.reason and "vllm and sglang" in found.reason
