"""A program on a pseudo-terminal of its own, and what its screen shows."""

from __future__ import annotations

import fcntl
import os
import re
import select
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte

ROOT = Path(__file__).parents[2]
COLUMNS, ROWS = 120, 36
PATIENCE_S = 120.0  # a bound for a stuck program, not a measurement
# queries and modes that pyte does not know and would print in part
_UNKNOWN_TO_PYTE = re.compile(
    rb"\x1b\[[<=>][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$p|\x1b\[[0-9;]*\$p|\x1bP.*?\x1b\\", re.S
)

_LAST = b"\x1bPthat is all\x1b\\"


def free_port() -> int:
    """A port that no one listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


class Emulator:
    """What a terminal shows that was sent these bytes."""

    def __init__(self, columns: int = COLUMNS, rows: int = ROWS) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    def feed(self, data: bytes) -> None:
        """Draw what came."""
        self._stream.feed(_UNKNOWN_TO_PYTE.sub(b"", data))

    @property
    def text(self) -> str:
        """The screen as lines."""
        return "\n".join(self._screen.display)


class Terminal:
    """A program on a pseudo-terminal, and what its screen shows."""

    def __init__(
        self,
        arguments: Sequence[str],
        home: Path,
        rows: int = ROWS,
        columns: int = COLUMNS,
        *,
        environ: Mapping[str, str | None] = {},
        program: Sequence[str] = ("-m", "tui.cli"),
    ) -> None:
        self.master, self.slave = os.openpty()
        self.size(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.hung_up = False
        self.sent = b""
        folders = {
            f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")
        }
        unwanted = (
            "NO_COLOR",
            "TEXTUAL_DRIVER",
            "LC_ALL",
            "LC_CTYPE",
            "SSH_CONNECTION",
            "TMUX",
            "RATEMATCH_CONFIG",
            # parallel test workers export a size, and a program that reads it hears of no resize
            "COLUMNS",
            "LINES",
        )
        environment: dict[str, str | None] = {k: v for k, v in os.environ.items() if k not in unwanted}
        environment |= {**folders, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environ}
        self.process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            cwd=ROOT,
            env={k: v for k, v in environment.items() if v is not None},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # its own: it hears of hang-ups
        )

    def read(self, seconds: float) -> None:
        """Take in what the program sends within this time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.master], [], [], min(left, 0.05))[0]:
                continue
            self._take_in()

    def wait_for(self, *patterns: str) -> str:
        """The screen's text once all these are on it."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self.read(0.1)
            text = self.text
            if all(re.search(pattern, text) for pattern in patterns):
                return text
            assert self.process.poll() is None, f"left with {self.process.returncode}:\n{text}"
        raise AssertionError(f"not on the screen: {patterns}\n{text}")

    def size(self, rows: int, columns: int) -> None:
        """Make the terminal this big."""
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.emulator = Emulator(columns, rows)

    def hang_up(self) -> None:
        """The terminal vanishes."""
        os.close(self.slave)
        os.close(self.master)
        self.hung_up = True

    def bracket_frames(self) -> None:
        """Answer that synchronised output is understood: from now on `whole` can tell half a frame."""
        self.type("\x1b[?2026;2$y")

    @property
    def whole(self) -> bool:
        """Whether the last frame that has begun has come to its end."""
        return self.sent.rfind(b"\x1b[?2026l") >= self.sent.rfind(b"\x1b[?2026h")

    @property
    def threads(self) -> int:
        """Threads of the program."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/task").iterdir())

    @property
    def text(self) -> str:
        """The screen as lines."""
        return self.emulator.text

    def until(self, condition: Callable[[str], object], what: str = "") -> str:
        """The screen's text once something holds of it."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self.read(0.05)
            if condition(self.text):
                return self.text
        raise AssertionError(f"never came: {what}\n{self.text}")

    def type(self, keys: str) -> None:
        """Press keys."""
        self.write(keys.encode())

    def write(self, data: bytes) -> None:
        """Send bytes, taking in what the program sends meanwhile, so that neither waits for the other."""
        while data:
            reads, writes, _ = select.select([self.master], [self.master], [], PATIENCE_S)
            assert reads or writes, self.text
            if reads:
                self._take_in()
            if writes:
                data = data[os.write(self.master, data[:1024]) :]

    def _take_in(self) -> None:
        data = os.read(self.master, 65536)
        self.sent += data
        self.emulator.feed(data)

    def leave(self) -> int:
        """The exit code, once the program has ended."""
        end = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < end:
            if self.hung_up:
                time.sleep(0.05)
            else:
                self.read(0.05)
        code = self.process.poll()
        assert code is not None, f"did not leave:\n{self.text}"
        if not self.hung_up:  # what it sent last may still be on its way; this comes after it
            while not select.select([], [self.slave], [], 0)[1]:  # a program that was killed leaves it full
                self.read(0.05)
            os.write(self.slave, _LAST)
            while _LAST not in self.sent:
                self._take_in()
            self.sent = self.sent.replace(_LAST, b"")
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if not self.hung_up:
            self.hang_up()
