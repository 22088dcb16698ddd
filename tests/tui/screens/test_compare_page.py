"""Pins, and the page that compares them."""

from __future__ import annotations

import dataclasses

import fakes
import pytest
from rich.cells import cell_len
from turning import SIZE, Pages, pin_two

from planner.inputs.deployment import Deployment
from planner.inputs.fields import BY_KEY, FIELDS
from planner.output.words import expected
from tui.charts.pareto_chart import ParetoChart
from tui.glyphs import ASCII, UNICODE
from tui.panes.compare import NOW, CompareTable, against, columns, inputs, labels
from tui.panes.compare import Cell as CompareCell
from tui.panes.words import span
from tui.screens.choose import ChooseScreen
from tui.screens.deploy import DeployScreen
from tui.state import Pin
from tui.widgets.key_bar import KeyBar
from tui.widgets.tab_bar import TABS, TabBar


async def test_pins_are_counted_marked_on_the_chart_and_not_made_twice(pages: Pages) -> None:
    await pin_two(pages)
    assert [pin.letter for pin in pages.main.view.pins] == ["A", "B"]
    assert f"Compare {UNICODE.tight}2" in fakes.text(pages.one(TabBar))
    chart = fakes.text(pages.main.query_one("#chart"))
    assert "A" in chart and "A B" in pages.main.query_one("#chart").border_subtitle
    await pages.pilot.press("p")
    assert len(pages.main.view.pins) == 2
    for _ in range(3):
        await pages.pilot.press("right")
        await pages.settled()
        await pages.pilot.press("p")
    assert [pin.letter for pin in pages.main.view.pins] == ["A", "B", "C", "D"]


async def test_compare_shows_differences_against_the_baseline(pages: Pages) -> None:
    await pin_two(pages)
    pages.main.query_one("#knob-gpus").focus()
    await pages.pilot.press("right")
    await pages.settled()
    await pages.open("compare")
    table = pages.one(CompareTable)
    shown = pages.shown("#compare-table")
    head, isl, gpus = (line for line in shown.splitlines() if line.startswith((" " * 12, "ISL", "GPUs ≤")))
    assert head.split() == ["pin", "A", "baseline", "pin", "B", "now"]
    assert isl.split() == ["ISL", "8k", "12k", "+50%", "12k", "+50%"]
    assert gpus.split() == ["GPUs", "≤", "72", "=", "96", "+33%"]
    assert "model" in shown and pages.main.query_one("#overlay").readout() == []
    await pages.pilot.press("D")
    shown = pages.shown("#compare-table")
    assert "model" not in shown and "ISL" in shown and "tok/s/GPU" in shown and "tok/s/user" not in shown
    await pages.pilot.press("right", "b")
    assert pages.main.view.baseline == "B"
    assert [pin.letter for pin in columns(pages.main.view)] == ["B", "A", "now"]
    assert pages.main.focused is table


async def test_one_plan_alone_is_told_how_it_gets_another(pages: Pages) -> None:
    await pages.pilot.press("p")
    await pages.open("compare")
    assert "One plan alone" in pages.shown("#compare-table")
    await pages.pilot.press("1", "down", "right")  # the form's own plan stands beside it
    await pages.settled()
    await pages.open("compare")
    assert "now" in pages.shown("#compare-table") and "alone" not in pages.shown("#compare-table")


async def test_a_pin_is_opened_and_dropped(pages: Pages) -> None:
    await pin_two(pages)
    await pages.open("compare")
    await pages.pilot.press("enter")
    assert pages.main.tab == "plan" and pages.scenario == fakes.SCENARIO
    await pages.settled()
    await pages.open("compare")
    await pages.pilot.press("backspace")
    assert [pin.letter for pin in pages.main.view.pins] == ["B"] and pages.main.view.baseline == "B"
    await pages.pilot.press("delete")
    assert pages.main.view.pins == () and "Nothing pinned" in pages.shown("#compare-table")
    await pages.pilot.press("enter", "b", "backspace", "D")
    assert pages.main.tab == "compare"


async def test_d_deploys_beside_pins_as_everywhere(pages: Pages) -> None:
    """It dropped the pin under the cursor."""
    await pin_two(pages)
    await pages.open("compare")
    await pages.pilot.press("d")
    assert isinstance(pages.pilot.app.screen, DeployScreen)
    await pages.pilot.press("escape")
    assert [pin.letter for pin in pages.main.view.pins] == ["A", "B"]


async def test_frontiers_of_pins_are_overlaid_with_glyphs_of_their_own(pages: Pages) -> None:
    await pin_two(pages)
    await pages.open("compare")
    overlay = pages.main.query_one("#overlay", ParetoChart)
    drawn = fakes.text(overlay)
    assert UNICODE.pins[0] in drawn and UNICODE.pins[1] in drawn
    overlay.focus()
    await pages.pilot.press("home", "down")
    assert overlay.cursor is not None and overlay.cursor[0] == 1
    await pages.pilot.press("down", "enter")  # round to the first again
    assert overlay.cursor[0] == 0


async def test_pins_of_an_earlier_session_are_computed_when_nothing_else_is() -> None:
    other = BY_KEY["isl"].set(fakes.SCENARIO, 4096)
    app = fakes.app(pins={"A": fakes.SCENARIO, "C": other}, baseline="C")
    async with app.run_test(size=SIZE) as pilot:
        await fakes.until(pilot, lambda: all(pin.plan is not None for pin in app.main.view.pins))
        view = app.main.view
        assert [(pin.letter, pin.plan.scenario) for pin in view.pins] == [("A", fakes.SCENARIO), ("C", other)]
        assert view.baseline == "C"
        assert app.session.pins == {"A": fakes.SCENARIO, "C": other} and app.session.baseline == "C"


async def test_a_pin_that_can_no_longer_be_planned_is_dropped_with_a_word() -> None:
    gone = dataclasses.replace(fakes.SCENARIO, model="gone")
    other = BY_KEY["isl"].set(fakes.SCENARIO, 4096)
    app = fakes.app(pins={"A": gone, "B": other}, baseline="A")
    async with app.run_test(size=SIZE) as pilot:
        await fakes.until(pilot, lambda: all(pin.plan is not None for pin in app.main.view.pins))
        assert [(pin.letter, pin.scenario) for pin in app.main.view.pins] == [("B", other)]
        assert app.main.view.baseline == "B"
        (note,) = app._notifications
        assert note.title == "Pin A is dropped" and "gone" in note.message and "\n" not in note.message


async def test_nothing_is_pinned_before_there_is_an_answer() -> None:
    gate = fakes.Gate()
    async with fakes.app(plan_fn=gate).run_test(size=SIZE) as pilot:
        await pilot.press("p")
        assert pilot.app.main.view.pins == ()
        gate.open()
        await fakes.settled(pilot)


@pytest.mark.parametrize(
    ("cell", "base", "expected"),
    [
        (CompareCell("8k", 8192.0), CompareCell("8k", 8192.0), ("", "=")),
        (CompareCell("12k", 12288.0), CompareCell("8k", 8192.0), ("12k", "+50%")),
        (CompareCell("1.003", 1.003), CompareCell("1", 1.0), ("1.003", "+0.3%")),
        (CompareCell("b200"), CompareCell("h200"), ("b200", "≠")),
        (CompareCell("5", 5.0), CompareCell("any"), ("5", "≠")),
        (CompareCell("5", 5.0), CompareCell("0", 0.0), ("5", "≠")),
        (CompareCell("…"), CompareCell("5", 5.0), ("…", "")),
        (CompareCell("5", 5.0), CompareCell("…"), ("5", "")),
    ],
)
def test_differences(cell: CompareCell, base: CompareCell, expected: tuple[str, str]) -> None:
    assert against(cell, base, UNICODE) == expected


def test_an_infeasible_pin_has_a_column() -> None:
    tight = BY_KEY["ttl"].set(fakes.SCENARIO, 0.002)
    pins = [Pin(letter="A", scenario=s, plan=fakes.plan(s)) for s in (fakes.SCENARIO, tight)]
    text = "\n".join(line.plain for line in CompareTable(glyphs=ASCII).lines(pins, 70))
    assert "no: takes TTL 3.8 ms" in text and text.isascii()


async def test_a_adds_an_engine_beside_the_forms(pages: Pages) -> None:
    """Both are compared: where nothing is pinned, the plan on the screen is pinned first, as the baseline."""
    await pages.open("compare")
    await pages.pilot.press("a")
    assert isinstance(pages.pilot.app.screen, ChooseScreen)
    await pages.pilot.press(*"vllm", "enter")
    await fakes.until(pages.pilot, lambda: len(pages.main.view.pins) == 2)
    own, other = pages.main.view.pins
    assert own.scenario == pages.scenario and own.plan is not None and pages.main.view.baseline == own.letter
    assert other.scenario == dataclasses.replace(pages.scenario, engine="vllm")
    await fakes.until(pages.pilot, lambda: pages.main.view.pins[1].plan is not None)


async def test_the_plan_that_is_not_pinned_has_its_curve_beside_the_pins(pages: Pages) -> None:
    await pages.open("compare")
    await pages.pilot.press("p")
    chart = pages.main.query_one("#overlay", ParetoChart)
    assert [curve.name for curve in chart._scene.curves] == ["A"]
    pages.main.take(BY_KEY["isl"].set(pages.scenario, 2048))
    await fakes.settled(pages.pilot)
    names = [curve.name for curve in chart._scene.curves]
    assert names == ["A", NOW] and len({curve.glyph for curve in chart._scene.curves}) == 2
    assert [mark.glyph for mark in chart._scene.marks] == ["A", UNICODE.chosen]


async def test_a_second_engine_is_planned_as_the_first_was(pages: Pages) -> None:
    """It waited for ever where the pins of the same answer had been planned before."""
    await pages.open("compare")
    for at, engine in enumerate(("vllm", "sglang")):
        await pages.pilot.press("a")
        await fakes.until(pages.pilot, lambda: isinstance(pages.pilot.app.screen, ChooseScreen))
        await pages.pilot.press(*engine, "enter")
        await fakes.until(pages.pilot, lambda at=at: len(pages.main.view.pins) == at + 2)
        await fakes.until(pages.pilot, lambda: all(pin.plan for pin in pages.main.view.pins))
    assert [pin.scenario.engine for pin in pages.main.view.pins[1:]] == ["vllm", "sglang"]


async def test_a_letter_that_changes_hands_meanwhile_has_its_own_plan() -> None:
    """It took the plan of the pin that was dropped, which was under way."""
    one, other = (BY_KEY["isl"].set(fakes.SCENARIO, tokens) for tokens in (4096, 2048))
    gate = fakes.Gate()
    app = fakes.app(plan_fn=gate, pins={"A": one}, baseline="A")
    async with app.run_test(size=SIZE) as pilot:
        gate.open()
        await fakes.until(pilot, lambda: one in gate.asked)
        app.main._drop("A")
        app.main.pin(other)
        gate.open()
        await fakes.until(pilot, lambda: other in gate.asked)
        assert [(pin.letter, pin.scenario, pin.plan) for pin in app.main.view.pins] == [("A", other, None)]
        gate.open()
        await fakes.until(pilot, lambda: app.main.view.pins[0].plan is not None)
        assert app.main.view.pins[0].plan.scenario == other


async def test_a_pin_that_comes_back_is_planned_again(pages: Pages) -> None:
    """It waited for ever: its scenario was known to be asked for, and its plan was gone."""
    main, other = pages.main, BY_KEY["isl"].set(pages.scenario, 4096)
    for _ in range(2):
        main.pin(other)
        await fakes.until(pages.pilot, lambda: main.view.pins[0].plan is not None)
        main._drop("A")


@pytest.mark.parametrize("tab", ["compare", "traffic"])
async def test_arrows_leave_the_keyboard_on_the_page(pages: Pages, tab: str) -> None:
    await pages.open(tab)
    before = pages.pilot.app.focused
    await pages.pilot.press("down", "up", "j", "k")
    assert before is not None and pages.pilot.app.focused is before


def test_every_field_is_compared_under_a_name_of_its_own() -> None:
    names = list(labels(UNICODE).values())
    assert len(set(names)) == len(names) == len(FIELDS)
    assert set(inputs(Pin(letter="A", scenario=fakes.SCENARIO), UNICODE)) == set(names)


async def test_what_a_pin_is_expected_to_bring_stands_below_what_is_predicted(pages: Pages) -> None:
    await pin_two(pages)
    await pages.open("compare")
    text = pages.shown("#page-compare")
    told = next(line for line in text.splitlines() if "in 4 of 5" in line)
    for pin in pages.main.view.pins:
        (rates,) = (item.range for item in expected(pin.plan, pin.plan.chosen) if not item.in_seconds)
        assert span(*rates) in told


async def test_all_pages_are_named_in_the_smallest_terminal() -> None:
    async with fakes.app().run_test(size=(60, 18)) as pilot:
        bar = pilot.app.main.query_one(TabBar)
        for pins in (0, 4):
            bar.pins = pins
            await fakes.painted(pilot)
            text = fakes.text(bar)
            assert all(tab.title in text for tab in TABS) and (str(pins) in text.split("Compare")[1][:3]) is (
                pins > 0
            )
        await pilot.click(bar, offset=(text.index("Traffic") + 2, 0))
        await fakes.until(pilot, lambda: pilot.app.main.tab == "traffic")


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("width", [78, 94])
def test_long_names_of_layouts_and_rows_are_whole_beside_four_pins(width: int, glyphs) -> None:
    plan = fakes.plan(fakes.SCENARIO)
    long = dataclasses.replace(plan.disaggregated.prefill.layout, label="PP2xDP32-EP2TP16")
    prefill = dataclasses.replace(plan.disaggregated.prefill, layout=long, instances=12)
    pools = (prefill, plan.disaggregated.decode)
    odd = dataclasses.replace(plan, disaggregated=dataclasses.replace(plan.disaggregated, pools=pools))
    given = Deployment(colocated_layout="PP2xDP32-EP2TP16", colocated_instances=3)
    pins = [Pin(letter="A", scenario=fakes.SCENARIO, plan=plan)]
    pins += [
        Pin(letter=at, scenario=dataclasses.replace(fakes.SCENARIO, deployment=given), plan=odd)
        for at in "BCD"
    ]
    lines = [line.plain for line in CompareTable(glyphs=glyphs).lines(pins, width)]
    assert all(cell_len(line) <= width for line in lines)
    assert not any(glyphs.ellipsis in line or "~" in line for line in lines)
    room = (width - 12) // 4
    at = next(at for at, line in enumerate(lines) if line.startswith("prefill"))
    for column in (1, 2, 3):
        parts = [line[12 + column * room :][:room].split(glyphs.unequal)[0] for line in lines[at : at + 3]]
        found = "".join(part.strip() for part in parts)
        assert found.startswith(f"12{glyphs.times}PP2xDP32-EP2TP16")
    assert any(line.startswith("co-located ") for line in lines)


async def test_keys_that_can_do_nothing_to_a_column_are_not_offered(pages: Pages) -> None:
    """Without a pin five keys stood in the bottom row that did nothing; `d` was no longer deploy."""
    to_pins = {"compare-open", "compare-baseline", "compare-drop"}
    always = {"compare-left", "compare-differences"}

    def keys() -> dict[str | None, bool]:
        return {key.id: key.live for key in pages.one(KeyBar).keys}

    await pages.open("compare")
    await fakes.until(pages.pilot, lambda: "compare-add" in keys())
    assert not (to_pins | always) & set(keys()) and keys()["deploy"]
    await pages.pilot.press("p")
    await fakes.until(pages.pilot, lambda: all(keys().get(key) for key in to_pins | always))
    assert keys()["deploy"]
    pages.main.take(BY_KEY["isl"].set(fakes.SCENARIO, 12288))
    await pages.settled()
    await pages.pilot.press("right")  # to the form's own column
    await fakes.until(pages.pilot, lambda: not any(keys()[key] for key in to_pins))
    assert all(keys()[key] for key in always)
