"""The command palette: every entry stands under an area, does what it says, and is there only when it can."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fakes
import pytest
from textual import events
from textual.command import CommandPalette
from textual.widgets import Input, Static

from planner.inputs.fields import BY_KEY
from tui.screens import palette
from tui.screens.ask import AskScreen
from tui.screens.export import ExportScreen
from tui.screens.palette import Command, Commands
from tui.widgets import themes

AREAS = ("plan", "limit", "view", "scenario", "theme", "export", "field", "word", "compare", "study")
VALUES = ("model", "system", "engine", "goal", "weights", "kv cache", "trace")  # rows


@pytest.fixture
async def pilot():
    async with fakes.app().run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        yield pilot


def commands(pilot: Any) -> list[Command]:
    return list(Commands(pilot.app.main)._commands())


async def choose(pilot: Any, *words: str) -> None:
    """Open the palette, type, take the first."""
    await pilot.press("ctrl+p")
    await fakes.until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
    palette_screen = pilot.app.screen
    palette_screen.query_one(Input).value = " ".join(words)  # all at once: each key would begin a search
    await pilot.pause()
    await fakes.until(
        pilot,
        lambda: (
            not palette_screen.is_running
            or (
                all(worker.is_finished for worker in pilot.app.workers)  # the search is over
                and palette_screen.query_one("CommandList").option_count
            )
        ),
    )
    await pilot.press("enter")
    await pilot.pause()


async def test_every_entry_has_an_area_and_no_two_read_the_same(pilot: Any) -> None:
    texts = [command.text for command in commands(pilot)]
    assert {text.split(":")[0] for text in texts} == {*AREAS, *VALUES}
    assert not any("scroll" in text.lower() for text in texts)
    assert len(set(texts)) == len(texts)
    assert all(not text.endswith(": ") for text in texts)


async def test_it_offers_what_can_be_done_now(pilot: Any) -> None:
    def offered() -> set[str]:
        return {command.text for command in commands(pilot)}

    assert "plan: undo" not in offered() and "theme: dark" not in offered() and "theme: light" in offered()
    pilot.app.main.take(BY_KEY["ttl"].set(fakes.SCENARIO, 0.002))
    await fakes.settled(pilot)
    now = offered()
    assert {"plan: undo", "plan: fixes", "limit: TTL 2 ms → 3.8 ms (+90%)"} <= now
    assert "limit: TTL 2 ms" not in now  # that is what it is
    pilot.app.main.set_view(plan=None)
    assert not any(text.startswith("export:") for text in offered())


async def test_a_limit_a_theme_a_scenario_an_export_by_name(pilot: Any) -> None:
    await choose(pilot, "limit: ttl 50 ms")
    await fakes.settled(pilot)
    assert pilot.app.scenario.limits.ttl_s == 0.05
    await choose(pilot, "theme: light")
    assert pilot.app.theme == themes.LIGHT.name
    await choose(pilot, "scenario: small")
    assert pilot.app.main.view.name == "small-model"
    await choose(pilot, "plan: undo")
    assert pilot.app.scenario.limits.ttl_s == 0.05
    await fakes.settled(pilot)
    await choose(pilot, "export: svg")
    assert isinstance(pilot.app.screen, ExportScreen) and pilot.app.screen.ending == "svg"


async def test_a_model_a_gpu_an_engine_and_a_row_are_found_by_their_names(pilot: Any) -> None:
    for name, key in (("h200", "system"), ("vllm", "engine"), ("llama-3.1-8b", "model"), ("cost", "goal")):
        await choose(pilot, name)
        assert BY_KEY[key].get(pilot.app.scenario) == name
    for name in ("ttl", "ftl"):  # rows with other names too, and words that are explained: the row is first
        await choose(pilot, name)
        assert pilot.app.main.focused.field.key == name
    await choose(pilot, "headroom")
    assert pilot.app.main.focused.field.key == "headroom" and pilot.app.main.focused.display
    assert pilot.app.chosen[0] == "field: headroom"


async def test_what_was_chosen_last_is_offered_first(pilot: Any) -> None:
    await choose(pilot, "h200")
    await choose(pilot, "theme: light")
    await choose(pilot, "b200")
    commands = Commands(pilot.app.main)
    offered = [hit.text async for hit in commands.discover()]
    assert offered[0] == "system: h200"  # what is set already is not offered
    assert len(set(offered)) == len(offered)


async def test_a_fix_from_the_palette_is_applied(pilot: Any) -> None:
    pilot.app.main.take(BY_KEY["ttl"].set(fakes.SCENARIO, 0.002))
    await fakes.settled(pilot)
    await choose(pilot, "3.8")
    await fakes.settled(pilot)
    assert pilot.app.scenario.limits.ttl_s == 0.0038


async def test_keys_run_on_the_widget_that_has_them(pilot: Any) -> None:
    by_text = {command.text: command for command in commands(pilot)}
    theme = pilot.app.theme
    await by_text["plan: copy"].run()
    assert pilot.app.clipboard.startswith("ratematch plan") and pilot.app.theme == theme
    assert by_text["plan: copy"].help.startswith("key y.")


def test_a_theme_by_its_word() -> None:
    assert themes.theme_name("Dark", ()) == themes.DARK.name
    with pytest.raises(ValueError, match="did you mean light"):
        themes.theme_name("ligth", ())


@pytest.mark.parametrize("query", ["e" * 20, "e" * 2000, "e" * 20 + "x", "e " * 10, ""])
def test_a_search_is_not_longer_than_its_texts(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in ways to place the letters: Textual's own search would try 30 million."""
    scored = 0

    def score(text: str, places: Sequence[int]) -> float:
        nonlocal scored
        scored += 1
        return float(len(places))

    monkeypatch.setattr(palette._SEARCH, "score", score)
    text = "e-" * 30
    palette.fit(query, text)
    assert scored <= len(text)


async def test_a_page_down_before_the_list_has_lines_ends_nothing(pilot: Any) -> None:
    """Found by the search, `keys` 19750 of seed 1."""
    with pilot.app.batch_update():  # nothing is laid out
        for key in ("ctrl+p", "pagedown", "pageup"):
            pilot.app.post_message(events.Key(key, None))
        await fakes.until(pilot, lambda: pilot.app.screen.query("CommandList.--visible"))
        for key in ("pagedown", "pageup", "down", "up"):
            pilot.app.post_message(events.Key(key, None))
        await pilot.pause()
    await fakes.painted(pilot)
    assert pilot.app.is_running


async def test_words_and_names_of_layouts_are_found_and_explained(pilot: Any) -> None:
    found = {command.text: command for command in commands(pilot)}
    for word in ("word: TTL", "word: ctx:gen", "word: DEP16"):
        assert found[word].help and not found[word].first
    await choose(pilot, "word: busy")
    (note,) = pilot.app._notifications
    assert note.title == "busy" and "capacity" in note.message


async def test_a_name_goes_before_what_merely_has_it_and_far_letters_after_all(pilot: Any) -> None:
    async def found(query: str) -> list[str]:
        hits = [hit async for hit in Commands(pilot.app.main).search(query)]
        return [hit.text for hit in sorted(hits, key=lambda hit: -hit.score)]

    offered = await found("llama")
    assert offered[0].startswith("model: llama")
    named = ["llama" in text for text in offered]
    assert named == sorted(named, reverse=True)  # what only speaks of it comes last
    assert (await found("vw pln"))[0] == "view: Plan"  # letters in this order, where no text has the words
    assert await found("cheapest") == ["goal: cost", "field: goal"]  # by what is said of it
    assert (await found("ftl 5"))[0] == "limit: FTL 5 s"  # not 50 ms
    assert "trace: azure-code" in await found("trace azure")
    assert "compare: with engine vllm" in await found("compare vllm")


async def test_a_row_and_its_value_in_one_line(pilot: Any) -> None:
    rows = (("ttl 30ms", "ttl", 0.03), ("rate 200", "rate", 200.0), ("isl 16k", "isl", 16384))
    for typed, key, value in rows:
        await choose(pilot, typed)
        await fakes.settled(pilot)
        assert BY_KEY[key].get(pilot.app.scenario) == value
    await choose(pilot, "ttl 17")  # what is meant?
    assert pilot.app.main.focused.field.key == "ttl" and pilot.app.scenario.limits.ttl_s == 0.03


async def test_a_study_by_name_asks_for_its_folder_and_says_what_makes_it(
    pilot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await choose(pilot, "when-it-pays")
    await fakes.until(pilot, lambda: isinstance(pilot.app.screen, AskScreen))
    assert pilot.app.screen.query_one("#ask-line", Input).value == "when-it-pays"
    await pilot.press("enter")
    await fakes.until(
        pilot,
        lambda: (
            "`ratematch study when-it-pays` makes it"
            in str(pilot.app.screen.query_one("#ask-word", Static).content)
        ),
    )


async def test_another_engine_beside_the_plan_by_name(pilot: Any) -> None:
    await choose(pilot, "compare: with engine vllm")
    await fakes.until(pilot, lambda: len(pilot.app.main.view.pins) == 2)
    assert pilot.app.main.tab == "compare"
    assert [pin.scenario.engine for pin in pilot.app.main.view.pins] == [pilot.app.scenario.engine, "vllm"]


async def test_what_is_set_already_is_found_by_its_name_and_leads_to_its_row(pilot: Any) -> None:
    """`gb200` found a field and a word, and not the system that the plan is on."""
    main = pilot.app.main
    before = main.view.scenario
    await pilot.press("2")
    await choose(pilot, "system: gb200")
    await fakes.until(pilot, lambda: main.tab == "plan" and main.focused is main.query_one("#knob-system"))
    assert main.view.scenario == before


async def test_limits_near_the_present_one_come_first(pilot: Any) -> None:
    """`ttl` began with 500 µs, 600 µs, 800 µs where the limit was 50 ms."""
    limits = {
        key: [
            command.text
            for command in commands(pilot)
            if command.text.startswith(f"limit: {BY_KEY[key].label} ")
        ]
        for key in palette.LIMITS
    }
    for key, texts in limits.items():
        field = BY_KEY[key]
        value = field.get(pilot.app.main.history.present)
        near = {f"limit: {field.label} {palette._value(field, field.step(value, by))}" for by in (-1, 1)}
        assert set(texts[:2]) == near and len(texts) > 5
