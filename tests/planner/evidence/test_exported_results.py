"""An export, a run of it as a benchmark writes it, and validate: the run that the plan predicts is met."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import pytest

import planner
from planner.errors import InputError
from planner.evidence import validate_runs
from planner.evidence.results.exported import beside
from planner.evidence.results.read import read
from planner.inputs.fleet import Fleet
from planner.inputs.scenario import Limits, Scenario
from planner.inputs.toml_tables import parse_toml
from planner.inputs.traffic import Traffic
from planner.output.deploy import write
from planner.output.deploy.parts import Options
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


def tool(name, flight, isl, osl, ttft_ms, tpot_ms):
    """(file, text) of a result in the format of each benchmark."""
    if name == "vllm":
        told = {
            "date": "20261101-101010",
            "backend": "openai",
            "model_id": "any",
            "num_prompts": 10 * flight,
            "request_rate": "inf",
            "max_concurrency": flight,
            "duration": 100.0,
            "completed": 10 * flight,
            "mean_ttft_ms": ttft_ms,
            "mean_tpot_ms": tpot_ms,
            "output_throughput": 1e3 * flight / tpot_ms,
        }
        return f"vllm-{flight}.json", json.dumps(told)
    if name == "sglang":
        told = {
            "backend": "vllm",
            "dataset_name": "random-ids",
            "request_rate": float("inf"),
            "max_concurrency": flight,
            "random_input_len": isl,
            "random_output_len": osl,
            "completed": 10 * flight,
            "mean_ttft_ms": ttft_ms,
            "mean_tpot_ms": tpot_ms,
        }
        return f"sglang-{flight}.jsonl", json.dumps(told) + "\n"
    told = {
        "schema_version": "1.4",
        "time_to_first_token": {"unit": "ms", "avg": ttft_ms, "p99": 2 * ttft_ms},
        "inter_token_latency": {"unit": "ms", "avg": tpot_ms},
        "request_latency": {"unit": "ms", "avg": ttft_ms + (osl - 1) * tpot_ms},
        "input_config": {"loadgen": {"concurrency": flight, "request_count": 10 * flight}},
    }
    return f"aiperf-{flight}/profile_export_aiperf.json", json.dumps(told)


def exported(tmp_path, scenario, benchmark):
    """The folder of an export, and its record."""
    plan = planner.plan(scenario, CATALOG)
    found = write.export(plan, scenario.engine, Options(benchmark=benchmark), CATALOG)
    for name, text in found.files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "results").mkdir()
    return plan, parse_toml(found.files["deployment.toml"], "record")


def put(folder, name, text):
    path = folder / "results" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("benchmark", ["vllm", "sglang", "aiperf"])
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


def test_the_ladder_of_the_script_and_the_folder_of_its_results(tmp_path, capsys):
    _, record = exported(tmp_path, ALONE, "vllm")
    script = (tmp_path / "bench.sh").read_text()
    ladder = [int(n) for n in re.search(r"for places in ([\d ]+);", script)[1].split()]
    assert ladder == sorted(set(ladder)) and ladder[0] == 1
    assert ladder[-1] == pytest.approx(record["predicted"]["concurrency"], abs=1)
    for flight in ladder:
        put(tmp_path, *tool("vllm", flight, 1000, 300, 100.0, 10.0))
    assert main(["validate", str(tmp_path / "results"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == told["covered"] == len(ladder)
    assert main(["calibrate", "--engines", str(tmp_path / "results"), "--out", str(tmp_path / "own")]) == 0
    assert f"{len(ladder)} runs" in capsys.readouterr().out


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
