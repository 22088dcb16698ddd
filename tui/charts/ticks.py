"""Where an axis has its ticks, and what they say."""

from __future__ import annotations

import math


def nice_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """At most `most` round numbers (1, 2, 5 times a power of ten apart) that cover [low, high].

    One alone says nothing of the scale: then those of the next smaller step, every other one if many.

    >>> nice_ticks(0, 2300, 5), nice_ticks(0, 430, 2)
    ((0.0, 500.0, 1000.0, 1500.0, 2000.0), (0.0, 200.0, 400.0))
    """
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return (low,)
    power = 10.0 ** math.floor(math.log10(span / max(most, 1)))
    finer: tuple[float, ...] = ()
    for step in (power * m for m in (1, 2, 5, 10, 20, 50)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        ticks = tuple(i * step for i in range(first, last + 1))
        if len(ticks) <= max(most, 1):
            if len(ticks) < 2 and finer:
                return finer if len(finer) <= most + 1 else finer[::2]
            return ticks or (low,)
        finer = ticks
    return (low,)


def log_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Round numbers on a log axis: 1-2-5, or 1-3, or powers of ten, whichever still fits.

    >>> log_ticks(8, 300, 6), log_ticks(8, 300, 3)
    ((10.0, 20.0, 50.0, 100.0, 200.0), (10.0, 100.0))
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for marks in ((1, 2, 5), (1, 3), (1,)):
        ticks = tuple(m * 10.0**e for e in decades for m in marks if low <= m * 10.0**e <= high)
        if len(ticks) <= most:
            return ticks
    return ticks[:: math.ceil(len(ticks) / max(most, 1))]


def log_or_nice_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Ticks of a log axis, evenly spaced values where it spans too little for round powers.

    >>> log_or_nice_ticks(8, 300, 3), log_or_nice_ticks(21, 29, 5)
    ((10.0, 100.0), (22.0, 24.0, 26.0, 28.0))
    """
    ticks = log_ticks(low, high, most)
    return ticks if len(ticks) >= 2 else nice_ticks(low, high, most)


def tick_label(value: float) -> str:
    """A tick in few characters.

    >>> tick_label(0), tick_label(2500), tick_label(2000), tick_label(0.5), tick_label(12e6)
    ('0', '2.5k', '2k', '0.5', '12M')
    """
    for scale, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:g}{suffix}"
    return f"{value:g}"
