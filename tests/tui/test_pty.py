"""The application in a real pseudo-terminal: it draws, leaves, and puts the terminal back."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

from planner.fields import FIELDS

ROOT = Path(__file__).parents[2]
COLUMNS, ROWS = 120, 36
PATIENCE_S = 60.0  # a bound for a stuck program, not a measurement
# queries and modes that pyte does not know and would print in part
_UNKNOWN_TO_PYTE = re.compile(
    rb"\x1b\[[<=>][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$p|\x1b\[[0-9;]*\$p|\x1bP.*?\x1b\\", re.S
)


class Terminal:
    """A program on a pseudo-terminal, and what its screen shows."""

    def __init__(self, arguments: list[str], home: Path, rows: int = ROWS, columns: int = COLUMNS) -> None:
        self.master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.sent = b""
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        folders = {
            f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")
        }
        environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TEXTUAL_DRIVER")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui.cli", *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            cwd=ROOT,
            env={**environment, **folders, "TERM": "xterm-256color", "LANG": "C.UTF-8"},
            start_new_session=True,
        )

    def read(self, seconds: float) -> None:
        """Take in what the program sends within this time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.master], [], [], min(left, 0.05))[0]:
                continue
            data = os.read(self.master, 65536)
            self.sent += data
            self.stream.feed(_UNKNOWN_TO_PYTE.sub(b"", data))

    def wait_for(self, *patterns: str) -> str:
        """The screen's text once all these are on it."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self.read(0.1)
            text = "\n".join(self.screen.display)
            if all(re.search(pattern, text) for pattern in patterns):
                return text
            assert self.process.poll() is None, f"left with {self.process.returncode}:\n{text}"
        raise AssertionError(f"not on the screen: {patterns}\n{text}")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def leave(self) -> int:
        """The exit code, once the program has ended."""
        end = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        self.read(0.1)
        return self.process.wait(timeout=1)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    arguments = ["--model", "llama-3.1-8b", "--system", "h100", "--gpus", "8", "--isl", "2k", "--osl", "256"]
    shown = Terminal(arguments, tmp_path)
    yield shown
    shown.close()


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
    terminal.type("j" * [field.key for field in FIELDS].index("gpus"))  # the form's order
    for gpus in (4, 2, 1):
        terminal.type("\x1b[D")
        terminal.wait_for(f" {gpus} h100")
    terminal.wait_for("1×TP1")
    terminal.type("\x1a")  # ctrl+z is undo, not suspend
    terminal.wait_for(" [248] h100")
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
