"""Undo, the status line, the copied command, and the saved session."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from pathlib import Path

import fakes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.inputs import files
from planner.inputs.fields import BY_KEY, FIELDS, idle_reason, lookup
from planner.inputs.scenario import Scenario
from planner.output.command import command_line, spelled
from tui.files import storage
from tui.glyphs import ASCII, UNICODE
from tui.state import History, View, relaxed, status
from tui.widgets.title_bar import TitleBar


def with_isl(isl: int) -> Scenario:
    """A scenario of its own."""
    return BY_KEY["isl"].set(Scenario(), isl)


def test_undo_and_redo_walk_the_edits() -> None:
    history = History(with_isl(1))
    assert not history.undo() and not history.redo()
    for isl in (2, 3):
        history.edit(with_isl(isl))
    assert history.undo() and history.present == with_isl(2)
    assert history.undo() and history.present == with_isl(1) and not history.can_undo
    assert history.redo() and history.redo() and history.present == with_isl(3)
    assert not history.can_redo


def test_an_edit_forgets_what_was_undone_and_no_edit_is_no_step() -> None:
    history = History(with_isl(1))
    history.edit(with_isl(2))
    history.undo()
    history.edit(with_isl(5))
    assert not history.can_redo
    history.edit(with_isl(5))
    history.undo()
    assert history.present == with_isl(1) and not history.can_undo


def test_typing_is_one_step_and_can_be_cancelled() -> None:
    history = History(with_isl(8))
    for isl in (1, 16, 163):
        history.edit(with_isl(isl), session=("isl", 1))
    history.undo()
    assert history.present == with_isl(8) and not history.can_undo
    history.edit(with_isl(1), session=("isl", 2))
    history.cancel(("isl", 2))
    assert history.present == with_isl(8) and not history.can_undo and not history.can_redo
    history.cancel(("isl", 3))
    assert history.present == with_isl(8)


VIEW = View(scenario=fakes.SCENARIO, base=fakes.SCENARIO)


def test_status_says_each_state_with_a_glyph_and_a_word() -> None:
    plan = fakes.plan(fakes.SCENARIO)
    bad = fakes.plan(BY_KEY["ttl"].set(fakes.SCENARIO, 0.001))
    shown = dataclasses.replace(VIEW, plan=plan, plan_at=10.0)
    cases = {
        "computing": (VIEW, ""),
        "up to date": (shown, "84 ms"),
        "infeasible": (dataclasses.replace(shown, plan=bad), "84 ms"),
        "edited, invalid: ttl": (dataclasses.replace(shown, invalid="ttl", problem="no"), "shown: 3 s ago"),
        "error": (dataclasses.replace(shown, error="boom"), "shown: 3 s ago"),
    }
    seen = set()
    for word, (view, rest) in cases.items():
        says = status(view, 13.0, UNICODE)
        assert says.word == word and rest in says.rest
        assert status(view, 13.0, ASCII).glyph.isascii()
        seen.add(says.glyph)
    assert len(seen) == len(cases)
    assert status(dataclasses.replace(shown, solving=True), 13.0, UNICODE).rest == "shown: 3 s ago"
    assert "from memory" in status(dataclasses.replace(shown, cached=True), 13.0, UNICODE).rest


values = {
    "tokens": st.integers(2, 2**20),
    "seconds": st.floats(0.01, 50),
    "rate": st.floats(1e-3, 1e6),
    "usd": st.floats(0, 900),
    "share": st.floats(0.1, 0.5),
}


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_the_copied_command_gives_the_same_scenario(data: st.DataObject) -> None:
    scenario = Scenario()
    for field in FIELDS:
        strategy = values.get(field.kind)
        if field.kind == "switch":
            strategy = st.booleans()
        elif field.kind == "count":
            strategy = st.integers(math.ceil(field.low), int(min(field.high, 16384)))
        elif field.kind == "file":
            strategy = st.sampled_from(field.steps)
        elif field.choices:
            strategy = st.sampled_from(field.choices)
        if strategy is not None:
            scenario = field.set(scenario, field.check(data.draw(strategy)))
    words = shlex.split(command_line(scenario))
    assert words[:2] == ["ratematch", "plan"]
    again = Scenario()
    for flag, word in zip(words[2::2], words[3::2], strict=True):
        field = lookup(flag.removeprefix("--"))
        again = field.set(again, field.parse(word, (word,)))
    assert again == scenario


def test_a_spelled_value_has_no_blanks_and_no_commas() -> None:
    assert spelled(BY_KEY["isl"], 100_000) == "100000"
    assert spelled(BY_KEY["headroom"], 0.15) == "15%"
    assert spelled(BY_KEY["gpus"], None) == "any"


def test_a_relaxation_is_checked_like_an_input() -> None:
    assert relaxed(BY_KEY["gpus"], Scenario(), 128.0).fleet.gpus == 128
    assert relaxed(BY_KEY["system"], Scenario(), "b200").system == "b200"
    with pytest.raises(ValueError, match="ttl"):
        relaxed(BY_KEY["ttl"], Scenario(), 1e9)


def test_a_session_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "session.json"
    pins = {"A": fakes.SCENARIO, "C": with_isl(4096)}
    session = storage.Session(scenario=fakes.SCENARIO, theme="ratematch-light", pins=pins, baseline="C")
    storage.save(session, path)
    assert storage.load(path) == session
    assert [p.name for p in path.parent.iterdir()] == ["session.json"]


def test_without_a_session_there_is_none(tmp_path: Path) -> None:
    assert storage.load(tmp_path / "session.json") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": 99, "scenario": {}}', '{"schema": 1, "scenario": 3}', "\0\xff"]
)
def test_a_session_that_cannot_be_read_says_so_and_is_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "session.json"
    path.write_text(text, encoding="latin-1")
    session = storage.load(path)
    assert session is not None and session.scenario == Scenario()
    assert session.damage and "\n" not in session.damage
    aside = storage.set_aside(path)
    assert aside.read_text(encoding="latin-1") == text and storage.load(path) is None


def test_what_still_holds_of_a_damaged_session_is_used(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    values = {"isl": 4096, "ttl": -1, "colour": "blue", "osl": [1], "gpus": None}
    pins = {"A": {"isl": 4096}, "B": 7}
    path.write_text(json.dumps({"schema": 1, "scenario": values, "theme": 7, "pins": pins}))
    session = storage.load(path)
    assert session is not None and session.theme == ""
    expected = BY_KEY["gpus"].set(with_isl(4096), None)
    assert session.scenario == expected
    assert session.pins["A"] == with_isl(4096)
    assert session.damage.startswith("ttl: -1 ")  # the first of three


def test_a_newer_session_has_keys_we_do_not_know(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    path.write_text(json.dumps({"schema": 1, "scenario": {"isl": 4096, "colour": "blue"}, "more": 1}))
    session = storage.load(path)
    assert session is not None and session.scenario == with_isl(4096) and session.damage == ""


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "session.json"
    files.write_atomically(path, "old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["session.json"]


@pytest.mark.parametrize("width", range(40, 170, 3))
@pytest.mark.parametrize("name", ["", "a-scenario-of-mine"])
def test_the_title_bar_never_cuts_the_state(width: int, name: str) -> None:
    bar = TitleBar()
    view = dataclasses.replace(VIEW, plan=fakes.plan(fakes.SCENARIO), name=name)
    line = bar.line(view, status(view, 0.0, UNICODE), width).plain
    assert len(line) <= width and "● up to date" in line and line.endswith(" ")
    assert width < 66 or "218k points" in line


def test_the_title_names_a_trace_in_place_of_lengths_that_are_its_own() -> None:
    traced = BY_KEY["trace"].set(Scenario(), "logs/monday.csv.gz")
    view = dataclasses.replace(VIEW, scenario=traced)
    line = TitleBar().line(view, status(view, 0.0, UNICODE), 140).plain
    assert "monday.csv.gz" in line and "8k/1k" not in line and "logs" not in line
    assert "which has its own lengths" in idle_reason(BY_KEY["isl"], traced)
