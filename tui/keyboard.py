"""What a terminal sends, bounded before it is read key by key, and what it is sent, in few bytes.

Textual reads its input a character at a time, takes what follows an escape inside a pasted text for keys
(a `q` in it would end the application), and queues every key of a flood. Here a sieve stands before its
parser: of a pasted text no escape and no more than a value needs is read, and what comes faster than it can
be handled is dropped at whole keys, with a word. The work for a paste is a few searches of its text. What
is no UTF-8, no character or no size ends nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import threading
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from textual import events
from textual._xterm_parser import XTermParser
from textual.driver import Driver
from textual.drivers._byte_stream import ByteStream
from textual.geometry import Size
from textual.keys import Keys
from textual.message import Message

from tui.frame_diff import FrameDiff
from tui.in_order import LONGEST_PASTE, Flood, InOrder

START, END = "\x1b[200~", "\x1b[201~"  # around a pasted text
MOST_WAITING = 128  # keys, clicks and moves of the mouse that may wait for their turn
MOST_COLUMNS, MOST_ROWS = 500, 200  # of a screen: what is said to be larger is drawn in this much
READ = 4096  # bytes at a time
LONGEST_SEQUENCE = 32  # characters after which Textual gives up on one

_KEY = re.compile(r"\x1b(?:\[M.{0,3}|\[[0-?]*[ -/]*[@-~]?|O[^\x1b]?|[^\x1b])?|.", re.S)
_BEGUN = re.compile(r"\x1b(?:\[M.{0,2}|\[[0-?]*[ -/]*|O)?\Z", re.S)
_MOVE = re.compile(r"\x1b\[<3[2-9];\d+;\d+M")  # of the mouse: the last one counts, and another follows


class Sieve:
    """What of a stream of characters a parser may read. The work is linear in the stream."""

    def __init__(self) -> None:
        self._pasting = False
        self._room = 0  # characters of this paste that may still pass
        self._held = ""  # not passed on yet: what follows tells what it is
        self._begun = ""  # a sequence of which the parser has this much

    def pass_on(self, data: str, most: int) -> tuple[str, bool]:
        """What may pass of the next piece, at most so many keys, and whether keys were dropped."""
        data, self._held = self._held + data, ""
        passed, dropped = [], False
        while data:
            if self._pasting:
                text, data = self._paste(data)
            else:
                text, data, lost = self._typed(data, most)
                dropped = dropped or lost
            passed.append(text)
        return "".join(passed), dropped

    def held(self) -> str:
        """What was kept back of a flood that is over."""
        if self._pasting:
            return ""
        held, self._held = self._held, ""
        self._begun = held
        return held

    def _paste(self, data: str) -> tuple[str, str]:
        text, mark, rest = data.partition(END)
        if not mark:
            text, self._held = _split_off(text, END)
        self._pasting = not mark
        kept = text.replace("\x1b", "")[: self._room]
        self._room -= len(kept)
        return kept + mark, rest

    def _typed(self, data: str, most: int) -> tuple[str, str, bool]:
        begun, text = self._begun, self._begun + data
        keys, mark, rest = text.partition(START)
        at = len(keys)
        if len(keys) - len(begun) > most:
            at = 0
            for _ in range(most + bool(begun)):  # one that has begun goes to its end
                found = _KEY.match(keys, at)
                if found is None:
                    break
                at = found.end()
        lost = keys[at:]
        if mark:
            self._pasting, self._room, self._begun = True, LONGEST_PASTE + 1, ""
        else:
            kept = _BEGUN.search(keys)
            self._begun = ""
            if kept is not None and kept.start() >= at:
                self._held, lost = kept[0], keys[at : kept.start()]
            elif kept is not None and len(kept[0]) < LONGEST_SEQUENCE:
                self._begun = kept[0]
        return (keys[:at] + mark)[len(begun) :], rest, _MOVE.sub("", lost) != ""


def _split_off(text: str, mark: str) -> tuple[str, str]:
    """A text, and what at its end may be the beginning of a mark.

    >>> _split_off("ab[2", "[201"), _split_off("ab", "[201")
    (('ab', '[2'), ('ab', ''))
    """
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if mark.startswith(text[-length:]):
            return text[:-length], text[-length:]
    return text, ""


class BoundedParser(XTermParser):
    """Textual's parser behind a sieve. `room` says how many more keys may wait."""

    def __init__(self, room: Callable[[], int]) -> None:
        super().__init__()
        self._keys_room, self._sieve, self._flood = room, Sieve(), False

    def feed(self, data: str) -> Iterator[Message]:
        """The events of the next piece; the first of a flood is `Flood`."""
        room = max(self._keys_room(), 0)
        if self._flood and room < MOST_WAITING:
            room = 0  # what is over of a flood goes to its end: a part of it could mean anything
        text, dropped = self._sieve.pass_on(data, room)
        if text:  # nothing at all would be the end of it
            yield from super().feed(text)
        if dropped and not self._flood:
            yield Flood()
        self._flood = dropped or (self._flood and room == 0)

    def tick(self) -> Iterable[Message]:
        """What time itself makes a key: an escape that nothing follows."""
        if self._keys_room() > 0 and (held := self._sieve.held()):
            yield from super().feed(held)
        yield from super().tick()

    def parse_mouse_code(self, code: str) -> Message | None:
        """As Textual's; None for a place that is none."""
        try:
            return super().parse_mouse_code(code)
        except (ArithmeticError, ValueError):
            return None

    def _parse_extended_key(self, sequence: str) -> list[events.Key] | None:  # type: ignore[override]
        """As Textual's; nothing for a number that is no character."""
        try:
            keys: list[events.Key] | None = super()._parse_extended_key(sequence)
        except (ValueError, OverflowError):
            return [events.Key(Keys.Ignore, sequence)]
        if keys and any("\ud800" <= char <= "\udfff" for key in keys for char in key.character or ""):
            return [events.Key(Keys.Ignore, sequence)]
        return keys


class Bounded(Driver):
    """The part that Textual's drivers share here."""

    sent = 0  # what the application has been sent to handle

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._diff = FrameDiff(colours=not os.environ.get("NO_COLOR"))

    def write(self, data: str) -> None:
        """Only what the terminal does not show already."""
        if lean := self._diff.lean(data):
            super().write(lean)  # type: ignore[safe-super]

    def forget(self) -> None:
        """What is shown is not known any more."""
        self._diff.forget()

    def size_now(self, told: Size) -> Size:
        """The size to draw, when the terminal has told of one."""
        return told

    def send_message(self, message: Message) -> None:
        """Counted, where the application is to count it off."""
        if isinstance(message, (events.InputEvent, events.Paste)):
            self.sent += 1
        super().send_message(message)

    def process_message(self, message: Message) -> None:
        """All but a size that is none."""
        if not isinstance(message, events.Resize) or _is_size(*message.size):
            super().process_message(message)

    def room(self) -> int:
        """How many more may wait."""
        taken = self._app.taken if isinstance(self._app, InOrder) else self.sent
        return MOST_WAITING - (self.sent - taken)

    def gone(self) -> None:
        """No one is at the other end any more."""
        if isinstance(self._app, InOrder):
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._app.hang_up, 129)


class _Terminal(Bounded):
    """For `LinuxDriver`."""

    fileno: int
    exit_event: threading.Event
    _in_band_window_resize: bool
    _must_signal_resume: bool

    def resume_application_mode(self) -> None:
        """As Textual's; whatever stopped the program, the application hears that it goes on."""
        self._must_signal_resume = True
        super().resume_application_mode()

    def run_input_thread(self) -> None:
        """Wait for input and hand on what it means."""
        parser, decode = BoundedParser(self.room), getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as ready:
            ready.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if ready.select(0.1):
                    try:
                        data = os.read(self.fileno, READ)
                    except OSError:
                        data = b""
                    if not data:
                        return self.gone()
                    for event in parser.feed(decode(data)):
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    def size_now(self, told: Size) -> Size:
        """What the terminal says now: a signal amid the handler of another is told of before it."""
        return told if self._in_band_window_resize else Size(*self._get_terminal_size())

    def _get_terminal_size(self) -> tuple[int, int]:
        width, height = super()._get_terminal_size()  # type: ignore[misc]  # of LinuxDriver
        return min(max(width, 1), MOST_COLUMNS), min(max(height, 1), MOST_ROWS)


class _Browser(Bounded):
    """For `WebDriver`."""

    exit_event: threading.Event
    _input_reader: Any
    _on_meta: Callable[[str, bytes], None]

    def run_input_thread(self) -> None:
        """Wait for packets and hand on what they mean."""
        parser, decode = BoundedParser(self.room), getincrementaldecoder("utf-8")("replace").decode
        packets = ByteStream()
        for data in self._input_reader:
            for kind, payload in packets.feed(data) if data else ():
                if kind == "D":
                    for event in parser.feed(decode(payload)):
                        self.process_message(event)
                else:
                    self._on_meta(kind, payload)
            for event in parser.tick():
                self.process_message(event)
        if not self.exit_event.is_set():
            self.gone()


def bounded(driver: type[Driver]) -> type[Driver]:
    """A driver of Textual's with its input bounded; those of tests and of Windows as they are."""
    for module, part in (("linux_driver", _Terminal), ("web_driver", _Browser)):
        if driver.__module__ == f"textual.drivers.{module}":
            return type(driver.__name__, (part, driver), {})
    return driver


def _is_size(width: int, height: int) -> bool:
    return 0 < width <= MOST_COLUMNS and 0 < height <= MOST_ROWS
