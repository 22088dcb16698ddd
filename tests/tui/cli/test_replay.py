"""`ratematch replay`: its contract, its files, and one line for what cannot be used."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tui.cli.main import main

SMALL = [
    *("replay", "--model", "llama-3.1-8b", "--system", "h100", "--gpus", "8", "--isl", "2k", "--osl", "256"),
    *("--requests", "300"),
]


def replayed(capsys: pytest.CaptureFixture[str], *more: str) -> dict:
    assert main([*SMALL, "--json", *more]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def test_the_json_has_what_is_promised(capsys: pytest.CaptureFixture[str]) -> None:
    found = replayed(capsys, "--rate", "20", "--seed", "7")
    assert found["requests"] == found["finished"] == 300 and found["seed"] == 7
    for key in ("ftl_s", "ttl_s", "e2e_s"):
        spread = found[key]
        assert 0 < spread["p50"] <= spread["p90"] <= spread["p95"] <= spread["p99"]
    assert found["ftl_s"]["mean"] < found["e2e_s"]["mean"]
    assert found["goodput_requests_per_s"] <= found["requests_per_s"] < 20.5
    assert found["tokens_per_s"] == pytest.approx(256 * found["requests_per_s"])
    assert found["seconds_simulated"] > 10 and found["arrivals"] == "poisson"
    assert {pool["phase"] for pool in found["pools"]} == set(found["utilisation"])
    assert all(0 < share <= 1 for share in found["utilisation"].values())
    again = replayed(capsys, "--rate", "20", "--seed", "7")
    for document in (found, again):
        document.pop("seconds")
    assert found == again
    other = replayed(capsys, "--rate", "20", "--seed", "8")
    assert other["ftl_s"] != found["ftl_s"]


def test_each_request_is_a_row(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    place = tmp_path / "requests.csv"
    found = replayed(capsys, "--out", str(place))
    rows = list(csv.DictReader(place.open()))
    assert len(rows) == 300
    mean = sum(float(row["ftl_s"]) for row in rows) / 300
    assert mean == pytest.approx(found["ftl_s"]["mean"], rel=1e-6)
    assert all(int(row["computed_tokens"]) == 2048 for row in rows)
    pq = pytest.importorskip("pyarrow.parquet")
    replayed(capsys, "--out", str(tmp_path / "requests.parquet"))
    table = pq.read_table(tmp_path / "requests.parquet")
    assert table.column("ftl_s").to_pylist()[5] == pytest.approx(float(rows[5]["ftl_s"]), rel=1e-6)


def test_a_trace_is_replayed_as_it_came(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    lines = [f"2023-11-16 18:15:{second:02d}.0000000,{500 + second},{40}" for second in range(50)]
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(lines) + "\n")
    place = tmp_path / "out.csv"
    found = replayed(capsys, "--trace", str(trace), "--out", str(place), "--routing", "round-robin")
    assert found["requests"] == 50 and found["arrivals"] == "trace"
    rows = list(csv.DictReader(place.open()))
    assert [float(row["arrival_s"]) for row in rows] == list(range(50))
    assert [int(row["isl"]) for row in rows] == list(range(500, 550))
    faster = replayed(capsys, "--trace", str(trace), "--rate", "10")
    assert faster["offered_requests_per_s"] == pytest.approx(10, rel=0.05)


def test_a_closed_loop_has_so_many_in_flight(capsys: pytest.CaptureFixture[str]) -> None:
    found = replayed(capsys, "--in-flight", "16")
    assert found["arrivals"] == "closed" and found["in_flight"] == 16
    held = found["requests_per_s"] * found["e2e_s"]["mean"]
    assert 12 < held <= 16.5  # fewer at the end, when no more come


def test_the_text_says_what_the_json_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--ascii"]) == 0
    out = capsys.readouterr().out
    assert "300 requests of 300 ended" in out and "FTL (TTFT)" in out and out.isascii()


def test_without_a_plan_there_is_nothing_to_replay(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--ttl", "0.1ms"]) == 3
    assert "no plan" in capsys.readouterr().out.lower()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--requests", "0"], "requests: '0' is not accepted; a whole number from 1"),
        (["--requests", "9e9"], "requests"),
        (["--seed", "-1"], "seed"),
        (["--in-flight", "x"], "in-flight"),
        (["--routing", "best"], "routing"),
        (["--out", "table.xlsx"], "a name that ends in .csv or .parquet"),
        (["--out", "/no/such/place/x.csv"], "cannot be written"),
        (["--trace", "/no/such/file"], "cannot be read"),
        (["--trace", "/dev/zero"], "not a regular file"),
        (["--later-turns", "home"], "later-turns: 'home' is not accepted; prefill or decode"),
        (["--host-cache", "-1"], "host-cache"),
        (["--host-link", "nan"], "host-link"),
        (["--trace", "azure-code", "--reuse", "prefix-aware"], "a trace whose prompts share blocks"),
    ],
)
def test_a_mistake_is_one_line(flags: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    if flags[0] == "--out" and flags[1].startswith("/no"):
        flags = ["--out", "/proc/nowhere/x.csv"]
    assert main([*SMALL, *flags]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and expected in err and "Traceback" not in err


def test_rows_are_never_written_over_the_trace_they_are_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "mine.csv"
    trace.write_text(text := "time_s,input_tokens,output_tokens\n0,100,10\n1,200,20\n")
    for flags in (["--out", str(trace)], ["--result", "vllm", str(trace)]):
        assert main([*SMALL, "--trace", str(trace), *flags]) == 2
        assert "a file that is not the trace itself" in capsys.readouterr().err
    assert trace.read_text() == text


def test_a_plan_that_survives_a_node_holds_its_limits_when_one_is_lost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fleet = (
        "--gpus",
        "32",
        "--instance-gpus",
        "1",
        "--rate",
        "60",
        "--goal",
        "fewest-gpus",
        "--fail",
        "node",
    )
    kept = replayed(capsys, *fleet, "--survive", "node", "--requests", "400")
    failure = kept["failure"]
    assert failure["loss"] == "node" and failure["holds"] == {"ftl": True, "ttl": True}
    assert 0 < failure["requests"] < 400 and sum(failure["instances"].values()) == 8
    assert kept["finished"] == 400 and failure["good_share"] > 0.95
    lost = replayed(capsys, *fleet, "--requests", "400")
    assert lost["plan"]["gpus"] < kept["plan"]["gpus"]
    assert lost["failure"]["good_share"] < 0.5  # its one node is gone


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--fail", "moon"), "fail: 'moon'"),
        (("--fail-at", "3s"), "fail-at: '3s'"),
        (("--fail", "gpu", "--settle", "--rate", "3"), "fail: 'gpu'"),
        (("--fail", "gpu", "--fail-at", "-3s"), "fail-at: '-3s'"),
        (("--survive", "everything"), "survive: 'everything'"),
    ],
)
def test_a_loss_that_is_none_is_one_line(
    capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], said: str
) -> None:
    assert main([*SMALL, *flags]) == 2
    _, err = capsys.readouterr()
    assert said in err and err.count("\n") == 1


def test_an_interrupt_before_anything_was_replayed_is_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it plans, a replay that is told to stop ends as any interrupt: no line, exit code 130."""
    from planner.replay import plans
    from planner.simulate.points import Stopped

    def planning(*_: object, should_stop: Callable[[], bool], **__: object) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        while not should_stop():
            pass
        raise Stopped

    monkeypatch.setattr(plans, "prove", planning)
    assert main(["replay", "--rate", "1"]) == 130
    assert capsys.readouterr() == ("", "")
