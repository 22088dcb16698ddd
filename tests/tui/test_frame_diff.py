"""What a terminal is sent: less than Textual writes, and the terminal shows the same."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.ansi import PLAIN, change, look_after, steps
from tui.frame_diff import FrameDiff

COLS, ROWS = 16, 5
LOOKS = ("", "1", "31", "38;2;9;8;7", "4;32", "7", "38;2;9;8;7;48;2;1;2;3", "48;2;1;2;3", "1;48;2;1;2;3")
WORDS = ("a", " ", "    ", "ab cd", "⠁⠂ ⠄", "x" * 9, "中文", "─" * 6)

Piece = tuple[int, int, str, str]  # row, column, codes of the look, text


def frame(pieces: Sequence[Piece]) -> str:
    """What Textual writes for some pieces of text."""
    sent = ""
    for row, col, look, text in pieces:
        size = sum(2 if char in "中文" else 1 for char in text)
        sent += f"\x1b[{row + 1};{min(col, COLS - size) + 1}H"
        sent += f"\x1b[{look}m{text}\x1b[0m" if look else text
    return sent + "\x1b[1;1H"


def shown(screen: pyte.Screen) -> list[object]:
    """What can be seen of a screen, cell by cell, and the place of the cursor."""
    seen: list[object] = [(screen.cursor.y, screen.cursor.x)]
    for row in range(ROWS):
        for col in range(COLS):
            cell = screen.buffer[row][col]
            dark = cell.data == " " and not (cell.reverse or cell.underscore)
            seen.append((cell.data, cell.bg, *(() if dark else (cell.fg, cell.bold, cell.reverse))))
    return seen


pieces = st.lists(
    st.tuples(
        st.integers(0, ROWS - 1),
        st.integers(0, COLS - 1),
        st.sampled_from(LOOKS),
        st.sampled_from(WORDS),
    ),
    max_size=9,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(pieces, min_size=1, max_size=3))
def test_the_terminal_shows_what_it_would_have_shown(frames: list[list[Piece]]) -> None:
    full, lean, diff = pyte.Screen(COLS, ROWS), pyte.Screen(COLS, ROWS), FrameDiff()
    for each in frames:
        pyte.Stream(full).feed(frame(each))
        pyte.Stream(lean).feed(diff.lean(frame(each)))
        assert shown(lean) == shown(full)


def test_what_is_shown_already_is_not_sent_again() -> None:
    diff, sent = FrameDiff(), frame([(0, 0, "38;2;1;2;3", "prefill"), (1, 0, "", "decode")])
    first = diff.lean(sent)
    assert "prefill" in first
    assert len(diff.lean(sent)) < len("\x1b[1;1H") + 1  # the place of the cursor, at most


def test_of_a_changed_line_only_the_change_is_sent() -> None:
    diff = FrameDiff()
    diff.lean(frame([(2, 3, "1;32", "1,000 tokens/s"), (3, 3, "1;32", "other")]))
    sent = diff.lean(frame([(2, 3, "1;32", "1,040 tokens/s"), (3, 3, "1;32", "other")]))
    assert "4" in sent
    assert "tokens" not in sent
    assert "other" not in sent


def test_points_of_a_curve_cost_little_more_than_themselves() -> None:
    diff = FrameDiff()
    diff.lean(frame([(row, 0, "", " " * COLS) for row in range(ROWS)]))
    curves = [(row, start + row, "31", "•") for row in range(ROWS) for start in (0, 9)]
    sent = diff.lean(frame(curves))
    around = len("\x1b[31m\x1b[m\x1b[H") + 2 * len("\x1b[5;9H")  # the colour, and a way to each of the curves
    assert len(sent) <= around + 2 * ROWS * len("•\x1b[B")


@pytest.mark.parametrize("down", [-3, -1, 1, 3])
@pytest.mark.parametrize("across", [-5, -1, 0, 1, 5])
def test_steps_are_those_that_every_terminal_takes_alike(down: int, across: int) -> None:
    sent = steps(down, across)
    assert re.fullmatch(r"(\x1b\[[0-9]*[ABCD]|\x1bM|\x08)*", sent), sent  # no line feed, no index
    screen = pyte.Screen(COLS, ROWS * 2)
    pyte.Stream(screen).feed(f"\x1b[5;9H{sent}")
    assert (screen.cursor.y, screen.cursor.x) == (4 + down, 8 + across)


@given(st.lists(st.sampled_from([1, 2, 3, 4, 7, 9, 31, 39, 48]), max_size=5), st.sampled_from(LOOKS))
def test_a_change_of_looks_leaves_nothing_of_the_one_before(codes: list[int], after: str) -> None:
    before = ";".join("48;2;1;2;3" if code == 48 else str(code) for code in codes)
    direct, anew = pyte.Screen(COLS, ROWS), pyte.Screen(COLS, ROWS)
    told = look_after(PLAIN, before), look_after(PLAIN, after)
    assert told[0] is not None and told[1] is not None
    pyte.Stream(direct).feed(f"\x1b[0;{before}m{change(*told)}x")
    pyte.Stream(anew).feed(f"\x1b[0;{after}mx")
    assert direct.buffer[0][0] == anew.buffer[0][0]


@pytest.mark.parametrize("foreign", ["\x1b[?1049h", "\x1b]52;c;YQ==\a", "\x07", "a\x1b[2J", "\x1b[58;5;1mx"])
def test_what_is_no_frame_goes_through_and_what_is_shown_is_not_known_after_it(foreign: str) -> None:
    diff, sent = FrameDiff(), frame([(0, 0, "", "prefill")])
    diff.lean(sent)
    assert diff.lean(foreign) == foreign
    assert "prefill" in diff.lean(sent)


def test_after_a_change_of_size_all_is_sent() -> None:
    diff, sent = FrameDiff(), frame([(0, 0, "", "prefill")])
    diff.lean(sent)
    diff.forget()
    assert "prefill" in diff.lean(sent)


def test_without_colours_no_colour_is_sent_and_what_stood_out_by_one_still_does() -> None:
    diff = FrameDiff(colours=False)
    ground = "48;2;18;22;28"
    sent = diff.lean(
        frame(
            [
                (0, 0, f"1;38;2;217;223;231;{ground}", "title"),
                (1, 0, f"38;2;54;65;79;{ground}", "border"),
                (1, 8, f"38;2;217;223;231;{ground}", "value"),
                (2, 0, "38;2;10;10;10;48;2;86;180;233", "cursor"),
            ]
        )
    )
    assert "38;" not in sent and "48;" not in sent
    screen = pyte.Screen(COLS, ROWS)
    pyte.Stream(screen).feed(sent)
    assert screen.buffer[0][0].bold and not screen.buffer[0][0].reverse
    assert screen.buffer[2][0].reverse and not screen.buffer[1][8].reverse
    assert "\x1b[2m" in sent or ";2m" in sent  # the border
