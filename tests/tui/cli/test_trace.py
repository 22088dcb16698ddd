"""`ratematch trace`: what it shows, writes and refuses."""

from __future__ import annotations

import gzip
import json
import sys

import pytest

from planner.inputs.traces import read_requests
from tui.cli import main
from tui.glyphs import ASCII, UNICODE, columns

pytest.importorskip("pyarrow")


def run(capsys, *arguments):
    code = main.main(["trace", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def as_json(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize(
    ("name", "rate", "isl", "shared"),
    [
        ("azure-conversations", 1999 / 424.26, 1104.8, None),
        ("azure-code", 2.34, 1987, None),
        ("mooncake-conversations", 2.98, 13721, 0.294),
    ],
)
def test_those_that_are_shipped(capsys, name, rate, isl, shared):
    found = as_json(capsys, name)
    assert found["requests"] == 2000 and found["requests_per_s"] == pytest.approx(rate, rel=0.01)
    assert found["isl"]["mean"] == pytest.approx(isl, rel=0.01)
    assert (found["shared"] or {}).get("most") == (shared and pytest.approx(shared, abs=0.001))
    assert sum(found["isl_histogram"]["count"]) == 2000
    over = found["over_time"]
    assert len(over["requests_per_s"]) == len(over["isl"]) <= 61
    code, out, _ = run(capsys, name, "--ascii")
    assert code == 0 and out.isascii() and all(len(line) <= 100 for line in out.splitlines())


def test_bursts_are_told(capsys):
    told = "changes from minute to minute"
    assert told in run(capsys, "azure-code")[1] and told not in run(capsys, "mooncake-conversations")[1]


def test_a_part_at_another_rate_is_written_and_read_again(capsys, tmp_path):
    for name, file in (("azure-code", "part.csv"), ("mooncake-conversations", "part.jsonl.gz")):
        path = tmp_path / file
        code, _, err = run(capsys, name, "--from", "2m", "--for", "5m", "--rate", "4", "--out", path)
        assert (code, err) == (0, "")
        again, repairs = read_requests(path)
        found = as_json(capsys, name, "--from", "2m", "--for", "5m", "--rate", "4")
        assert len(again) == found["requests"] and repairs.format == "table" and not repairs.left_out
        assert found["requests_per_s"] == pytest.approx(4.0)
        assert as_json(capsys, path)["isl"] == found["isl"]
        if found["shared"]:
            assert as_json(capsys, path)["shared"] == found["shared"]
        code, _, err = run(capsys, name, "--out", path)
        assert code == 2 and "exists already" in err
        assert run(capsys, name, "--out", path, "--replace")[0] == 0
    assert gzip.decompress(path.read_bytes()).startswith(b'{"time_s": 0.0')


def test_caches_of_several_instances(capsys):
    one, four = (as_json(capsys, "mooncake-conversations", "--instances", n)["shared"] for n in (1, 4))
    at = one["cache_tokens"].index(1e6)
    assert four["prefix_aware"][at] > one["prefix_aware"][at]
    assert four["round_robin"][-1] < four["prefix_aware"][-1] <= one["prefix_aware"][-1]


def test_repairs_are_said(capsys, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("time_s,input_tokens,output_tokens\n5,10,10\n1,10,10\n2,-3,10\nx,1,1\n")
    found = as_json(capsys, path)["repairs"]
    assert (found["out_of_order"], found["too_short"], found["no_number"], found["rows"]) == (1, 1, 1, 4)
    out = run(capsys, path)[1]
    assert all(f"note: {sentence}" in out for sentence in found["said"]) and len(found["said"]) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-file"],
        ["azure-codes"],
        ["azure-code", "--model", "x"],
        ["azure-code", "--lengths", "pyproject.toml"],
        ["."],
        ["azure-code", "--from", "9h"],
        ["azure-code", "--from", "-5s"],
        ["azure-code", "--for", "0"],
        ["azure-code", "--rate", "0"],
        ["azure-code", "--rate", "fast"],
        ["azure-code", "--speed", "nan"],
        ["azure-code", "--rate", "1", "--speed", "2"],
        ["azure-code", "--instances", "0"],
        ["azure-code", "--instances", "1.5"],
        ["azure-code", "--seed", "-1"],
        ["azure-code", "--lengths", "nowhere"],
        ["azure-code", "--out", "."],
        ["azure-code", "more"],
        [],
    ],
)
def test_what_cannot_be_used_is_one_line(capsys, arguments):
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == "" and err.count("\n") == 1 and err.startswith("ratematch: ")


def test_a_name_that_is_none_is_told_those_that_are(capsys):
    assert (
        "azure-conversations, azure-code, mooncake-conversations, coding-agents"
        in run(capsys, "azure-cod")[2]
    )
    assert "36000 s to its end" in run(capsys, "azure-code", "--from", "10h")[2]


def test_without_pyarrow_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run(capsys, "azure-code")
    assert code == 2 and "pip install 'ratematch[traces]'" in err and err.count("\n") == 1


def test_columns_of_a_line_over_time():
    assert columns([0.0, 4.0, 8.0, float("nan")], UNICODE) == "▁▅█ "
    assert (
        columns([1.0, 8.0], ASCII) == ".#" and columns([0.0, 0.0], ASCII) == "__" and not columns([], ASCII)
    )
