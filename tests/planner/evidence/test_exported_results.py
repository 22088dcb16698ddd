"""An export, a run of it as a benchmark writes it, and validate: the run that the plan predicts is met."""

from __future__ import annotations

import json
import math
import re
import shlex
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import planner
from planner.errors import InputError
from planner.evidence import validate_replay, validate_runs
from planner.evidence.results import write as written
from planner.evidence.results.exported import beside
from planner.evidence.results.read import read
from planner.inputs.fleet import Fleet
from planner.inputs.scenario import Limits, Scenario
from planner.inputs.toml_tables import parse_toml
from planner.inputs.traffic import Traffic
from planner.output.deploy import bench, write
from planner.output.deploy import parts as deploy
from planner.replay import plans
from planner.replay.fleet import Options
from tui.cli.main import main

CATALOG = planner.load()
SPLIT = Scenario(
    model="deepseek-r1",
    system="gb200",
    engine="trtllm",
    traffic=Traffic(isl=16384, osl=2048),
    limits=Limits(ttl_s=0.02),
    fleet=Fleet(gpus=72),
)
ALONE = Scenario(
    model="llama-3.1-8b",
    system="h100",
    engine="vllm",
    traffic=Traffic(isl=1000, osl=300),
    fleet=Fleet(gpus=4),
)


FILES = {name: f"{name}-{{}}.json" for name in written.TOOLS} | {
    "sglang": "sglang-{}.jsonl",
    "aiperf": "aiperf-{}/profile_export_aiperf.json",
}


def tool(name, flight, isl, osl, ttft_ms, tpot_ms):
    """(file, text) of a result in the format of each benchmark."""
    run = written.Run(
        model="any",
        engine="vllm",
        in_flight=flight,
        requests_per_s=None,
        requests=10 * flight,
        completed=10 * flight,
        duration_s=100.0,
        input_tokens=10 * flight * isl,
        output_tokens=10 * flight * osl,
        times_ms={
            "ttft": {"mean": ttft_ms, "p99": 2 * ttft_ms},
            "tpot": {"mean": tpot_ms},
            "itl": {"mean": tpot_ms},
            "e2e": {"mean": ttft_ms + (osl - 1) * tpot_ms},
        },
    )
    return FILES[name].format(flight), written.text(name, run)


@cache
def planned(scenario):
    return planner.plan(scenario, CATALOG)


def exported(tmp_path, scenario, benchmark):
    """The folder of an export, and its record."""
    return export(tmp_path, planned(scenario), scenario, benchmark)


def export(tmp_path, plan, scenario, benchmark):
    kind = benchmark if benchmark in bench.RESULTS else "vllm"
    found = write.export(plan, scenario.engine, deploy.Options(benchmark=kind), CATALOG)
    for name, text in found.files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "results").mkdir()
    return plan, parse_toml(found.files["deployment.toml"], "record")


def put(folder, name, text):
    path = folder / "results" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@cache
def proof(scenario, in_flight):
    """The plan, every request of it replayed: so many in flight, or as they come."""
    return plans.prove(scenario, CATALOG, Options(in_flight=in_flight), count=400)


@pytest.mark.parametrize("benchmark", written.TOOLS)
@pytest.mark.parametrize("scenario", [SPLIT, ALONE])
@pytest.mark.parametrize("in_flight", [40, None])
def test_a_replay_as_a_benchmark_writes_it_validates_back_to_itself(tmp_path, scenario, in_flight, benchmark):
    found = proof(scenario, in_flight)
    result, serving = found.result, found.serving
    run = written.of_replay(result, model="any", engine=scenario.engine, requests_per_s=found.requests_per_s)
    export(tmp_path, found.plan, scenario, "vllm")
    (row,) = read(put(tmp_path, FILES[benchmark].format(in_flight), written.text(benchmark, run)), CATALOG)
    assert (row.gpus, row.requests) == (serving.gpus, 400)
    assert (row.isl, row.osl) == pytest.approx((result.isl.mean(), result.osl.mean()), abs=0.51)
    if in_flight:
        assert row.concurrency == in_flight
    else:
        assert row.requests_per_s == pytest.approx(found.requests_per_s, rel=1e-9)
    first, interval, whole = result.ftl_s, result.ttl_s, result.e2e_s
    assert (row.ttft_s, row.e2e_s) == pytest.approx((first.mean(), whole.mean()), rel=1e-9)
    assert row.tpot_s == pytest.approx(interval.mean(), rel=1e-3 if benchmark == "guidellm" else 1e-9)
    assert row.ttft_p90_s == pytest.approx(np.percentile(first, 90), rel=1e-9)
    assert row.ttft_p99_s == pytest.approx(np.percentile(first, 99), rel=1e-9)
    assert row.output_tokens_per_s == pytest.approx(result.osl.sum() / result.span_s, rel=1e-9)
    if benchmark == "vllm" and in_flight:  # and the deployment of the record, replayed, is the plan's
        replayed = validate_replay.predict([replace(row, osl=scenario.traffic.osl)], CATALOG)
        for name in ("ttft", "tpot", "e2e", "output_tokens_per_s"):
            assert replayed.replayed[name] == pytest.approx(replayed.measured[name], rel=1e-3), name


@pytest.mark.parametrize("benchmark", written.TOOLS)
@pytest.mark.parametrize("scenario", [SPLIT, ALONE])
def test_a_result_validates_back_to_the_prediction(tmp_path, scenario, benchmark):
    plan, record = exported(tmp_path, scenario, benchmark)
    serving, run = plan.chosen, record["run"]
    assert (run["mode"] == "disaggregated") == (plan.choice == "disaggregated")
    flight = max(round(record["predicted"]["concurrency"]), 1)
    shape = (flight, scenario.traffic.isl, scenario.traffic.osl)
    path = put(tmp_path, *tool(benchmark, *shape, 500.0, 20.0))
    (row,) = read(path, CATALOG)
    assert (row.isl, row.osl, row.concurrency) == (*shape[1:], flight)
    assert row.engine == scenario.engine and row.gpus == serving.gpus
    assert row.max_batch == serving.pools[-1].max_batch
    first = validate_runs.predict([row], CATALOG)
    # and as the plan was, but for waits at the batch limit, which a plan's load does not know, and but for
    # the first token where chunks ride along: a run does not say how full its passes are
    free = replace(row, requests=1e8, max_batch=math.nan, memory_fraction=math.nan)
    endless = validate_runs.predict([free], CATALOG)
    assert 1e3 * endless.tpot_s[0] == pytest.approx(record["predicted"]["tpot_ms"], rel=0.05)
    if not row.colocated:
        assert 1e3 * endless.ttft_s[0] == pytest.approx(record["predicted"]["ttft_ms"], rel=0.15, abs=30)
    # what is predicted of the run, measured: the error is nothing
    again = put(tmp_path, *tool(benchmark, *shape, 1e3 * first.ttft_s[0], 1e3 * first.tpot_s[0]))
    second = validate_runs.summarise(validate_runs.predict(read(again, CATALOG), CATALOG))
    assert second["tpot"]["mape"] < 1e-6 and second["ttft"]["mape"] < 1e-6


README = Path(__file__).parents[3] / "README.md"
AIPERF = """#!/bin/bash
while (($#)); do
  case $1 in --artifact-dir) folder=$2 ;; --concurrency) places=$2 ;; esac
  shift
done
mkdir -p "$folder"
cat >"$folder/profile_export_aiperf.json" <<EOF
{"schema_version": "1.4", "time_to_first_token": {"unit": "ms", "avg": 60.0},
 "inter_token_latency": {"unit": "ms", "avg": 12.0}, "request_count": {"avg": 100},
 "input_config": {"loadgen": {"concurrency": $places}}}
EOF
"""


def test_the_second_page_of_the_readme_is_true(tmp_path, monkeypatch, capsys):
    """Each command as it stands there, of the scenario that stands there; aiperf makes results up."""
    text = README.read_text()
    block = text.split("## From a plan to a deployment and back")[1].split("```")[1]
    lines = [line for line in block.replace("\\\n", " ").splitlines()[1:] if line.strip()]
    assert len(lines) <= 12
    (tmp_path / "my-scenario.toml").write_text(text.split("```toml\n")[1].split("```")[0])
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aiperf").write_text(AIPERF)
    (tmp_path / "bin" / "aiperf").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path / "own"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    told = {}
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[0] == "ratematch":
            assert main(words[1:]) == 0, line
            told[words[1]] = capsys.readouterr().out
        elif "deployment/bench.sh" in words:
            subprocess.run(["bash", "deployment/bench.sh"], check=True, capture_output=True)
    script = (tmp_path / "deployment" / "bench.sh").read_text()
    ladder = [int(n) for n in re.search(r"for places in ([\d ]+);", script)[1].split()]
    record = parse_toml((tmp_path / "deployment" / "deployment.toml").read_text(), "record")
    assert ladder == sorted(set(ladder)) and ladder[0] == 1
    assert ladder[-1] == pytest.approx(record["predicted"]["concurrency"], abs=1)
    assert f"{len(ladder)} of {len(ladder)} rows" in told["validate"] and "Run by run" in told["validate"]
    assert f"aiperf-{ladder[-1]}" in told["validate"] and f"{len(ladder)} runs" in told["calibrate"]
    assert (tmp_path / "own" / "engines" / "vllm.toml").is_file() and "output tokens/s" in told["plan"]


def test_runs_are_told_one_by_one_with_their_band_and_what_differs(tmp_path, capsys):
    exported(tmp_path, ALONE, "vllm")
    loads = (1, 16, 4000)
    rows = [read(put(tmp_path, *tool("vllm", n, 900, 300, 1.0, 1.0)), CATALOG)[0] for n in loads]
    predicted = validate_runs.predict(rows, CATALOG)
    for n, ttft, tpot, off in zip(loads, predicted.ttft_s, predicted.tpot_s, (1.0, 1.05, 2.0), strict=True):
        put(tmp_path, *tool("vllm", n, 900, 300, 1e3 * ttft, 1e3 * tpot * off))
    assert main(["validate", str(tmp_path / "results"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["concurrency"] for one in told["runs"]] == list(loads)
    for one, off in zip(told["runs"], (1.0, 1.05, 2.0), strict=True):
        low, high = one["tpot"]["band"]
        assert low < one["tpot"]["predicted"] < high
        assert one["tpot"]["measured"] == pytest.approx(off * one["tpot"]["predicted"])
        assert one["tpot"]["inside"] == (off < 2) and one["ttft"]["inside"]
    lengths, places, first, steps = told["differs"]
    assert "900 tokens were sent" in lengths and "planned for 1,000" in lengths
    assert "4,000 in flight are more than" in places
    assert "in 3 of 3 runs; measured over predicted 1.00 at every load." in first
    assert "in 2 of 3 runs; measured over predicted 1.00 at the least load, 2.00 at the most" in steps
    assert main(["validate", str(tmp_path / "results"), "--ascii"]) == 0
    assert "Run by run" in capsys.readouterr().out


def test_a_factor_that_is_farthest_off_between_the_ends_is_told(tmp_path, capsys):
    exported(tmp_path, ALONE, "vllm")
    loads, factors = (1, 8, 16, 64), (1.0, 0.5, 0.6, 0.95)
    rows = [read(put(tmp_path, *tool("vllm", n, 1000, 300, 1.0, 1.0)), CATALOG)[0] for n in loads]
    predicted = validate_runs.predict(rows, CATALOG)
    for n, ttft, tpot, off in zip(loads, predicted.ttft_s, predicted.tpot_s, factors, strict=True):
        put(tmp_path, *tool("vllm", n, 1000, 300, 1e3 * ttft * off, 1e3 * tpot))
    assert main(["validate", str(tmp_path / "results"), "--json"]) == 0
    first, steps = json.loads(capsys.readouterr().out)["differs"]
    assert "1.00 at the least load, 0.95 at the most, 0.50 between" in first and "between" not in steps


def test_flags_stand_above_the_record_and_bad_records_are_told(tmp_path):
    exported(tmp_path, ALONE, "vllm")
    path = put(tmp_path, *tool("vllm", 4, 1000, 300, 100.0, 10.0))
    (row,) = read(path, CATALOG, {"isl": "2000"})
    assert row.isl == 2000
    record = tmp_path / "deployment.toml"
    for text in ("run = 3", "[run]\nmodle = 'x'", "[run]\ntp = [1]", "[run]\ntp = true", "not toml"):
        record.write_text(text)
        with pytest.raises(InputError):
            beside(path)
    record.unlink()
    assert beside(path) == {}


def test_the_command_writes_it_and_refuses_a_tool_that_it_does_not_know(tmp_path, capsys):
    assert main(["replay", "--result", "jmeter", str(tmp_path / "x.json")]) == 2
    assert "vllm, sglang, aiperf, genai-perf, guidellm" in capsys.readouterr().err
    asked = ["--model", "llama-3.1-8b", "--system", "h100", "--gpus", "1", "--isl", "500", "--osl", "50"]
    file = tmp_path / "results" / "guidellm-4.json"
    words = ["--in-flight", "4", "--requests", "40", "--result", "guidellm", str(file), "--json"]
    assert main(["replay", *asked, *words]) == 0
    told = json.loads(capsys.readouterr().out)
    flags = {"model": "llama-3.1-8b", "system": "h100", "engine": "vllm", "layout": "TP1"}
    (row,) = read(file, CATALOG, flags)
    assert row.ttft_s == pytest.approx(told["ftl_s"]["mean"]) and row.concurrency == 4


def test_a_result_of_another_model_than_the_deployment_beside_it_is_refused(tmp_path, capsys):
    exported(tmp_path, ALONE, "vllm")
    name, text = tool("vllm", 4, 1000, 300, 100.0, 10.0)
    path = put(tmp_path, name, text)
    assert main(["validate", str(path)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert [row.isl for row in read(tmp_path, CATALOG)] == [1000]  # the folder of the export is typed too
    assert f"What was deployed is read from {tmp_path / 'deployment.toml'}." in told
    other = json.loads(path.read_text()) | {"model_id": "qwen3-32b"}
    path.write_text(json.dumps(other))
    assert main(["validate", str(path)]) == 2
    said = capsys.readouterr().err
    assert "a result of qwen3-32b" in said and "one of llama-3.1-8b" in said and "--model" in said
    assert read(path, CATALOG, {"model": "llama-3.1-8b"})[0].model == "llama-3.1-8b"
    path.write_text(json.dumps(other | {"model_id": "what our server calls it"}))
    assert read(path, CATALOG)[0].model == "llama-3.1-8b"
