"""Quantities on the command line that are no inputs of a scenario: times, rates, factors."""

from __future__ import annotations

from planner.errors import InputError
from planner.units import parse_quantity
from planner.words import Quantity

MOST = 1e12


def quantity(
    name: str, text: str, kind: Quantity, *, least: float | None = None, most: float = MOST
) -> float:
    """A number above 0, or from `least` on. Raises InputError naming it.

    >>> quantity("for", "2m", "seconds")
    120.0
    """
    accepted = "above 0" if least is None else f"{least:g} or more"
    try:
        value = parse_quantity(text, kind)
    except ValueError as error:
        raise InputError(name, text, str(error)) from None
    if not (value > 0 if least is None else value >= least) or value > most:
        raise InputError(name, text, accepted)
    return value
