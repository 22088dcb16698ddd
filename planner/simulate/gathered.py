"""First tokens behind passes of ranks in lockstep, over prompts of different lengths.

A pass takes what came while the one before it ran, and all first tokens come at its end: that of its longest
prompt, which the other ranks wait for, or of the mean rank where that has more work,

    t = max(base + work each, alone min(longest, cap))

so that a long prompt makes the next pass longer, too, for more come meanwhile. A rank takes no more than
`cap` mean prompts in a pass; what is more waits for the next, and longer prompts take several. No closed form
knows this chain of passes, so some hundred of each case are gone through side by side (Poisson arrivals of
each instance, of stratified values in a fixed random order: the same question has the same answer).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.simulate import erlang
from planner.values import dataclass
from planner.words import Routing

SAMPLES = 64  # passes side by side
ROUNDS, KEPT = 32, 16  # passes after each other, and those of them that count
MEANS = np.concatenate([[0.0], np.geomspace(1e-3, 3e4, 200)])  # of Poisson laws; between them linear


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranks:
    """Prefill instances whose ranks go in lockstep; shape ``(cases,)``. Work is in mean prompts."""

    base_s: FloatArray  # of a pass whose ranks are all as full
    each_s: FloatArray  # and for each prompt in it
    alone_s: FloatArray  # pass over one prompt of a rank, by its kind, shape ``(cases, kinds)``
    host_s: FloatArray  # that each prompt holds a pass up for besides
    cap: FloatArray  # work that a rank takes in a pass
    ranks: FloatArray
    stages: FloatArray

    def pass_s(self, work: FloatArray, longest_s: FloatArray) -> FloatArray:
        """Time of passes in a stage, shapes ``(cases, n)``: `longest_s` is that of its longest prompt."""
        even = self.base_s[:, None] + self.each_s[:, None] * work
        alone = np.maximum(even, longest_s)
        return np.asarray(alone + self.host_s[:, None] * np.maximum(work, 1.0))

    def saturated(self) -> FloatArray:
        """Requests/s that full passes serve."""
        most = self.ranks * self.cap
        return np.asarray(most / (self.base_s + (self.each_s + self.host_s) * most))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """First tokens of equally likely requests, from their arrival to the last stage; seconds."""

    met_s: FloatArray  # of those that find a pass running, ascending, shape ``(cases, n)``
    fresh_s: FloatArray  # of those that find an instance idle, by the kinds of prompts, ``(cases, kinds)``
    running: FloatArray  # share of its time that an instance runs passes, shape ``(cases,)``
    apart: FloatArray  # the same where each prompt had a pass of its own; may be beyond 1

    def meets(self, servers: FloatArray, routing: Routing, cases: IntArray) -> FloatArray:
        """Share of the requests that find a pass running wherever they may go, of some of the cases.

        Routers that know the work of each of so many instances send a request to an idle one, if any is.
        """
        running, apart = self.running[cases], self.apart[cases]
        if routing not in ("central", "least-loaded"):
            return np.asarray(running)
        alone = np.clip(apart, 1e-12, 1.0 - 1e-9)
        fewer = np.where(apart < 1.0, erlang.erlang_c(servers, alone) / alone, 1.0)
        return np.asarray(running * np.minimum(fewer, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prompts:
    """Prompts of kinds, ascending, shape ``(kinds,)``."""

    tokens: FloatArray  # over their mean
    weight: FloatArray  # share of the requests

    def upto(self) -> FloatArray:
        """Share of those up to each."""
        upto = np.cumsum(self.weight)
        return np.asarray(upto / upto[-1])

    def mean(self) -> FloatArray:
        """Tokens of those up to each, mean."""
        return np.asarray(np.cumsum(self.weight * self.tokens) / np.cumsum(self.weight))


def first_tokens(of: Ranks, per_s: FloatArray, prompts: Prompts) -> Seen:
    """What requests see that come so often to an instance, below what it can serve, shape ``(cases,)``."""
    upto, mean, kinds = prompts.upto(), prompts.mean(), prompts.tokens
    pace = of.alone_s / kinds  # seconds for each mean prompt's tokens
    rate, cap = per_s[:, None], of.cap[:, None]
    most = cap * of.ranks[:, None]
    order = _orders()
    at = (np.arange(SAMPLES) + 0.5) / SAMPLES
    load = np.minimum(per_s / of.saturated(), 0.999)
    variation = float(prompts.weight @ kinds**2)
    behind = load * variation / (2.0 * (1.0 - load))  # a first guess: the queue of one after the other
    work = -np.log1p(-at) * behind[:, None] + kinds[_which(upto, at[order[-1]])]
    longest = _longest(upto, at[order[-2]], np.minimum(work, most))
    passes, left, held = [], [], []
    # tokens left of the longest prompt, and its time for each
    long, slow = kinds[longest], np.take_along_axis(pace, longest, 1)
    for turn in range(ROUNDS):
        rows = order[3 * turn : 3 * turn + 3]
        pass_s = of.pass_s(np.minimum(work, most), np.minimum(long, cap) * slow)
        long = np.maximum(long - cap, 0.0)
        rest = np.maximum(np.where(work > most + 1e-9, work - most, 0.0), long)
        if turn >= ROUNDS - KEPT:
            passes.append(pass_s)
            left.append(rest)
            held.append(np.minimum(long, cap) * slow)
        came = _poisson(rate * pass_s, rows[0])
        some, kind = came >= 0.5, _longest(upto, at[rows[1]], came)
        work = rest + np.where(some, kinds[kind] + np.maximum(came - 1.0, 0.0) * mean[kind], 0.0)
        none = work <= 0
        # the longest of those that the next pass begins with, not of all that wait
        begun = np.minimum(rest - long + came, most - np.minimum(long, cap))
        kind = np.where(begun >= 0.5, _longest(upto, at[rows[1]], begun), 0)
        kind = np.where(none, _which(upto, at[rows[2]]), kind)
        work = np.where(none, kinds[kind], work)
        newer = kinds[kind] > long
        slow = np.where(newer, np.take_along_axis(pace, kind, 1), slow)
        long = np.where(newer, kinds[kind], long)
        by = np.argsort(work, axis=1, kind="stable")
        work, long, slow = (np.take_along_axis(one, by, 1) for one in (work, long, slow))
    return _seen(of, rate, prompts, *(np.concatenate(one, axis=1) for one in (passes, left, held)))


def _seen(
    of: Ranks, rate: FloatArray, prompts: Prompts, pass_s: FloatArray, left: FloatArray, held: FloatArray
) -> Seen:
    """What requests see that come at any time of these passes, shapes ``(cases, n)``.

    `left` is the work that each leaves, and `held` the time that its longest prompt has of the next.
    """
    count, upto = pass_s.shape[1], prompts.upto()
    one, three, four, five = _many(count)
    at = (np.arange(count) + 0.5) / count
    cap, most = of.cap[:, None], (of.cap * of.ranks)[:, None]
    busy_s = pass_s.sum(axis=1, keepdims=True)
    idle = np.where(left > 0, 0.0, np.exp(-rate * pass_s)).sum(axis=1, keepdims=True)
    running = busy_s / (busy_s + idle / rate)
    # who comes finds a pass as often as it is long
    share = np.cumsum(pass_s, axis=1) / busy_s
    found = np.minimum(np.array([np.searchsorted(row, at[one]) for row in share]), count - 1)
    during, left, held = (np.take_along_axis(each, found, 1) for each in (pass_s, left, held))
    gone = at[three]
    before = left + rate * during * gone  # work that goes first
    others = left + rate * during
    own = _which(upto, at[four])
    whole = np.floor(before / most)  # passes before its own
    turns = np.maximum(np.ceil(prompts.tokens[own] / cap - 1e-9), 1.0)
    some = np.where(others > 0.5, _longest(upto, at[five], np.minimum(others, most)), 0)
    kind = np.maximum(own, some)
    share = np.minimum(cap / prompts.tokens[kind], 1.0)  # of the longest, in one pass
    longest_s = np.maximum(np.take_along_axis(of.alone_s, kind, 1) * share, held)
    work = np.minimum(np.maximum(others - whole * most, 0.0) + prompts.tokens[own], most)
    own_s = of.pass_s(work, longest_s)
    full_s = of.pass_s(most, longest_s)
    # through the other stages a short pass follows the one before it
    behind_s = np.maximum(own_s, np.where(whole > 0, full_s, during))
    met_s = (1.0 - gone) * during + whole * full_s + own_s * turns + behind_s * (of.stages[:, None] - 1.0)
    # one prompt in passes of its own
    alone_s = of.alone_s + of.host_s[:, None]
    last = np.minimum(cap / prompts.tokens, 1.0)
    return Seen(
        met_s=np.sort(met_s, axis=1),
        fresh_s=alone_s * (1.0 + last * (of.stages[:, None] - 1.0)),
        running=running[:, 0],
        apart=rate[:, 0] * (alone_s @ prompts.weight),
    )


def _which(upto: FloatArray, share: FloatArray) -> IntArray:
    return np.minimum(np.searchsorted(upto, share), len(upto) - 1)


def _longest(upto: FloatArray, share: FloatArray, number: FloatArray) -> IntArray:
    """Of so many prompts, in this share of all cases."""
    return _which(upto, share ** (1.0 / np.maximum(number, 1.0)))


def _poisson(mean: FloatArray, order: IntArray) -> FloatArray:
    """Numbers that laws of these means have, each in a share of the cases of its own: `order` of strata."""
    table = _laws()
    place = np.interp(mean, MEANS, np.arange(len(MEANS)))
    low = np.minimum(place.astype(np.int64), len(MEANS) - 2)
    part = place - low
    return np.asarray(table[low, order] * (1.0 - part) + table[low + 1, order] * part)


@lru_cache(maxsize=1)
def _laws() -> FloatArray:
    at = (np.arange(SAMPLES) + 0.5) / SAMPLES
    return np.array([erlang.poisson(at, float(mean)) for mean in MEANS])


@lru_cache(maxsize=1)
def _orders() -> IntArray:
    """Orders of the strata, shape ``(orders, SAMPLES)``; no two drawn alike."""
    random = np.random.default_rng(1)
    return np.array([random.permutation(SAMPLES) for _ in range(3 * ROUNDS + 2)])


@lru_cache(maxsize=4)
def _many(count: int) -> IntArray:
    random = np.random.default_rng(2)
    return np.array([random.permutation(count) for _ in range(4)])
