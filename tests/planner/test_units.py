"""Quantities as typed: what is accepted, and that nothing typed or pasted takes long."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from planner.units import LONGEST, SUFFIXES, parse_quantity


def steps(call: Callable[[], object]) -> int:
    """Lines of Python that a call takes: the same on every machine."""
    taken = 0

    def trace(frame: object, event: str, arg: object) -> object:
        nonlocal taken
        taken += 1
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return taken


@pytest.mark.parametrize("kind", SUFFIXES)
@pytest.mark.parametrize(
    "text",
    ["", " ", "k", "1 2", "1..2", "--1", "1e", "0x10", "\u0661", "1" * 65, " " * 300 + "1", "1_" * 40 + "x"],
)
def test_what_is_no_number_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match="a number"):
        parse_quantity(text, kind)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,024", 1024.0),
        ("1_000", 1000.0),
        (".5k", 512.0),
        ("1.", 1.0),
        ("+2", 2.0),
        ("1e3", 1000.0),
        (" 16k ", 16384.0),
    ],
)
def test_spellings(text: str, value: float) -> None:
    assert parse_quantity(text, "tokens") == value


def test_a_text_of_any_length_is_refused_before_it_is_searched() -> None:
    """20 kB of digits took ten seconds: the pattern's parts could share them in every way."""

    def refused(size: int) -> Callable[[], object]:
        def call() -> None:
            with pytest.raises(ValueError, match="a number"):
                parse_quantity("1" * size + " x y", "tokens")

        return call

    assert steps(refused(10_000_000)) == steps(refused(LONGEST + 1))
