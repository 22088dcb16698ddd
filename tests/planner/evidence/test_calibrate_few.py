"""Eight runs of an engine with a hidden constant changed: found, and how surely; unchanged: left as it is."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

import planner
from planner.evidence import runs
from planner.evidence.calibrate import engines, few
from planner.inputs.catalog import user_folder
from tui.cli.calibrate import few_text
from tui.cli.main import main

CATALOG = planner.load()
COLUMNS = [
    "mode",
    "model",
    "system",
    "engine",
    "gemm_dtype",
    "isl",
    "osl",
    "concurrency",
    "tp",
    "ttft_ms",
    "tpot_ms",
]
SHAPES = [(isl, osl, flight) for isl, osl in ((1024, 512), (4096, 512)) for flight in (2, 16, 64, 128)]


def written(path, measured):
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for (isl, osl, flight), (ttft, tpot) in zip(SHAPES, measured, strict=True):
            out.writerow(
                ["colocated", "qwen3-32b", "h100", "vllm", "fp8", isl, osl, flight, 2, 1e3 * ttft, 1e3 * tpot]
            )
    return path


def synthetic(tmp_path, **hidden):
    """Runs as an engine with hidden constants gives them, with scatter of 3 % (TTFT) and 1 % (TPOT)."""
    rows = runs.read(written(tmp_path / "shape.csv", [(1.0, 1.0)] * len(SHAPES)))
    trials = engines.prepare(rows, CATALOG)
    profile = replace(CATALOG.engine("vllm"), **hidden)
    values = np.array([getattr(profile, c.name) for c in engines.CONSTANTS])
    ttft, tpot = engines.predict(trials, np.broadcast_to(values, (len(rows), len(values))))
    chance = np.random.default_rng(7)
    scattered = zip(
        ttft * np.exp(chance.normal(0, 0.03, len(rows))),
        tpot * np.exp(chance.normal(0, 0.01, len(rows))),
        strict=True,
    )
    return written(tmp_path / "runs.csv", list(scattered))


@pytest.mark.parametrize(
    "name, value",
    [
        pytest.param("arrival_s", 0.012, marks=pytest.mark.slow),  # the command test finds it too
        pytest.param("exposure", 0.5, marks=pytest.mark.slow),
        ("prefill_request_s", 0.2),
    ],
)
def test_a_hidden_constant_is_found_and_how_surely(tmp_path, name, value):
    (found,) = few.fit(runs.read(synthetic(tmp_path, **{name: value})), CATALOG)
    told = {one.name: one for one in found.told}
    surest = max(found.told, key=lambda one: one.weight)
    assert surest.name == name and surest.weight > 0.9 and found.unchanged < 0.01
    assert surest.alone == pytest.approx(value, rel=0.15)
    assert told[name].says == "moved" and told[name].sd < told[name].prior_sd
    assert getattr(found.profile, name) == pytest.approx(value, rel=0.15)
    assert told["lockstep"].says == "prior"  # no attention DP here
    assert found.misfit_now < 0.2 * found.misfit_before


def test_runs_of_the_profile_itself_change_nothing_and_the_next_run_tells_more(tmp_path):
    (found,) = few.fit(runs.read(synthetic(tmp_path)), CATALOG)
    assert found.unchanged > 0.4 and not any(one.moved for one in found.told)
    assert found.profile == CATALOG.engine("vllm") and not found.profile_changed
    best = found.next_run
    assert best is not None and best.bits > 0.5 and 0 < best.left < 1
    assert (best.row.isl, best.row.osl, best.row.concurrency) not in SHAPES


def test_a_constant_beyond_its_plausible_range_is_told_to_stop_there(tmp_path):
    (found,) = few.fit(runs.read(synthetic(tmp_path, layer_s=6e-5)), CATALOG)
    assert found.at_an_end == ("layer_s",) and found.profile.layer_s == 4e-5
    assert "layer_s stops at 4e-05, an end of its plausible range" in few_text(found)
    (within,) = few.fit(runs.read(synthetic(tmp_path, prefill_request_s=0.2)), CATALOG)
    assert within.profile_changed and not within.at_an_end and "plausible range" not in few_text(within)


def test_the_command_writes_the_profile_and_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path / "own"))
    assert main(["calibrate", "--engines", str(synthetic(tmp_path, arrival_s=0.012))]) == 0
    told = capsys.readouterr().out
    assert "arrival_s" in told and "next best run" in told and "say nothing of" in told
    own = planner.load(user_folder()).engine("vllm")
    assert own.arrival_s == pytest.approx(0.012, rel=0.15)
    assert own.step_s == CATALOG.engine("vllm").step_s
