"""Plans against tuned deployments: which rows count, what they are held against, and the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planner.evidence import runs, shipped, validate_plans
from planner.evidence.runs import Row
from planner.inputs.catalog import Catalog, load
from tui.cli.main import main


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


@pytest.fixture(scope="module")
def splits() -> list[Row]:
    """Two deployments of one group, of 12 and 36 GPUs."""
    rows = runs.read(shipped.runs_file())
    return [row for row in rows if row.id in ("d109", "d055")]


def test_tokens_are_counted_over_all_gpus(splits: list[Row]) -> None:
    row = replace(
        splits[0], concurrency=100.0, ttft_s=1.0, tpot_s=0.01, isl=1000, osl=101, decode_workers=1.0
    )
    assert not row.drawn
    found = validate_plans.tokens_per_s_per_gpu([row, replace(row, requests_per_s=50.0)])
    assert found * row.gpus == pytest.approx([100 * 100 / 2.0, 50.0 * 100])
    assert np.isnan(validate_plans.tokens_per_s_per_gpu([replace(row, ttft_s=float("nan"))]))


def test_a_row_counts_near_the_best_of_its_group(splits: list[Row]) -> None:
    one = replace(splits[0], ttft_s=1.0, tpot_s=0.01)
    rows = [
        one,
        replace(one, tpot_s=0.0114, ttft_s=9.0),  # within what may be held against the first
        replace(one, tpot_s=0.0116),  # too slow for it
        replace(one, tpot_s=0.0114, ttft_s=11.0),  # too late for it
        replace(one, isl=8192, tpot_s=0.01),  # another group
    ]
    against = validate_plans.held_against(rows, np.array([1.0, 1.4, 9.0, 9.0, 9.0]))
    assert against[0] == 1.4
    assert np.isnan(validate_plans.held_against(rows, np.array([1.0, 1.5, 9.0, 9.0, 9.0]))[0])


def test_the_report_has_both_plans_of_each_row(splits: list[Row], catalog: Catalog) -> None:
    found = validate_plans.validate(splits, catalog)
    whole = found["plans"]
    assert whole["n"] == len(splits) == whole["inside_band"] + whole["above_band"] + whole["below_band"]
    ran = validate_plans.shardings(splits)
    assert {phase for place in ran.values() for phase, *_ in place} == {"prefill", "decode"}
    for row in found["rows"]:
        free, within = row["plan"], row["within_measured"]
        low, high = free["tokens_per_s_per_gpu_band"]
        assert low <= free["expected_tokens_per_s_per_gpu"] <= high
        assert max(free["gpus"], within["gpus"]) <= row["gpus"]
        side = row["measured_tokens_per_s_per_gpu"]
        assert row["band"] == ("above" if low > side else "below" if high < side else "inside")
        assert within["prefill"]["layout"] in ("DEP4",) and within["decode"]["layout"] in ("DEP4", "TEP8")


def test_rows_with_a_shared_prefix_are_planned_with_what_is_cached(
    splits: list[Row], catalog: Catalog
) -> None:
    plain = validate_plans.validate(splits[:1], catalog)
    found = validate_plans.validate([replace(splits[0], shared_prefix=512.0)], catalog)
    assert found["plans"]["n"] == 1
    (before,), (after,) = plain["rows"], found["rows"]
    per_gpu = "expected_tokens_per_s_per_gpu"
    assert after["plan"][per_gpu] >= before["plan"][per_gpu] * (1 - 0.02)  # the slack of either


def test_rows_that_cannot_be_planned_say_why(splits: list[Row], catalog: Catalog) -> None:
    found = validate_plans.validate(
        [replace(splits[0], system="nowhere"), replace(splits[1], model="nobody", id="x")], catalog
    )
    assert found["plans"] == {
        "n": 0,
        "median_ratio": None,
        "within_measured_ratio": None,
        "inside_band": 0,
        "above_band": 0,
        "below_band": 0,
    }
    assert {one["id"] for one in found["missing"]} == {splits[0].id, "x"}


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = shipped.runs_file().read_text("utf-8").splitlines()
    file = tmp_path / "runs.csv"
    file.write_text("\n".join([whole[0], *(line for line in whole if line.startswith("d109,"))]))
    assert main(["validate", str(file), "--plans", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["plans"]) == {
        "n",
        "median_ratio",
        "within_measured_ratio",
        "inside_band",
        "above_band",
        "below_band",
    }
    assert main(["validate", str(file), "--plans", "--ascii"]) == 0
    assert "within measured layouts" in capsys.readouterr().out
    assert main(["validate", str(file), "--plans", "--plot"]) == 2
