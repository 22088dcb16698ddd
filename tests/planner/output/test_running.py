"""What a plan changes against the deployment that runs, read of a plan, of an export, of what is given."""

from __future__ import annotations

import json

import pytest

from planner.errors import InputError
from planner.inputs.deployment import Deployment
from planner.inputs.scenario import Scenario
from planner.output import running
from planner.output.deploy import record
from planner.output.running import Pool
from tests.planner.output.plans import layout, pool, serving
from tui.cli.main import main

BEFORE = (
    Pool(phase="prefill", layout="PP4xTP8", instances=6),
    Pool(phase="decode", layout="DEP16", instances=3, max_batch=40),
)


def test_starts_and_stops_are_counted_and_other_layouts_are_other_instances():
    planned = serving(
        pool("prefill", layout=layout("CPP4xTP8"), instances=8, max_batch=8),
        pool("decode", layout=layout("DEP16"), instances=2, max_batch=45),
    )
    found = running.changes(BEFORE, running.of_serving(planned, Scenario()))
    assert [(one.phase, one.before, one.after) for one in found] == [("prefill", 6, 8), ("decode", 3, 2)]
    assert running.sentence(found) == (
        "Against what runs: +2 prefill instances (CPP4xTP8), -1 decode instance (DEP16); 48 GPUs more."
    )
    assert found[1].batch == (40, 45) and "batch limit 40 -> 45" in running.rows(found)[2]
    other = running.changes(BEFORE, (Pool(phase="colocated", layout="TP8", instances=24),))
    assert {(one.phase, one.more) for one in other} == {("prefill", -6), ("decode", -3), ("colocated", 24)}
    assert running.to_dict(other)["gpus"] == 24 * 8 - 6 * 32 - 3 * 16
    assert "no instance" in running.sentence(running.changes(BEFORE, BEFORE))


def test_a_plan_an_export_and_what_is_given_are_read(tmp_path):
    given = Deployment(
        prefill_layout="PP4xTP8", prefill_instances=6, decode_layout="dep16", decode_instances=3
    )
    assert [one.key for one in running.of_deployment(given)] == [one.key for one in BEFORE]
    with pytest.raises(InputError, match="all of a way"):
        running.of_deployment(Deployment(prefill_layout="TP8"))
    widths = {"tp": 8, "pp": 4, "attention_dp": 1, "moe_tp": 8, "moe_ep": 1}
    then = {"tp": 1, "pp": 1, "attention_dp": 16, "moe_tp": 1, "moe_ep": 16}
    rows = ["[run]", 'mode = "disaggregated"', "isl = 8192", "max_batched_tokens = 4096", "max_batch = 40"]
    rows += ["prefill_workers = 6", "decode_workers = 3"]
    rows += [f"prefill_{name} = {value}" for name, value in widths.items()]
    rows += [f"decode_{name} = {value}" for name, value in then.items()]
    (tmp_path / record.FILE).write_text("\n".join(rows))
    read = running.read(tmp_path)
    assert read == running.read(tmp_path / record.FILE)
    assert [(one.layout, one.instances) for one in read] == [("CPP4xTP8", 6), ("DEP16", 3)]
    assert [one.key for one in read] == [one.key for one in BEFORE] and read[1].max_batch == 40


def test_an_export_of_a_mix_is_read_as_the_plan_that_it_is_of(tmp_path, capsys):
    """Prefill, decode and co-located instances: more than a row of measured runs has columns for."""
    asked = (
        "--model llama-3.1-70b --system h100 --engine vllm --gpus 12 --isl 2000 --osl 500 --ftl 5s --ttl 40ms"
    )
    words = [*asked.split(), "--mix", "--rate", "15.8", "--arrivals", "steady"]
    assert main(["export", "vllm", *words, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    read = running.read(tmp_path / "out")
    assert [one.phase for one in read] == ["prefill", "decode", "colocated"]
    assert main(["plan", *words, "--running", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("What runs is the plan: no instance starts or stops.")
    (tmp_path / "out" / "result.json").write_text('{"a": 1}')
    assert main(["validate", str(tmp_path / "out" / "result.json")]) == 2
    assert "does not say --layout" in capsys.readouterr().err


def test_pools_of_one_layout_are_added_up():
    few = Pool(phase="prefill", layout="TP1", instances=2, max_batch=4)
    many = Pool(phase="prefill", layout="TP1", instances=56, max_batch=9)
    decode = Pool(phase="decode", layout="TP1", instances=6)
    (first, then) = running.changes((few, many, decode), (few, decode))
    assert (first.before, first.after, first.batch) == (58, 2, None) and then.more == 0


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"pools": []}',
        '{"pools": 3}',
        "{" * 9999,
        '{"pools": [{"phase": "prefil", "layout": "TP8", "instances": 1}]}',
        '{"pools": [{"phase": "decode", "layout": "TPx", "instances": 1}]}',
        '{"pools": [{"phase": "decode", "layout": "TP8", "instances": 0}]}',
        '{"pools": [{"phase": "decode", "layout": "TP8", "instances": 1e400}]}',
        '{"pools": [{"phase": "decode", "layout": {"label": "TP8"}, "instances": true}]}',
        "[run]\nmode = 'disaggregated'\nprefill_tp = 'x'",
        "[run]\nmode = 'both'",
        "run = 3",
        "pools = [3]\n[run]\nmodel = 'x'",
        "pools = [{phase = 'decode', layout = 'TP8', instances = 0}]\n[run]\nmodel = 'x'",
        "pools = []\n[run]\nmode = 'disaggregated'",
    ],
)
def test_what_says_nothing_of_a_deployment_is_one_line(tmp_path, text, capsys):
    file = tmp_path / "x"
    file.write_text(text)
    assert main(["plan", "--running", str(file)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_as_a_user_types_it(tmp_path, capsys):
    asked = ["plan", "--model", "llama-3.1-8b", "--system", "h100", "--isl", "500", "--osl", "50"]
    assert main([*asked, "--gpus", "2", "--json"]) == 0
    file = tmp_path / "plan.json"
    file.write_text(capsys.readouterr().out)
    pools = json.loads(file.read_text())["pools"]
    assert main([*asked, "--gpus", "2", "--running", str(file)]) == 0
    assert capsys.readouterr().out.startswith("What runs is the plan")
    assert main([*asked, "--gpus", "2", "--engine", "vllm", "--running", str(file)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "no instance" not in told
    runs, planned = "llama-3.1-8b on h100 with trtllm", "llama-3.1-8b on h100 with vllm"
    assert f"{runs} runs, the plan is {planned}: each instance starts anew." in told
    assert main([*asked, "--gpus", "4", "--running", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["running"]
    assert (
        told["serves"] is None
        and told["gpus"] == 2
        and sum(one["before"] for one in told["changes"]) == sum(pool["instances"] for pool in pools)
    )
    alone = ["--colocated-layout", "TP2", "--colocated-instances", "1"]
    assert main([*asked, *alone, "--running"]) == 0
    out = capsys.readouterr().out
    assert "(TP2)" in out or "no instance" in out
    assert main([*asked, "--running", str(file), "--csv"]) == 2
