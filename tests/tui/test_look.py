"""Colours that can be read, and glyphs that can be told apart."""

from __future__ import annotations

import dataclasses

import fakes
import pytest

from tui.glyphs import ASCII, UNICODE, wants_ascii
from tui.widgets import themes

pytestmark = pytest.mark.slow  # many applications and terminals


def luminance(hue: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2)."""
    parts = [int(hue[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


FAINT = {"hue-cloud", "hue-band"}  # meant to recede


@pytest.mark.parametrize("theme", [themes.DARK, themes.LIGHT], ids=lambda theme: theme.name)
def test_every_hue_reaches_a_contrast_of_four_and_a_half(theme) -> None:
    for name, hue in themes.hues(theme.dark).items():
        if name not in FAINT:
            assert contrast(hue, theme.background) >= 4.5, name


def test_contrast_is_measured_as_wcag_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_both_palettes_name_the_same_hues() -> None:
    assert themes.DARK_HUES.keys() == themes.LIGHT_HUES.keys()
    for theme in (themes.DARK, themes.LIGHT):
        assert set(themes.hues(theme.dark)) <= set(theme.variables)


def test_ascii_glyphs_are_ascii_and_single_where_cells_count() -> None:
    for field in dataclasses.fields(ASCII):
        plain = getattr(ASCII, field.name)
        if isinstance(plain, str):
            assert plain.isascii(), field.name
    marks = ("ok", "tight", "bad", "open", "close", "menu", "changed", "full", "shade")
    for name in (*marks, "split", "colocated", "chosen", "other", "cursor", "limit", "cloud"):
        assert len(getattr(ASCII, name)) == len(getattr(UNICODE, name)) == 1, name


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_what_can_stand_side_by_side_looks_different(glyphs) -> None:
    chart = [glyphs.split, glyphs.colocated, glyphs.chosen, glyphs.other, glyphs.cursor, glyphs.limit]
    states = [glyphs.ready, glyphs.busy, glyphs.edited, glyphs.error, glyphs.bad]
    marks = [glyphs.ok, glyphs.tight, glyphs.bad]
    for group in (chart, states, marks):
        assert len(set(group)) == len(group)


@pytest.mark.parametrize(
    ("environ", "plain"),
    [
        ({"TERM": "linux", "LANG": "C.UTF-8"}, True),
        ({"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}, False),
        ({"TERM": "xterm", "LC_ALL": "C"}, True),
        ({"TERM": "xterm"}, False),
    ],
)
def test_terminals_without_unicode_are_known(environ: dict[str, str], plain: bool) -> None:
    assert wants_ascii(environ) is plain


def test_a_locale_that_python_made_up_is_not_the_terminals() -> None:
    environ = {"TERM": "xterm", "LANG": "C", "LC_CTYPE": "C.UTF-8"}
    assert wants_ascii(environ, coerced=True) and not wants_ascii(environ)


WALKS = {
    "plan": ("tab", "right"),
    "help": ("question_mark",),
    "help-of-the-plan": ("tab", "tab", "question_mark"),
    "palette": ("ctrl+p",),
    "export": ("e",),
    "open": ("o",),
    "save": ("w",),
    "choose": ("enter",),
    "invalid": ("j", "7", "x"),
    "table": ("2", "slash", "t"),
    "compare": ("p", "3"),
    "what-if": ("4",),
    "breakdown": ("5",),
    "traffic": ("6",),
    "infeasible": (*["j"] * 5, "enter", *"2ms", "enter", "f"),
}
QUICK = {"help", "palette", "export", "choose"}  # the plan and the pages are seen in ASCII by their own tests


@pytest.mark.parametrize(
    "walk", [walk if walk in QUICK else pytest.param(walk, marks=pytest.mark.slow) for walk in WALKS]
)
async def test_in_ascii_every_cell_is_ascii(walk: str) -> None:
    async with fakes.app(ascii=True).run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        await pilot.press(*WALKS[walk])
        main, screen = pilot.app.main, pilot.app.screen
        if walk == "palette":
            await fakes.until(pilot, lambda: screen.query_one("CommandList").option_count)
        else:
            await fakes.until(pilot, lambda: main.view.current or main.view.invalid)
        for size in ((80, 24), (80, 36), (120, 36), (160, 45)):
            await pilot.resize_terminal(*size)
            await fakes.painted(pilot)
            strips = pilot.app.screen._compositor.render_strips()
            assert len(strips) == size[1]
            text = "\n".join(strip.text for strip in strips)
            assert text.isascii(), (size, sorted({char for char in text if not char.isascii()}))


@pytest.mark.parametrize(("size", "rows"), [((80, 24), 6), ((90, 28), 8), ((100, 30), 10)])
async def test_the_chart_has_room_at_every_size(size: tuple[int, int], rows: int) -> None:
    """It had three rows at 100x30, where 80x24 had six."""
    async with fakes.app().run_test(size=size) as pilot:
        await fakes.settled(pilot)
        assert pilot.app.main.query_one("#chart").size.height >= rows
