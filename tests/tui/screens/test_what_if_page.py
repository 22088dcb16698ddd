"""What if: the tornado and the curve."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import fakes
import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.geometry import Region
from turning import SIZE, Pages

from planner.inputs.fields import BY_KEY
from planner.inputs.scenario import Scenario
from planner.units import three_digits
from tui.charts.curve_chart import KEYS, CurveChart
from tui.glyphs import UNICODE
from tui.panes.what_if import Tornado, lines, percent, without_effect


async def test_the_tornado_fills_as_results_come_and_enter_makes_a_change(pages: Pages) -> None:
    await pages.open("what-if")
    await pages.studied()
    tornado = pages.one(Tornado)
    assert tornado.lines[0].label == "TTL" and tornado.has_focus
    shown = fakes.text(tornado)
    assert "+16 %" in shown and "-21 %" in shown
    assert "No effect:" in pages.shown("#tornado-box") and "headroom" in pages.shown("#tornado-box")
    await pages.pilot.press("left")
    assert tornado.effect.change.value == pytest.approx(0.016)
    assert "TTL 20 ms → 16 ms: -21 %" in pages.shown("#tornado-box")
    await pages.pilot.press("right", "enter")
    assert pages.scenario.limits.ttl_s == pytest.approx(0.024)
    await pages.settled()
    await pages.pilot.press("u")
    assert pages.scenario == fakes.SCENARIO
    await pages.settled()


async def test_the_next_best_change_is_told_when_the_focus_is_elsewhere(pages: Pages) -> None:
    await pages.open("what-if")
    await pages.studied()
    await pages.pilot.press("tab")
    assert "Next best: TTL 20 ms → 24 ms: +16 %" in pages.shown("#tornado-box").replace("\n", " ")


async def test_the_curve_takes_other_inputs_and_sets_values(pages: Pages) -> None:
    await pages.open("what-if")
    await pages.studied()
    curve = pages.one(CurveChart)
    curve.focus()
    assert "TTL, ms" in curve.border_title and UNICODE.chosen in fakes.text(curve)
    await pages.pilot.press("right")
    assert "TTL 30 ms" in curve.border_subtitle or "TTL" in curve.border_subtitle
    seen = [curve.key]
    for _ in KEYS[1:]:
        await pages.pilot.press("x")
        await fakes.until(pages.pilot, lambda: pages.main.view.findings.curve_key == curve.key)
        await pages.studied()
        seen.append(curve.key)
    assert tuple(seen) == KEYS
    await pages.pilot.press("x", "x")
    await pages.studied()
    assert curve.key == "isl"
    await pages.pilot.press("left", "enter")
    assert pages.scenario.traffic.isl == 6144
    await pages.settled()


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)], ids=str)
async def test_both_ways_are_drawn_and_a_tie_is_told(size: tuple[int, int]) -> None:
    """An easier limit may deploy the lower line: a tie keeps prefill and decode together."""
    async with fakes.app().run_test(size=size) as pilot:
        pages = Pages(pilot)
        await pages.settled()
        await pages.open("what-if")
        await pages.studied()
        curve = pages.one(CurveChart)
        hues = {hue for row in curve._rows for _, hue in row}
        assert {curve._hue("split"), curve._hue("coloc")} <= hues
        points = list(pages.main.view.findings.curve)
        assert all(point.value in (point.split, point.colocated) for point in points if point.choice)
        last = max(points, key=lambda point: point.at)
        assert last.choice == "colocated"
        curve._points = [replace(point, tie=False) for point in curve._points]
        curve._draw()
        assert "tie" not in curve.border_subtitle
        curve._points = [*curve._points[:-1], replace(last, tie=True, split=1.25 * last.colocated)]
        curve._draw()
        assert ", also " in curve.border_subtitle and "tie" in curve.border_subtitle
        curve.focus()
        await fakes.until(pilot, lambda: curve.has_focus)
        curve._cursor = last.at
        curve._draw()
        assert f"a tie with split, {three_digits(1.25 * last.colocated)}" in curve.border_subtitle


@pytest.mark.parametrize("size", [(100, 30), (200, 60)], ids=str)
async def test_a_curve_drawn_for_another_size_fills_its_own_cells_alone(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows said the new width and had the old one: a smaller terminal wrapped them over all."""
    async with fakes.app().run_test(size=(160, 45)) as pilot:
        await fakes.settled(pilot)
        await pilot.press("4")
        await fakes.until(pilot, lambda: pilot.app.main.query(CurveChart))
        chart = pilot.app.main.query_one(CurveChart)
        await fakes.until(pilot, lambda: "┤" in fakes.text(chart))
        before = chart.size
        monkeypatch.setattr(chart, "_draw", lambda: None)  # not told of the size yet
        await pilot.resize_terminal(*size)
        await fakes.until(pilot, lambda: chart.size != before)
        rows = chart.render_lines(Region(0, 0, *chart.outer_size))
        assert {sum(cell_len(part.text) for part in row) for row in rows} == {chart.outer_size.width}


async def test_an_edit_ends_the_study_and_starts_it_anew() -> None:
    asked: list[Scenario] = []
    held = threading.Event()

    def counting(scenario: Scenario, **options: Any):
        asked.append(scenario)
        if len(asked) == 4:
            held.wait(10)
        if options.get("should_stop") and options["should_stop"]():
            raise RuntimeError("stopped")
        return fakes.plan(scenario, **options)

    async with fakes.app(plan_fn=counting).run_test(size=SIZE) as pilot:
        pages = Pages(pilot)
        await pages.settled()
        await pages.open("what-if")
        await fakes.until(pilot, lambda: len(asked) == 4)  # the answer, two effects, and one under way
        other = BY_KEY["isl"].set(fakes.SCENARIO, 4096)
        pages.main.take(other)
        held.set()
        await pages.settled()
        assert asked[4] == other  # nothing of the old study came between
        await pages.studied()
        assert all(
            e.change.scenario.traffic.isl in (4096, 3276, 4916) for e in pages.main.view.findings.effects
        )


async def test_a_known_what_if_is_shown_at_once(pages: Pages) -> None:
    await pages.open("what-if")
    await pages.studied()
    effects = pages.main.view.findings.effects
    pages.main.take(BY_KEY["isl"].set(fakes.SCENARIO, 4096))
    await pages.settled()
    await pages.studied()
    assert pages.main.view.findings.effects is not effects
    await pages.pilot.press("u")
    await pages.settled()
    assert pages.main.view.findings.effects is effects


async def test_nothing_is_studied_while_no_page_asks(pages: Pages) -> None:
    await fakes.painted(pages.pilot)
    assert pages.main.view.findings.effects == () and pages.main.view.findings.wanted == 0


def effect(key: str, value: object, gain: float, *, down: bool = False) -> Any:
    from planner.planning.what_if import Change, Effect

    scenario = BY_KEY[key].set(fakes.SCENARIO, value)
    change = Change(field=key, value=value, down=down, scenario=scenario)
    return Effect(change=change, gain=gain, value=1.0, ctx_gen_ratio=1.0, choice="disaggregated")


def test_numbers_come_first_by_swing_then_choices_by_gain() -> None:
    found = lines(
        [
            effect("isl", 1, 0.1, down=True),
            effect("isl", 2, -0.05),
            effect("ttl", 0.01, -0.3, down=True),
            effect("system", "h100", -0.9),
            effect("system", "b200", 0.2),
            effect("osl", 3, 0.0),
        ],
        UNICODE,
    )
    assert [line.label for line in found] == ["TTL", "ISL", "OSL", "system b200", "system h100"]
    assert found[1].down.gain == 0.1 and found[1].up.gain == -0.05 and found[0].up is None
    assert [line.label for line in without_effect(found)] == ["OSL"]


class TornadoApp(App[None]):
    """Only a tornado."""

    def compose(self) -> ComposeResult:
        yield Tornado(glyphs=UNICODE)


async def test_bars_point_to_better_and_worse_and_what_is_off_the_scale_says_so() -> None:
    app = TornadoApp()
    async with app.run_test(size=(60, 10)) as pilot:
        tornado = app.query_one(Tornado)
        down, up = effect("ttl", 0.01, -0.2, down=True), effect("ttl", 0.03, 0.1)
        tornado.fill([down, up, effect("system", "b200", 5.0)])
        await pilot.pause()
        ttl, system = fakes.text(tornado).splitlines()
        worse, better = ttl.split(UNICODE.axis)
        assert worse.endswith(UNICODE.shade) and better.startswith(UNICODE.full)
        assert worse.count(UNICODE.shade) == pytest.approx(2 * better.count(UNICODE.full), abs=1)
        assert UNICODE.close in system and "+500 %" in system
        await pilot.click(tornado, offset=(2, 0))
        assert tornado.effect is down
        await pilot.click(tornado, offset=(50, 0))
        assert tornado.effect is up
    assert percent(float("nan"), UNICODE) == UNICODE.bad
