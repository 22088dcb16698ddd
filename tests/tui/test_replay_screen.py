"""The page of a live replay: what it draws, how it is stopped and left."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fakes
import numpy as np
import pytest
from textual.containers import VerticalScroll
from textual.widgets import Static

from planner import Scenario, load, plan
from planner.inputs.scenario import Deployment, Fleet, Limits, Traffic
from planner.replay import plans
from tui.charts import replay_charts
from tui.screens import replay as module
from tui.screens.replay import ReplayScreen

SCENARIO = Scenario(
    model="llama-3.1-8b",
    system="h100",
    traffic=Traffic(isl=2000, osl=50, requests_per_s=20.0),
    limits=Limits(ftl_s=1.0, ttl_s=0.03),
    fleet=Fleet(gpus=None),
    goal="fewest-gpus",
    deployment=Deployment(prefill_layout="TP1", decode_layout="TP1"),
)


@pytest.fixture(scope="module")
def found() -> Any:
    return plan(SCENARIO, load())


def said(pilot: Any, name: str) -> str:
    return str(pilot.app.screen.query_one(f"#replay-{name}", Static).content)


@pytest.mark.parametrize("ascii", [False, True])
async def test_a_replay_is_drawn_with_what_was_planned(found: Any, ascii: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "REQUESTS", 400)
    async with fakes.app(ascii=ascii).run_test(size=(100, 40)) as pilot:
        await fakes.settled(pilot)
        screen = ReplayScreen(found, SCENARIO, glyphs=pilot.app.glyphs)
        await pilot.app.push_screen(screen)
        await fakes.until(pilot, lambda: screen.over)
        words, chart = said(pilot, "words"), said(pilot, "chart")
        assert "FTL (TTFT)" in words and "planned" in words and "within both limits" in words
        assert "waiting for a first token" in chart and "decoding" in chart and "P99" in chart
        assert said(pilot, "name") == "replayed: 100% of 400 requests"
        came = words.splitlines()[0]
        assert came.startswith("plan: ") and came.endswith(" req/s came")  # at the rate that is asked for
        assert 15.0 < float(came.split()[-3]) < 25.0
        assert all(len(line) <= 100 for line in chart.split("\n"))
        assert chart.isascii() or not ascii
        await pilot.press("escape")
        await fakes.until(pilot, lambda: pilot.app.screen is pilot.app.main)


async def test_all_of_it_is_reached_on_a_small_screen_and_it_starts_again(
    found: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, "REQUESTS", 50)
    async with fakes.app().run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        screen = ReplayScreen(found, SCENARIO, glyphs=pilot.app.glyphs)
        await pilot.app.push_screen(screen)
        await fakes.until(pilot, lambda: screen.over)
        whole = screen.query_one("#replay-all", VerticalScroll)
        await fakes.until(pilot, lambda: whole.max_scroll_y > 0)
        await pilot.press("end")
        await fakes.until(pilot, lambda: whole.scroll_offset.y == whole.max_scroll_y)
        await pilot.press("home", "down")
        await fakes.until(pilot, lambda: whole.scroll_offset.y == 1)
        assert "r starts again" in said(pilot, "keys")
        first, begun = said(pilot, "chart"), []
        monkeypatch.setattr(screen, "_begin", lambda: begun.append(screen.over))
        await pilot.press("r")
        assert begun == [False] and said(pilot, "words") == ""
        await pilot.press("r")  # while it runs: nothing
        assert len(begun) == 1
        monkeypatch.undo()
        monkeypatch.setattr(module, "REQUESTS", 50)
        screen._begin()
        await fakes.until(pilot, lambda: screen.over)
        assert said(pilot, "chart") == first and "FTL (TTFT)" in said(pilot, "words")


async def test_one_that_is_stopped_says_what_is_known_by_then(found: Any) -> None:
    async with fakes.app().run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        screen = ReplayScreen(found, SCENARIO)
        screen.action_leave()  # before its first event
        await pilot.app.push_screen(screen)
        await fakes.until(pilot, lambda: screen.over)
        assert said(pilot, "name").startswith("stopped at") and "stopped: figures are of" in said(
            pilot, "words"
        )
        await pilot.press("escape")
        await fakes.until(pilot, lambda: pilot.app.screen is pilot.app.main)


async def test_the_key_opens_it_and_a_plan_without_a_serving_is_told(monkeypatch: Any) -> None:
    monkeypatch.setattr(plans, "started", lambda *_, **__: None)
    async with fakes.app().run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        await pilot.press("R")
        await fakes.until(pilot, lambda: isinstance(pilot.app.screen, ReplayScreen))
        await fakes.until(pilot, lambda: "no plan" in said(pilot, "name"))
        await fakes.until(pilot, lambda: pilot.app.screen.over)
        await pilot.press("escape")
        await fakes.until(pilot, lambda: pilot.app.screen is pilot.app.main)


@pytest.mark.parametrize("width", range(52, 120, 4))
def test_the_time_axis_has_its_unit_at_every_width(width: int) -> None:
    """At 60 columns its last label stood one column from the end, and left none for the unit."""
    at_s = np.linspace(3.0, 425.0, 40)
    some = np.full(40, 20.0)
    three = np.stack([some] * 3)
    seen: Any = SimpleNamespace(at_s=at_s, waiting=some, decoding=some, ftl_s=three, ttl_s=three)
    rows = replay_charts.drawn(seen, width, 12, str, ascii=False).plain.splitlines()
    axes = [row for row in rows if re.search(r"\d\s*s(\s|$)", row)]
    assert len(axes) == 2 and all(len(re.findall(r"\d\s*s(?=\s|$)", row)) == 2 for row in axes)
    assert rows[0].count(", requests") == 2  # `waiting for a first token,` was all that had room


async def test_how_much_comes_is_told_where_no_rate_is_asked_for(monkeypatch: Any) -> None:
    """The plan says 28.6 req/s, the replay served 23.5, and nothing on its page said why."""
    unsaid = dataclasses.replace(
        SCENARIO,
        goal="throughput",
        fleet=Fleet(gpus=8),
        traffic=dataclasses.replace(SCENARIO.traffic, requests_per_s=None),
    )
    answer = plan(unsaid, load())
    assert answer.deployed is not None
    monkeypatch.setattr(module, "REQUESTS", 400)
    async with fakes.app().run_test(size=(100, 40)) as pilot:
        await fakes.settled(pilot)
        screen = ReplayScreen(answer, unsaid, glyphs=pilot.app.glyphs)
        await pilot.app.push_screen(screen)
        await fakes.until(pilot, lambda: screen.over)
        came = said(pilot, "words").splitlines()[0]
        rate, share = re.search(r"; (\S+) req/s came, (\d+) % of its capacity: no rate", came).groups()
        assert float(share) == pytest.approx(
            100 * float(rate) / answer.deployed.capacity_requests_per_s, abs=1.0
        )
        assert abs(float(share) / 100 - plans.UNSAID_LOAD) < 0.15  # the mean of 400 gaps varies


async def test_the_trace_that_is_open_is_replayed_and_whose_load_it_was_is_told(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """Beside an open trace the plan's own arrivals were replayed without a word."""
    monkeypatch.setattr(module, "REQUESTS", 60)
    path = tmp_path / "even.csv"
    rows = [f"{0.05 * at:.3f},1500,40" for at in range(40)]
    path.write_text("\n".join(["time_s,input_tokens,output_tokens", *rows]) + "\n")
    async with fakes.app(scenario=SCENARIO, plan_fn=plan).run_test(size=(100, 40)) as pilot:
        await fakes.settled(pilot)
        for key, load_of, count in (
            ("6", "load: the trace of page 6, ", 40),
            ("1", "the plan's own, Poisson", 60),
        ):
            await pilot.press(key)
            if key == "6":
                pilot.app.main.read_trace(str(path))
                await fakes.until(
                    pilot, lambda: pilot.app.main.view.trace and pilot.app.main.view.trace.facts
                )
            await pilot.press("R")
            screen = pilot.app.screen
            assert isinstance(screen, ReplayScreen)
            await fakes.until(pilot, lambda screen=screen: screen.over)
            assert load_of in said(pilot, "words") and f" of {count} requests" in said(pilot, "name")
            await pilot.press("escape")
            await fakes.until(pilot, lambda: pilot.app.screen is pilot.app.main)
