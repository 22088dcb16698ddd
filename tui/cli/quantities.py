"""Quantities on the command line that are no inputs of a scenario: times, rates, factors."""

from __future__ import annotations

from planner.errors import InputError
from planner.units import parse_quantity
from planner.words import Quantity

MOST = 1e12


def quantity(
    name: str, text: str, kind: Quantity, *, least: float | None = None, most: float = MOST
) -> float:
    """A number above 0, or from `least` on, up to `most`. Raises InputError naming it.

    >>> quantity("for", "2m", "seconds")
    120.0
    """
    accepted = f"above 0, up to {most:g}" if least is None else f"from {least:g} to {most:g}"
    try:
        value = parse_quantity(text, kind)
    except ValueError as error:
        raise InputError(name, text, str(error)) from None
    if not (value > 0 if least is None else value >= least) or value > most:
        raise InputError(name, text, accepted)
    return value


def whole(name: str, text: str, least: int, most: int) -> int:
    """A whole number between two, `_` or `,` between its digits allowed. Raises InputError naming it.

    >>> whole("requests", "10,000", 1, 1_000_000)
    10000
    """
    plain = text.replace("_", "").replace(",", "")
    if not (plain.isascii() and plain.isdigit() and len(plain) < 20 and least <= int(plain) <= most):
        raise InputError(name, text, f"a whole number from {least:,} to {most:,}")
    return int(plain)
