"""`ratematch bench` measures what it says. No test here asserts a time: machines differ."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tui.cli import bench_edits, bench_screen, main

SPEED = ("key_to_frontier", "key_to_echo", "unforeseen_to_frontier", "typed_to_frontier")


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))


@pytest.mark.slow
@pytest.mark.parametrize("starts", ["made up", pytest.param("timed", marks=pytest.mark.slow)])
def test_bench_times_keys_frontiers_and_the_first_paint(
    starts: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if starts == "made up":
        monkeypatch.setattr(bench_screen, "first_paints_s", lambda starts: [0.5] * starts)
    assert main.main(["bench", "--json", "--runs", "2"]) == 0
    result = json.loads(capsys.readouterr().out)
    for name in SPEED:
        assert 0 < result[f"{name}_ms_p50"] <= result[f"{name}_ms_p95"], name
    # the echo never waits for a plan
    assert result["key_to_echo_ms_p50"] < result["unforeseen_to_frontier_ms_p50"]
    assert result["design_points"] > 100_000 and result["design_points_per_s"] > 0
    assert result["first_paint_ms_p50"] is None or result["first_paint_ms_p50"] > 0
    text = bench_screen.to_text(result)
    assert all(word in text for word in ("key to frontier", "key to echo", "unforeseen key", "typed to"))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
def test_starts_are_timed_in_processes_of_their_own() -> None:
    (seconds,) = bench_screen.first_paints_s(1)
    assert 0 < seconds < bench_screen.PATIENCE_S


@pytest.mark.slow
def test_many_edits_are_counted_in_a_process_of_their_own() -> None:
    """What it says is of that process; that memory does not grow without bound is what it is run for."""
    result = bench_edits.run(2)
    assert result["edits"] == 2 and result["idle_cpu_percent"] >= 0
    assert result["memory_mb_last"] is None or result["memory_mb_last"] >= result["memory_mb_first"] > 0
    assert "after 2 edits" in bench_edits.to_text(result) or result["memory_mb_last"] is None
