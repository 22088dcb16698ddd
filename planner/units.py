"""Numbers as people type and read them: 16k, 20ms, 1.5M, 85 %, 10s. SI inside, units at the edges."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from planner.words import Quantity

# No digit can be taken by two parts of it, so that a long text is refused in one pass over it.
_NUMBER = re.compile(
    r"([+-]?(?:[0-9][0-9_,]*(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*([^0-9\s]*)\Z", re.IGNORECASE
)
LONGEST = 64  # characters of a number as typed, its unit included

# K and M of token counts are binary in the field's speech (16k = 16384), of rates and money decimal.
_TOKENS = {"": 1.0, "k": 1024.0, "m": 1024.0**2, "tok": 1.0, "tokens": 1.0}
_SECONDS = {
    "": 1.0,
    "s": 1.0,
    "sec": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "min": 60.0,
    "m": 60.0,
    "h": 3600.0,
}
_COUNT = {"": 1.0, "k": 1e3, "gpus": 1.0, "gpu": 1.0}
_RATE = {"": 1.0, "/s": 1.0, "req/s": 1.0, "rps": 1.0, "/min": 1 / 60, "req/min": 1 / 60}
_SPEED = ("tok/s", "token/s", "tokens/s", "tps", "t/s")
_SHARE = {"": 1.0, "%": 0.01}
_USD = {"": 1.0, "$": 1.0, "usd": 1.0, "$/h": 1.0}
SUFFIXES: Mapping[Quantity, Mapping[str, float]] = {
    "tokens": _TOKENS,
    "seconds": _SECONDS,
    "count": _COUNT,
    "rate": _RATE,
    "share": _SHARE,
    "usd": _USD,
}


def parse_quantity(text: str, kind: Quantity) -> float:
    """The SI value of what was typed.

    Raises ValueError with the accepted spellings.

    >>> parse_quantity("16k", "tokens"), parse_quantity("20ms", "seconds"), parse_quantity("5 %", "share")
    (16384.0, 0.02, 0.05)
    """
    short = text.strip() if len(text) <= 4 * LONGEST else ""  # a paste is not searched for its spaces
    match = _NUMBER.match(short) if len(short) <= LONGEST else None
    suffixes = SUFFIXES[kind]
    if not match or match[2].lower() not in suffixes:
        names = ", ".join(s for s in suffixes if s)
        raise ValueError(f"a number, alone or with one of {names}")
    value = float(match[1].replace(",", "").replace("_", ""))
    return value * suffixes[match[2].lower()]


def parse_speed(text: str) -> float | None:
    """Seconds per token from tokens/s of a user, the inverse; None for what is no such speed.

    >>> parse_speed("50 tok/s"), parse_speed("40tokens/s/user"), parse_speed("20ms"), parse_speed("0 tok/s")
    (0.02, 0.025, None, inf)
    """
    match = _NUMBER.match(text.strip()) if len(text) <= LONGEST else None
    if match is None or match[2].lower().removesuffix("/user") not in _SPEED:
        return None
    speed = float(match[1].replace(",", "").replace("_", ""))
    return 1.0 / speed if speed else math.inf


def bare(text: str) -> bool:
    """Whether a text is a number without a unit.

    >>> bare("20"), bare(" 1.5 "), bare("20ms"), bare("fast")
    (True, True, False, False)
    """
    match = _NUMBER.match(text.strip()) if len(text) <= LONGEST else None
    return match is not None and not match[2]


def three_digits(value: float) -> str:
    """Three significant digits, thousands separated, no trailing noise.

    >>> three_digits(1234.5), three_digits(0.012345), three_digits(12.0)
    ('1,230', '0.0123', '12')
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "-"
    digits = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    text = f"{rounded:,.{max(digits, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rounded(value: float, whole: Callable[[float], int], digits: int = 3) -> float:
    """A positive number to some digits, up (math.ceil) or down (math.floor): a limit's side that still holds.

    >>> rounded(0.0123401, math.ceil), rounded(98.76, math.floor), rounded(0.0250001, math.ceil, 4)
    (0.0124, 98.7, 0.02501)
    """
    scale = 10.0 ** (digits - 1 - math.floor(math.log10(value)))
    hair = 1e-12 if whole is math.ceil else -1e-12
    return whole(value * scale * (1 - hair)) / scale


def format_seconds(value: float) -> str:
    """A duration in the unit that reads best.

    >>> format_seconds(0.0241), format_seconds(10), format_seconds(3e-6), format_seconds(150)
    ('24.1 ms', '10 s', '3 µs', '150 s')
    """
    if not math.isfinite(value):
        return "-"
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(value) >= 0.9995 * scale:
            return f"{three_digits(value / scale)} {unit}"
    return f"{three_digits(value / 1e-6)} µs"


def format_tokens(value: float) -> str:
    """Token counts: whole binary thousands as k or M, others in full.

    >>> format_tokens(16384), format_tokens(1500), format_tokens(2**20)
    ('16k', '1,500', '1M')
    """
    count = round(value)
    if count >= 1024**2 and count % 1024**2 == 0:
        return f"{count // 1024**2}M"
    if count >= 1024 and count % 1024 == 0:
        return f"{count // 1024}k"
    return f"{count:,}"


def gib(size_bytes: float) -> str:
    """Memory in GiB, the unit it is sold in: a GPU of "141 GB" has 141 x 2^30 bytes, less what is reserved.

    >>> gib(150_754_820_096)
    '140'
    """
    return three_digits(size_bytes / 2**30)


def format_memory(size_bytes: float) -> str:
    """Memory with its unit; bandwidths go with `format_si`, in decimal GB/s as they are sold.

    >>> format_memory(150_754_820_096)
    '140 GiB'
    """
    return f"{gib(size_bytes)} GiB"


def format_si(value: float, unit: str) -> str:
    """Large quantities with a decimal prefix.

    >>> format_si(3.4e8, "B/s"), format_si(4.8e12, "B/s"), format_si(950, "W")
    ('340 MB/s', '4.8 TB/s', '950 W')
    """
    for scale, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= scale:
            return f"{three_digits(value / scale)} {prefix}{unit}"
    return f"{three_digits(value)} {unit}"
