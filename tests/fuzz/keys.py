"""What a terminal sends: keys, pastes, the mouse, sizes. A key may end the application, a fault never.

The stream is read by the application's own parser, the planner is the one of the tests that answers at once.
"""

from __future__ import annotations

import asyncio
import random
import string
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from textual import events
from textual.geometry import Size
from textual.pilot import Pilot, WaitForScreenTimeout

from planner.errors import printable
from tests.fuzz import harness, hostile
from tui.app import RatematchApp
from tui.in_order import LONGEST_PASTE
from tui.keyboard import END, MOST_WAITING, START, BoundedParser

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tui"))

import fakes

KEY_S = 0.1  # of processor time for each event of a packet, beside what a hang is
BATCH = 250  # inputs for one application
LETTERS = string.ascii_letters + string.digits + string.punctuation + " "
CONTROLS = [chr(code) for code in range(1, 32) if code not in (0x03, 0x11, 0x1B)]  # ends are another class
ARROWS = [f"\x1b[{end}" for end in "ABCDHF"] + [f"\x1b[1;{mod}{end}" for mod in "2356" for end in "ABCD"]
FUNCTIONS = [f"\x1b[{number}~" for number in (1, 2, 3, 4, 5, 6, 11, 15, 17, 21, 24)] + ["\x1b[Z", "\x1bOP"]
MOVES = ["\r", "\t", "\x1b", "\x7f", "\x1b[Z", *"jkhl[]12345?/epowtxLavr"]
OTHERS = ["é", "漢", "\u0301", "🙂", "\u200b", "\u202e", "\x9b", "\xa0", "½", "٣", "\uffff", "\U000e0001"]
HALF = [
    "\x1b[",
    "\x1b[<",
    "\x1b[200",
    "\x1b]0;x\x07",
    "\x1bPq\x1b\\",
    "\x1b[99999999999u",
    "\x1b[48;0;0;0;0t",
    "\x1b[?1;2c",
]


def keys(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` keys, in bursts."""

    def make(chance: random.Random) -> str:
        kinds = (LETTERS, CONTROLS, ARROWS, FUNCTIONS, MOVES, OTHERS, HALF, hostile.WORDS)
        return str(chance.choice(chance.choices(kinds, (20, 5, 20, 8, 35, 5, 3, 4))[0]))

    return _tried("keys", seed, count, make)


def pastes(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` pastes, of a byte or of 100 kB."""

    def make(chance: random.Random) -> str:
        pieces = [
            "\x1b[31m",
            "\x1b",
            "7",
            "lorem ",
            "\x1b]52;c;",
            "q",
            "\r\n",
            "[/x]",
            "\x00",
            "漢",
            *hostile.WORDS,
        ]
        kinds = [chance.choice(pieces) for _ in range(chance.randint(1, 4))]
        text = ("".join(kinds)[:1000] * chance.choice((1, 1, 3, LONGEST_PASTE // 8, 5_000)))[:1_000_000]
        return chance.choice(("", "\t", "j", "o", "w", "e", "\r")) + START + text.replace(END, "") + END

    return _tried("pastes", seed, count, make)


def mouse(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` clicks, moves and turns of the wheel."""

    def make(chance: random.Random) -> str:
        button = chance.choice((0, 0, 0, 1, 2, 35, 35, 32, 64, 65, 66, 4, 8, 16))
        column, row = chance.randint(-1, 130), chance.randint(-1, 40)
        press = f"\x1b[<{button};{column};{row}M"
        release = f"\x1b[<{button};{column};{row}m"
        return press + release * (chance.random() < 0.8) + chance.choice(("", "", *MOVES))

    return _tried("mouse", seed, count, make)


def resizes(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` sizes, from one cell on, with keys between them."""

    def make(chance: random.Random) -> Size | str:
        if chance.random() < 0.3:
            return chance.choice(MOVES)
        return Size(chance.choice((1, 2, 20, 79, 80, 120, 240)) + chance.randint(0, 3), chance.randint(1, 70))

    return _tried("resizes", seed, count, make)


def _tried(name: str, seed: int, count: int, make: Callable[[random.Random], Size | str]) -> Iterator[str]:
    harness.slowest[name] = 0.0
    with harness.surroundings():
        for first in range(0, count, BATCH):
            inputs = [make(harness.dice(seed, name, i)) for i in range(first, min(first + BATCH, count))]
            while inputs:
                problem, used = asyncio.run(_one(name, inputs, harness.dice(seed, name, -first - 1)))
                if problem:
                    shown = repr(inputs[max(used - 30, 0) : used])[-600:]
                    yield printable(f"{name} {first}+{used} (seed {seed}): {problem}: {shown}", 1500)
                inputs = inputs[used:]


async def _one(name: str, inputs: list[Size | str], chance: random.Random) -> tuple[str, int]:
    """What went wrong with an application, and how much it took before it left or the inputs ended."""
    app = fakes.app(ascii=chance.random() < 0.2)
    used = 0
    try:
        size = chance.choice(((80, 24), (80, 24), (80, 24), (120, 36)))
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            await fakes.settled(pilot)
            parser = BoundedParser(lambda: MOST_WAITING)
            while used < len(inputs) and app.is_running and not app.leaving:
                burst = chance.choice((1, 4, 24))
                begin = time.process_time()
                with app.batch_update():  # painted once: most of the time is painting
                    sent = await _send(app, parser, inputs[used : used + burst])
                await _quiet(pilot)
                took = time.process_time() - begin
                harness.slowest[name] = max(harness.slowest[name], took)
                used = min(used + burst, len(inputs))
                if took > harness.LONGEST_S + sent * KEY_S:
                    return f"{took:.1f} s", used
            if app.is_running and not app.leaving:
                text = fakes.screen_text(app)
                if not all(line.isprintable() for line in text.split("\n")):
                    return "a character that a terminal would obey", used
    except (Exception, AssertionError) as error:
        return f"{type(error).__name__}: {error}", max(used, 1)
    return "", max(used, 1)


async def _quiet(pilot: Pilot[None]) -> None:
    """Wait for every widget. One that leaves meanwhile never answers: they are then asked again."""
    try:
        await pilot.pause(0)
    except WaitForScreenTimeout:
        await pilot.pause(0)


async def _send(app: RatematchApp, parser: BoundedParser, inputs: list[Size | str]) -> int:
    """Put all of it into the application's queue at once, as a packet does, and wait until it is handled.

    Returns how many events it was.
    """
    sent = 0
    for what in inputs:
        if isinstance(what, Size):
            app._driver._size = what  # type: ignore[union-attr]  # as Textual's own pilot does
            found: list[object] = [events.Resize(what, what)]
        else:
            found = [*parser.feed(what), *parser.tick()]
        sent += len(found)
        for event in found:
            event.set_sender(app)  # type: ignore[attr-defined]
            app.post_message(event)  # type: ignore[arg-type]
    done = asyncio.Event()
    if app.call_later(done.set):
        left = asyncio.ensure_future(done.wait())
        while not left.done() and not app.leaving and app.is_running:
            await asyncio.wait((left,), timeout=0.5)
        left.cancel()
    return sent
