"""What many edits leave behind: the memory of an application that was used for long, and what it does idle.

The application runs in a process of its own, with the real planner; keys come as from a terminal, each
when the plan of the one before stands, and each asks for what was never planned before.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from planner.output.as_json import dumps
from planner.units import three_digits

SIZE = (120, 36)
ROWS = ("isl", "osl", "ttl", "gpus")
FIRST = 20  # edits after which all that is imported and remembered once is there
IDLE_S = 10.0
AHEAD_S = 0.2  # after which the screen has begun to look ahead
PATIENCE_S = 60.0


def run(edits: int) -> dict[str, Any]:
    """Measure.

    Returns
    -------
    edits
        As asked.
    memory_mb_first, memory_mb_last
        Resident memory after the first 20 edits, and after all, in 10⁶ bytes; None where /proc is not there.
    idle_cpu_percent
        Of one core, over ten seconds in which nothing is pressed, once the screen has looked ahead.
    """
    code = f"from tui.cli import bench_edits; bench_edits.child({edits})"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[2]
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def to_text(result: dict[str, Any]) -> str:
    """The measurements for people."""
    lines = [f"{'idle':<18}{three_digits(result['idle_cpu_percent'])} % of a core"]
    if result["memory_mb_last"] is not None:
        first, last = (three_digits(result[f"memory_mb_{name}"]) for name in ("first", "last"))
        lines.append(f"{'memory':<18}{last} MB after {result['edits']:,} edits ({first} MB after {FIRST})")
    return "\n".join(lines)


def child(edits: int) -> None:
    """The process: one line of JSON on stdout."""
    found = asyncio.run(_edit(edits))
    print(dumps(found, indent=None), file=sys.__stdout__)


async def _edit(edits: int) -> dict[str, Any]:
    from planner.evidence.bench import SCENARIO
    from tui.app import RatematchApp
    from tui.cli.bench_screen import Frames, press, timed
    from tui.files.storage import Session

    app = RatematchApp(Session(scenario=SCENARIO))
    app.animation_level = "none"
    app.driver_class = timed(Frames())
    main = app.main

    async def settled() -> None:
        end = time.perf_counter() + PATIENCE_S
        while not (main.view.current and main.view.scenario == main.history.present):
            if time.perf_counter() > end:
                raise TimeoutError("no plan within a minute")
            await asyncio.sleep(0.01)

    running = asyncio.create_task(app.run_async(size=SIZE, mouse=False))
    first = None
    try:
        await settled()
        for i in range(edits):
            main.query_one(f"#knob-{ROWS[i // 4 % len(ROWS)]}").focus()
            main.history.edit(replace(main.history.present, headroom=1e-4 * (i % 1000 + 1)))
            before = main.view.scenario
            press(app, "right" if i % 4 < 2 else "left")
            while main.view.scenario is before:
                await asyncio.sleep(0.005)
            await settled()
            if i + 1 == FIRST:
                first = _memory_mb()
        await asyncio.sleep(AHEAD_S)
        while main.solver.looking_ahead:
            await asyncio.sleep(0.01)
        last = _memory_mb()
        used, since = time.process_time(), time.perf_counter()
        await asyncio.sleep(IDLE_S)
        idle = 100.0 * (time.process_time() - used) / (time.perf_counter() - since)
    finally:
        app.exit()
        await running
    return {
        "edits": edits,
        "memory_mb_first": first if first is not None else last,
        "memory_mb_last": last,
        "idle_cpu_percent": idle,
    }


def _memory_mb() -> float | None:
    """Resident memory of this process, 10⁶ bytes; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError):
        return None
