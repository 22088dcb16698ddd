"""Integer programs against exhaustive search: goals, mixes, headroom, prices, errors of the rates.

Each failure names the seed and the number of its program: `program([seed, number])` is it again.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from planner.match.milp import exists, most, solve
from planner.match.problem import Problem, Solution
from planner.match.rate_match import TIE, TOLERANCE
from planner.match.robust import KNOWN, errors

POOLS = ("prefill", "decode", "colocated")
SAME = 1e-7  # what "optimal" promises
AWKWARD = 40  # the largest budget of programs with many candidates


def run(seed: int, count: int) -> Iterator[str]:
    """The failures of so many programs."""
    for number in range(count):
        p = program([seed, number])
        try:
            found = list(failures(p))
        except Exception as error:  # whatever it is, it is a finding
            found = [f"{type(error).__name__}: {error}"]
        for failure in found:
            yield f"programs {seed}, {number}: {failure} ({p.goal}, mix {p.mix}, budget {p.budget})"


def program(seed: Sequence[int]) -> Problem:
    """One question: a goal, then candidates that suit it; ties and extremes are common."""
    rng = np.random.default_rng(seed)
    mix, priced = bool(rng.random() < 0.5), bool(rng.random() < 0.4)
    budget = int(rng.integers(3, 9) if priced else rng.integers(1, AWKWARD + 1))
    columns: dict[str, Any] = {}
    scale = 10 ** rng.uniform(-3, 5, 3)
    scale[2] = 1 / (1 / scale[0] + 1 / scale[1])  # co-located about as good as the split
    for name, unit in zip(POOLS, scale, strict=True):
        gpus = rng.integers(1, 4, 2) if priced else rng.integers(1, rng.integers(2, 16), rng.integers(1, 6))
        rate = gpus * rng.uniform(0.4, 1.5, len(gpus)) * unit
        columns[f"{name}_gpus"] = gpus
        columns[f"{name}_rate"] = np.maximum(np.round(rate), 1.0) if rng.random() < 0.3 else rate
        if priced:
            price = np.round(rng.uniform(1.0, 6.0, len(gpus)), 2)
            columns[f"{name}_usd_per_gpu_hour"] = price
            columns[f"{name}_rate"] = columns[f"{name}_rate"] * price ** rng.uniform(0.3, 1.3)
    headroom = float(rng.choice([0.0, 0.1, 0.25, 0.9]))
    goal = "cost" if priced else str(rng.choice(["throughput", "fewest-gpus", "cost"]))
    free = not priced and goal != "fewest-gpus" and rng.random() < 0.2
    if free:  # unlike speeds would need thousands of GPUs, too many to try
        fast = columns["prefill_rate"].max()
        columns["decode_rate"] = fast * rng.uniform(0.5, 2, len(columns["decode_rate"]))
    p = Problem(
        **columns,
        budget=None if free else budget,
        mix=mix,
        headroom=headroom,
        goal=goal,
        time_limit_s=600.0,
        errors=errors(*rng.uniform(0.02, 0.5, 2)) if rng.random() < 0.4 else KNOWN,
    )
    if goal == "fewest-gpus" or (goal == "cost" and not free and rng.random() < 0.5):
        rates = best_by_size(p, budget)
        attainable = float(rng.choice(rates)) or 1.0  # exactly what some number of GPUs serves
        anything = float(rng.uniform(0.05, 1.1) * (rates[-1] or 1.0))
        p = dataclasses.replace(p, requests_per_s=attainable if rng.random() < 0.5 else anything)
    elif goal == "throughput":
        p = dataclasses.replace(p, requests_per_s=1e-3)  # which it does not look at
    return p


def failures(p: Problem) -> Iterator[str]:
    """In what the solver's answer differs from the best of all."""
    s = solve(p)
    yield from broken_rules(p, s)
    if exists(p) != (s.status != "infeasible"):
        yield f"exists says {exists(p)}, the status is {s.status}"
    if p.budget is None:
        yield from near_the_ideal(p, s)
        return
    best = best_by_size(p, p.budget)
    if p.goal == "throughput":
        yield from differs("rate", s.expected_requests_per_s, best[-1])
        yield from differs("GPUs", s.gpus, np.argmax(best >= s.expected_requests_per_s * (1 - 2 * TIE)))
        yield from status(s, bool(best[-1]))
        singles = dataclasses.replace(p, mix=False)
        alone = max(best_by_size(singles, p.budget)[-1], copies(p)[-1] if p.mix else 0.0)
        yield from differs("most of a single layout", most(p), alone)
    elif p.prefill_usd_per_gpu_hour is not None:
        yield from least_money(p, s)
    elif p.requests_per_s is not None:
        enough = best >= p.requests_per_s * (1 - TIE)
        yield from status(s, bool(enough.any()))
        yield from differs("GPUs", s.gpus, np.argmax(enough))
        if enough.any() and s.expected_requests_per_s < p.requests_per_s * (1 - 2 * TIE):
            yield f"serves {s.expected_requests_per_s} of {p.requests_per_s}"
    else:
        worth = np.max(best[1:] / np.arange(1, p.budget + 1))
        yield from status(s, bool(worth))
        if worth and s.gpus:
            yield from differs("rate per GPU", s.expected_requests_per_s / s.gpus, worth)


def differs(what: str, told: float, best: float) -> Iterator[str]:
    """A number that is not the best one."""
    if abs(told - best) > SAME * abs(best):
        yield f"{what} {told!r}, the best is {best!r}"


def status(s: Solution, possible: bool) -> Iterator[str]:
    """A status or a gap that is not the true one: there was time enough."""
    if (s.status, s.gap) != ("optimal" if possible else "infeasible", 0.0):
        yield f"status {s.status}, gap {s.gap}, possible {possible}"


def broken_rules(p: Problem, s: Solution) -> Iterator[str]:
    """What of the answer does not follow from its instances, or does not obey the question."""
    served = [n @ ((1 - p.headroom) * rate) for n, (_, rate) in zip(counts(s), pools(p), strict=True)]
    gpus = sum(int(n @ size) for n, (size, _) in zip(counts(s), pools(p), strict=True))
    if gpus != s.gpus or (p.budget is not None and gpus > p.budget):
        yield f"{gpus} GPUs are used, told are {s.gpus}"
    yield from differs("rate", s.requests_per_s, min(served[0], served[1]) + served[2])
    expected = float(expected_of(p, served[0], served[1])) + served[2]
    yield from differs("expected rate", s.expected_requests_per_s, expected)
    if min(n.min(initial=0) for n in counts(s)) < 0:
        yield "instances below 0"
    if not p.mix and (any(np.count_nonzero(n) > 1 for n in counts(s)) or s.colocated.any()):
        yield "several layouts in a pool"


def expected_of(p: Problem, prefill: np.ndarray | float, decode: np.ndarray | float) -> np.ndarray:
    """What a split of two pools serves: the mean of the slower one, each with its errors."""
    pairs = zip(p.errors.prefill, p.errors.decode, strict=True)
    return np.mean([np.minimum(a * np.asarray(prefill), b * np.asarray(decode)) for a, b in pairs], axis=0)


def counts(s: Solution) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return s.prefill, s.decode, s.colocated


def pools(p: Problem) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    return (
        (p.prefill_gpus, p.prefill_rate),
        (p.decode_gpus, p.decode_rate),
        (p.colocated_gpus, p.colocated_rate),
    )


def one_layout(gpus: np.ndarray, rate: np.ndarray, budget: int) -> np.ndarray:
    """The most requests/s of one pool of one layout on at most x GPUs, x = 0 .. budget."""
    return np.max(np.arange(budget + 1)[:, None] // gpus * rate, axis=1, initial=0.0)


def any_layouts(gpus: np.ndarray, rate: np.ndarray, budget: int) -> np.ndarray:
    """The same of a pool of any layouts."""
    pool = np.zeros(budget + 1)
    for x in range(1, budget + 1):
        used = [pool[x - g] + r for g, r in zip(gpus, rate, strict=True) if g <= x]
        pool[x] = max([pool[x - 1], *used])
    return pool


def copies(p: Problem) -> np.ndarray:
    """Co-located copies of one layout."""
    assert p.budget is not None
    return one_layout(p.colocated_gpus, (1 - p.headroom) * p.colocated_rate, p.budget)


def best_by_size(p: Problem, budget: int) -> np.ndarray:
    """Most requests/s on at most x GPUs, x = 0 .. budget, by trying every partition of x."""
    pool_of = any_layouts if p.mix else one_layout
    prefill, decode, colocated = (pool_of(gpus, (1 - p.headroom) * rate, budget) for gpus, rate in pools(p))
    split = np.array([expected_of(p, prefill[: x + 1], decode[x::-1]).max() for x in range(budget + 1)])
    if not p.mix:
        return split
    return np.array([(split[: x + 1] + colocated[x::-1]).max() for x in range(budget + 1)])


def near_the_ideal(p: Problem, s: Solution) -> Iterator[str]:
    """Without a budget: the fewest GPUs within 3 % of balanced pools, and the most on them."""
    keep = 1 - p.headroom
    prefill, decode, colocated = (keep * (rate / gpus).max() for gpus, rate in pools(p))
    shares = p.errors.prefill / p.errors.decode  # decode over prefill rate: the best is one of them
    ideal = max(float(expected_of(p, 1.0, x)) / (1 / prefill + x / decode) for x in shares)
    if p.mix:
        ideal = max(ideal, colocated)
    best = best_by_size(p, s.gpus)
    near = best >= (1 - TOLERANCE) * ideal * np.arange(s.gpus + 1) * (1 - 1e-8)
    yield from status(s, possible=True)
    yield from differs("GPUs", s.gpus, near[1:].argmax() + 1)
    yield from differs("rate", s.expected_requests_per_s, best[-1])


def least_money(p: Problem, s: Solution) -> Iterator[str]:
    """With a price for each candidate: every vector of counts is listed."""
    assert p.budget is not None
    prices = (p.prefill_usd_per_gpu_hour, p.decode_usd_per_gpu_hour, p.colocated_usd_per_gpu_hour)
    listed = 3 if p.mix else 2
    gpus = np.concatenate([p_gpus for p_gpus, _ in pools(p)[:listed]])
    price = np.concatenate([np.asarray(x) for x in prices[:listed]])
    n = np.array(list(itertools.product(*(range(int(p.budget // g) + 1) for g in gpus))))
    fits = n @ gpus <= p.budget
    ends = np.cumsum([0, *(len(size) for size, _ in pools(p)[:listed])])
    parts = [n[:, a:b] for a, b in itertools.pairwise(ends)]
    if not p.mix:
        fits &= np.all([np.count_nonzero(part, axis=1) <= 1 for part in parts], axis=0)
    served = [part @ ((1 - p.headroom) * rate) for part, (_, rate) in zip(parts, pools(p), strict=False)]
    rate = expected_of(p, served[0], served[1]) + (served[2] if p.mix else 0.0)
    usd = (n @ (gpus * price))[fits]
    rate = rate[fits]
    spent = sum(
        float(x @ (size * np.asarray(cost)))
        for x, (size, _), cost in zip(counts(s), pools(p), prices, strict=True)
    )
    if p.requests_per_s is None:
        worth = np.max(rate[1:] / usd[1:], initial=0.0)
        yield from status(s, bool(worth))
        if worth and spent:
            yield from differs("rate per dollar", s.expected_requests_per_s / spent, worth)
        return
    enough = rate >= p.requests_per_s * (1 - TIE)
    yield from status(s, bool(enough.any()))
    if enough.any():
        yield from differs("dollars", spent, usd[enough].min())
        if s.expected_requests_per_s < p.requests_per_s * (1 - 2 * TIE):
            yield f"serves {s.expected_requests_per_s} of {p.requests_per_s}"
