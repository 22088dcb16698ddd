"""Page 6: a trace is asked for, read beside the planner, and shown; what cannot be read is a line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import fakes
import pytest

from planner.inputs.traces import read_requests
from planner.inputs.traces.facts import facts
from tui.charts.trace_charts import duration, lines
from tui.glyphs import ASCII, UNICODE
from tui.screens.ask import AskScreen
from tui.solver.reader import found

pytest.importorskip("pyarrow")


def shown(app: Any) -> str:
    return fakes.text(app.main.query_one("#traffic-text"))


async def opened(pilot: Any, name: str) -> None:
    """Type a name at the question, and take it."""
    app = pilot.app
    await fakes.settled(pilot)
    await pilot.press("6")
    await fakes.until(pilot, lambda: "No trace is open" in shown(app))
    await pilot.press("enter")
    await fakes.until(pilot, lambda: isinstance(app.screen, AskScreen))
    app.screen.query_one("#ask-line").value = name
    await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 45)], ids=str)
async def test_a_shipped_trace(size: tuple[int, int]) -> None:
    app = fakes.app()
    async with app.run_test(size=size) as pilot:
        await opened(pilot, "mooncake-conversations")
        await pilot.press("enter")
        await fakes.until(pilot, lambda: "2,000 requests in 11 min" in shown(app))
        text = shown(app)
        for word in ("input (ISL)", "requests/s", "clock ticks of 3 s", "prefix reuse", "output tokens"):
            assert word in text, word
        width = app.main.query_one("#traffic").scrollable_content_region.width
        assert all(len(line) <= width for line in text.splitlines())
        assert "mooncake-conversations" in str(app.main.query_one("#traffic").border_title)
        await pilot.press("1")
        assert app.main.tab == "plan" and app.main.view.plan is not None


async def test_a_file_of_ones_own_and_a_damaged_one(tmp_path: Any) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("time_s,input_tokens,output_tokens\n0,100,10\n5,[b]90[/b],10\n9,70,3\n")
    bad.write_text("time_s,\x1b[31minput\n1,2\n")
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot, str(good))
        await pilot.press("enter")
        await fakes.until(pilot, lambda: "2 requests in 9 s" in shown(app))
        assert "1 row without a number" in shown(app)
        app.main.read_trace(str(bad))
        await fakes.until(pilot, lambda: "is not accepted" in shown(app))
        assert "\x1b" not in shown(app)


async def test_what_is_no_file_is_not_taken() -> None:
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot, "")
        for name in ("", "no such file", "/", "x" * 5000, "\0"):
            app.screen.query_one("#ask-line").value = name
            await pilot.pause()
            await pilot.press("enter")
            assert isinstance(app.screen, AskScreen), name
            said = " ".join(fakes.text(app.screen.query_one("#ask-word")).split())
            assert "a file, or one of azure-conversations" in said
        await pilot.press("escape")
        assert app.main.view.trace is None


async def test_a_browser_gets_the_shipped_ones_alone(tmp_path: Any, monkeypatch: Any) -> None:
    path = tmp_path / "good.csv"
    path.write_text("time_s,input_tokens,output_tokens\n0,100,10\n")
    app = fakes.app()
    monkeypatch.setattr(type(app), "is_web", True, raising=False)
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot, str(path))
        await pilot.press("enter")
        assert isinstance(app.screen, AskScreen)
        app.screen.query_one("#ask-line").value = "azure-code"
        await pilot.pause()
        await pilot.press("enter")
        await fakes.until(pilot, lambda: "2,000 requests" in shown(app))


async def test_only_the_trace_that_was_asked_for_last_is_shown() -> None:
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        await pilot.press("6")
        app.main.read_trace("mooncake-conversations")
        app.main.read_trace("azure-code")
        await fakes.until(pilot, lambda: "Azure CSV" in shown(app))
        assert app.main.view.trace.name == "azure-code"


async def test_the_trace_of_the_scenario_is_shown_until_another_is_opened() -> None:
    traffic = dataclasses.replace(fakes.SCENARIO.traffic, trace="azure-code")
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        app.main.set_view(scenario=dataclasses.replace(fakes.SCENARIO, traffic=traffic))
        assert app.main.view.trace is None  # nothing is read that no one looks at
        await pilot.press("6")
        await fakes.until(pilot, lambda: "Azure CSV" in shown(app))
        app.main.read_trace("mooncake-conversations")
        await fakes.until(pilot, lambda: "Mooncake" in shown(app))
        app.main.set_view(solving=False)
        assert app.main.view.trace.name == "mooncake-conversations"


def test_whatever_goes_wrong_is_a_line(monkeypatch: Any) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    assert "a file that is there" in found("nowhere").error
    monkeypatch.setattr("planner.inputs.traces.read_requests", fails)
    assert "too large" in found("azure-code").error


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("width", [60, 77, 100])
def test_pictures_fit(glyphs: Any, width: int) -> None:
    text = lines(facts(read_requests(Path("azure-code"))[0]), glyphs, width)
    pictures = [line for line in text if line.endswith("%") or line.startswith("  mean")]
    assert pictures and all(len(line) <= width for line in pictures)
    assert glyphs is UNICODE or all(line.isascii() for line in text)
    assert duration(95_000) == "26.4 h"
