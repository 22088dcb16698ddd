"""`ratematch study` and `ratematch study show`: as a user types them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from planner.studies import cluster
from planner.studies.run import Here, Progress
from tui.charts import heat_map
from tui.cli import main, study

pytest.importorskip("pyarrow")
TEXT = """schema = 1
note = "two lengths at three TTLs"
[fixed]
model = "llama-3.1-8b"
gpus = 16
instance-gpus = 4
[axes]
isl = ["1k", "16k"]
ttl = ["0.2ms", "10ms", "50ms"]
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Done in this process; in a folder of its own."""
    monkeypatch.setattr(cluster, "Dask", lambda **_: Here())
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "asked.toml").write_text(TEXT)


def _run(capsys, *words: str) -> tuple[int, str, str]:
    code = main.main(["study", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_study_is_answered_and_drawn(tmp_path, capsys):
    code, out, _ = _run(capsys, "asked.toml")
    assert code == 0 and "6 of 6 scenarios in asked" in out and "study show asked" in out
    assert (tmp_path / "asked" / "_study.toml").read_text() == TEXT
    code, out, _ = _run(capsys, "show", "asked", "--x", "isl", "--y", "ttl")
    assert code == 0 and "\x1b" not in out
    top = next(line for line in out.splitlines() if line.lstrip().startswith("50 ms"))
    assert top.rstrip().endswith("TTL") and "=" in top
    assert "A split pays in" in out and "alone explains" in out
    code, out, _ = _run(capsys, "show", "asked", "--x", "isl", "--y", "ttl", "--value", "none", "--ascii")
    assert code == 0 and next(x for x in out.splitlines() if "200 us" in x).split()[2:4] == ["100%", "100%"]
    code, out, _ = _run(capsys, "show", "asked", "--ascii", "--value", "verdict")
    assert code == 0 and out.isascii()


def test_a_second_run_goes_on_only_when_told_to(capsys):
    assert _run(capsys, "asked.toml", "--out", "d")[0] == 0
    code, _, err = _run(capsys, "asked.toml", "--out", "d")
    assert code == 2 and "--resume" in err and err.count("\n") == 1
    code, out, _ = _run(capsys, "asked.toml", "--out", "d", "--resume", "--json")
    told = json.loads(out)
    assert code == 0 and (told["stored"], told["answered"], told["failures"]) == (6, 0, 0)


def test_what_is_shown_is_data_too(capsys):
    _run(capsys, "asked.toml")
    code, out, _ = _run(capsys, "show", "asked", "--json", "--where", "ttl=10ms", "--x", "isl", "--y", "ttl")
    told = json.loads(out)
    assert code == 0 and told["rows"] == 2 and told["maps"][0]["x"]["values"] == [1024, 16384]
    assert set(told["shares"]) == {"split", "tie", "colocated", "none", "failed"}
    assert told["finding"].startswith("A split pays in")


@pytest.mark.parametrize("ending", ["svg", "html", "png"])
def test_a_map_is_written_as_a_picture(tmp_path, capsys, ending):
    _run(capsys, "asked.toml")
    code, out, err = _run(capsys, "show", "asked", "--out", f"map.{ending}")
    if ending == "png" and importlib.util.find_spec("matplotlib") is None:
        assert code == 1 and "pip install 'ratematch[figures]'" in err
        return
    assert code == 0 and out.startswith(f"map.{ending}\n")
    text = (tmp_path / f"map.{ending}").read_bytes()
    assert len(text) > 1000 and (ending == "png" or b"two lengths" in text or b"TTL" in text)


@pytest.mark.parametrize(
    "words",
    [
        (), ("nonesuch",), ("asked.toml", "--workers", "0"), ("asked.toml", "--workers", "x"),
        ("asked.toml", "--workers", "1", "--scheduler", "tcp://x:1"), ("asked.toml", "--out", "/dev/null/x"),
        ("show",), ("show", "nowhere"), ("show", "."), ("show", "asked", "--where", "isl"),
        ("show", "asked", "--x", "nonesuch"), ("show", "asked", "--out", "map.gif"),
        ("show", "asked", "--where=--"), ("show", "x" * 300), ("asked.toml", "--out", "x" * 300),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(capsys, words):
    _run(capsys, "asked.toml", "--out", "asked")
    code, out, err = _run(capsys, *words)
    assert code == 2 and out == "" and err.count("\n") == 1 and err.startswith("ratematch: ")


def test_the_studies_that_come_with_ratematch_are_listed(tmp_path, capsys):
    own = tmp_path / "own" / "studies"
    own.mkdir(parents=True)
    (own / "mine.toml").write_text(TEXT)
    (own / "broken.toml").write_text("schema = 1\n[axes]\nisl = []\n")
    code, out, _ = _run(capsys, "list")
    assert (
        code == 0 and "when-it-pays" in out and "two lengths at three TTLs" in out and "at least one" in out
    )
    found = json.loads(_run(capsys, "list", "--json")[1])["studies"]
    assert {"name": "mine", "scenarios": 6, "note": "two lengths at three TTLs"} in found


def test_a_lost_cluster_is_one_line_and_exit_code_1(capsys, monkeypatch):
    class Gone:
        def rows(self, tasks, catalog, should_stop):
            yield from Here().rows(tasks[:1], catalog, should_stop)
            raise cluster.Lost("the scheduler is gone")

    monkeypatch.setattr(cluster, "Dask", lambda **_: Gone())
    code, _, err = _run(capsys, "asked.toml")
    assert code == 1 and "--resume" in err and err.count("\n") == 1


def test_the_bar_says_rate_and_time_left(monkeypatch):
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    @contextmanager
    def terminal() -> Iterator[Terminal]:
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("COLUMNS", "100")
        yield stream

    with terminal() as stream, study._bar(100) as show:
        show(Progress(scenarios=100, before=40, stored=50, answered=20, failures=3, seconds=10.0))
    assert "60/100" in stream.getvalue() and "2.0/s, 0:20 left, 3 failed" in stream.getvalue()


def test_colours_add_to_what_the_marks_say():
    for value, verdict in ((1.9, heat_map.SPLIT), (1.1, heat_map.TIE), (0.7, heat_map.COLOCATED)):
        assert heat_map._colour("gain", value, verdict, 0, 1) is not None
    assert heat_map._cell("gain", 1.94, heat_map.SPLIT) == "1.9"
    assert heat_map._cell("gain", 1.1, heat_map.TIE) == "1.1="
    assert heat_map._cell("gain", float("nan"), heat_map.SPLIT) == "S"
    assert heat_map._cell("gain", float("nan"), heat_map.NO_PLAN) == "·"
    short = [heat_map._short(v) for v in (0.00123, 0.0123, 1.5, 12345.0, 2.5e7)]
    assert short == ["1e-3", "0.01", "1.5", "12k", "25M"]
    assert all(len(heat_map._short(10.0**e * 1.2345)) <= 5 for e in range(-6, 9))
