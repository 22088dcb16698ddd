"""The measurements that come with the source, and the page that is written from them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from planner.errors import InputError
from planner.evidence import csv_files, kernel_files, runs, shipped, validate_kernels
from planner.evidence.page import reproduce
from planner.inputs import catalog
from tui.cli.main import main

CHECKOUT = Path(__file__).resolve().parents[3]
SAMPLES = Path(__file__).parent / "data"


def test_every_kind_of_measured_file_is_shipped_and_small() -> None:
    for file in kernel_files.FILES:
        assert csv_files.find(shipped.kernels_folder(), file.name) is not None
    everything = [path for path in shipped.runs_file().parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in everything) < 1_000_000


def test_compressed_tables_hold_no_time_and_no_name() -> None:
    for path in shipped.kernels_folder().glob("*.gz"):
        head = path.read_bytes()[:10]
        assert head[3] == 0 and head[4:8] == bytes(4), path.name  # flags; seconds since 1970


def test_shipped_runs_are_read_with_columns_that_are_not_used() -> None:
    assert {"max_batch", "remark"} <= set(csv_files.read(shipped.runs_file()).rows[0])
    rows = runs.read(shipped.runs_file())
    assert len(rows) == 1387 and len({row.id for row in rows}) == 1387


def test_samples_of_the_tests_are_rows_of_what_is_shipped() -> None:
    pairs = [
        (path, csv_files.find(shipped.kernels_folder(), path.name))
        for path in (SAMPLES / "kernels").iterdir()
    ]
    for sample, whole in [*pairs, (SAMPLES / "runs.csv", shipped.runs_file())]:
        assert whole is not None
        rows = csv_files.read(sample).rows
        known = {tuple(row[key] for key in rows[0]) for row in csv_files.read(whole).rows}
        assert all(tuple(row.values()) in known for row in rows), sample.name


def test_a_compressed_file_is_read_as_the_plain_one(tmp_path: Path) -> None:
    for path in (SAMPLES / "kernels").iterdir():
        (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    presets = catalog.load()
    plain, packed = (validate_kernels.report(folder, presets) for folder in (SAMPLES / "kernels", tmp_path))
    assert packed["operators"] == plain["operators"] and packed["rows"] > 200
    packed_runs = tmp_path / "runs.csv.gz"
    packed_runs.write_bytes(gzip.compress((SAMPLES / "runs.csv").read_bytes()))
    assert [r.id for r in runs.read(packed_runs)] == [r.id for r in runs.read(SAMPLES / "runs.csv")]


@pytest.mark.parametrize("spoil", [lambda packed: packed[:-20], lambda packed: b"model,system"])
def test_a_damaged_compressed_file_is_told_in_one_line(tmp_path: Path, spoil) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "runs.csv.gz"
    path.write_bytes(spoil(gzip.compress((SAMPLES / "runs.csv").read_bytes())))
    with pytest.raises(InputError, match="readable CSV") as told:
        runs.read(path)
    assert "\n" not in str(told.value)


def test_an_installation_without_measurements_says_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shipped, "preset_folder", lambda: tmp_path)
    assert main(["validate"]) == 2
    told = capsys.readouterr().err
    assert "presets/measured" in told and told.count("\n") == 1


def test_the_page_names_the_command_that_writes_it() -> None:
    page = (CHECKOUT / reproduce.PAGE).read_text(encoding="utf-8")
    assert page.count(reproduce.COMMAND) == 2


@pytest.mark.slow
def test_the_page_comes_out_of_the_shipped_measurements_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path / "none"))
    again = tmp_path / "accuracy.md"
    assert main(["validate", "--write", str(again)]) == 0
    assert again.read_bytes() == (CHECKOUT / reproduce.PAGE).read_bytes()
