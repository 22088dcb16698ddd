"""Dynamo and llm-d: ten plans each, as documents whose counts and GPUs add up; or a reason."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from planner.errors import InputError
from planner.output.deploy import write
from planner.output.deploy.parts import Export, Options
from tests.planner.output.deploy import checked
from tests.planner.output.deploy.test_export import CATALOG, ENGINES, SCENARIOS, planned
from tui.cli.main import main

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


def exports(target):
    for name in SCENARIOS:
        for engine in ENGINES:
            try:
                plan = planned(name, engine)
                yield name, engine, plan, write.export(plan, target, Options(name=name), CATALOG)
            except InputError as error:
                yield name, engine, None, error


def gpus(container):
    (count,) = [
        int(value) for key, value in container["resources"]["limits"].items() if key.endswith(".com/gpu")
    ]
    return count


def test_dynamo_has_a_component_for_each_pool_and_all_gpus():
    written = 0
    for name, engine, plan, found in exports("dynamo"):
        if not isinstance(found, Export):
            assert len(str(getattr(found, "reason", found))) > 20
            continue
        written += 1
        versions = re.findall(r"\d+\.\d+\.\S+?(?=[;,]|$)", found.notes[0])
        assert len(set(versions)) == len(versions)  # one version is not set against itself
        *maps, graph = checked.read_yamls(found.files["dynamo.yaml"])
        serving, parts = plan.deployed, graph["spec"]["components"]
        assert graph["apiVersion"] == "nvidia.com/v1beta1" and graph["kind"] == "DynamoGraphDeployment"
        assert len({part["name"] for part in parts}) == len(parts) == len(serving.pools) + 1
        total = 0
        for part in parts:
            assert NAME.match(part["name"]), name
            (container,) = part["podTemplate"]["spec"]["containers"]
            assert container["name"] == "main" and all(isinstance(a, str) for a in container.get("args", []))
            if part["type"] != "frontend":
                assert container["command"][-1] == f"dynamo.{engine}"
                total += part["replicas"] * part.get("multinode", {}).get("nodeCount", 1) * gpus(container)
            if engine == "sglang":  # its build has no other spelling
                assert "--attn-dp-size" not in container.get("args", [])
        assert total == serving.gpus
        if engine == "trtllm":
            for text in maps[0]["data"].values():
                assert "max_batch_size" in checked.read_yaml(text)
                assert checked.unknown_to_trtllm(checked.read_yaml(text)) == []
    assert written >= 12


def test_llm_d_has_a_role_for_each_pool_and_all_gpus():
    written = 0
    for name, engine, plan, found in exports("llm-d"):
        if not isinstance(found, Export):
            assert len(str(getattr(found, "reason", found))) > 20
            continue
        written += 1
        document = checked.read_yaml(found.files["modelserver.yaml"])
        assert checked.read_yaml(found.files["kustomization.yaml"])["resources"] == ["modelserver.yaml"]
        serving = plan.deployed
        roles = document["spec"].get("roles") or [{"name": "serve", "spec": document["spec"]}]
        assert len(roles) == len(serving.pools) and engine != "trtllm"
        total = 0
        for role in roles:
            group = role["spec"]["leaderWorkerTemplate"]
            pods = [group["workerTemplate"]] * group["size"]
            if "leaderTemplate" in group:
                pods[0] = group["leaderTemplate"]
                assert "llm-d.ai/role" not in group["workerTemplate"]["metadata"]["labels"]
            total += role["spec"]["replicas"] * sum(gpus(pod["spec"]["containers"][0]) for pod in pods)
            assert ("initContainers" in pods[0]["spec"]) == (role["name"] == "decode")
        assert total == serving.gpus, name
    assert written >= 8


@pytest.mark.parametrize(
    "target, file, kinds",
    [
        ("dynamo", "dynamo.yaml", {"dynamographdeployment"}),
        ("llm-d", "modelserver.yaml", {"leaderworkerset", "disaggregatedset"}),
    ],
)
def test_documents_are_as_their_published_schemas_have_them(target, file, kinds):
    seen = set()
    for name, engine, _, found in exports(target):
        if isinstance(found, Export):
            *_, document = checked.read_yamls(found.files[file])
            kind = document["kind"].lower()
            seen.add(kind)
            assert checked.wrong(kind, document) == [], (name, engine)
    assert seen == kinds


@pytest.mark.parametrize(
    "target, file, name",
    [
        ("dynamo", "dynamo.yaml", "dense-h200"),
        ("llm-d", "modelserver.yaml", "dense-h200"),
        ("llm-d", "modelserver.yaml", "dense-chat"),
    ],
)
def test_a_field_that_is_none_and_a_value_of_another_type_are_found(target, file, name):
    """The schemas refuse what they should: a check that nothing fails checks nothing."""
    found = write.export(planned(name, "vllm"), target, Options(name=name), CATALOG)
    *_, document = checked.read_yamls(found.files[file])
    text, kind = json.dumps(document), document["kind"].lower()
    for old, new in (
        ('"containers"', '"container"'),
        ('"image"', '"images"'),
        ('"replicas": ', '"replicas": "x", "was": '),
        ('"args": [', '"args": [1, '),
    ):
        assert old in text and checked.wrong(kind, json.loads(text.replace(old, new)))


@pytest.mark.parametrize("target, file", [("dynamo", "dynamo.yaml"), ("llm-d", "modelserver.yaml")])
def test_words_of_presets_stay_words(target, file):
    evil = "x: y\n- $(HOME) #'\"{{ }}"
    plan = planned("dense-h200", "vllm")
    plan = replace(plan, resolved=replace(plan.resolved, model=replace(plan.resolved.model, name=evil)))
    found = write.export(plan, target, Options(name=evil, checkpoint="$(HOME)/x"), CATALOG)
    told = []

    def walk(value):
        if isinstance(value, dict):
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        else:
            told.append(value)

    for document in checked.read_yamls(found.files[file]):
        walk(document)
    assert evil.replace("$(", "$$(") in told and "$$(HOME)/x" in told


SCHEDULE = "policy,from_s,phase,layout,instances,start_s\n" + "".join(
    f"{policy},{1800 * at},{phase},{layout},{n},90\n"
    for policy in ("elastic", "reactive")
    for phase, layout, counts in (("prefill", "TP2", (1, 3, 3, 1)), ("decode", "TP4", (2, 2, 2, 2)))
    for at, n in enumerate(counts)
)
GIVEN = ["--model", "llama-3.1-70b", "--system", "h200", "--engine", "vllm", "--isl", "2k", "--osl", "500"]


@pytest.mark.parametrize(
    "target, file, kind",
    [
        ("dynamo", "dynamo.yaml", "DynamoGraphDeploymentScalingAdapter"),
        ("llm-d", "modelserver.yaml", "DisaggregatedSetRoleScaler"),
    ],
)
def test_a_schedule_becomes_elastic_bounds(tmp_path, target, file, kind):
    table, out = tmp_path / "day.csv", tmp_path / "out"
    table.write_text(SCHEDULE)
    assert main(["export", target, *GIVEN, "--schedule", str(table), "--out", str(out)]) == 0
    *_, document = checked.read_yamls((out / file).read_text())
    assert checked.wrong(document["kind"].lower(), document) == []
    parts = [
        part
        for part in document["spec"].get("components") or document["spec"]["roles"]
        if part["name"] != "frontend"
    ]
    assert [part.get("replicas") or part["spec"]["replicas"] for part in parts] == [3, 2]
    assert all("scalingAdapter" in part or part["scaling"] == {"mode": "External"} for part in parts)
    scaled = list(checked.read_yamls((out / "autoscale.yaml").read_text()))
    names = [f"{document['metadata']['name']}-{part['name']}" for part in parts]
    assert [one["spec"]["scaleTargetRef"]["name"] for one in scaled] == names
    assert {one["spec"]["scaleTargetRef"]["kind"] for one in scaled} == {kind}
    bounds = [(one["spec"]["minReplicaCount"], one["spec"]["maxReplicaCount"]) for one in scaled]
    assert bounds == [(1, 3), (2, 2)]
    (trigger,) = scaled[0]["spec"]["triggers"]
    assert trigger["metadata"]["start"] == "28 0 * * *" and trigger["metadata"]["end"] == "30 1 * * *"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,2\n",
        SCHEDULE.replace("elastic", "other"),
        SCHEDULE.replace("TP2,3", "TP1,3"),
        SCHEDULE.replace("TP2", "TPx"),
        SCHEDULE.replace(",1800,", ",900,"),
        SCHEDULE.replace(",3,", ",-3,"),
        SCHEDULE.replace(",3,", ",1e9,"),
        SCHEDULE.replace("prefill", "prefil"),
        SCHEDULE.replace(",5400,", ",5400000,"),
        SCHEDULE.replace(",90", ",nan"),
    ],
)
def test_what_is_no_schedule_is_one_line(tmp_path, text, capsys):
    table = tmp_path / "x.csv"
    table.write_text(text)
    assert main(["export", "dynamo", *GIVEN, "--schedule", str(table), "--out", str(tmp_path / "o")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_hosts_do_not_scale(tmp_path, capsys):
    (tmp_path / "x.csv").write_text(SCHEDULE)
    assert main(["export", "vllm", *GIVEN, "--schedule", str(tmp_path / "x.csv")]) == 3
    assert "only dynamo and llm-d" in capsys.readouterr().err
