"""Files of measurements that are none: `validate` and `calibrate` say file, line and column, in one line."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import warnings
from pathlib import Path

import pytest

from planner.evidence.kernel_files import FILES
from tui.cli.main import main

DATA = Path(__file__).parents[2] / "planner" / "evidence" / "data"
KERNELS = DATA / "kernels"
HEAD = "model,system,engine,isl,osl,concurrency,ttft_ms,tpot_ms"
RUN = ["llama-3.1-8b", "h100", "trtllm", "1024", "128", "8", "100", "10"]


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path / "own"))


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command with bad input gets."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(arguments) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1 and len(said.err) < 500
    return said.err


def damaged(name: str, how: str) -> tuple[bytes, str]:
    """A file of kernels with one kind of damage, and what has to be named."""
    lines = (KERNELS / name).read_text().splitlines()
    head, row = lines[0].split(","), lines[2].split(",")
    at = head.index("system") if "latency" not in how else head.index("latency_us")
    wide = next(i for i, cell in enumerate(row) if cell.isdigit() and int(cell) and head[i] in SIZED)
    if how == "not UTF-8":
        return b"\xff\xfe\x00" + (KERNELS / name).read_bytes(), "UTF-8"
    if how == "empty":
        return b"", "at least one row"
    if how == "head only":
        return lines[0].encode(), "at least one row"
    if how == "short row":
        return "\n".join([lines[0], lines[1], ",".join(row[:-1])]).encode(), f"{name}, line 3"
    if how == "long row":
        return "\n".join([lines[0], "", lines[1], ",".join([*row, "1"])]).encode(), f"{name}, line 4"
    if how == "column twice":
        return "\n".join([f"{lines[0]},system", *(f"{line},h100" for line in lines[1:])]).encode(), "once"
    if how == "no name":
        row[at] = " "
    elif how.startswith("latency"):
        row[at] = how.removeprefix("latency ")
    else:
        at, row[wide] = wide, how.removeprefix("size ")
    return "\n".join([*lines[:2], ",".join(row), *lines[3:]]).encode(), f"{name}, line 3, {head[at]}"


SIZED = {number for file in FILES for number in file.numbers}
HOW = (
    *("not UTF-8", "empty", "head only", "short row", "long row", "column twice", "no name"),
    *("latency ", "latency 0", "latency -1", "latency nan", "latency inf", "latency 1e308", "latency x"),
    *("size 0", "size -1", "size nan", "size inf", "size 1e308", "size 1e-308", "size x"),
)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_a_damaged_file_of_kernels(
    name: str, how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, named = damaged(name, how)
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / name).write_bytes(content)
    for command in (["validate", "--kernels", str(folder)], ["calibrate", str(folder)]):
        assert named in refused(command, capsys)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_column_that_is_missing_is_named(file, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [line.split(",") for line in (KERNELS / file.name).read_text().splitlines()]
    for column in ("system", "engine", "latency_us", *file.numbers, *file.values, *file.names):
        at = rows[0].index(column)
        lines = [",".join([*row[:at], *row[at + 1 :]]) for row in rows]
        (tmp_path / file.name).write_text("\n".join(lines))
        for command in (["validate", "--kernels", str(tmp_path)], ["calibrate", str(tmp_path)]):
            said = refused(command, capsys)
            assert file.name in said and f"the columns {column} are missing" in said


@pytest.mark.parametrize(
    ("name", "column", "cell"),
    [
        ("nccl.csv", "op_name", "all_the_same"),
        ("nccl.csv", "nccl_dtype", "float128"),
        ("moe_alltoall.csv", "comm_dtype", "float128"),
        ("moe_alltoall.csv", "phase", "lunch"),
        ("gemm.csv", "dtype", "float128"),
    ],
)
def test_rows_of_unknown_operations_and_formats_are_passed_over(
    name: str, column: str, cell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line.split(",") for line in (KERNELS / name).read_text().splitlines()]
    for row in rows[1:]:
        row[rows[0].index(column)] = cell
    (tmp_path / name).write_text("\n".join(",".join(row) for row in rows))
    assert main(["validate", "--kernels", str(tmp_path)]) == 0
    assert f"{column} {cell!r} is not known" in capsys.readouterr().out
    assert main(["calibrate", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "Nothing could be fitted" in capsys.readouterr().out


def test_a_distribution_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (KERNELS / "moe.csv").read_text().replace("power_law_1.01", "power_law_nan")
    (tmp_path / "moe.csv").write_text(text)
    for command in (["validate", "--kernels", str(tmp_path)], ["calibrate", str(tmp_path)]):
        assert "distribution" in refused(command, capsys)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "not gzip", "cut gzip"])
def test_files_of_kernels_that_are_no_files(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gemm.csv"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path = path.with_suffix(".csv.gz")
        path.write_bytes(b"plain" if kind == "not gzip" else gzip.compress(b"system," * 1000)[:30])
    for command in (["validate", "--kernels", str(tmp_path)], ["calibrate", str(tmp_path)]):
        refused(command, capsys)
    refused(["validate", str(path)], capsys)
    refused(["calibrate", "--engines", str(path)], capsys)


@pytest.mark.parametrize("cell", ["0", "0.5", "-1", "inf", "-inf", "1e308", "1e999", "x", "", "1,1", "0x10"])
@pytest.mark.parametrize("column", ["isl", "osl", "concurrency", "tp", "pp", "decode_workers", "ttft_ms"])
def test_a_cell_out_of_range_is_named(
    column: str, cell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = [*HEAD.split(","), "tp", "pp", "mode", "decode_workers", "id"]
    row = dict(zip(head, [*RUN, "1", "1", "disaggregated", "1", "one"], strict=True))
    row[column] = f'"{cell}"'
    path = tmp_path / "runs.csv"
    path.write_text(f"{','.join(head)}\n\n{','.join(row.values())}\n")
    fine = (column, cell) in {("concurrency", "1e7"), ("ttft_ms", "0.5")}
    fine |= cell == "" and column not in ("isl", "osl", "concurrency")
    fine |= column == "tp"  # which the other mode reads
    for form in ([], ["--json"], ["--plot"]):
        if fine:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert main(["validate", str(path), *form]) == 0
            said = capsys.readouterr()
            assert not said.err
            if form == ["--json"]:
                json.loads(said.out, parse_constant=pytest.fail)
        else:
            assert f"runs.csv, line 3, {column}" in refused(["validate", str(path), *form], capsys)
    if not fine:
        refused(["calibrate", "--engines", str(path)], capsys)


def test_extremes_within_the_ranges_give_no_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    least, most = ["1", "1", "1", "0.001", "0.001"], ["4194304", "1048576", "1e7", "1e9", "1e9"]
    runs = [",".join([*RUN[:3], *numbers]) for numbers in (least, most, RUN[3:])]
    path = tmp_path / "runs.csv"
    path.write_text("\n".join([HEAD, *runs]))
    for form in ([], ["--json"], ["--plot"], ["--plot", "--ascii"]):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert main(["validate", str(path), *form]) == 0
        said = capsys.readouterr()
        assert not said.err and "nan" not in said.out and "inf" not in said.out.replace("inference", "")


def test_the_files_of_the_tests_are_accepted_by_both(tmp_path: Path) -> None:
    shutil.copytree(KERNELS, tmp_path / "kernels")
    assert main(["validate", "--kernels", str(tmp_path / "kernels")]) == 0
