"""Ends: signals while it starts, sockets that are dropped, kills while it saves. All as real processes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz import harness

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tui"))

SMALL = ["--model", "llama-3.1-8b", "--system", "h100", "--gpus", "8"]
SOCKETS = 8  # at once
TEXTS = ("a" * 200_000, "b" * 200_000)
SAVER = """
import sys
from pathlib import Path
from planner.inputs import files
print("ready", flush=True)
while True:
    for text in ("a" * 200_000, "b" * 200_000):
        files.write_atomically(Path(sys.argv[1]), text)
"""


def signals(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` starts that are told to end, some before the first screen is made."""
    from terminals import Terminal

    codes = {"ctrl+q": 0, "SIGTERM": 143, "SIGHUP": 129, "SIGINT": 130, "gone": 129}
    for i in range(count):
        chance = harness.dice(seed, "signals", i)
        how = chance.choice(list(codes))
        with tempfile.TemporaryDirectory() as home:
            shown = Terminal(SMALL, Path(home))
            try:
                shown.until(lambda _: shown.sent, "a byte")  # noqa: B023
                shown.read(chance.choice((0.0, chance.uniform(0, 0.5), chance.uniform(0, 3))))
                if how == "ctrl+q":
                    shown.type("\x11")
                elif how == "gone":
                    shown.hang_up()
                else:
                    shown.process.send_signal(getattr(signal, how))
                code = shown.leave()
                restored = how == "gone" or (
                    shown.sent.rfind(b"\x1b[?1049l") > shown.sent.rfind(b"\x1b[?1049h")
                    and termios.tcgetattr(shown.slave) == shown.before
                )
                log = Path(home) / "state" / "ratematch" / "errors.log"
                if code not in (codes[how], -signal.SIGHUP if how == "gone" else codes[how]):
                    yield f"signals {i} (seed {seed}): {how} gave {code}"
                if not restored:
                    yield f"signals {i} (seed {seed}): {how} left the terminal as it was"
                if log.exists():
                    yield f"signals {i} (seed {seed}): {how}: {log.read_text()[-800:]}"
            except AssertionError as error:
                yield f"signals {i} (seed {seed}): {how}: {str(error)[:800]}"
            finally:
                shown.close()


def sockets(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` pages that come in by the door of `serve` and go at any moment."""
    said = io.StringIO()  # by the server, and by applications on standard error
    with harness.surroundings(), contextlib.redirect_stdout(said):
        found = asyncio.run(_visits(seed, count))
    yield from found
    if said.getvalue():
        yield f"sockets (seed {seed}): {said.getvalue()[-1000:]}"


async def _visits(seed: int, count: int) -> list[str]:
    import aiohttp

    from tui.web import door, server

    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = int(probe.getsockname()[1])
    os.chdir(Path(__file__).resolve().parents[2])
    way_in, found = door.new("localhost", port), []
    serving = server.Server([sys.executable, "-m", "tui.cli", *SMALL], way_in, most_sessions=SOCKETS)
    listening = asyncio.Event()
    task = asyncio.create_task(serving.run(listening.set))
    await listening.wait()
    own = f"http://localhost:{port}"
    said = {"Cookie": f"{way_in.cookie}={way_in.token}", "Origin": own}

    async def visit(i: int, session: aiohttp.ClientSession) -> None:
        chance = harness.dice(seed, "sockets", i)
        connected = await session.ws_connect(
            f"{own}/ws?width={chance.randint(-5, 10**9)}&height=30", headers=said
        )
        end = time.monotonic() + chance.choice((0.0, chance.uniform(0, 1), chance.uniform(1, 6)))
        with contextlib.suppress(asyncio.TimeoutError, TypeError, ConnectionError):
            while (left := end - time.monotonic()) > 0:
                news = await asyncio.wait_for(connected.receive(), left)
                if news.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                    found.append(f"sockets {i} (seed {seed}): closed by the server")
                    break
                if chance.random() < 0.2:
                    await connected.send_json(["stdin", chance.choice(("j", "3", "\x1b", "\r", "o"))])
        if chance.random() < 0.5:
            await connected.close()
        else:  # the line is cut
            transport = connected.get_extra_info("transport") or connected._response.connection.transport
            transport.abort()

    async with aiohttp.ClientSession() as session:
        for first in range(0, count, SOCKETS):
            await asyncio.gather(*(visit(i, session) for i in range(first, min(first + SOCKETS, count))))
            end = time.monotonic() + 60
            while serving.sessions and time.monotonic() < end:
                await asyncio.sleep(0.05)
            if serving.sessions:
                found.append(f"sockets {first} (seed {seed}): {serving.sessions} sessions are left")
                break
    left = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True
    ).stdout
    found += [
        f"sockets (seed {seed}): a process is left: {line}" for line in left.splitlines() if "tui.cli" in line
    ]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return found


def kills(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` processes killed while they save."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "session.json"
        path.write_text(TEXTS[0])
        for i in range(count):
            chance: random.Random = harness.dice(seed, "kills", i)
            with subprocess.Popen(
                [sys.executable, "-S", "-c", SAVER, str(path)],
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            ) as process:
                assert process.stdout is not None and process.stdout.readline()
                time.sleep(chance.uniform(0, 0.02))
                process.kill()
            if path.read_text() not in TEXTS:
                yield f"kills {i} (seed {seed}): the file is damaged"
