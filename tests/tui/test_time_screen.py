"""The page of a trace over time: what it says, its cursor, and the way from a window into the planner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from textual.widgets import Static

from planner.elastic import over_time
from planner.simulate.points import Stopped
from tui.screens.ask import AskScreen
from tui.screens.over_time import TimeScreen

pytestmark = pytest.mark.slow  # many applications and terminals


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    at = np.sort(np.concatenate([random.uniform(0, 600, 200), random.uniform(240, 360, 300)]))
    path = tmp_path / "busy.csv"
    rows = [f"{t:.3f},{9000 if 240 < t < 360 else 3000},200" for t in at]
    path.write_text("\n".join(["time_s,input_tokens,output_tokens", *rows]) + "\n")
    return path


def said(pilot: Any, name: str) -> str:
    return str(pilot.app.screen.query_one(f"#time-{name}", Static).content)


async def opened(pilot: Any, typed: str) -> None:
    await pilot.press("T")
    await fakes.until(pilot, lambda: isinstance(pilot.app.screen, AskScreen))
    pilot.app.screen.query_one("#ask-line").value = typed
    await pilot.press("enter")


@pytest.mark.parametrize("ascii", [False, True])
async def test_a_window_leads_into_the_planner(trace: Path, ascii: bool) -> None:
    async with fakes.app(ascii=ascii).run_test(size=(100, 40)) as pilot:
        await fakes.settled(pilot)
        await opened(pilot, str(trace))
        await fakes.until(pilot, lambda: isinstance(pilot.app.screen, TimeScreen))
        await fakes.until(pilot, lambda: "requests/s" in said(pilot, "cell"))
        words = said(pilot, "words")
        assert (
            "than the cheapest fleet all along" in words
            and "windows keep their limits" in words
            and "It changes" in words
        )
        chart = said(pilot, "chart")
        assert "static-peak" in chart and "reactive" in chart and "USD" in chart
        assert chart.isascii() or not ascii
        await pilot.press("pagedown", "pagedown", "pagedown")
        await fakes.until(pilot, lambda: said(pilot, "cell").startswith("0:05:00"))
        await pilot.press("enter")
        main = pilot.app.main
        await fakes.until(pilot, lambda: pilot.app.screen is main)
        present = main.history.present
        assert present.traffic.isl == 9000 and present.traffic.osl == 200
        assert present.traffic.requests_per_s > 1.5 and main.history.can_undo


async def test_leaving_ends_what_is_planned_and_changes_nothing(trace: Path) -> None:
    async with fakes.app().run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        before = pilot.app.main.history.present
        await opened(pilot, str(trace))
        await fakes.until(pilot, lambda: isinstance(pilot.app.screen, TimeScreen))
        await pilot.press("escape")
        await fakes.until(pilot, lambda: pilot.app.screen is pilot.app.main)
        assert pilot.app.main.history.present == before


async def test_what_takes_long_says_what_it_is_at_and_hears_of_escape(trace: Path, monkeypatch: Any) -> None:
    heard: list[bool] = []

    def plan(*_: Any, should_stop: Any, progress: Any) -> Any:
        progress("split, replay 2, 40%")
        fakes.hold_until(should_stop)
        heard.append(should_stop())
        raise Stopped

    monkeypatch.setattr(over_time, "plan", plan)
    async with fakes.app().run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        await opened(pilot, str(trace))
        await fakes.until(pilot, lambda: isinstance(pilot.app.screen, TimeScreen))
        await fakes.until(pilot, lambda: "split, replay 2, 40%" in said(pilot, "name"))
        assert said(pilot, "keys") == "esc cancels"
        await fakes.until(pilot, lambda: "so far" in said(pilot, "name"))  # though nothing new is told
        await pilot.press("escape")
        await fakes.until(pilot, lambda: pilot.app.screen is pilot.app.main)
        await fakes.until(pilot, lambda: heard == [True])


async def test_what_is_no_trace_is_told_on_the_page(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("a,b\n1,2\n")
    async with fakes.app().run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        await opened(pilot, str(path))
        await fakes.until(pilot, lambda: isinstance(pilot.app.screen, TimeScreen))
        await fakes.until(pilot, lambda: "not accepted" in said(pilot, "name"))
