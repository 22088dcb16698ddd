"""`ratematch elastic` from the outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tui.cli import main

TRACE_S, COUNT = 600.0, 900


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes, the middle of them four times as busy."""
    random = np.random.default_rng(0)
    at = np.sort(
        np.concatenate([random.uniform(0, TRACE_S, COUNT // 3), random.uniform(240, 360, COUNT * 2 // 3)])
    )
    path = tmp_path_factory.mktemp("trace") / "busy.csv"
    rows = [f"{t:.3f},9000,200" for t in at]
    path.write_text("\n".join(["time_s,input_tokens,output_tokens", *rows]) + "\n")
    return path


SMALL = ("--model", "qwen3-32b", "--instance-gpus", "2", "--gpus", "32", "--ttft", "2s", "--start", "30s")


@pytest.fixture(scope="module")
def answer(trace: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("out") / "plan.json"
    words = ["elastic", "--trace", str(trace), *SMALL, "--replay", "--json", "--out", str(out)]
    assert main.main(words) == 0
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_every_policy_is_billed_and_replayed(answer: dict[str, Any]) -> None:
    names = [row["name"] for row in answer["policies"] if row["way"] == "disaggregated"]
    assert names == [
        *("static-peak", "static-mean", "fixed-ratio", "dynamic-ratio"),
        *("elastic", "seasonal-naive", "smoothing", "reactive"),
    ]
    assert answer["gap"] <= 0.02 and answer["windows"] == 10
    for row in answer["policies"]:
        assert row["windows"] == 10 and 0 <= row["windows_ok"] <= 10
        assert row["usd"] > 0 and row["usd_per_million_tokens"] > 0
        assert row["replayed"]["unfinished"] == 0  # what is in flight is drained, not lost


def test_elastic_keeps_what_static_keeps_for_less(answer: dict[str, Any]) -> None:
    for way in ("disaggregated", "colocated"):
        of = {row["name"]: row for row in answer["policies"] if row["way"] == way}
        assert of["elastic"]["objective"] <= of["static-peak"]["objective"]
        assert of["elastic"]["usd"] < of["static-peak"]["usd"]
        assert of["elastic"]["windows_ok"] == of["static-peak"]["windows_ok"] == 10
        assert of["static-mean"]["windows_ok"] < 10
        assert of["static-peak"]["replayed"]["agrees"] >= 0.9
        assert of["elastic"]["replayed"]["agrees"] >= 0.9


def test_a_replay_says_what_each_window_needs(answer: dict[str, Any]) -> None:
    assert set(answer["settled"]) == {"disaggregated", "colocated"}
    assert all(told["replays"] >= 1 and told["windows_kept"] >= 0.9 for told in answer["settled"].values())
    assert any("replay" in line for line in answer["why"])


def test_the_schedule_is_of_the_better_way(answer: dict[str, Any]) -> None:
    assert len(answer["schedule"]) == 10 and answer["trace"].endswith("busy.csv")
    assert sum(row["requests"] for row in answer["schedule"]) == COUNT
    assert max(row["gpus"] for row in answer["schedule"]) <= 32
    assert any("less than the cheapest fleet all along" in line for line in answer["why"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trace", "T", "--window", "soon"), "window"),
        (("--trace", "T", "--layouts", "9"), "layouts"),
        (("--trace", "T", "--settle", "maybe"), "settle"),
        (("--trace", "T", "--usd-by-hour", "1,nan"), "usd-by-hour"),
        (("--trace", "T", "--window", "1ms"), " ms or more: 20,000 windows at most"),
        (
            ("--trace", "T", "--window", "100ms", "--start", "5m"),
            " ms or more: an instance starts, stays and",
        ),
        (("--trace", "T", "--window", "1e30s"), "above 0, up to 1e+09"),
        (("--trace", "no-such-file"), "trace"),
        ((), "--trace"),
        (("--trace", "T", "--export", "slurm"), "keda or dynamo"),
        (("--week", "1e9"), "requests in all"),
    ],
)
def test_what_cannot_be_used_is_told(
    words: tuple[str, ...], said: str, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["elastic", *(str(trace) if word == "T" else word for word in words)]) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error


def test_where_nothing_keeps_the_limits_the_code_says_so(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["elastic", "--trace", str(trace), "--model", "qwen3-32b", "--instance-gpus", "1", "--ttl", "1ms"]
    assert main.main(words) == 3
    assert "no layout" in capsys.readouterr().out


def test_csv_has_a_row_for_each_window(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["elastic", "--trace", str(trace), *SMALL, "--csv", "--prefill-layout", "TP1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("policy,way,from_s")
    assert sum(line.startswith("static-peak,disaggregated") for line in lines) == 20
