"""The help says what every number means, and says it where the number stands."""

from __future__ import annotations

import re

import fakes
import pytest
from textual.widgets import HelpPanel, Markdown

from planner.inputs.fields import FIELDS
from tui import help_texts
from tui.charts.pareto_chart import ParetoChart
from tui.help_texts import NUMBERS, PANES, in_rows
from tui.panes.breakdown import BreakdownPane
from tui.panes.plan_card import PlanCard
from tui.screens.hints import GREETING
from tui.widgets.knob import Knob


def test_every_number_is_explained_somewhere_and_every_pane_knows_its_numbers() -> None:
    used = {name for names in PANES.values() for name in names}
    assert used == set(NUMBERS)
    for number in NUMBERS.values():
        line = number.line()
        assert line.isascii() and number.meaning and not number.meaning.endswith(".")


def test_the_formulas_of_the_rates_hold_for_a_plan() -> None:
    """The texts say how the card's numbers hang together: so they must, in a real plan."""
    from planner.inputs.scenario import Fleet, Scenario, Traffic
    from planner.planning.plan import plan

    scenario = Scenario(
        model="llama-3.1-8b", system="h100", traffic=Traffic(isl=2048, osl=256), fleet=Fleet(gpus=8)
    )
    split = plan(scenario).disaggregated
    assert split is not None
    tokens = split.requests_per_s * (256 - 1)
    assert split.tokens_per_s_per_gpu == pytest.approx(tokens / split.gpus)
    assert split.tokens_per_s_per_user == pytest.approx(1 / split.ttl_s)
    assert split.ctx_gen_ratio == pytest.approx(split.prefill.gpus / split.decode.gpus)
    for pool in split.pools:
        assert pool.utilisation == pytest.approx(split.requests_per_s / pool.requests_per_s)
    assert split.requests_per_s <= min(p.requests_per_s for p in split.pools) * (1 + 1e-9)


def test_each_row_tells_what_may_be_typed_and_its_flag() -> None:
    for field in FIELDS:
        text = help_texts.field(field)
        assert in_rows(field.help) in text and field.accepted in text and f"`--{field.key}`" in text


async def test_the_help_is_that_of_the_focused_pane() -> None:
    async with fakes.app().run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        await pilot.press("question_mark")
        await pilot.pause()
        main = pilot.app.main
        for kind, word in (
            (Knob, "On the command line"),
            (ParetoChart, "1 / TTL"),
            (PlanCard, "prefill capacity"),
            (BreakdownPane, "speed of light"),
        ):
            main.query(kind).first().focus()
            await fakes.until(
                pilot, lambda word=word: word in main.query_one(HelpPanel).query_one(Markdown).source
            )


async def test_the_whole_help_can_be_read_by_keyboard_and_escape_closes_it() -> None:
    async with fakes.app().run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        main = pilot.app.main
        main.query_one(PlanCard).focus()
        await pilot.press("question_mark")
        await fakes.until(pilot, lambda: main.query("#widget-help"))
        text = main.query_one("#widget-help")
        keys = main.query_one("#keys-help")
        await fakes.until(pilot, lambda: text.max_scroll_y > 0 and keys.max_scroll_y > 0)
        assert "space more help" in fakes.text(main.query_one("#keys"))
        seen = []
        for _ in range(50):
            seen.append((text.scroll_offset.y, keys.scroll_offset.y))
            await pilot.press("space")
            await pilot.pause()
            if not text.scroll_offset.y and not keys.scroll_offset.y:
                break
        # every page of the text, then of the keys, then the first again
        assert seen[-1] == (text.max_scroll_y, keys.max_scroll_y) and (text.max_scroll_y, 0) in seen
        await pilot.press("escape")
        await fakes.until(pilot, lambda: not main.query(HelpPanel))
        assert main.tab == "plan" and main.query_one(PlanCard).has_focus


async def test_of_two_directions_the_help_has_both() -> None:
    """`right l step up` stood below `left-right step`, and nothing said what `h` does."""
    async with fakes.app().run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        await pilot.press("question_mark")
        for page, rows in (
            ("1", {"← h": "step down", "→ l": "step up"}),
            ("2", {"↓ j": "down", "↑ k": "up"}),
            ("4", {"← h": "lower", "→ l": "higher", "↓ j": "down", "↑ k": "up"}),
        ):
            await pilot.press(page)
            await fakes.until(
                pilot,
                lambda rows=rows: all(
                    re.search(rf"^ *{key} {does}$", fakes.text(pilot.app.main.query_one("#bindings")), re.M)
                    for key, does in rows.items()
                ),
            )


async def test_the_mouse_can_close_the_help() -> None:
    async with fakes.app().run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        bar = pilot.app.main.query_one("#keys")
        for there in (1, 0):
            await pilot.click(bar, offset=(fakes.text(bar).index("? help") + 1, 0))
            await fakes.until(pilot, lambda there=there: len(pilot.app.main.query(HelpPanel)) == there)


async def test_the_first_start_says_how_to_begin_until_the_first_row_is_left() -> None:
    async with fakes.app(first=True).run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        hint = pilot.app.main.query_one("#hint")
        assert hint.hint == GREETING and len(GREETING) < 80
        await pilot.press("j")
        assert hint.hint != GREETING
        await pilot.press("k")
        assert hint.hint != GREETING


async def test_m_unfolds_the_card_and_folds_it_again() -> None:
    async with fakes.app().run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        card = pilot.app.main.query_one(PlanCard)
        pilot.app.main.set_focus(card)
        await pilot.press("m")
        await fakes.painted(pilot)
        assert "tok/s/user" in fakes.screen_text(pilot.app) and "m less" in str(card.border_subtitle)
        assert pilot.app.session.unfolded == ("plan",) and pilot.app.focused is card
        await pilot.press("m")
        await fakes.painted(pilot)
        assert "m more" in str(card.border_subtitle) and not pilot.app.session.unfolded


async def test_the_keys_are_true_after_the_help_has_gone() -> None:
    async with fakes.app().run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        bar = pilot.app.main.query_one("#keys")
        before = fakes.text(bar)
        await pilot.press("3", "question_mark")
        assert "Compare" in str(pilot.app.main.query_one("#widget-help", Markdown)._markdown)
        await pilot.press("question_mark", "1")
        await fakes.painted(pilot)
        assert "more help" not in fakes.text(bar) and fakes.text(bar) == before


async def test_space_pages_the_help_on_the_table_and_pins_nothing() -> None:
    async with fakes.app().run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        await pilot.press("2", "question_mark")
        await fakes.until(pilot, lambda: pilot.app.main.query("#widget-help"))
        await pilot.press("space")
        assert not pilot.app.main.view.pins


async def test_the_keys_below_the_help_are_the_applications_own() -> None:
    """Below the words stood what every widget of Textual has: Scroll Up, Scroll Home, Page Down."""
    async with fakes.app().run_test(size=(120, 60)) as pilot:
        await fakes.settled(pilot)
        for page, own in (("2", "sort"), ("3", "add"), ("5", "scroll")):
            await pilot.press(page, "question_mark")
            await fakes.until(pilot, lambda: pilot.app.main.query("#bindings"))
            keys = pilot.app.main.query_one("#bindings")
            await fakes.until(pilot, lambda keys=keys, own=own: own in fakes.text(keys))
            assert not re.search(r"Scroll|Page (Up|Down)|Copy selected", fakes.text(keys)), page
            await pilot.press("escape")
            await fakes.until(pilot, lambda: not pilot.app.main.query("#bindings"))
