"""Measured kernels against the operators: coverage, the report's contract, and inherited constants."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from planner.errors import InputError
from planner.evidence import validate_kernels
from planner.evidence.calibrate.kernels import dsa_modules
from planner.evidence.csv_files import read as read_rows
from planner.evidence.text import kernels_text
from planner.inputs import catalog

PRESETS = catalog.load()
KERNELS = Path(__file__).parent / "data" / "kernels"


@pytest.fixture(scope="module")
def result() -> dict[str, object]:
    return validate_kernels.report(KERNELS, PRESETS)


def test_every_row_of_every_file_is_predicted(result: dict[str, object]) -> None:
    rows = sum(len(read_rows(path).rows) for path in KERNELS.glob("*.csv"))
    assert result["rows"] == result["covered"] == rows
    assert result["missing"] == []
    assert sum(line["n"] for line in result["operators"]) == rows  # type: ignore[attr-defined]


def test_the_report_keeps_its_contract(result: dict[str, object]) -> None:
    json.dumps(result, allow_nan=False)
    assert {"operators", "seconds"} <= set(result)
    names = set()
    for line in result["operators"]:  # type: ignore[attr-defined]
        assert {"operator", "system", "engine", "dtype", "n", "mape", "median_ape"} <= set(line)
        names.add(line["operator"])
    # kernels of one name in the measurements are one operator of the report, whatever their class
    assert {"gemm", "moe", "attention_prefill", "mla_decode", "dsa_prefill", "all_reduce"} <= names
    assert not any(name.startswith(("moe_", "dsa_prefill_")) for name in names)
    assert kernels_text(result)  # type: ignore[arg-type]


def test_a_sample_is_met_within_what_is_published(result: dict[str, object]) -> None:
    """A tripwire, not a claim: docs/accuracy.md has the figures of all kernels."""
    lines = result["operators"]
    summed = {x["operator"]: x["mape"] for x in validate_kernels.by_operator(lines)}  # type: ignore[arg-type]
    for operator, most in (("gemm", 0.2), ("attention_prefill", 0.2), ("moe", 0.3), ("all_reduce", 0.2)):
        assert summed[operator] < most


@pytest.mark.parametrize("system", ["b300", "h20", "h800", "gb300"])
def test_a_system_without_measurements_runs_on_what_it_inherits(tmp_path: Path, system: str) -> None:
    for path in KERNELS.glob("*.csv"):
        lines = path.read_text().splitlines()
        swapped = [",".join([system, *line.split(",")[1:]]) for line in lines[1:]]
        (tmp_path / path.name).write_text("\n".join([lines[0], *swapped]))
    result = validate_kernels.report(tmp_path, PRESETS)
    assert result["covered"] == result["rows"]
    own = [line for line in result["operators"] if line["constants"] == "own"]
    assert all(line["left_out_mape"] is None for line in result["operators"] if line not in own)
    assert len(own) < len(result["operators"])


def test_rows_that_cannot_be_predicted_are_counted(tmp_path: Path) -> None:
    lines = (KERNELS / "gemm.csv").read_text().splitlines()
    head, row = lines[0], lines[1].split(",")
    odd_format = [*row[:2], "fp3", *row[3:]]
    odd_system = ["tpu-v9", *row[1:]]
    (tmp_path / "gemm.csv").write_text("\n".join([head, *map(",".join, (row, odd_format, odd_system))]))
    result = validate_kernels.report(tmp_path, PRESETS)
    assert (result["rows"], result["covered"]) == (3, 1)
    assert [item["n"] for item in result["missing"]] == [1, 1]
    told = " ".join(item["why"] for item in result["missing"])
    assert "fp3" in told and "tpu-v9" in told


def test_nanoseconds_under_a_heading_of_microseconds_are_noticed(result: dict[str, object]) -> None:
    exchanges = [x for x in result["operators"] if x["operator"].startswith(("dispatch", "combine"))]  # type: ignore[attr-defined]
    assert exchanges and all(line["mape"] < 0.9 for line in exchanges)  # a factor of 1,000 would give 0.999


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda line: line.replace("latency_us", "latency"), "latency_us"),
        (lambda line: line if line.startswith("system") else line.rsplit(",", 1)[0] + ",fast", "latency_us"),
        (lambda line: line if line.startswith("system") else line.rsplit(",", 1)[0] + ",-1", "latency_us"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(tmp_path: Path, change, told: str) -> None:  # type: ignore[no-untyped-def]
    lines = (KERNELS / "gemm.csv").read_text().splitlines()
    (tmp_path / "gemm.csv").write_text("\n".join(change(line) for line in lines))
    with pytest.raises(InputError, match=told):
        validate_kernels.report(tmp_path, PRESETS)


def test_a_folder_without_measurements_is_told_what_it_may_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gemm\.csv"):
        validate_kernels.report(tmp_path, PRESETS)
    with pytest.raises(InputError, match="folder"):
        validate_kernels.report(tmp_path / "missing", PRESETS)
    shutil.copy(KERNELS / "nccl.csv", tmp_path)
    assert validate_kernels.report(tmp_path, PRESETS)["rows"] == len(read_rows(KERNELS / "nccl.csv").rows)


@pytest.mark.parametrize(
    ("row", "phase", "kind"),
    [
        ({"engine": "sglang", "isl": "512", "step": "0", "model": "DeepSeek-V3.2"}, "prefill", "dense"),
        ({"engine": "sglang", "isl": "4096", "step": "0", "model": "DeepSeek-V3.2"}, "prefill", ""),
        ({"engine": "trtllm", "isl": "512", "step": "0", "model": "DeepSeek-V3.2"}, "prefill", ""),
        ({"engine": "sglang", "isl": "1", "step": "512", "model": "zai-org/GLM-5.2"}, "decode", "reuse"),
        ({"engine": "sglang", "isl": "1", "step": "512", "model": "nvidia/GLM-5.2-NVFP4"}, "decode", ""),
    ],
)
def test_what_a_sparse_attention_row_ran(row: dict[str, str], phase: str, kind: str) -> None:
    assert dsa_modules.variant(row, phase) == kind
