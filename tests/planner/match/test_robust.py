"""Counts for the expected rate, against every deployment there is."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from planner.match.milp import most_among, solve
from planner.match.problem import Problem
from planner.match.rate_match import TIE
from planner.match.robust import KNOWN, Errors, errors, spread
from planner.match.room import Cap, Room

SAME = 1e-7  # what "optimal" promises


def some_problem(rng: np.random.Generator, *, mix: bool) -> Problem:
    """One to four candidates of a few sizes in each pool, errors of up to half, up to 24 GPUs."""
    columns: dict[str, Any] = {}
    for name in ("prefill", "decode", "colocated"):
        gpus = rng.integers(1, 7, rng.integers(1, 5))
        columns[f"{name}_gpus"] = gpus
        columns[f"{name}_rate"] = gpus * rng.uniform(0.5, 1.6, len(gpus))
    columns["colocated_rate"] /= 2.2
    return Problem(
        **columns,
        budget=int(rng.integers(2, 25)),
        mix=mix,
        headroom=float(rng.choice([0.0, 0.1])),
        errors=errors(*rng.uniform(0.02, 0.5, 2)),
        prove=bool(rng.random() < 0.2),
    )


def pools(gpus: np.ndarray, rate: np.ndarray, budget: int, *, any_layouts: bool) -> np.ndarray:
    """Rates of every pool on at most x GPUs, the best of each x, shape (budget + 1,)."""
    best = np.zeros(budget + 1)
    for x in range(1, budget + 1):
        single = [x // g * r for g, r in zip(gpus, rate, strict=True)]
        mixed = [best[x - g] + r for g, r in zip(gpus, rate, strict=True) if g <= x] if any_layouts else []
        best[x] = max([best[x - 1], *single, *mixed])
    return best


def best_by_size(p: Problem) -> np.ndarray:
    """Most expected requests/s on at most x GPUs, by every way to share x between the pools."""
    assert p.budget is not None
    keep, size = 1 - p.headroom, p.budget
    prefill = pools(p.prefill_gpus, keep * p.prefill_rate, size, any_layouts=p.mix)
    decode = pools(p.decode_gpus, keep * p.decode_rate, size, any_layouts=p.mix)
    best = np.zeros(size + 1)
    for x in range(size + 1):
        for y in range(size + 1 - x):
            served = np.mean(np.minimum(prefill[x] * p.errors.prefill, decode[y] * p.errors.decode))
            best[x + y] = max(best[x + y], served)
    best = np.maximum.accumulate(best)
    if p.mix:
        alone = pools(p.colocated_gpus, keep * p.colocated_rate, size, any_layouts=True)
        best = np.array([(best[: x + 1] + alone[x::-1]).max() for x in range(size + 1)])
    return best


def check(p: Problem, s: Any) -> None:
    """The reported rates follow from the instances."""
    keep = 1 - p.headroom
    prefill, decode = keep * s.prefill @ p.prefill_rate, keep * s.decode @ p.decode_rate
    alone = keep * s.colocated @ p.colocated_rate
    served = np.mean(np.minimum(prefill * p.errors.prefill, decode * p.errors.decode))
    assert s.expected_requests_per_s == pytest.approx(served + alone, rel=1e-12)
    assert s.requests_per_s == pytest.approx(min(prefill, decode) + alone, rel=1e-12)
    assert p.budget is None or s.gpus <= p.budget
    if not p.mix:
        assert max(np.count_nonzero(s.prefill), np.count_nonzero(s.decode)) <= 1


MORE = [pytest.param(*each, marks=pytest.mark.slow) for each in ((False, 350), (True, 150))]


@pytest.mark.parametrize(("mix", "cases"), [(False, 100), (True, 50), *MORE])  # thousands more in `make fuzz`
def test_robust_counts_are_those_of_exhaustive_search(mix: bool, cases: int) -> None:
    """Random cases: the most in the budget and on the fewest GPUs, or a demand on the fewest."""
    rng = np.random.default_rng([21, mix])
    for case in range(cases):
        p = some_problem(rng, mix=mix)
        best = best_by_size(p)
        if case % 2:
            demand = float(rng.choice(best)) if rng.random() < 0.5 else rng.uniform(0.1, 1.1) * best[-1]
            p = dataclasses.replace(p, goal="fewest-gpus", requests_per_s=demand or 1.0)
        s = solve(p)
        check(p, s)
        wanted = best[-1] if p.goal == "throughput" else p.requests_per_s
        enough = best >= wanted * (1 - 2 * TIE)
        assert s.status == ("optimal" if wanted and enough.any() else "infeasible"), p
        if s.status == "optimal":
            assert s.expected_requests_per_s >= wanted * (1 - SAME), p
            assert s.gpus == np.argmax(enough), p


def test_cost_without_a_demand_is_the_most_expected_per_gpu() -> None:
    rng = np.random.default_rng(22)
    for _ in range(40):
        p = dataclasses.replace(some_problem(rng, mix=False), goal="cost")
        s, best = solve(p), best_by_size(p)
        check(p, s)
        ratio = max(best[1:] / np.arange(1, len(best)))
        assert s.status == ("optimal" if ratio else "infeasible")
        if ratio:
            assert s.expected_requests_per_s / s.gpus == pytest.approx(ratio, rel=SAME)


def test_without_a_budget_the_smallest_fleet_near_the_best_expected_rate_per_gpu() -> None:
    rng = np.random.default_rng(23)
    for _ in range(20):
        p = dataclasses.replace(some_problem(rng, mix=False), budget=None)
        s = solve(p)
        check(p, s)
        large = dataclasses.replace(p, budget=2000, prove=False)
        ideal = solve(large).expected_requests_per_s / 2000
        assert s.expected_requests_per_s / s.gpus >= 0.97 * ideal * (1 - 1e-3)


def test_the_pool_that_costs_less_gets_the_surplus() -> None:
    """Prefill of four times the rate per GPU is bought beyond balance; the study's match is balanced."""
    ones = np.array([1])
    p = Problem(
        prefill_gpus=ones,
        prefill_rate=np.array([4.0]),
        decode_gpus=ones,
        decode_rate=np.array([1.0]),
        colocated_gpus=ones[:0],
        colocated_rate=np.empty(0),
        budget=100,
    )
    study, off = solve(p), errors(0.3, 0.1)
    robust = solve(dataclasses.replace(p, errors=off))
    assert (study.prefill.item(), study.decode.item()) == (20, 80)
    assert robust.prefill.item() > 22
    assert robust.expected_requests_per_s > 1.01 * float(off.expected(80.0, 80.0))
    assert robust.requests_per_s < study.requests_per_s


def test_the_expected_rate_is_that_of_two_lognormal_errors() -> None:
    rng = np.random.default_rng(27)
    spreads = np.array([0.35, 0.15])
    draws = np.exp(rng.normal(0, spreads, (400_000, 2)) - spreads**2 / 2)  # means of 1
    for prefill, decode in ((1.0, 1.0), (1.2, 1.0), (1.0, 1.3), (1.6, 1.0)):
        mean = np.minimum(prefill * draws[:, 0], decode * draws[:, 1]).mean()
        assert float(errors(*spreads).expected(prefill, decode)) == pytest.approx(mean, rel=0.01)


def test_known_rates_are_the_match_of_the_study() -> None:
    assert errors(0.0, 0.0) is KNOWN
    rates = np.array([3.0, 2.0]), np.array([2.5, 4.0])
    assert KNOWN.expected(*rates).tolist() == [2.5, 2.0]


def test_no_split_is_expected_to_serve_more_than_its_slower_pool() -> None:
    rng = np.random.default_rng(24)
    for _ in range(200):
        off = errors(*rng.uniform(0.0, 0.8, 2))
        prefill, decode = rng.uniform(0.1, 10, (2, 50))
        assert np.all(off.expected(prefill, decode) <= np.minimum(prefill, decode) * (1 + 1e-12))
        assert np.mean(off.prefill) == pytest.approx(1.0)
        assert np.mean(off.decode) == pytest.approx(1.0)


def test_the_least_decode_rate_for_a_demand() -> None:
    rng = np.random.default_rng(25)
    for _ in range(200):
        off = errors(*rng.uniform(0.01, 0.8, 2))
        prefill, demand = rng.uniform(0.5, 3.0, 20), 1.0
        least = off.decode_for(prefill, demand)
        some = np.isfinite(least)
        assert np.all(prefill[~some] < demand)
        assert off.expected(prefill[some], least[some]) == pytest.approx(np.ones(some.sum()), rel=1e-9)
        assert np.all(off.expected(prefill[some], 0.999 * least[some]) < demand)


def test_the_spread_of_a_band() -> None:
    """A lognormal error: 80 % of draws lie in the band that its spread is read from."""
    rng = np.random.default_rng(26)
    draws = np.exp(rng.normal(0.1, 0.25, 200_000))
    low, high = np.quantile(draws, [0.1, 0.9])
    assert spread(low, high) == pytest.approx(0.25, rel=0.02)


def test_one_scenario_of_each_pool_is_enough_for_an_error_in_common() -> None:
    both = Errors(prefill=np.array([0.8, 1.2]), decode=np.array([0.8, 1.2]))
    assert both.expected(2.0, 3.0) == pytest.approx(2.0)


def test_the_most_of_some_prefill_candidates_is_that_of_a_problem_without_the_others():
    rng = np.random.default_rng(17)
    for nth in range(60):
        p = some_problem(rng, mix=False)
        if nth % 3 == 0:
            p = dataclasses.replace(p, errors=KNOWN)
        if nth % 2:
            p = dataclasses.replace(p, room=Room.of(9, 7, [Cap(prefill=2.0, decode=1.0, most=20.0)]))
        among = most_among(p)
        for _ in range(4):
            kept = rng.random(len(p.prefill_gpus)) < 0.6
            without = dataclasses.replace(p, prefill_rate=np.where(kept, p.prefill_rate, 0.0))
            assert among(kept) == pytest.approx(best(without), rel=1e-9)


def best(p: Problem) -> float:
    """Most expected requests/s of one layout per pool, by every number of GPUs of either."""
    assert p.budget is not None
    room = Room.shared(p.budget) if p.room is None else p.room
    keep = 1 - p.headroom
    prefill = pools(p.prefill_gpus, keep * p.prefill_rate, room.prefill, any_layouts=False)
    decode = pools(p.decode_gpus, keep * p.decode_rate, room.decode, any_layouts=False)
    beside = enumerate(room.decode_beside)
    return max(
        float(np.mean(np.minimum(prefill[x] * p.errors.prefill, decode[y] * p.errors.decode)))
        for x, most in beside
        for y in range(most + 1)
    )
