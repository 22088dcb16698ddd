"""Names, notes and errors from files are shown, never obeyed: not by the terminal, not as markup."""

from __future__ import annotations

import json
import re
from pathlib import Path

import fakes
import pytest
from terminals import Terminal
from textual.content import Content
from textual.widgets._tooltip import Tooltip

from planner.inputs.fields import BY_KEY, FIELDS
from tui import help_texts
from tui.glyphs import UNICODE
from tui.help_texts import in_rows
from tui.panes.breakdown import memory_lines
from tui.panes.inputs import InputsPane
from tui.screens.hints import HINTS
from tui.widgets.hint_line import HintLine

EVIL = "x\x1b]52;c;ZXZpbA==\x07\x9b2J\u202e[bold red]y[/]"  # the clipboard, the screen, directions, markup
OBEYED = re.compile(rb"\x1b\]|\x07|\x1b\[2J|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]")
SCENARIO = {"model": "llama-3.1-8b", "system": "h100", "engine": "sglang", "gpus": 8, "ftl": 1.0, "ttl": 0.03}


@pytest.fixture
def evil_files(tmp_path: Path) -> None:
    """A session and scenarios whose every word is one that a terminal would obey."""
    state, own = tmp_path / "state" / "ratematch", tmp_path / "config" / "ratematch"
    state.mkdir(parents=True)
    session = {
        "schema": 1,
        "scenario": {**SCENARIO, "rate": EVIL},
        "theme": EVIL,
        "name": EVIL,
        "recent": [EVIL, "chat", "marked[red]"],
        "pins": {"A": {**SCENARIO, "model": EVIL}, "B": {**SCENARIO, "ttl": 0.05}, EVIL: SCENARIO},
        "baseline": EVIL,
    }
    (state / "session.json").write_text(json.dumps(session), encoding="utf-8")
    for kind in ("scenarios", "models", "systems", "engines"):
        folder = own / kind
        folder.mkdir(parents=True)
        (folder / f"{EVIL.replace('/', '')}.toml").write_text(
            f"schema = 1\nnote = {EVIL!r}\n", encoding="utf-8"
        )
    (own / "scenarios" / "escaped.toml").write_text(
        'schema = 1\nbase = "chat"\nnote = "N \\u001b]52;c;ZXZpbA==\\u0007 \\u202e"\n', encoding="utf-8"
    )
    (own / "scenarios" / "marked[red].toml").write_text(
        'schema = 1\nbase = "chat"\nnote = "[reverse]loud[/reverse]"\n', encoding="utf-8"
    )


@pytest.mark.usefixtures("evil_files")
def test_no_word_of_a_file_is_obeyed_by_the_terminal(tmp_path: Path) -> None:
    """Session, open list, palette, pages, dialogs and what they tell, as a terminal gets them."""
    shown = Terminal([], tmp_path)
    try:
        shown.wait_for("The last session is damaged", "up to date")
        shown.type("o")
        shown.wait_for("Open a scenario", r"marked\[red\]", r"\[reverse\]loud\[/reverse\]", "damaged")
        shown.type("52;c\r")  # the one whose name is evil
        shown.wait_for("llama-3.1-70b · 64 h200", "up to date")
        shown.type("oescaped\r")
        shown.wait_for("escaped cannot be opened")
        shown.type("\x10scenario: marked")
        shown.wait_for(r"scenario: marked\[red\]", r"\[reverse\]loud")
        shown.type("\r")
        shown.wait_for(r"marked\[red\]", "up to date")
        shown.type("3")
        shown.wait_for("Side by side", "pin B")
        shown.type("w")
        shown.wait_for("Save as", r"marked\[red\]")
        shown.type(f"\x15\x1b[200~{EVIL}\x1b[201~\r")
        shown.wait_for("is not accepted")
        shown.type("\x1b")
        shown.until(lambda text: "Save as" not in text)
        shown.type("e")
        shown.wait_for("Export", "json")
        shown.type(f"\x15\x1b[200~{tmp_path}/no/{EVIL}\x1b[201~\r")
        shown.until(lambda text: "marked" in text)
        shown.type("\x1b\x11")
        shown.leave()
    finally:
        shown.close()
    sent = re.sub(rb"\x1b\]22;\w+\x07", b"", shown.sent)  # the shape of the mouse's pointer, which is ours
    assert not OBEYED.search(sent), OBEYED.findall(sent)


async def test_a_problem_under_the_mouse_is_no_markup() -> None:
    app = fakes.app()
    async with app.run_test(size=(120, 36), tooltips=True) as pilot:
        await fakes.settled(pilot)
        line = app.main.query_one(HintLine)
        line.problem = "ISL: '[/x] [bold red]' is not accepted"
        await pilot.hover(HintLine)
        await fakes.until(pilot, lambda: app.screen.get_child_by_type(Tooltip).display)
        shown = Content.from_markup(line.tooltip or "")  # as Textual takes it
        assert shown.plain == line.problem


async def test_what_is_told_is_printable_whoever_tells_it() -> None:
    app = fakes.app()
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await fakes.settled(pilot)
        app.show_error(EVIL, f"{EVIL}\n{EVIL}")
        app.notify(EVIL, title=EVIL)
        await fakes.settled(pilot)
        for note in app._notifications:
            told = f"{note.title}{note.message}".replace("\n", "")
            assert told.isprintable() and "[bold red]" in told and not note.markup


def test_no_row_speaks_of_flags() -> None:
    """They belong to the command line; a form has rows. `On the command line` alone says them."""
    for field in FIELDS:
        shown = help_texts.field(field).split("On the command line")[0]
        assert not re.search(r"(?<!\w)--[a-z]", shown), field.key
    assert "--rate" in BY_KEY["goal"].help  # or this would show nothing


async def test_what_the_planner_says_of_flags_is_told_of_rows() -> None:
    async with fakes.app().run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        main = pilot.app.main
        main.set_focus(main.query_one(InputsPane).reveal("goal"))
        await pilot.pause()
        assert "fleet for rate" in fakes.text(main.query_one(HintLine))
        main.query_one(HintLine).problem = "rate: any; the goal needs a request rate, such as --rate 20"
        await pilot.pause()
        assert "such as rate 20" in fakes.text(main.query_one(HintLine))
        pilot.app.notify("unless --kv says one for all", severity="warning")
        pilot.app.notify("ratematch plan --isl 8k")  # a command to copy
        await pilot.pause()
        told = [notification.message for notification in pilot.app._notifications]
        assert told == ["unless kv cache says one for all", "ratematch plan --isl 8k"]


def test_memory_is_told_in_gib_against_what_a_gpu_has() -> None:
    """151 GB were used of a GPU of 141 GB: decimal against binary."""
    lines = memory_lines("decode", fakes.memory(100, 30), 60, UNICODE)
    told = "\n".join(line.plain for line in lines)
    assert "GiB" in told and not re.search(r"\bGB\b", told)
    used, capacity = map(float, re.search(r"([0-9.]+) of ([0-9.]+) GiB", told).groups())
    assert used <= capacity


@pytest.mark.parametrize("ascii", [False, True])
async def test_a_hint_that_is_too_long_ends_with_a_whole_word(ascii: bool) -> None:
    async with fakes.app(ascii=ascii).run_test(size=(80, 24)) as pilot:
        main = pilot.app.main
        line = main.query_one(HintLine)
        long = 0
        for field in FIELDS:
            hint = main.glyphs.plain(f"{field.label}: {in_rows(field.help)}")
            line.hint = hint
            await fakes.painted(pilot)
            said = fakes.text(line).strip()
            if said != hint:
                long += 1
                cut = said.removesuffix(main.glyphs.ellipsis)
                assert cut != said and len(cut) > 40, said
                assert hint.startswith(cut) and hint[len(cut)] in ".;:, ", said
        assert long > 5  # or this would show nothing
        for hint in HINTS.values():
            assert len(hint) < 80, hint
