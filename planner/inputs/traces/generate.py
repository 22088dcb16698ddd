"""Drawn traffic: requests at a rate, evenly random or in bursts, of constant or varying lengths."""

from __future__ import annotations

import math

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.errors import InputError
from planner.inputs.requests import NO_SESSION, Requests
from planner.values import dataclass

MOST_REQUESTS = 20_000_000
BLOCK_TOKENS = 64  # of the prefixes drawn here


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens of a prompt or an output: lognormal with this mean and coefficient of variation.

    >>> Lengths(mean=1000).draw(np.random.default_rng(0), 2).tolist()
    [1000, 1000]
    """

    mean: float
    cv: float = 0.0  # 0: constant

    def draw(self, random: np.random.Generator, count: int) -> IntArray:
        """Whole tokens, at least 1, shape ``(count,)``.

        The logarithm is normal with variance ``ln(1 + cv^2)`` and mean ``ln(mean) - variance / 2``.
        """
        if self.cv == 0:
            return np.full(count, max(round(self.mean), 1), dtype=np.int64)
        variance = math.log1p(self.cv**2)
        drawn = random.lognormal(math.log(self.mean) - variance / 2, math.sqrt(variance), count)
        return np.maximum(np.round(drawn), 1).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What prompts have in common: a share of each is one of `prefixes` texts, say system prompts."""

    share: float = 0.0  # of the mean prompt, in [0, 1)
    prefixes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Conversations: each turn's prompt is all that was said before, and a new part."""

    mean: float = 1.0  # turns of a conversation, geometric; 1: no conversations
    think_s: float = 10.0  # mean from one turn's arrival to the next, exponential


def poisson(
    requests_per_s: float,
    requests: int,
    isl: Lengths,
    osl: Lengths,
    *,
    sharing: Sharing | None = None,
    turns: Turns | None = None,
    seed: int = 0,
) -> Requests:
    """Requests that come independently of each other: gaps are exponential.

    >>> drawn = poisson(4.0, 1000, Lengths(mean=500), Lengths(mean=100, cv=1.0))
    >>> len(drawn), bool(200 < drawn.seconds < 300)
    (1000, True)
    """
    return bursty(requests_per_s, requests, isl, osl, cv=1.0, sharing=sharing, turns=turns, seed=seed)


def bursty(
    requests_per_s: float,
    requests: int,
    isl: Lengths,
    osl: Lengths,
    *,
    cv: float,
    sharing: Sharing | None = None,
    turns: Turns | None = None,
    seed: int = 0,
) -> Requests:
    """Requests whose gaps are gamma with coefficient of variation `cv`: 0 even, 1 Poisson, more in bursts.

    With `turns`, conversations begin so, and the mean rate of requests is the one given. `isl` is then the
    length of the new part of a prompt. Raises InputError for what cannot be drawn.
    """
    _check(requests_per_s, requests, isl, osl, cv)
    random = np.random.default_rng(seed)
    if turns is not None and turns.mean > 1:
        return _conversations(random, requests_per_s, requests, isl, osl, cv, turns)
    arrival_s = _arrivals(random, requests_per_s, requests, cv)
    prompts, outputs = isl.draw(random, requests), osl.draw(random, requests)
    start = blocks = np.empty(0, dtype=np.int64)
    if sharing is not None and sharing.share > 0:
        start, blocks = _shared(random, prompts, isl, sharing)
    return Requests(
        arrival_s=arrival_s,
        isl=prompts,
        osl=outputs,
        session=np.full(requests, NO_SESSION, dtype=np.int64),
        block_start=start,
        blocks=blocks,
        block_tokens=BLOCK_TOKENS if len(start) else 0,
    )


def _arrivals(random: np.random.Generator, requests_per_s: float, count: int, cv: float) -> FloatArray:
    """Arrival times from 0, s: gaps of mean ``1 / rate`` and shape ``1 / cv^2``."""
    if cv == 0:
        return np.arange(count) / requests_per_s
    gaps = random.gamma(1 / cv**2, cv**2 / requests_per_s, count)
    return np.asarray(np.cumsum(gaps) - gaps[0], dtype=np.float64)


def _shared(
    random: np.random.Generator, prompts: IntArray, isl: Lengths, sharing: Sharing
) -> tuple[IntArray, IntArray]:
    """Blocks: first those of a common text, then blocks that no other prompt has."""
    common = round(sharing.share * isl.mean / BLOCK_TOKENS)
    count = -(-prompts // BLOCK_TOKENS)
    start = np.concatenate([[0], np.cumsum(count)])
    place = np.arange(start[-1]) - np.repeat(start[:-1], count)
    text = np.repeat(random.integers(0, sharing.prefixes, len(prompts)), count)
    unique = sharing.prefixes * common + np.arange(start[-1])
    return start, np.where(place < common, text * common + place, unique)


def _conversations(
    random: np.random.Generator,
    requests_per_s: float,
    requests: int,
    isl: Lengths,
    osl: Lengths,
    cv: float,
    turns: Turns,
) -> Requests:
    """As many conversations as give `requests` turns, of which the earliest are kept."""
    count = requests  # enough: each has a turn or more
    lengths = random.geometric(1 / turns.mean, count)
    ends = np.cumsum(lengths)
    count = int(np.searchsorted(ends, requests)) + 1
    lengths, ends = lengths[:count], ends[:count]
    total = int(ends[-1])
    first = ends - lengths
    session = np.repeat(np.arange(count), lengths)
    begins = _arrivals(random, requests_per_s / turns.mean, count, cv)
    think = random.exponential(turns.think_s, total)
    think[first] = 0.0
    arrival_s = np.repeat(begins, lengths) + _within(think, first, lengths)
    new, outputs = isl.draw(random, total), osl.draw(random, total)
    said = _within((new + outputs).astype(np.float64), first, lengths).astype(np.int64)
    order = np.argsort(arrival_s, kind="stable")[:requests]
    none = np.empty(0, dtype=np.int64)
    return Requests(
        arrival_s=arrival_s[order],
        isl=(said - outputs)[order],
        osl=outputs[order],
        session=session[order],
        block_start=none,
        blocks=none,
    )


def _within(values: FloatArray, first: IntArray, lengths: IntArray) -> FloatArray:
    """Running sums that begin anew at each conversation."""
    sums = np.cumsum(values)
    return np.asarray(sums - np.repeat(sums[first] - values[first], lengths), dtype=np.float64)


def _check(requests_per_s: float, requests: int, isl: Lengths, osl: Lengths, cv: float) -> None:
    if not 0 < requests_per_s < math.inf:
        raise InputError("rate", requests_per_s, "requests/s above 0")
    if not 1 <= requests <= MOST_REQUESTS:
        raise InputError("requests", requests, f"a whole number from 1 to {MOST_REQUESTS:,}")
    if not 0 <= cv <= 100:
        raise InputError("cv", cv, "a coefficient of variation from 0 to 100")
    for name, lengths in (("isl", isl), ("osl", osl)):
        if not (1 <= lengths.mean < 1e8 and 0 <= lengths.cv <= 100):
            raise InputError(name, lengths, "a mean of 1 token or more and a variation from 0 to 100")
