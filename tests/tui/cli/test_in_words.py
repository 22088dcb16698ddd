"""What a command says in words: what a constant means, how long it takes, one GPU and several."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import pytest
from terminals import ROOT

from planner import Fleet, Scenario, load, plan
from planner.inputs.engine import EngineProfile
from planner.output.formats import WRITERS
from tui.cli import presets
from tui.cli.engine_words import MEANINGS
from tui.cli.main import main


def test_every_constant_of_an_engine_has_its_meaning_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    named = {"name", "label"}
    assert {field.name for field in dataclasses.fields(EngineProfile)} - named == MEANINGS.keys()
    assert main(["presets", "engines", "trtllm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line in lines:
        key = re.match(r"(\w+):", line)
        if key is not None and key[1] not in named:
            assert line.endswith(MEANINGS[key[1]]) and len(line) <= 120
    assert "step_s" not in presets.show(load(), "systems", "h200")


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_one_gpu_is_one_gpu(form: str) -> None:
    found = plan(Scenario(model="llama-3.1-8b", engine="vllm", fleet=Fleet(gpus=1)))
    assert found.chosen is not None and found.chosen.gpus == 1
    assert not re.search(r"\b1 (GPUs|instances|hosts)\b", WRITERS[form](found))


def test_bench_says_what_it_times_where_someone_watches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner.evidence import bench
    from tui.cli import bench_screen

    for room in (bench, bench_screen):
        monkeypatch.setattr(room, "run", lambda runs: {})
        monkeypatch.setattr(room, "to_text", lambda result: "")
    assert main(["bench"]) == 0 and "timing" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["bench"]) == 0
    told = capsys.readouterr()
    assert told.err.count("timing") == 2 and "timing" not in told.out


def test_a_first_run_says_what_it_sets_up() -> None:
    """What `make run` would do, in a folder where nothing is set up: each long step is announced."""
    steps = subprocess.run(
        ["make", "--dry-run", "--always-make", "run"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert any("pip install" in step for step in steps)
    for at, step in enumerate(steps):
        if "pip install" in step or " -m venv" in step:
            assert "echo" in steps[at - 1] and ">&2" in steps[at - 1]
