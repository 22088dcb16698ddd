"""Colours that can be read, and glyphs that can be told apart."""

from __future__ import annotations

import dataclasses

import pytest
from textual.color import Color

from tui import palette
from tui.glyphs import ASCII, UNICODE, wants_ascii

FAINT = {"hue-cloud", "hue-band"}  # meant to recede


@pytest.mark.parametrize("theme", [palette.DARK, palette.LIGHT], ids=lambda theme: theme.name)
def test_every_hue_reaches_a_contrast_of_four_and_a_half(theme) -> None:
    background = Color.parse(theme.background)
    for name, hue in palette.hues(theme.dark).items():
        if name not in FAINT:
            assert Color.parse(hue).get_contrast_ratio(background) >= 4.5, name


def test_both_palettes_name_the_same_hues() -> None:
    assert palette.DARK_HUES.keys() == palette.LIGHT_HUES.keys()
    for theme in (palette.DARK, palette.LIGHT):
        assert set(palette.hues(theme.dark)) <= set(theme.variables)


def test_ascii_glyphs_are_ascii_and_single_where_cells_count() -> None:
    for field in dataclasses.fields(ASCII):
        plain = getattr(ASCII, field.name)
        if isinstance(plain, str):
            assert plain.isascii(), field.name
    cells = (
        "ok",
        "tight",
        "bad",
        "open",
        "close",
        "menu",
        "changed",
        "split",
        "colocated",
        "chosen",
        "other",
    )
    for name in (*cells, "cursor", "limit", "cloud", "full", "shade"):
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
