"""The application in a real pseudo-terminal: it draws, leaves, and puts the terminal back."""

from __future__ import annotations

import contextlib
import os
import signal
import termios
from pathlib import Path

from terminals import COLUMNS, ROWS, Terminal

from tui.panes.inputs import COMMON


def test_the_application_draws_a_plan_and_q_puts_the_terminal_back(terminal: Terminal) -> None:
    terminal.wait_for("ratematch", "llama-3.1-8b", r"tokens/s per GPU", r"\d+×(TP|TEP|DEP|CPP)\d")
    assert b"\x1b[?1049h" in terminal.sent
    terminal.type("q")
    assert terminal.leave() == 0
    assert terminal.sent.rindex(b"\x1b[?1049l") > terminal.sent.rindex(b"\x1b[?1049h")
    assert terminal.sent.rindex(b"\x1b[?25h") > terminal.sent.rindex(b"\x1b[?25l")
    assert b"\x1b[?1000l" in terminal.sent  # the mouse is given back
    assert termios.tcgetattr(terminal.slave) == terminal.before
    assert b"Traceback" not in terminal.sent


def test_an_edit_changes_the_plan_on_the_screen(terminal: Terminal) -> None:
    terminal.wait_for("8 h100", r"\d+×TP\d")
    terminal.type("j" * COMMON.index("gpus"))  # the form's order
    for gpus in (4, 2, 1):
        terminal.type("\x1b[D")
        terminal.wait_for(f" {gpus} h100")
    terminal.wait_for("1×TP1")
    terminal.type("\x1a")  # ctrl+z is undo, not suspend
    terminal.wait_for(" [248] h100")
    terminal.type("q")
    assert terminal.leave() == 0


def test_a_size_that_comes_and_goes_leaves_a_whole_screen(terminal: Terminal) -> None:
    """What a smaller terminal cut off was lost: the size is that of the last frame, which drew nothing."""
    text = terminal.wait_for("up to date", "q quit")
    for rows, columns in ((24, 80), (ROWS, COLUMNS)):
        terminal.size(rows, columns)  # from here on the screen is empty
        os.kill(terminal.process.pid, signal.SIGWINCH)
    terminal.until(lambda now: now == text, "the screen as it was")
    terminal.type("q")
    assert terminal.leave() == 0


def test_bad_input_on_a_terminal_never_opens_the_application(tmp_path: Path) -> None:
    terminal = Terminal(["--isl", "-5"], tmp_path)
    try:
        assert terminal.leave() == 2
        assert terminal.sent.decode().strip().startswith("ratematch: isl: '-5' is not accepted")
        assert b"\x1b[?1049h" not in terminal.sent
        assert termios.tcgetattr(terminal.slave) == terminal.before
    finally:
        terminal.close()


def test_a_program_that_leaves_its_terminal_full_is_read_to_the_end(tmp_path: Path) -> None:
    """Of the tests themselves: the word behind its last one had no room, and was waited for without end."""
    shown = Terminal([], tmp_path, program=("-c", ""))
    try:
        shown.process.wait()
        os.set_blocking(shown.slave, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(shown.slave, b"y")
        os.set_blocking(shown.slave, True)
        assert shown.leave() == 0 and set(shown.sent) == {ord("y")}
    finally:
        shown.close()
