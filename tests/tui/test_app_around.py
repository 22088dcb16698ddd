"""Around the application: sizes, help, leaving, what it loads and what it keeps."""

from __future__ import annotations

import dataclasses
import html
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import fakes
import pytest
from driving import SIZE, Driver
from textual.app import App
from textual.widgets import HelpPanel
from textual.widgets._toast import Toast

from planner.inputs.fields import BY_KEY
from tui import app as app_module
from tui.charts.pareto_chart import ParetoChart
from tui.files import storage
from tui.files.storage import Session
from tui.panes.inputs import COMMON, InputsPane
from tui.panes.plan_card import PlanCard
from tui.solver.backend import Backend
from tui.widgets import themes
from tui.widgets.key_bar import KeyBar

pytestmark = pytest.mark.slow  # many applications and terminals

ROOT = Path(__file__).parents[2]


async def test_theme_and_help(driver: Driver) -> None:
    app = driver.pilot.app
    assert app.theme == themes.DARK.name
    await driver.pilot.press("t")
    assert app.theme == themes.LIGHT.name
    app.theme = "nord"  # a theme that knows nothing of our hues
    await driver.pilot.press("t", "t")
    assert app.theme == themes.DARK.name
    await driver.pilot.press("question_mark")
    assert driver.main.query(HelpPanel)
    await driver.pilot.press("question_mark")
    await driver.pilot.pause()
    assert not driver.main.query(HelpPanel)


@pytest.mark.parametrize(
    ("focused", "key"),
    [
        ("isl", "q"),
        ("model", "ctrl+q"),
        pytest.param("isl", "ctrl+q", marks=pytest.mark.slow),
        pytest.param("model", "q", marks=pytest.mark.slow),
    ],
)
async def test_quit_leaves_no_thread(key: str, focused: str) -> None:
    async with fakes.app().run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        await driver.focus(focused)
        await pilot.press(key)
        await pilot.pause()
        assert pilot.app.return_code == 0
    assert not driver.main.solver.alive
    assert "ratematch-solver" not in {t.name for t in threading.enumerate()}


async def test_ctrl_c_does_not_end_it(driver: Driver) -> None:
    await driver.pilot.press("ctrl+c")
    await driver.pilot.pause()
    assert driver.pilot.app.is_running


async def test_any_size_draws() -> None:
    async with fakes.app().run_test(size=(20, 5)) as pilot:
        driver = Driver(pilot)
        for size in ((20, 5), (60, 18), (80, 24), (100, 50), (120, 30), (150, 24), (160, 45), (200, 60)):
            await pilot.resize_terminal(*size)
            for ttl, fits in (("20ms", True), ("2ms", False)):
                await driver.settled()
                await driver.focus("ttl")
                await driver.enter(ttl)
                await pilot.press("enter")
                await driver.settled()
                assert bool(driver.main.view.infeasible) is not fits, size


async def test_a_small_terminal_shows_plan_or_chart() -> None:
    async with fakes.app().run_test(size=(60, 18)) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        chart, card = driver.main.query_one(ParetoChart), driver.main.query_one(PlanCard)
        assert card.region and not chart.region
        await pilot.press("v")
        await pilot.pause()
        assert chart.region and not card.region and "●" in fakes.text(chart)


@pytest.mark.parametrize(
    "ttl_s", [0.002, *(pytest.param(ttl_s, marks=pytest.mark.slow) for ttl_s in [0.02, 0.0005])]
)
async def test_ascii_is_ascii_to_the_last_cell(ttl_s: float) -> None:
    scenario = BY_KEY["ttl"].set(fakes.SCENARIO, ttl_s)
    async with fakes.app(scenario, ascii=True).run_test(size=(160, 45)) as pilot:
        await fakes.settled(pilot)
        await pilot.press(*["j"] * COMMON.index("ftl"), "enter", "7", "x")
        assert pilot.app.main.view.invalid == "ftl"
        drawn = re.findall(r"<text [^>]*>(.*?)</text>", pilot.app.export_screenshot())
        screen = html.unescape("".join(drawn)).replace("\xa0", " ")
        assert "Inputs" in screen
        strange = sorted({char for char in screen if not char.isascii()})
        assert not strange, strange


async def test_plans_with_holes_draw() -> None:
    """Numbers that are not there, and pools that do nothing, must not take the screen down."""
    nan = float("nan")
    full = fakes.plan(fakes.SCENARIO)
    memory = dataclasses.replace(fakes.memory(0, 0), capacity_bytes=1.0)
    pools = tuple(
        dataclasses.replace(p, ftl_s=nan, ttl_s=nan, breakdown=(), utilisation=0.0, memory=memory)
        for p in full.disaggregated.pools
    )
    serving = dataclasses.replace(
        full.disaggregated,
        pools=pools,
        requests_per_s=0.0,
        tokens_per_s_per_gpu=1e-9,
        usd_per_million_tokens=float("inf"),
        watts=nan,
        ctx_gen_ratio=nan,
        ftl_s=nan,
        ttl_s=nan,
    )
    bare = dataclasses.replace(full, disaggregated=serving, colocated=None, seconds={}, design_points={})

    async with fakes.app(plan_fn=lambda scenario, **_: bare).run_test(size=(160, 45)) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        assert "co-located cannot meet these limits" in driver.card


def test_importing_the_application_needs_neither_scipy_nor_plotext() -> None:
    code = "import sys, tui.app; print(sorted({'scipy', 'plotext', 'numpy', 'pandas'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=fakes.CEILING_S
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


class Ran:
    """Stands in for a terminal: `run` is called and returns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> None:
        self.options: dict[str, Any] = {}

        def run(app: Any, **options: Any) -> None:
            self.options = options
            app._return_code = code

        monkeypatch.setattr(app_module.RatematchApp, "run", run)


def test_run_keeps_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Ran(monkeypatch)
    assert app_module.run(Session(scenario=fakes.SCENARIO, theme="ratematch-light"), mouse=False) == 0
    assert ran.options == {"mouse": False}
    session = storage.load()
    assert session is not None
    assert session.scenario == fakes.SCENARIO and session.theme == "ratematch-light"


def test_a_bug_in_the_application_is_raised_and_not_printed(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("in a widget")

    def headless(self: App[None], **options: Any) -> None:
        App.run(self, headless=True, **options)

    monkeypatch.setattr(app_module.RatematchApp, "run", headless)
    monkeypatch.setattr(PlanCard, "show", broken)
    with pytest.raises(ZeroDivisionError, match="in a widget"):
        app_module.run(
            Session(scenario=fakes.SCENARIO), backend=Backend(plan_fn=fakes.plan, names_fn=fakes.names)
        )
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err and "in a widget" not in out + err
    session = storage.load()
    assert session is not None and session.scenario == fakes.SCENARIO


def test_a_session_that_cannot_be_kept_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    Ran(monkeypatch)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "save", full)
    assert app_module.run(Session(scenario=fakes.SCENARIO)) == 0
    out, err = capsys.readouterr()
    assert out == "" and err == "ratematch: the session was not kept: No space left on device\n"


async def test_a_page_without_a_chart_offers_none_on_a_small_terminal() -> None:
    """`v chart/plan` stood below the breakdown at 60 columns, and did nothing."""
    async with fakes.app().run_test(size=(60, 18)) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        for key, there in (("3", True), ("5", False), ("2", False), ("4", True), ("6", False), ("1", True)):
            await pilot.press(key)
            bar = driver.main.query_one(KeyBar)
            await fakes.until(pilot, lambda there=there, bar=bar: ("v chart" in fakes.text(bar)) is there)


async def test_after_a_resize_the_keys_and_the_row_are_those_of_the_new_size(driver: Driver) -> None:
    knob = await driver.focus("time-limit")
    await driver.pilot.resize_terminal(60, 18)
    await driver.pilot.pause()
    await fakes.until(driver.pilot, lambda: "v chart/plan" in fakes.text(driver.main.query_one(KeyBar)))
    assert driver.main.query_one(InputsPane).region.contains_region(knob.region)
    await driver.pilot.resize_terminal(120, 36)
    await fakes.until(driver.pilot, lambda: "v chart/plan" not in fakes.text(driver.main.query_one(KeyBar)))


@pytest.mark.parametrize("key", ["down", "tab", "enter"])
async def test_what_is_not_accepted_is_told_once_above_the_rows_of_hints_and_keys(key: str) -> None:
    """Going on from the row was told twice, in boxes that hid what keys there are."""
    async with fakes.app().run_test(size=(80, 24), notifications=True) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        await driver.focus("ttl")
        await driver.enter("d")
        await pilot.press(key)
        await fakes.until(pilot, lambda: pilot.app.screen.query(Toast))
        await fakes.painted(pilot)
        (toast,) = pilot.app.screen.query(Toast)
        assert toast.region.bottom <= driver.main.query_one("#hint").region.y
        assert "ttl: 'd' is not accepted" in fakes.screen_text(pilot.app).splitlines()[-2]
