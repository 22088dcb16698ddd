"""What a user can read on each screen at each size, in each state."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import fakes
import pytest

from planner.inputs.fields import BY_KEY
from planner.inputs.scenario import Scenario
from planner.planning.result import Plan
from tui.charts.chart_marks import PATTERN
from tui.glyphs import UNICODE
from tui.widgets import themes

INFEASIBLE = BY_KEY["ttl"].set(fakes.SCENARIO, 0.002)
PLAN = (
    "Split: 2.02×",
    "1×CPP4xTP4",
    "3×DEP16",
    "1.24 s ✓",
    "19.2 ms ▲",
    "1,500",
    "0.76",
)

at_each_size = pytest.mark.parametrize(
    "size",
    [(80, 24), *(pytest.param(size, marks=pytest.mark.slow) for size in [(120, 36), (160, 45)])],
    ids=lambda size: f"{size[0]}x{size[1]}",
)


class Stuck:
    """Plans as the fake does, until `at`: that one gets as far as its frontier, or fails."""

    def __init__(self, at: int, *, fails: bool = False) -> None:
        self._left, self._fails = at, fails

    def __call__(self, scenario: Scenario, *, should_stop: Any, **options: Any) -> Plan:
        self._left -= 1
        if self._left > 0:
            return fakes.plan(scenario, **options)
        if self._fails:
            raise RuntimeError("the kernels are gone")
        options["on_frontier"](*fakes.frontiers(scenario))
        fakes.hold_until(should_stop)
        raise RuntimeError("stopped")


async def screen(
    size: tuple[int, int],
    *keys: str,
    until: Callable[[Any], object] = lambda view: view.current,
    before: Callable[[Any], Any] | None = None,
    look: Callable[[Any], object] = lambda app: None,
    **options: Any,
) -> str:
    """The screen's text after these keys, once something holds of the view; `look` sees the application."""
    app = fakes.app(**options)
    async with app.run_test(size=size) as pilot:
        if keys or before:
            await fakes.settled(pilot)
        if before:
            await before(pilot)
        await pilot.press(*keys)
        app.main._clock.now += 3.0
        await fakes.until(pilot, lambda: until(app.main.view))
        app.main._tick()
        await fakes.painted(pilot)
        look(app)
        return fakes.screen_text(app)


def holds(text: str, *words: str) -> None:
    """Each of these can be read, in a line of its own or beside others."""
    missing = [word for word in words if word not in text]
    assert not missing, f"{missing} not in\n{text}"


def studied(view: Any) -> bool:
    found = view.findings
    return len(found.effects) == found.wanted > 0 and found.curve_done


async def pin_two(pilot: Any) -> None:
    """Pin the scenario and one with twice the GPUs; the form is left with a third."""
    main = pilot.app.main
    for gpus in (72, 144, 96):
        main.take(BY_KEY["gpus"].set(fakes.SCENARIO, gpus))
        await fakes.settled(pilot)
        if gpus != 96:
            main.action_pin()
            pilot.app.clear_notifications()
            await fakes.until(pilot, lambda: all(pin.plan is not None for pin in main.view.pins))


# States


@at_each_size
async def test_light_has_the_words_of_dark_in_its_own_colours(size: tuple[int, int]) -> None:
    colours: list[set[str]] = []
    keys = ("tab", "right", "right")
    texts = [
        await screen(size, *keys, theme=theme.name, look=lambda app: colours.append(fakes.colours(app)))
        for theme in (themes.DARK, themes.LIGHT)
    ]
    assert texts[0] == texts[1]
    holds(texts[1], "66.2 tok/s/user", "TTL 15.1 ms", *PLAN[:3])  # what the cursor is on
    dark, light = colours
    assert themes.LIGHT.background.lower() in light and themes.DARK.background.lower() in dark
    assert not set(themes.hues(True).values()) & light


@at_each_size
async def test_ascii_says_the_same(size: tuple[int, int]) -> None:
    text = await screen(size, "tab", "right", ascii=True)
    holds(text, "Split: 2.02x", "1xCPP4xTP4", "3xDEP16", "1.24 s +", "19.2 ms ^", "TTL <=")
    holds(text, "* split", "# plan", "% other", "* up to date", "58.3 tok/s/user")
    assert text.isascii()


@at_each_size
async def test_without_colour_nothing_is_lost(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    colour = await screen(size)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = await screen(size)
    assert plain.replace(f" {PATTERN} ", "   ") == colour.replace(f" {UNICODE.band} 4 of", "   4 of")
    assert (f"{PATTERN} 4 of 5" in plain) is (f"{UNICODE.band} 4 of 5" in colour) is (size[0] > 80)
    holds(colour, *PLAN, "● up to date", "96% ▲", "62% ✓", "● split", "◆ plan", "◇ other")


@at_each_size
async def test_the_picture_comes_while_the_plan_is_computed(size: tuple[int, int]) -> None:
    text = await screen(size, plan_fn=Stuck(1), until=lambda view: view.frontiers)
    holds(text, "◐ computing", "computing…", "● split", "○ co-loc", "TTL ≤ 20 ms", "tokens/s per user")
    assert "◆" not in text and "Split:" not in text and "✓" not in text


@at_each_size
async def test_what_is_old_is_marked_as_old(size: tuple[int, int]) -> None:
    keys = ("j", "right")
    text = await screen(size, *keys, plan_fn=Stuck(2), until=lambda view: view.late)
    holds(text, "◐ computing", "shown: 3 s ago", "Plan, before the edit", "12k", "• edited", *PLAN)


@at_each_size
async def test_an_error_is_told_and_the_last_plan_stays(size: tuple[int, int]) -> None:
    keys = ("j", "right")
    text = await screen(size, *keys, plan_fn=Stuck(2, fails=True), until=lambda view: view.error)
    holds(text, "RuntimeError: the kernels are gone; r tries again", " error", "shown: 3 s ago", *PLAN)


@at_each_size
async def test_the_nearest_miss_of_an_infeasible_scenario(size: tuple[int, int]) -> None:
    text = await screen(size, scenario=INFEASIBLE, until=lambda view: view.findings.miss_of is not None)
    holds(text, "✗ infeasible", "do not fit", "A TTL 2 ms → 3.8 ms", "B GPUs 72 → 144", "f fixes")
    if size == (160, 45):
        holds(text, "Closest miss: 4×TP16", "3.65 ms of 2 ms", "C system gb200 → b200")


# Pages


@at_each_size
async def test_compare_reads_side_by_side(size: tuple[int, int]) -> None:
    text = await screen(size, "3", "right", before=pin_two)
    holds(
        text, "3 Compare ▲2", "pin A baseline", "pin B", "now", "tok/s/GPU    1,500", "6×DEP16", "≠", "+100%"
    )
    holds(text, "6×DEP16", "≠", "+100%", "TTL ≤ 20 ms", "b baseline  ⌫ drop  a add", "d deploy")


async def test_compare_in_ascii() -> None:
    text = await screen((120, 36), "3", before=pin_two, ascii=True)
    holds(text, "3 Compare ^2", "6xDEP16", "!", "+100%", "* A  o B")
    assert text.isascii()


@at_each_size
async def test_what_if_says_what_each_change_brings(size: tuple[int, int]) -> None:
    text = await screen(size, "4", until=studied)
    holds(text, "20 % down ░ up █", "TTL 20 ms → 24 ms: +16 %", "-21 %  +16 %", "No effect: FTL, OSL")
    both = " and ctx:gen" if size[0] >= 120 else ""
    holds(text, f"tok/s/GPU held{both} over TTL, ms", "● split  ○ co-located", "◆", "⏎ make it so")


async def test_what_if_under_the_cursor_on_a_light_screen() -> None:
    colours: list[set[str]] = []
    options = {"theme": themes.LIGHT.name, "look": lambda app: colours.append(fakes.colours(app))}
    text = await screen((120, 36), "4", "down", until=studied, **options)
    holds(text, "GPUs 72 → 87: -17 %", "1,100 tok/s/GPU held", "● split  ○ co-located")
    assert themes.LIGHT.background.lower() in colours[0]


@at_each_size
async def test_breakdown_says_where_time_and_memory_go(size: tuple[int, int]) -> None:
    text = await screen(size, "5")
    holds(text, "prefill 1×CPP4xTP4", "decode 3×DEP16", "one pass 310 ms", "96.1 ms  74%", "62% ✓", "96% ▲")
    holds(text, "memory per prefill GPU", "weights 42", "link of one GPU", "1,200 to 1,870", "1.48 to 2.77")
    if size != (80, 24):  # below the fold there
        holds(text, "memory per decode GPU", "$ per million output tokens", "power")


@at_each_size
async def test_the_table_sorts_and_names_its_columns(size: tuple[int, int]) -> None:
    text = await screen(size, "2", "down", "down")
    holds(text, "Candidate plans", "kind", "co-loc", "split", "DEP16", "s sort  / find", "⏎ choose")


# Other looks


async def test_the_chart_over_gpus() -> None:
    text = await screen((120, 36), "x", "x", "x")
    holds(text, "tokens/s per GPU in use over GPUs in use", "72 GPUs ┊", "◆ plan")


async def test_the_chart_zoomed_on_a_linear_axis() -> None:
    plain = await screen((120, 36), "escape", "L")
    near = await screen((120, 36), "escape", "L", "plus", "plus")
    holds(plain, "◆ plan", "100")
    holds(near, "◆ plan")
    assert near != plain


async def test_a_value_that_cannot_be_used_is_told_at_once() -> None:
    text = await screen((80, 24), *["j"] * 5, "enter", "7", "x", until=lambda view: view.invalid)
    holds(
        text,
        "edited, invalid: ttl",
        "‹ 7x  ›",
        "✗ ttl: '7x' is not accepted",
        "such as 20ms or 50to",
    )
    holds(text, "Plan, before the edit", *PLAN)


async def test_a_list_of_names_lies_over_the_form() -> None:
    text = await screen((80, 24), "enter", "3")
    holds(text, "─ model ─", "llama-3.1-405b", "qwen3-235b-a22b", "type to filter")


async def test_the_smallest_size_holds_the_form_and_the_plan() -> None:
    text = await screen((60, 18))
    holds(text, "Split: 2.02× co-located", *PLAN[1:], "TTL ≤", "96% ▲", "v chart/plan", "m more")


async def test_a_large_size_holds_all_of_it() -> None:
    text = await screen((200, 60))
    holds(text, *PLAN, "Workload", "Limits", "Fleet", "Goal", "attention", "74%", "◆ plan", "t theme")


@pytest.mark.parametrize("ascii", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_help_explains_the_focused_pane(ascii: bool) -> None:
    text = await screen((80, 24), "tab", "tab", "question_mark", ascii=ascii)
    holds(text, "The plan", "ways of serving", "The numbers", "space more help", "previous pane")


def test_the_fake_plan_does_not_change_by_itself() -> None:
    a, b = fakes.plan(fakes.SCENARIO), fakes.plan(fakes.SCENARIO)
    assert dataclasses.asdict(a.disaggregated.pools[1].memory) == dataclasses.asdict(
        b.disaggregated.pools[1].memory
    )
    assert (a.frontier_disaggregated.cloud_ttl_s == b.frontier_disaggregated.cloud_ttl_s).all()
