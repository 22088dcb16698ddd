"""The dialogs that ask for a name or a path: whatever is typed."""

from __future__ import annotations

import fakes
import pytest
from textual import events
from textual.widgets import Input

from planner.inputs.traces import shipped
from tui.screens.ask import AskScreen

TYPED = ("x" * 252, "x" * 1024, "~nobody/x", "a/" * 500, "\u0301" * 200, "/dev/null/x", ".")


@pytest.mark.parametrize("key", ["e", "w"])
async def test_a_name_that_cannot_be_is_told(key: str, tmp_path, monkeypatch) -> None:
    """With its ending 252 characters are more than a name may have (found by the search, `keys` 27750)."""
    monkeypatch.chdir(tmp_path)
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        for typed in TYPED:
            await pilot.press(key)
            await fakes.until(pilot, lambda: isinstance(app.screen, AskScreen))
            app.screen.query_one(Input).value = ""
            app.post_message(events.Paste(typed))
            await pilot.press("enter")
            await fakes.painted(pilot)
            assert app.is_running and app.screen.is_attached, typed
            if app.screen is not app.main:  # refused, and the question stays
                await pilot.press("escape")
            await fakes.until(pilot, lambda: app.screen is app.main)


async def test_the_arrows_go_through_the_traces_that_come_along(tmp_path, monkeypatch) -> None:
    """Their names stood on the page that the question lies over, and had to be typed."""
    monkeypatch.chdir(tmp_path)
    app = fakes.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        await pilot.press("T")
        await fakes.until(pilot, lambda: isinstance(app.screen, AskScreen))
        assert "names" in str(app.screen.query_one("#ask").border_subtitle)
        line, seen = app.screen.query_one(Input), []
        for _ in shipped.SHIPPED:
            seen.append(line.value)
            await pilot.press("down")
        assert seen == list(shipped.SHIPPED) and line.value == seen[0]
        await pilot.press("up")
        assert line.value == seen[-1]
        await pilot.press("x", "up")  # what is typed replaces the name, and the arrows what is typed
        assert line.value == seen[-1]
