"""`ratematch validate` and `ratematch calibrate` as a user types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from planner.evidence.page import reproduce
from planner.inputs.catalog import load
from tui.charts import scatter
from tui.cli.main import main

DATA = Path(__file__).parents[2] / "planner" / "evidence" / "data"
RUNS, KERNELS = DATA / "runs.csv", DATA / "kernels"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own"
    monkeypatch.setenv("RATEMATCH_CONFIG", str(folder))
    return folder


def test_validate_prints_tables_and_a_plot(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(RUNS), "--plot", "--ascii"]) == 0
    text = capsys.readouterr().out
    for part in (
        "TPOT",
        "By model, system and engine",
        "Farthest off",
        "predicted",
        "measured",
        "deepseek-r1",
    ):
        assert part in text
    assert text.isascii()


def test_validate_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(RUNS), "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)
    assert runs["rows"] == runs["covered"] and runs["groups"]
    assert main(["validate", "--kernels", str(KERNELS), "--json"]) == 0
    kernels = json.loads(capsys.readouterr().out)
    assert {"operator", "system", "engine", "dtype", "n", "mape", "median_ape"} <= set(
        kernels["operators"][0]
    )


def test_validate_of_kernels_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--kernels", str(KERNELS)]) == 0
    assert "kernels predicted" in capsys.readouterr().out


def test_validate_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "docs" / "accuracy.md"
    assert main(["validate", str(RUNS), "--kernels", str(KERNELS), "--write", str(page)]) == 0
    assert capsys.readouterr().out.strip() == str(page)
    text = page.read_text()
    assert text.startswith("# How accurate ratematch is")
    for heading in ("End to end", "Left out of the fit", "Error bands", "By group", "Reproduce"):
        assert f"## {heading}" in text
    assert "deepseek-r1" in text and "nan" not in text
    # what holds of the shipped measurements is not said of others
    assert "`runs.csv`" in text and reproduce.COMMAND not in text and "MI300X" not in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "no-such.csv"],
        ["validate", str(KERNELS)],  # a folder of kernels has no results of runs
        ["validate", "--kernels", str(RUNS)],
        ["validate", "--kernels", str(KERNELS), "--write", "x.md"],
        ["calibrate"],
        ["calibrate", str(KERNELS), "--engines", str(RUNS)],
        ["calibrate", str(KERNELS), "--bands"],
        ["calibrate", str(KERNELS), "--system", "no-such-gpu"],
        ["calibrate", "no-such-folder"],
        ["calibrate", "--engines", "no-such.csv"],
    ],
)
def test_misuse_is_one_line_and_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("ratematch: ") and told.count("\n") == 1


def test_help_documents_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("validate", "calibrate"):
        assert main([command, "--help"]) == 0
        text = capsys.readouterr().out
        assert "concurrency" in text and "gemm.csv" in text and "examples:" in text


def gemms(folder: Path, system: str) -> Path:
    """Enough measured products of one system for a fit."""
    folder.mkdir(exist_ok=True)
    rows = ["system,engine,dtype,m,n,k,latency_us"]
    for i in range(1, 41):
        m, n, k = 64 * i, 4096 + 128 * i, 4096
        rows.append(
            f"{system},vllm,bfloat16,{m},{n},{k},{10 + 2e6 * m * n * k / 60e12 * (1 + 0.01 * (i % 5))}"
        )
    (folder / "gemm.csv").write_text("\n".join(rows))
    return folder


def test_calibrate_makes_presets_of_ones_own(
    tmp_path: Path, _own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(gemms(tmp_path / "m", "h20")), "--operator", "gemm"]) == 0
    text = capsys.readouterr().out
    assert "gemm" in text and "left-out" in text and "inherited" in text and "from h200" in text
    own = load()
    machine = own.system("h20")
    assert own.kernels(machine, "vllm").find("gemm", "bf16")[1].measurements == 40
    # what was not measured again stays as it was installed
    assert own.kernels(machine, "trtllm").find("attention_decode", "bf16")[1].system in ("h20", "h200")


def test_calibrate_gives_a_system_on_borrowed_kernels_a_file(tmp_path: Path, _own_folder: Path) -> None:
    assert main(["calibrate", str(gemms(tmp_path / "m", "h800"))]) == 0
    own = load()
    assert own.system("h800").kernels == "h800"
    assert own.kernels(own.system("h800"), "vllm").find("gemm", "bf16")[1].system == "h800"
    assert own.kernels(own.system("h800"), "vllm").find("mla_decode", "bf16")[1].system == "h100"


def test_calibrate_of_nothing_usable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    assert main(["calibrate", str(folder)]) == 1
    assert "Nothing could be fitted" in capsys.readouterr().out


def test_calibrate_engines_writes_profiles_where_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = RUNS.read_text().splitlines()
    few = tmp_path / "few.csv"
    chosen = [line for line in lines[1:] if ",vllm," in line and ",qwen3-32b," in line]
    few.write_text("\n".join([lines[0], *chosen * 16]))  # more than count as few
    out = tmp_path / "out"
    assert main(["calibrate", "--engines", str(few), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "step_s" in text and "of the fit" in text
    assert (out / "engines" / "vllm.toml").exists()
    shutil.rmtree(out)


def test_a_plot_of_nothing_is_nothing() -> None:
    assert scatter.draw([], [], "x") == ""
    assert scatter.draw([float("nan")], [1.0], "x") == ""
    assert "x" in scatter.draw([0.01, 0.02], [0.011, 0.019], "x", ascii=True)


def test_runs_are_replayed_beside_the_closed_forms(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(DATA / "runs.csv"), "--replay", "--rows", "6", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["covered"] == found["rows"] > 0 and found["requests"] > 10
    for how in ("closed", "replay"):
        assert found["all"]["tpot"][how]["n"] > 0
    # one model of service: both tell about the same token interval
    closed, replayed = (found["all"]["tpot"][how]["bias"] for how in ("closed", "replay"))
    assert replayed == pytest.approx(closed, abs=0.1)
    assert main(["validate", str(DATA / "runs.csv"), "--replay", "--rows", "2"]) == 0
    assert "replay: median" in capsys.readouterr().out
    assert main(["validate", str(DATA / "runs.csv"), "--rows", "2"]) == 2
    assert main(["validate", str(DATA / "runs.csv"), "--replay", "--rows", "x"]) == 2
    assert main(["validate", str(DATA / "runs.csv"), "--replay", "--plans"]) == 2
