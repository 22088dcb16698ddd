"""Predicted against measured runs: the report's contract, its figures, and files that cannot be used."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from planner.errors import InputError
from planner.evidence import gather, runs, validate_runs
from planner.evidence.deployment import setup
from planner.evidence.outliers import outliers
from planner.evidence.runs import Row, Widths
from planner.evidence.text import runs_text
from planner.inputs import catalog

PRESETS = catalog.load()
RUNS = Path(__file__).parent / "data" / "runs.csv"


@pytest.fixture(scope="module")
def found() -> validate_runs.Predictions:
    return validate_runs.predict(runs.read(RUNS), PRESETS)


@pytest.fixture(scope="module")
def result(found: validate_runs.Predictions) -> dict[str, object]:
    return validate_runs.summarise(found)


def test_every_run_of_the_sample_is_predicted(found: validate_runs.Predictions) -> None:
    assert len(found.rows) > 50
    assert found.covered == len(found.rows) and not found.why
    assert (found.ttft_s > 0).all() and (found.tpot_s > 0).all()


def test_the_report_keeps_its_contract(result: dict[str, object]) -> None:
    assert {"rows", "covered", "tpot", "ttft", "groups", "worst", "missing", "seconds"} <= set(result)
    assert result["rows"] == result["covered"]
    for name in ("tpot", "ttft"):
        assert {"mape", "median_ape", "bias"} <= set(result[name])  # type: ignore[arg-type]
    groups = result["groups"]
    assert isinstance(groups, list)
    for group in groups:
        assert {"model", "system", "engine", "n", "tpot_mape", "ttft_mape"} <= set(group)
    assert sum(group["n"] for group in groups) == result["rows"]
    assert len(result["worst"]) == 10  # type: ignore[arg-type]
    json.dumps(result, allow_nan=False)


def test_errors_are_those_of_the_rows(
    found: validate_runs.Predictions, result: dict[str, dict[str, float]]
) -> None:
    off = found.tpot_s / found.measured_tpot_s - 1
    assert result["tpot"]["mape"] == pytest.approx(np.abs(off).mean())
    assert result["tpot"]["median_ape"] == pytest.approx(np.median(np.abs(off)))
    assert result["tpot"]["bias"] == pytest.approx(off.mean())
    farthest = found.rows[int(np.argmax(np.abs(np.log1p(off))))].id
    assert result["worst"][0]["id"] == farthest  # type: ignore[index]


def test_the_sample_is_met_within_what_is_published(result: dict[str, dict[str, float]]) -> None:
    """A tripwire, not a claim: docs/accuracy.md has the figures of all runs."""
    assert result["tpot"]["median_ape"] < 0.15
    assert result["ttft"]["median_ape"] < 0.45


def test_what_was_not_measured_is_covered_and_not_counted(tmp_path: Path) -> None:
    lines = RUNS.read_text().splitlines()
    head = lines[0].split(",")
    row = lines[1].split(",")
    row[head.index("ttft_ms")] = ""
    result = validate_runs.report(runs.read(csv(tmp_path, lines[0], ",".join(row))), PRESETS)
    assert (result["rows"], result["covered"]) == (1, 1)
    assert result["ttft"] == {"n": 0, "mape": None, "median_ape": None, "bias": None}
    assert result["tpot"]["n"] == 1 and result["groups"][0]["ttft_mape"] is None
    assert runs_text(result)


def test_a_row_that_cannot_be_predicted_says_why(tmp_path: Path) -> None:
    rows = runs.read(RUNS)
    rows[0] = dataclasses.replace(rows[0], model="no-such-model")
    rows[1] = dataclasses.replace(rows[1], gemm="fp3")
    result = validate_runs.report(rows, PRESETS)
    assert result["covered"] == len(rows) - 2
    assert [item["id"] for item in result["missing"]] == [rows[0].id, rows[1].id]
    assert "no-such-model" in result["missing"][0]["why"] and "fp3" in result["missing"][1]["why"]
    assert "Not predicted" in runs_text(result)


def test_a_run_far_from_its_neighbours_is_named() -> None:
    row = runs.read(RUNS)[0]
    calm = [dataclasses.replace(row, id=str(i), concurrency=8.0 + i, ttft_s=0.3) for i in range(5)]
    rough = dataclasses.replace(row, id="rough", concurrency=10.0, ttft_s=1.3)
    assert [r.id for r, odd in zip([*calm, rough], outliers([*calm, rough]), strict=True) if odd] == ["rough"]
    alone = dataclasses.replace(rough, isl=999)
    assert not outliers([*calm, alone]).any()


def csv(folder: Path, *lines: str) -> Path:
    path = folder / "runs.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


HEAD = "model,system,engine,isl,osl,concurrency,ttft_ms,tpot_ms"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "at least one row"),
        ([HEAD], "at least one row"),
        (["model,system,isl", "a,b,1"], "engine"),
        ([HEAD, "qwen3-32b,h100,vllm,1024,many,8,100,10"], "line 2, osl"),
        ([HEAD, "qwen3-32b,h100,vllm,1024,-5,8,100,10"], "line 2, osl"),
        ([HEAD, "qwen3-32b,h100,vllm,nan,100,8,100,10"], "runs.csv"),
        ([HEAD, "qwen3-32b,h100,vllm,inf,100,8,100,10"], "runs.csv"),
        ([HEAD, ",h100,vllm,1024,100,8,100,10"], "line 2, model"),
        ([HEAD, "qwen3-32b"], "runs.csv"),
        ([HEAD + ",mode", "qwen3-32b,h100,vllm,1024,100,8,100,10,sideways"], "colocated or disaggregated"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(tmp_path: Path, lines: list[str], told: str) -> None:
    with pytest.raises(InputError) as error:
        runs.read(csv(tmp_path, *lines))
    assert told in str(error.value) and "\n" not in str(error.value)


def test_a_folder_and_a_picture_are_no_files_of_runs(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xfe")
    for path in (tmp_path, tmp_path / "x.csv", tmp_path / "missing.csv"):
        with pytest.raises(InputError, match="CSV"):
            runs.read(path)


def test_gpus_of_a_deployment() -> None:
    rows = runs.read(RUNS)
    split = next(r for r in rows if not r.colocated)
    expected = split.prefill_workers * split.prefill.tp * split.prefill.attention_dp
    expected += split.decode_workers * split.decode.tp * split.decode.attention_dp
    assert split.gpus == expected
    assert one(tp=4.0).gpus == 4.0


def one(*, tp: float) -> Row:
    row = next(r for r in runs.read(RUNS) if r.colocated)
    return dataclasses.replace(
        row, decode=Widths(tp=tp, attention_dp=1.0, moe_tp=tp, moe_ep=1.0), decode_pp=1.0
    )


def test_a_row_drafts_as_it_says(tmp_path: Path) -> None:
    """By its own acceptance, else by what is known of the model; a draft model has a cost."""
    base = next(row for row in runs.read(RUNS) if row.model == "llama-3.1-8b" and row.colocated)
    nan = float("nan")

    def tpot(**changes: object) -> float:
        return float(validate_runs.predict([dataclasses.replace(base, **changes)], PRESETS).tpot_s[0])

    plain, drafted = tpot(), tpot(mtp=2, draft_cost=0.05)
    assert drafted == pytest.approx(tpot(mtp=2, draft_cost=0.05, mtp_acceptance=0.85))
    assert drafted < plain < tpot(mtp=2, draft_cost=0.05, mtp_acceptance=0.0)
    alone = validate_runs.predict([dataclasses.replace(base, mtp=2, draft_cost=nan)], PRESETS)
    assert alone.covered == 0 and "a draft cost beside it" in alone.why[0]


def test_a_recipe_says_the_format_of_the_cache(tmp_path: Path) -> None:
    """gpt-oss on B200 ran with an fp8 cache, on H200 with the bf16 one that its matrices suggest."""
    file = tmp_path / "runs.csv"
    head = "model,system,engine,isl,osl,tp,moe_tp,concurrency,gemm_dtype,moe_dtype,tpot_ms"
    lines = [
        f"gpt-oss-120b,{gpu},{osl},2,2,64,bf16,mxfp4,9"
        for gpu in ("b200,trtllm,8192", "h200,vllm,8192")
        for osl in (1024, 1000)
    ]
    lines.append("deepseek-r1,h200,sglang,1024,1024,8,8,64,fp8,fp8_block,30")
    file.write_text("\n".join([head, *lines]), encoding="utf-8")

    found = [setup(row, PRESETS, PRESETS.engine(row.engine)).precision.kv for row in runs.read(file)]
    # lengths of no benchmark follow no recipe of one
    assert found == ["fp8", "bf16", "bf16", "bf16", "bf16"]


def test_launches_of_one_build_let_prompts_ride_along(tmp_path: Path) -> None:
    """SGLang runs prompts first; what one generator of launches passed on to 0.5.6.post2 has it mix them."""
    file = tmp_path / "runs.csv"
    head = "model,system,engine,engine_versions,isl,osl,tp,moe_tp,concurrency,gemm_dtype,tpot_ms"
    line = "llama-3.1-8b,h200,sglang,{},{},1,1,64,fp8_block,9"
    lines = [
        line.format("0.5.6.post2", "1000,100"),
        line.format("0.5.6.post2", "1024,1024"),
        line.format("0.5.9", "1000,100"),
    ]
    file.write_text("\n".join([head, *lines]), encoding="utf-8")
    ran = gather.gather(runs.read(file), PRESETS)
    mixed, drawn, first = (
        next(i for i, row in enumerate(ran.rows) if row.id == str(line)) for line in (2, 3, 4)
    )
    assert [ran.engines[i].prefill_priority for i in (mixed, drawn, first)] == [0.0, 1.0, 1.0]
    ttft, tpot = gather.predict(ran)
    assert ttft[first] > 1.5 * ttft[mixed] and tpot[first] < tpot[mixed]
