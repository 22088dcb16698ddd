"""Keys that arrive all at once do what they do one by one."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import fakes
import pytest
from terminals import Terminal
from textual import events
from textual.keys import _character_to_key
from textual.message import Message
from textual.pilot import Pilot
from textual.widget import Widget

from planner.inputs.fields import BY_KEY
from tui import in_order
from tui.panes.inputs import COMMON
from tui.widgets.knob import Knob

pytestmark = pytest.mark.slow  # many applications and terminals

TTL = ["j"] * COMMON.index("ttl")  # the way from the first row


def event(what: str) -> events.Event:
    """A key by its name or character, or a text to paste."""
    if what.startswith("paste:"):
        return events.Paste(what.removeprefix("paste:"))
    if len(what) == 1:
        return events.Key(what if what.isalnum() else _character_to_key(what), what)
    return events.Key(what, "\r" if what == "enter" else None)


async def all_at_once(pilot: Pilot[Any], *keys: str) -> None:
    """Put all of it into the application's queue before it can look at the first."""
    for what in keys:
        pilot.app.post_message(event(what))
    done = asyncio.Event()
    pilot.app.call_later(done.set)
    await done.wait()
    await fakes.settled(pilot)


def field(app: Any, key: str) -> Any:
    return BY_KEY[key].get(app.scenario)


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        pytest.param((*TTL, "enter", *"30ms", "enter"), {"ttl": 0.03}, marks=pytest.mark.slow),
        pytest.param((*TTL, "enter", "ctrl+u", *"30ms", "enter"), {"ttl": 0.03}, marks=pytest.mark.slow),
        pytest.param((*TTL, "paste:30ms", "enter"), {"ttl": 0.03}, marks=pytest.mark.slow),
        pytest.param(
            (*TTL, "enter", *"30ms", "enter", "j", "enter", *"48", "enter"),
            {"ttl": 0.03, "gpus": 48},
            marks=pytest.mark.slow,
        ),
        ((*TTL, "enter", *"30ms", "down", "enter", *"48", "up", "right"), {"ttl": 0.04, "gpus": 48}),
        pytest.param((*TTL, "enter", *"30ms", "enter", "right", "u"), {"ttl": 0.03}, marks=pytest.mark.slow),
        pytest.param(
            (*TTL, "enter", *"30ms", "escape", "j", "left"), {"ttl": 0.02, "gpus": 64}, marks=pytest.mark.slow
        ),
        (
            ("enter", *"llama-3.1-8b", "enter", "j", "enter", *"4k", "enter"),
            {"model": "llama-3.1-8b", "isl": 4096},
        ),
        (("2", "slash", *"tp8", "enter", "[", *TTL, "enter", *"30ms", "enter"), {"ttl": 0.03}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
async def test_keys_at_once_do_what_they_do_one_by_one(keys: tuple[str, ...], values: dict[str, Any]) -> None:
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        await all_at_once(pilot, *keys)
        expected = fakes.SCENARIO
        for key, value in values.items():
            expected = BY_KEY[key].set(expected, value)
        assert app.scenario == expected
        assert app.screen is app.main and all(knob.line is None for knob in app.main.query("Knob"))


async def test_ten_presses_are_ten_steps() -> None:
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        await all_at_once(pilot, *TTL, *["right"] * 10)
        ttl = 0.02
        for _ in range(10):
            ttl = BY_KEY["ttl"].step(ttl, 1, ())
        assert field(app, "ttl") == ttl


@pytest.mark.parametrize("kind", [events.MouseScrollUp, "click"], ids=["wheel", "click"])
async def test_turns_of_the_wheel_and_clicks_add_up(kind: Any) -> None:
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        await all_at_once(pilot, *TTL)
        await fakes.painted(pilot)
        knob = app.main.query_one("#knob-ttl")
        x, y = knob.region.x + knob._value_span[1] - 1, knob.region.y
        kinds = (events.MouseDown, events.MouseUp) if kind == "click" else (kind,)
        for _ in range(5):
            for one in kinds:
                at = {"x": x, "y": y, "screen_x": x, "screen_y": y}
                button = 1 if kind == "click" else 0
                rest = {"button": button, "shift": False, "meta": False, "ctrl": False}
                app.post_message(one(None, **at, delta_x=0, delta_y=0, **rest))
        await all_at_once(pilot)
        ttl = 0.02
        for _ in range(5):
            ttl = BY_KEY["ttl"].step(ttl, 1, ())
        assert field(app, "ttl") == ttl


async def test_text_for_a_dialog_opened_in_the_same_breath_is_its_text() -> None:
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        await all_at_once(pilot, "w", "ctrl+u", *"abc")
        assert app.screen.query_one("#ask-line").value == "abc"


async def test_a_part_that_never_comes_to_rest_holds_nothing_up_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(in_order, "PATIENCE_S", 0.01)
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        free = asyncio.Event()
        app.main.call_later(free.wait)  # the screen is stuck
        app.post_message(event("j"))
        app.post_message(event("j"))
        await fakes.eventually(lambda: app.focused.id == f"knob-{COMMON[2]}")
        assert not free.is_set()  # the pilot would wait for the screen
        free.set()
        await fakes.settled(pilot)


async def test_a_machine_too_busy_to_open_a_dialog_in_time_mixes_up_no_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(in_order, "PATIENCE_S", 0.05)
    dispatch = Widget._dispatch_message

    async def slow(self: Widget, message: Message) -> None:
        if isinstance(message, Knob.Choose):  # it climbs to the screen, which opens the dialog
            for _ in range(4):
                time.sleep(0.05)  # the processor is elsewhere
                await asyncio.sleep(0)
        await dispatch(self, message)

    monkeypatch.setattr(Widget, "_dispatch_message", slow, raising=False)
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        await all_at_once(pilot, "enter", "down", "down", "enter")
        assert app.scenario == BY_KEY["model"].set(fakes.SCENARIO, fakes.NAMES["model"][2])


@pytest.mark.parametrize("times", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_one_packet_from_a_terminal_is_taken_in_order(terminal: Terminal, times: int) -> None:
    terminal.wait_for("8 h100", r"\d+×TP\d")
    way = "j" * COMMON.index("isl")
    os.write(terminal.master, f"{way}\r\x153k\r".encode())
    terminal.wait_for(r"ISL\S* +\S? *3k")
    for isl in range(5, 5 + times):
        os.write(terminal.master, f"\r\x15{isl}k\r".encode())
        terminal.wait_for(rf"ISL\S* +\S? *{isl}k")
    os.write(terminal.master, b"j\r\x15300\rk\x1b[200~7k\x1b[201~\r")
    terminal.wait_for(r"ISL\S* +\S? *7k", r"OSL\S* +\S? *300")
    terminal.type("q")
    assert terminal.leave() == 0


async def test_keys_behind_the_one_that_ends_it_are_not_handled() -> None:
    """Found by the search, `keys` of seed 1: there is no screen any more, and it ended with code 1."""
    for typed in ("o", "xe", "ie4", "iea\x10"):
        app = fakes.app()
        async with app.run_test(size=(120, 36)) as pilot:
            await fakes.settled(pilot)
            for what in ("q", *typed):
                app.post_message(event(what))
        assert app.return_code == 0


async def test_a_press_on_a_part_that_has_just_gone_presses_nothing() -> None:
    """Found by the search, `mouse` of seed 11: Textual began to select text in what had no place any more."""
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        await pilot.press("question_mark")
        await fakes.painted(pilot)
        help_at = app.main.query_one("HelpPanel").region
        gone = app.main.query_one("HelpPanel")
        with app.batch_update():  # what is drawn is what was
            app.post_message(event("question_mark"))
            x, y = help_at.x + 2, help_at.y + 2
            for kind in (events.MouseDown, events.MouseMove, events.MouseUp):
                app.post_message(kind(None, x, y, 0, 0, 1, False, False, False, screen_x=x, screen_y=y))
            await asyncio.sleep(0.2)
        await fakes.settled(pilot)
        assert not gone.is_attached
    assert app.return_code == 0 or app.return_code is None
