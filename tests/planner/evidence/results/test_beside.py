"""Another planner's table: its columns become rows, laid beside ours, never measurements."""

from __future__ import annotations

import json

import pytest

from planner import InputError, load
from planner.evidence import beside
from planner.evidence.results import read as results
from tui.cli.main import main

PRESETS = load()
ROLE = {
    "tp": 2, "pp": 1, "dp": 1, "moe_tp": 1, "moe_ep": 1, "gemm": "fp8", "kvcache": "float16", "moe": "fp8",
    "backend": "trtllm", "version": "1.0.0rc3", "system": "h200_sxm",
}  # fmt: skip
WHOLE = {
    "model": "Qwen/Qwen3-32B", "isl": 4000, "osl": 500, "prefix": 0, "concurrency": 64, "ttft": 200.0,
    "tpot": 12.5, "tokens/s": 3000, "tokens/s/gpu": 500, "tokens/s/user": 80, "num_total_gpus": 6,
}  # fmt: skip
SPLIT = {
    **WHOLE, "(p)workers": 2, "(d)workers": 1, "(p)bs": 1, "(d)bs": 64, "(p)seq/s/worker": 3.0,
    **{f"({mark}){name}": value for mark in "pd" for name, value in ROLE.items()},
}  # fmt: skip
TOGETHER = {**WHOLE, **ROLE, "num_total_gpus": 4, "bs": 16}


def written(tmp_path, *records, name="pareto.csv"):
    path = tmp_path / name
    lines = [",".join(records[0])] + [",".join(map(str, record.values())) for record in records]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_columns_become_deployments(tmp_path):
    rows, _ = results.predicted(written(tmp_path, SPLIT), PRESETS, {})
    (row,) = rows
    assert (row.model, row.system, row.engine, row.gemm) == ("qwen3-32b", "h200", "trtllm", "fp8")
    assert not row.colocated and (row.prefill_workers, row.decode_workers, row.gpus) == (2, 1, 6)
    assert (row.ttft_s, row.tpot_s, row.concurrency) == pytest.approx((0.2, 0.0125, 64))
    ((row,), _) = results.predicted(written(tmp_path, TOGETHER), PRESETS, {})
    assert row.colocated and row.gpus == 4 and row.decode_workers == 2


def test_theirs_that_are_ours_differ_in_nothing_and_doubled_ones_by_two(tmp_path):
    rows, found = results.predicted(written(tmp_path, SPLIT), PRESETS, {})
    ours = beside.compare(rows, found.records, found.tool, PRESETS)["rows"][0]["ours"]
    same = {
        **SPLIT, "ttft": 1e3 * ours["prompt"], "tpot": 2e3 * ours["step"],
        "(p)seq/s/worker": ours["prefill_rate"], "tokens/s/gpu": ours["tokens_per_s_per_gpu"],
    }  # fmt: skip
    rows, found = results.predicted(written(tmp_path, same), PRESETS, {})
    told = beside.compare(rows, found.records, found.tool, PRESETS)
    ratios = told["median_ratio"]
    assert ratios.pop("step") == pytest.approx(2.0, rel=1e-6)
    assert all(value == pytest.approx(1.0, rel=1e-6) for value in ratios.values())
    assert told["why"][0].startswith("a decode step") and "2.00 times" in told["why"][0]
    assert any("cache: theirs is in bf16, ours in fp8" in why for why in told["why"])


def test_as_a_user_types_it(tmp_path, capsys):
    path = str(written(tmp_path, TOGETHER))
    assert main(["validate", path, "--ascii"]) == 0
    told = capsys.readouterr().out
    assert "nothing here was measured" in told and "Theirs over ours" in told and told.isascii()
    assert main(["validate", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["planner"] == "aiconfigurator"
    assert main(["calibrate", "--engines", path, "--out", str(tmp_path)]) == 2
    assert "predictions of aiconfigurator" in capsys.readouterr().err
    assert main(["validate", path, "--plot"]) == 2


@pytest.mark.parametrize(
    "change", [{"tp": 0}, {"tp": "x"}, {"model": "QWEN3_1000B"}, {"isl": -4}, {"system": ""}]
)
def test_bad_cells_are_told_or_left_out(tmp_path, capsys, change):
    code = main(["validate", str(written(tmp_path, {**TOGETHER, **change}))])
    told = capsys.readouterr()
    assert (code == 2 and told.err.count("\n") == 1) or (code == 0 and "Not predicted here" in told.out)


def test_tables_of_json_in_cells_are_refused_by_name(tmp_path):
    path = tmp_path / "recommendation.csv"
    path.write_text("candidate_id,metrics_json\n1,{}\n")
    with pytest.raises(InputError, match="recommendation"):
        results.predicted(path, PRESETS, {})
