"""What a terminal sends is bounded: pastes of any size, floods of keys, bytes that mean nothing."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import fakes
import pytest
from terminals import Terminal
from textual import events
from textual.message import Message

from tui import keyboard
from tui.in_order import LONGEST_PASTE, Flood
from tui.keyboard import END, MOST_WAITING, START, BoundedParser, Sieve
from tui.widgets.knob import Knob

pytestmark = pytest.mark.slow  # many applications and terminals

PASTES = {
    "escapes": "\x1b[31mred\x1b[0m " * 4000,
    "only escapes": "\x1b" * 50_000,
    "clipboard": f"\x1b]52;c;{'A' * 50_000}\x07",
    "digits": "7" * 20_000,
    "text": "lorem ipsum " * 850_000,
}


def said(
    stream: str, *, room: int = MOST_WAITING, pieces: int = 4096, seed: int | None = None
) -> list[Message]:
    """The events of a stream that comes in pieces, of any length where there is a seed."""
    parser, cut, events_, at = BoundedParser(lambda: room), random.Random(seed), [], 0
    while at < len(stream):
        size = pieces if seed is None else cut.randint(1, 7)
        events_ += parser.feed(stream[at : at + size])
        at += size
    return events_


def keys(found: list[Message]) -> list[str]:
    return [event.key for event in found if isinstance(event, events.Key)]


@pytest.mark.parametrize("text", PASTES.values(), ids=PASTES)
def test_of_a_paste_no_more_is_read_than_a_value_needs(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in characters that Textual's parser is given: it takes 13 µs for each."""
    read = 0

    def feed(self: object, data: str) -> list[Message]:
        nonlocal read
        read += len(data)
        return plain(self, data)

    plain = keyboard.XTermParser.feed
    monkeypatch.setattr(keyboard.XTermParser, "feed", feed)
    found = said(f"{START}{text}{END}")
    assert read <= LONGEST_PASTE + 1 + len(START + END)
    assert [type(event) for event in found] == [events.Paste]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_pasted_is_never_taken_for_keys(seed: int) -> None:
    text = "8k\x1b[Aq\x1b" + "q" * 40
    (paste,) = said(f"{START}{text}{END}", seed=seed)
    assert isinstance(paste, events.Paste) and paste.text == text.replace("\x1b", "")


@pytest.mark.parametrize("seed", range(20))
def test_keys_around_a_paste_are_keys_however_they_are_cut(seed: int) -> None:
    found = said(f"j\x1b[A\x1bOB{START}30ms{END}k\x1b[C{START}{END}", seed=seed)
    names = [event.key if isinstance(event, events.Key) else event for event in found]
    assert names[:3] == ["j", "up", "down"] and names[4:6] == ["k", "right"]
    assert [event.text for event in found if isinstance(event, events.Paste)] == ["30ms", ""]


@pytest.mark.parametrize("key", ["\x1b[C", "x", "\x1b[<0;10;10M", "\x1bOA"])
def test_a_flood_is_dropped_at_whole_keys(key: str) -> None:
    parser, room, found = BoundedParser(lambda: room), MOST_WAITING, []
    stream = key * 20_000
    for at in range(0, len(stream), 4096):
        found += parser.feed(stream[at : at + 4096])
        room = 0  # the first piece has filled the queue
    assert sum(isinstance(event, Flood) for event in found) == 1
    taken = [event for event in found if not isinstance(event, Flood)]
    assert len(taken) == MOST_WAITING and {type(event) for event in taken} == {type(taken[0])}
    room = MOST_WAITING
    assert list(parser.tick()) == [] and keys(list(parser.feed("\x10\x1b[C"))) == ["ctrl+p", "right"]


@pytest.mark.parametrize("seed", range(20))
def test_half_a_key_before_a_flood_goes_to_its_end(seed: int) -> None:
    """A mouse report that is cut must not end as digits typed into a value."""
    parser, room, cut = BoundedParser(lambda: room), MOST_WAITING, random.Random(seed)
    stream = "\x1b[<35;10;12M" * 3000
    at, found = 0, []
    while at < len(stream):
        size = cut.randint(1, 900)
        found += parser.feed(stream[at : at + size])
        at, room = at + size, cut.choice((0, 0, 1, MOST_WAITING))
    assert found and all(isinstance(event, events.MouseMove) for event in found)  # moves: without a word


def test_a_paste_without_an_end_keeps_no_more_than_a_bound() -> None:
    sieve = Sieve()
    passed = [sieve.pass_on(START if i == 0 else "x" * 10_000, 64)[0] for i in range(100)]
    assert sum(map(len, passed)) <= len(START) + LONGEST_PASTE + 1 and len(sieve.held()) == 0


@pytest.mark.parametrize(
    "sent", ["\x1b[99999999999u", "\x1b[55296u", "\x1b[1114112;;55296u", "\x1b[48;0;0;0;0t\x1b[<0;1;1M"]
)
def test_what_is_no_key_ends_nothing(sent: str) -> None:
    found = said(sent)
    assert not any(
        "\ud800" <= char <= "\udfff" for event in found for char in getattr(event, "character", "") or ""
    )
    assert keys(said(f"{sent}j"))[-1:] == ["j"]


async def test_a_paste_that_is_too_long_is_refused_with_a_word() -> None:
    app = fakes.app()
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await fakes.settled(pilot)
        before = app.scenario
        app.post_message(events.Paste("7" * (LONGEST_PASTE + 1)))
        await fakes.settled(pilot)
        assert app.scenario == before and all(knob.line is None for knob in app.main.query(Knob))
        assert [f"{LONGEST_PASTE:,}" in note.message for note in app._notifications] == [True]


async def test_no_control_character_is_pasted_into_a_value() -> None:
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        knob = app.main.query_one("#knob-ttl", Knob)
        knob.focus()
        await pilot.press("ctrl+u")
        app.post_message(events.Paste("3\x07\x9b\u202e0\tms\nq"))
        await fakes.settled(pilot)
        assert knob.line is not None and knob.line.text == "30 ms"


async def test_all_that_is_sent_is_counted_off() -> None:
    """Else a queue that has emptied would be taken for a full one, and the keyboard would be dead."""
    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        before = app.taken
        sent: list[Any] = [
            events.Key("j", "j"),
            events.Key("tab", "\t"),
            events.Paste("3"),
            events.Key("escape", None),
        ]
        sent += [events.Paste("x" * 5000), events.Key("2", "2")]
        for event in sent:
            app.post_message(event)
        await fakes.settled(pilot)
        assert app.taken - before == len(sent)


@pytest.mark.parametrize("sent", [b"\xff\xfe", b"\x1b[99999999999u", b"\x1b[48;99999999;99999999;0;0t"])
def test_bytes_that_mean_nothing_end_nothing(terminal: Terminal, sent: bytes) -> None:
    terminal.wait_for("up to date")
    terminal.write(sent)
    terminal.type("3")
    terminal.wait_for("Compare", "(?i)pin")
    terminal.type("q")
    assert terminal.leave() == 0 and b"Traceback" not in terminal.sent


def test_a_flood_in_a_terminal_is_one_word_and_keys_work_after_it(terminal: Terminal, tmp_path: Path) -> None:
    terminal.wait_for("up to date")
    terminal.write(b"\x1b[B\x1b[A" * 5_000)
    terminal.wait_for("dropped")
    terminal.until(lambda text: re.search("up to date", text))
    terminal.write(f"{START}q\x1b[Aq{'q' * 40}{END}".encode())  # in a form no q of it is a key
    terminal.type("\x1b")
    terminal.type("\x11")
    assert terminal.leave() == 0
