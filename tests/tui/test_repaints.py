"""What a new frontier paints: the chart, before the optimiser goes on, and nothing that reads the same."""

from __future__ import annotations

import dataclasses
import threading

import fakes
import pytest
from textual import events
from textual.app import App
from textual.drivers.headless_driver import HeadlessDriver
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size

from tui import keyboard


class Steps:
    """A plan function that waits before it hands out its frontier, and again before its answer."""

    def __init__(self) -> None:
        self.frontier, self.answer = threading.Event(), threading.Event()

    def __call__(self, scenario, *, should_stop, on_frontier):
        for gate, result in ((self.frontier, fakes.frontiers), (self.answer, fakes.plan)):
            while not gate.wait(0.002):
                if should_stop():
                    raise RuntimeError("stopped")
            found = result(scenario)
            if gate is self.frontier:
                on_frontier(*found)
        return found


async def test_a_frontier_is_on_the_screen_before_the_optimiser_goes_on() -> None:
    steps = Steps()
    app = fakes.app(plan_fn=steps)
    async with app.run_test(size=(120, 36)) as pilot:
        main = app.main
        steps.frontier.set()
        steps.answer.set()
        await fakes.settled(pilot)
        steps.frontier.clear()
        traffic = dataclasses.replace(fakes.SCENARIO.traffic, isl=2048)
        main.take(dataclasses.replace(fakes.SCENARIO, traffic=traffic))
        await fakes.painted(pilot)  # the edit is painted
        happened: list[str] = []
        chart = main.query_one("#chart")
        render, drawn = chart.render_line, main.solver.drawn
        chart.render_line = lambda y: happened.append("painted") or render(y)
        main.solver.drawn = lambda: happened.append("told") or drawn()
        steps.answer.clear()
        steps.frontier.set()
        await fakes.until(pilot, lambda: "told" in happened)
        assert happened[0] == "painted"
        steps.answer.set()


async def test_a_frontier_does_not_paint_the_title_again() -> None:
    steps = Steps()
    app = fakes.app(plan_fn=steps)
    async with app.run_test(size=(120, 36)) as pilot:
        main = app.main
        await fakes.painted(pilot)
        title = main.query_one("#title")
        painted: list[int] = []
        render = title.render
        title.render = lambda: painted.append(1) or render()
        steps.frontier.set()
        await fakes.until(pilot, lambda: main.view.frontiers is not None)
        await fakes.painted(pilot)
        assert not painted
        steps.answer.set()
        await fakes.settled(pilot)
        assert painted  # up to date now


async def test_a_plan_without_a_miss_leaves_the_place_for_one_alone() -> None:
    async with fakes.app().run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        miss = pilot.app.main.query_one("#card-miss")
        updated: list[object] = []
        miss.update = updated.append
        await pilot.press("j", "right")
        await fakes.settled(pilot)
        assert pilot.app.scenario != fakes.SCENARIO and not updated


async def test_a_grid_sets_its_subtitle_only_when_it_reads_otherwise() -> None:
    async with fakes.app().run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        await pilot.press("2", "slash", "[", "b", "]")
        grid = pilot.app.main.query_one("#plans")
        assert "/[b]_" in str(grid._border_subtitle or "")
        refreshed: list[object] = []
        grid.refresh = lambda *regions, **how: refreshed.append(regions) or grid
        grid._show_count()
        assert not refreshed


async def test_the_first_frame_has_the_layout_of_its_size() -> None:
    """Headings of a tall form and bars beside the card, not a narrow screen that is arranged anew."""
    app = fakes.app(plan_fn=Steps())
    layouts: list[tuple[bool, bool]] = []
    main = app.main
    display = app._display

    def shown(screen, renderable) -> None:
        if renderable is not None and main.is_mounted and main.query(".heading"):
            layouts.append((main.query(".heading").first().display, main.query_one("#breakdown").display))
        display(screen, renderable)

    app._display = shown
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.painted(pilot)
    assert layouts and layouts[0] == (True, True)


async def test_the_first_frame_of_another_size_is_sent_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the old size, drawn after the terminal had said its new one, was taken for what it showed."""
    happened: list[object] = []
    monkeypatch.setattr(App, "_display", lambda app, screen, _: happened.append(screen._compositor.size))
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        app._driver.forget = lambda: happened.append("forgotten")
        happened.clear()
        await app.on_event(events.Resize(Size(80, 24), Size(80, 24)))
        app._display(app.main, app.main._compositor.render_full_update())  # what was on its way
        await fakes.until(pilot, lambda: happened[-1] == Size(80, 24))
    assert happened[:2] == ["forgotten", Size(120, 36)]
    assert happened[happened.index(Size(80, 24)) - 1] == "forgotten"


async def test_a_size_that_is_told_of_late_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler of one signal read its size, a second signal came, and the older size was told of last."""
    driver = keyboard.bounded(LinuxDriver)
    assert issubclass(driver, keyboard.Bounded)
    terminal = driver.__new__(driver)
    monkeypatch.setattr(driver, "_get_terminal_size", lambda _: (100, 30))
    for in_band, drawn in ((False, Size(100, 30)), (True, Size(80, 24))):
        terminal._in_band_window_resize = in_band
        assert terminal.size_now(Size(80, 24)) == drawn

    monkeypatch.setattr(keyboard, "Bounded", HeadlessDriver)
    monkeypatch.setattr(HeadlessDriver, "size_now", lambda _, told: Size(100, 30), raising=False)
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        for told in (Size(100, 30), Size(80, 24)):
            await app.on_event(events.Resize(told, told))
        await fakes.until(pilot, lambda: app.main.size != Size(120, 36))
        await fakes.settled(pilot)
        assert app.size == app.main.size == Size(100, 30)
