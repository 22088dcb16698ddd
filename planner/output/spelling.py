"""How numbers and names are written, wherever a plan is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.units import three_digits

if TYPE_CHECKING:
    from planner.planning.result import PoolPlan, Serving

_PLAIN = str.maketrans({"×": "x", "µ": "u", "≤": "<=", "≥": ">=", "→": "->", "·": "-", "–": "-", "−": "-"})
_NAMES = {
    "colocated": "co-located",
    "disaggregated": "split",
    "encode": "encoder",
    "ftl": "FTL",
    "ttl": "TTL",
    "gpus": "GPUs",
    "max-usd-per-hour": "$ per hour",
    "max-kw": "kW",
    "max-racks": "racks",
}


def named(key: str) -> str:
    """A phase, a way of serving or a limit as people write it.

    >>> named("colocated"), named("disaggregated"), named("ttl"), named("prefill")
    ('co-located', 'split', 'TTL', 'prefill')
    """
    return _NAMES.get(key, key)


def instances(pool: PoolPlan) -> str:
    """`3 × TP8`: how many of which layout."""
    return f"{pool.instances:,} × {pool.layout.label}"


def count(number: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "GPU"), count(1024, "GPU")
    ('1 GPU', '1,024 GPUs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: float, digits: int = 0) -> str:
    """A share in per cent.

    >>> percent(0.974), percent(0.974, 1)
    ('97 %', '97.4 %')
    """
    return f"{100 * share:.{digits}f} %"


def change(share: float, digits: int = 0) -> str:
    """A share more or less, in per cent; what rounds to nothing is no less.

    >>> change(0.034), change(-0.0004), change(-0.0004, 2)
    ('+3 %', '+0 %', '-0.04 %')
    """
    return f"{round(100 * share, digits) + 0.0:+.{digits}f} %"


def money(usd: float) -> str:
    """Dollars with cents, or three digits where cents would say nothing.

    >>> money(0.5), money(0.0123), money(12345.6)
    ('0.50', '0.0123', '12,300')
    """
    return f"{usd:.2f}" if 0.1 <= usd < 1000 else three_digits(usd)


def ascii_only(text: str) -> str:
    """The text in ASCII, for terminals and files that take no more.

    >>> ascii_only("2 × TP8, TTL ≤ 3 µs")
    '2 x TP8, TTL <= 3 us'
    """
    return text.translate(_PLAIN).encode("ascii", "replace").decode()


def usd_per_hour(serving: Serving) -> float:
    """What all GPUs of a serving cost."""
    tokens_per_s = serving.tokens_per_s_per_gpu * serving.gpus
    return serving.usd_per_million_tokens * 1e-6 * tokens_per_s * 3600.0
