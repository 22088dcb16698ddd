"""How fast the application is on this machine: a key on the screen, a frontier on the screen, a start.

Keys go through the application as in a terminal, with the real planner and its thread; each frame is
made as a terminal would get it, and timed when it is ready instead of sent. The first paint is that of
a process of its own on a pseudo-terminal: from its start until the frame with the form has arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.evidence.bench import SCENARIO, p95
from planner.inputs.scenario import Scenario
from planner.units import format_seconds, three_digits

if TYPE_CHECKING:
    from textual.driver import Driver

SIZE = (120, 36)
PATIENCE_S = 60.0
STARTS = 5  # of the process; each takes about a second
OTHER_ROWS = ("osl", "ttl", "gpus")  # that edits are counted on, beside ISL
PAUSE_S = 0.6  # between edits: each is a single change that is looked at, not typing
TYPED_APART_S = 0.06


class Frames:
    """Tells when the first frame goes out after something has come to hold, and how much has gone out."""

    def __init__(self) -> None:
        self.sent_bytes = 0
        self._wanted: Callable[[], object] | None = None
        self._seen: asyncio.Future[float] | None = None

    def drawn(self) -> None:
        """A frame has gone out."""
        if self._wanted is not None and self._seen is not None and not self._seen.done() and self._wanted():
            self._seen.set_result(time.perf_counter())

    async def until(self, condition: Callable[[], object]) -> float:
        """The moment of the first frame with the condition true."""
        self._wanted, self._seen = condition, asyncio.get_running_loop().create_future()
        return await asyncio.wait_for(self._seen, PATIENCE_S)


def run(runs: int = 15) -> dict[str, Any]:
    """Measure.

    Parameters
    ----------
    runs
        Keys timed of each kind.

    Returns
    -------
    key_to_frontier_ms_p50, key_to_frontier_ms_p95
        From an arrow key on the row of ISL, 0.6 s after the last answer, until the frame with the new
        frontiers: the screen has looked ahead meanwhile (`Solver.look_ahead`).
    key_to_echo_ms_p50, key_to_echo_ms_p95
        From such a key that nobody could foresee, as another field has changed at the same moment, until the
        frame with the new value, while the plan is made.
    unforeseen_to_frontier_ms_p50, unforeseen_to_frontier_ms_p95
        From the same key until the frame with the new frontiers.
    typed_to_frontier_ms_p50, typed_to_frontier_ms_p95
        From the last of four digits typed 60 ms apart until the frame with its frontiers.
    edit_bytes_p50, edit_bytes_p95
        That a terminal of 120x36 in full colour is sent for one step on a row (ISL, OSL, TTL and GPUs in
        turn) that was not foreseen, from the key until the plan stands.
    first_paint_ms_p50
        From the start of a process until its first frame, its modules compiled by an earlier start, as
        they are once installed; None where there are no pseudo-terminals.
    """
    step, echo, unforeseen, typed, sent = asyncio.run(_keys(runs))
    seen = first_paints_s(min(STARTS, runs))
    return {
        "key_to_frontier_ms_p50": 1e3 * statistics.median(step),
        "key_to_frontier_ms_p95": 1e3 * p95(step),
        "key_to_echo_ms_p50": 1e3 * statistics.median(echo),
        "key_to_echo_ms_p95": 1e3 * p95(echo),
        "unforeseen_to_frontier_ms_p50": 1e3 * statistics.median(unforeseen),
        "unforeseen_to_frontier_ms_p95": 1e3 * p95(unforeseen),
        "typed_to_frontier_ms_p50": 1e3 * statistics.median(typed),
        "typed_to_frontier_ms_p95": 1e3 * p95(typed),
        "edit_bytes_p50": round(statistics.median(sent)),
        "edit_bytes_p95": round(p95(sent)),
        "first_paint_ms_p50": 1e3 * statistics.median(seen) if seen else None,
    }


def to_text(result: dict[str, Any]) -> str:
    """The measurements for people."""

    def line(name: str, key: str) -> str:
        p50, p95 = (format_seconds(result[f"{key}_ms_{p}"] / 1e3) for p in ("p50", "p95"))
        return f"{name:<18}{p50} (95 % within {p95})"

    lines = [
        line("key to frontier", "key_to_frontier"),
        line("key to echo", "key_to_echo"),
        line("unforeseen key", "unforeseen_to_frontier"),
        line("typed to frontier", "typed_to_frontier"),
    ]
    few, many = (result[f"edit_bytes_{p}"] / 1e3 for p in ("p50", "p95"))
    lines.append(f"{'sent per edit':<18}{three_digits(few)} kB (95 % within {three_digits(many)} kB)")
    if result["first_paint_ms_p50"] is not None:
        lines.append(f"{'first paint':<18}{format_seconds(result['first_paint_ms_p50'] / 1e3)}")
    return "\n".join(lines)


def _differs(value: Callable[[], int], before: int) -> bool:
    return value() != before


def _stepped(value: Callable[[], int], before: int, picture: Callable[[], bool]) -> bool:
    return value() != before and picture()


def _shown(value: Callable[[], int], wanted: int, picture: Callable[[], bool]) -> bool:
    return value() == wanted and picture()


async def _keys(runs: int) -> tuple[list[float], ...]:
    """Seconds of each kind in the order of `run`, and bytes."""
    from tui.app import RatematchApp
    from tui.files.storage import Session
    from tui.solver.backend import Backend
    from tui.solver.worker import Planner

    known: dict[Scenario, Any] = {}
    answer = Planner()

    def plan(scenario: Scenario, *, on_frontier: Callable[..., None] | None = None, **rest: Any) -> Any:
        def note(split: Any, *more: Any) -> None:
            known[scenario] = split
            if on_frontier is not None:
                on_frontier(split, *more)

        found = answer(scenario, on_frontier=note if on_frontier is not None else None, **rest)
        known[scenario] = found.frontier_disaggregated
        return found

    os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}  # read when the application is made
    app = RatematchApp(
        Session(scenario=SCENARIO), backend=Backend(plan_fn=plan, again_fn=answer.asking, looks_ahead=True)
    )
    app.animation_level = "none"
    frames = Frames()
    main = app.main

    def isl() -> int:
        return main.view.scenario.traffic.isl

    def picture() -> bool:
        """Whether the frontiers on the screen are those of the form."""
        shown = main.view.frontiers
        return shown is not None and shown[0] is known.get(main.view.scenario)

    async def settled() -> None:
        end = time.perf_counter() + PATIENCE_S
        while not main.view.current and time.perf_counter() < end:
            await asyncio.sleep(0.02)
        await asyncio.sleep(PAUSE_S)

    app.driver_class = timed(frames)
    running = asyncio.create_task(app.run_async(size=SIZE, mouse=False))
    try:
        await settled()
        main.query_one("#knob-isl").focus()
        await asyncio.sleep(PAUSE_S)
        step, echo, unforeseen, typed, sent = [], [], [], [], []

        def new_question(i: int) -> int:
            """A value never planned before: nothing is remembered. The bytes sent so far."""
            main.history.edit(replace(main.history.present, headroom=1e-4 * (i + 1)))
            return frames.sent_bytes

        for i in range(runs):
            new_question(5 * runs + i)
            main.take(main.history.present)
            await settled()
            before = isl()
            start = time.perf_counter()
            press(app, "right" if i % 4 < 2 else "left")
            step.append(await frames.until(partial(_stepped, isl, before, picture)) - start)
            await settled()
        for i in range(runs):
            before, already = isl(), new_question(i)
            start = time.perf_counter()
            press(app, "right" if i % 4 < 2 else "left")
            echo.append(await frames.until(partial(_differs, isl, before)) - start)
            unforeseen.append((start if picture() else await frames.until(picture)) - start)
            await settled()
            sent.append(float(frames.sent_bytes - already))
        for at, key in enumerate(OTHER_ROWS, 1):
            main.query_one(f"#knob-{key}").focus()
            await asyncio.sleep(PAUSE_S)
            for i in range(-(-runs // 4)):
                already = new_question(at * runs + i)
                press(app, "right" if i % 4 < 2 else "left")
                await frames.until(picture)
                await settled()
                sent.append(float(frames.sent_bytes - already))
        main.query_one("#knob-isl").focus()
        await asyncio.sleep(PAUSE_S)
        for i in range(runs):
            keys = str(8100 + i)
            press(app, "enter")
            for key in keys[:-1]:
                press(app, key)
                await asyncio.sleep(TYPED_APART_S)
            start = time.perf_counter()
            press(app, keys[-1])
            typed.append(await frames.until(partial(_shown, isl, int(keys), picture)) - start)
            await settled()
            press(app, "enter")
            await asyncio.sleep(PAUSE_S)
    finally:
        app.exit()
        await running
    return step, echo, unforeseen, typed, sent


def timed(frames: Frames) -> type[Driver]:
    """A terminal that shows nothing and tells of every frame."""
    from textual.drivers.headless_driver import HeadlessDriver

    from tui.frame_diff import FrameDiff

    diff = FrameDiff()  # as before any terminal

    class Timed(HeadlessDriver):
        @property
        def is_headless(self) -> bool:
            return False

        def write(self, data: str) -> None:
            frames.sent_bytes += len(diff.lean(data).encode())
            if data:
                frames.drawn()

    return Timed


def press(app: Any, key: str) -> None:
    from textual import events

    app.post_message(events.Key(key, key if len(key) == 1 else None))


def first_paints_s(starts: int) -> list[float]:
    """Some starts, after one that is not counted; none where there are no pseudo-terminals."""
    try:
        import pty  # noqa: F401
    except ImportError:  # Windows
        return []
    with tempfile.TemporaryDirectory() as folder:
        found = [_first_paint_s(folder) for _ in range(starts + 1)]
    return [start for start in found[1:] if start is not None]


def _first_paint_s(folder: str) -> float | None:
    """One start on a pseudo-terminal, with a home and compiled modules of its own."""
    import pty

    master, slave = pty.openpty()
    _size(slave)
    home = {f"XDG_{name}_HOME": folder for name in ("CONFIG", "DATA", "STATE", "CACHE")}
    environ = {**os.environ, **home, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    environ["PYTHONPYCACHEPREFIX"] = folder
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tui.cli"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=Path(__file__).parents[2],
        env=environ,
        start_new_session=True,
    )
    try:
        return _until(master, b"Inputs", start)
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


def _size(terminal: int) -> None:
    with contextlib.suppress(ImportError, OSError):
        import fcntl
        import struct
        import termios

        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))


def _until(terminal: int, word: bytes, start: float) -> float | None:
    sent, end = b"", start + PATIENCE_S
    while time.perf_counter() < end:
        if select.select([terminal], [], [], 0.05)[0]:
            sent += os.read(terminal, 65536)
            if word in sent:
                return time.perf_counter() - start
    return None
