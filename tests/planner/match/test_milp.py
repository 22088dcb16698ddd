"""The integer program against exhaustive search."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from planner.errors import InputError
from planner.match.milp import solve
from planner.match.problem import FREE_GPUS, Problem, Solution
from planner.match.rate_match import TIE, match_budget, match_unbounded
from tests.planner.match.problems import SAME, best_by_size, check_counts, problem, some_problem

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 4))]
EACH = 12  # problems per seed, mix and goal


@pytest.mark.parametrize("mix", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_throughput_is_the_most_in_the_budget_on_the_fewest_gpus(seed: int, mix: bool) -> None:
    rng = np.random.default_rng([1, seed, mix])
    for _ in range(EACH):
        p = dataclasses.replace(some_problem(rng, mix=mix), goal="throughput", requests_per_s=1e-3)
        s, best = solve(p), best_by_size(p, p.budget or 0)
        check_counts(p, s)
        assert s.requests_per_s == pytest.approx(best[-1], rel=SAME)
        assert s.gpus == np.argmax(best >= s.requests_per_s * (1 - 2 * TIE))
        assert (s.status, s.gap) == ("optimal" if best[-1] else "infeasible", 0.0)


@pytest.mark.parametrize("goal", ["fewest-gpus", "cost"])
@pytest.mark.parametrize("mix", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_demand_is_met_on_the_fewest_gpus(seed: int, mix: bool, goal: str) -> None:
    rng = np.random.default_rng([2, seed, mix])
    for _ in range(EACH):
        p = some_problem(rng, mix=mix)
        best = best_by_size(p, p.budget or 0)
        attainable = float(rng.choice(best)) or 1.0  # exactly what some number of GPUs serves
        demand = attainable if rng.random() < 0.5 else rng.uniform(0.05, 1.1) * (best[-1] or 1.0)
        p = dataclasses.replace(p, goal=goal, requests_per_s=demand)
        s = solve(p)
        check_counts(p, s)
        enough = best >= demand * (1 - TIE)
        assert s.status == ("optimal" if enough.any() else "infeasible")
        assert s.gpus == np.argmax(enough)
        if enough.any():
            assert s.requests_per_s >= demand * (1 - 2 * TIE)


@pytest.mark.parametrize("mix", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_cost_without_demand_is_the_most_per_gpu(seed: int, mix: bool) -> None:
    rng = np.random.default_rng([3, seed, mix])
    for _ in range(EACH):
        p = dataclasses.replace(some_problem(rng, mix=mix), goal="cost")
        budget = p.budget or 0
        s, best = solve(p), best_by_size(p, budget)
        check_counts(p, s)
        ratio = max(best[1:] / np.arange(1, budget + 1))
        assert s.status == ("optimal" if ratio else "infeasible")
        if ratio:
            assert s.requests_per_s / s.gpus == pytest.approx(ratio, rel=SAME)
            assert 2 * s.gpus > budget  # repeated as often as the budget holds it


@pytest.mark.parametrize("mix", [False, True])
@pytest.mark.parametrize("goal", ["throughput", "cost"])
def test_without_budget_the_smallest_deployment_near_the_ideal(goal: str, mix: bool) -> None:
    rng = np.random.default_rng([4, mix])
    for _ in range(EACH):
        p = dataclasses.replace(some_problem(rng, mix=mix), goal=goal, budget=None)
        # Unlike speeds would need thousands of GPUs, too many to try by hand.
        p = dataclasses.replace(p, decode_rate=p.prefill_rate.max() * rng.uniform(0.5, 2, len(p.decode_rate)))
        s = solve(p)
        check_counts(p, s)
        keep = 1 - p.headroom
        per_gpu = [
            keep * (r / g).max()
            for g, r in ((p.prefill_gpus, p.prefill_rate), (p.decode_gpus, p.decode_rate))
        ]
        ideal = 1 / (1 / per_gpu[0] + 1 / per_gpu[1])
        if mix:
            ideal = max(ideal, keep * (p.colocated_rate / p.colocated_gpus).max())
        best = best_by_size(p, s.gpus)
        near = best >= 0.97 * ideal * np.arange(s.gpus + 1) * (1 - 1e-8)
        assert s.status == "optimal"
        assert near[1:].argmax() + 1 == s.gpus
        assert s.requests_per_s == pytest.approx(best[-1], rel=SAME)


def every_plan(p: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Requests/s, GPUs and dollars an hour of every vector of counts within the budget."""
    assert p.budget is not None
    gpus = np.concatenate((p.prefill_gpus, p.decode_gpus, p.colocated_gpus if p.mix else []))
    price = np.concatenate(
        (p.prefill_usd_per_gpu_hour, p.decode_usd_per_gpu_hour, p.colocated_usd_per_gpu_hour if p.mix else [])
    )
    counts = np.array(list(itertools.product(*(range(int(p.budget // g) + 1) for g in gpus))))
    a, b = len(p.prefill_gpus), len(p.prefill_gpus) + len(p.decode_gpus)
    fits = counts @ gpus <= p.budget
    if not p.mix:
        fits &= (np.count_nonzero(counts[:, :a], axis=1) <= 1) & (
            np.count_nonzero(counts[:, a:], axis=1) <= 1
        )
    counts, keep = counts[fits], 1 - p.headroom
    rate = keep * np.minimum(counts[:, :a] @ p.prefill_rate, counts[:, a:b] @ p.decode_rate)
    if p.mix:
        rate = rate + keep * (counts[:, b:] @ p.colocated_rate)
    return rate, counts @ gpus, counts @ (gpus * price)


def priced_problem(rng: np.random.Generator, *, mix: bool) -> Problem:
    """Two candidates per pool, each on a GPU of its own price; the cheap ones are slow."""
    columns: dict[str, Any] = {}
    for name in ("prefill", "decode", "colocated"):
        gpus, price = rng.integers(1, 4, 2), np.round(rng.uniform(1.0, 6.0, 2), 2)
        columns[f"{name}_gpus"] = gpus
        columns[f"{name}_usd_per_gpu_hour"] = price
        columns[f"{name}_rate"] = gpus * price ** rng.uniform(0.3, 1.3) * rng.uniform(0.7, 1.4, 2)
    columns["colocated_rate"] /= 2
    return Problem(**columns, goal="cost", budget=int(rng.integers(3, 9)), mix=mix, headroom=0.1)


@pytest.mark.parametrize("mix", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_demand_is_met_for_the_least_money(seed: int, mix: bool) -> None:
    rng = np.random.default_rng([5, seed, mix])
    for _ in range(EACH):
        p = priced_problem(rng, mix=mix)
        rate, _, usd = every_plan(p)
        demand = float(rng.choice(rate)) or 0.5 * rate.max() or 1.0
        p = dataclasses.replace(p, requests_per_s=demand)
        s = solve(p)
        check_counts(p, s)
        enough = rate >= demand * (1 - TIE)
        assert s.status == ("optimal" if enough.any() else "infeasible")
        if enough.any():
            assert usd_per_hour(p, s) == pytest.approx(usd[enough].min(), rel=SAME)
            assert s.requests_per_s >= demand * (1 - 2 * TIE)


@pytest.mark.parametrize("mix", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_cost_without_demand_is_the_most_per_dollar(seed: int, mix: bool) -> None:
    rng = np.random.default_rng([6, seed, mix])
    for _ in range(EACH):
        p = priced_problem(rng, mix=mix)
        rate, _, usd = every_plan(p)
        s = solve(p)
        check_counts(p, s)
        best = np.max(rate[1:] / usd[1:], initial=0.0)
        assert s.status == ("optimal" if best else "infeasible")
        if best:
            assert s.requests_per_s / usd_per_hour(p, s) == pytest.approx(best, rel=SAME)


def usd_per_hour(p: Problem, s: Solution) -> float:
    """What the instances of a solution cost."""
    pools = (
        (s.prefill, p.prefill_gpus, p.prefill_usd_per_gpu_hour),
        (s.decode, p.decode_gpus, p.decode_usd_per_gpu_hour),
        (s.colocated, p.colocated_gpus, p.colocated_usd_per_gpu_hour),
    )
    return float(sum(n @ (gpus * price) for n, gpus, price in pools))


@pytest.mark.parametrize("mix", [False, True])
@pytest.mark.parametrize("demand", [None, 3.0])
def test_without_budget_the_cheap_gpus_are_taken_where_they_are_worth_it(
    demand: float | None, mix: bool
) -> None:
    """The second candidates do 1.5 times as much for 3 times the money."""
    pools: Any = [(1, 1.0), (1, 1.5)], [(1, 1.0), (1, 1.5)], [(1, 0.2), (1, 0.3)]
    price = np.array([0.7, 2.1])
    p = dataclasses.replace(
        problem(*pools, budget=None, goal="cost", requests_per_s=demand, mix=mix),
        prefill_usd_per_gpu_hour=price,
        decode_usd_per_gpu_hour=price,
        colocated_usd_per_gpu_hour=price,
    )
    s = solve(p)
    check_counts(p, s)
    n = 3 if demand else 1
    assert (s.prefill.tolist(), s.decode.tolist(), s.status) == ([n, 0], [n, 0], "optimal")


@pytest.mark.parametrize("goal", ["throughput", "fewest-gpus", "cost"])
@pytest.mark.parametrize("mix", [False, True])
def test_one_price_of_all_gpus_changes_nothing(goal: str, mix: bool) -> None:
    rng = np.random.default_rng([7, mix])
    for _ in range(EACH):
        demand = float(rng.uniform(0.5, 3.0)) if goal == "fewest-gpus" or rng.random() < 0.5 else None
        p = dataclasses.replace(some_problem(rng, mix=mix), goal=goal, requests_per_s=demand)
        priced = {
            f"{name}_usd_per_gpu_hour": np.full(len(getattr(p, f"{name}_gpus")), 2.99)
            for name in ("prefill", "decode", "colocated")
        }
        a, b = solve(p), solve(dataclasses.replace(p, **priced))
        assert (a.prefill == b.prefill).all() and (a.decode == b.decode).all()
        assert (a.colocated == b.colocated).all() and a.gap == b.gap


def test_without_budget_the_plan_is_never_larger_than_that_of_algorithm_2() -> None:
    for rate in (0.3, 1.7, 5.9, 23.0):
        paper = match_unbounded(4, 1.3, [16], [rate], osl=2)
        s = solve(problem([(4, 1.3)], [(16, rate)], budget=None))
        assert s.gpus <= paper.gpus.item()
        assert s.requests_per_s / s.gpus >= 0.97 * paper.ideal_tokens_per_s_per_gpu.item() * (1 - 1e-8)


def test_without_budget_and_balance_out_of_reach_the_most_per_gpu_is_taken() -> None:
    """One prefill instance feeds a million decode instances: more than any fleet."""
    s = solve(problem([(1, 1e6)], [(1, 1.0)], budget=None))
    assert (s.prefill.item(), s.decode.item(), s.gpus) == (1, FREE_GPUS - 1, FREE_GPUS)
    demanded = solve(problem([(1, 1e6)], [(1, 1.0)], budget=None, goal="fewest-gpus", requests_per_s=7.0))
    assert (demanded.prefill.item(), demanded.decode.item(), demanded.status) == (1, 7, "optimal")


def test_mix_against_every_combination_of_instances() -> None:
    """The exhaustive search above is itself a recursion; here every vector of counts is listed."""
    rng = np.random.default_rng(11)
    for _ in range(10):
        pools = [[(int(rng.integers(1, 5)), float(rng.uniform(0.5, 3))) for _ in range(2)] for _ in range(3)]
        p = problem(*pools, budget=9, mix=True)
        best, every = 0.0, list(itertools.chain(*pools))
        for n in itertools.product(*(range(9 // g + 1) for g, _ in every)):
            if sum(k * g for k, (g, _) in zip(n, every, strict=True)) <= 9:
                rate = [n[2 * i] * pools[i][0][1] + n[2 * i + 1] * pools[i][1][1] for i in range(3)]
                best = max(best, min(rate[0], rate[1]) + rate[2])
        assert solve(p).requests_per_s == pytest.approx(best, rel=SAME)


def test_program_and_exact_search_agree_at_fleet_size() -> None:
    rng = np.random.default_rng(12)
    for budget in (72, 512, 4096):
        gpus = rng.choice([1, 2, 4, 8, 16, 32, 64], 30)
        prefill, decode = gpus * rng.uniform(0.5, 1.5, 30), gpus * rng.uniform(1.0, 4.0, 30)
        pools = list(zip(gpus, prefill, strict=True)), list(zip(gpus, decode, strict=True))
        s = solve(problem(*pools, budget=budget, headroom=0.1))
        search = match_budget(gpus, prefill, gpus, decode, budget=budget, headroom=0.1)
        assert s.status == "optimal"
        assert s.requests_per_s == pytest.approx(search.requests_per_s.max(), rel=SAME)


@pytest.mark.parametrize("fast", [1e6, 1e15])
def test_rates_of_many_orders_of_magnitude(fast: float) -> None:
    p = problem([(1, 1e-3), (8, 2.5)], [(2, fast), (4, 3 * fast)], [(4, 0.1)], budget=64, mix=True)
    s = solve(p)
    check_counts(p, s)
    assert s.status == "optimal"
    assert s.requests_per_s == pytest.approx(best_by_size(p, 64)[-1], rel=SAME)
    assert s.prefill.tolist() == [2, 7]  # even the small ones count: 0.002 on GPUs otherwise idle


def test_mix_uses_idle_gpus() -> None:
    pools = [(4, 2.0)], [(8, 4.0)], [(3, 0.6)]
    alone, mixed = solve(problem(*pools, budget=22)), solve(problem(*pools, budget=22, mix=True))
    assert (alone.requests_per_s, alone.gpus) == (4.0, 16)
    assert (mixed.requests_per_s, mixed.split_requests_per_s, mixed.gpus) == (5.2, 4.0, 22)
    assert mixed.colocated.item() == 2


def test_a_mix_leaves_gpus_that_add_nothing_idle() -> None:
    p = some_problem(np.random.default_rng(361), mix=True)  # a prefill instance alone would fill the 29th
    s, best = solve(p), best_by_size(p, 29)
    assert (p.budget, s.gpus) == (29, 28)
    assert s.requests_per_s == pytest.approx(best[-1], rel=SAME)


def test_headroom_is_kept_in_both_pools() -> None:
    p = problem([(1, 1.0)], [(1, 1.0)], budget=None, goal="fewest-gpus", requests_per_s=8.0, headroom=0.2)
    s = solve(p)
    assert (s.prefill.item(), s.decode.item(), s.requests_per_s) == (10, 10, 8.0)


@pytest.mark.parametrize("mix", [False, True])
def test_what_cannot_be_built_is_infeasible(mix: bool) -> None:
    pair = [(4, 1.0)], [(8, 1.0)]
    cases = [
        problem(*pair, budget=11, mix=mix),  # below the smallest pair
        problem(*pair, budget=11, mix=mix, goal="cost"),
        problem(*pair, budget=24, mix=mix, goal="fewest-gpus", requests_per_s=2.001),  # demand too high
        problem([], [(8, 1.0)], budget=64, mix=mix),
        problem([(4, 1.0)], [], budget=64, mix=mix),
        problem([], [], budget=None, mix=mix),
        problem([(4, np.nan)], [(8, 1.0)], budget=64, mix=mix),
        problem([(4, 1.0)], [(8, 0.0)], budget=64, mix=mix, goal="cost", requests_per_s=1.0),
    ]
    for p in cases:
        s = solve(p)
        check_counts(p, s)
        assert (s.status, s.gap, s.gpus, s.requests_per_s) == ("infeasible", 0.0, 0, 0.0)
        assert (len(s.prefill), len(s.decode)) == (len(p.prefill_gpus), len(p.decode_gpus))


def test_colocated_alone_is_a_mix() -> None:
    s = solve(problem([], [], [(8, 3.0), (2, 0.6)], budget=21, mix=True))
    assert (s.colocated.tolist(), s.requests_per_s, s.split_requests_per_s) == ([2, 2], 7.2, 0.0)
    ignored = solve(problem([(1, 1.0)], [(1, 1.0)], [(1, 9.0)], budget=8))
    assert (ignored.colocated.tolist(), ignored.requests_per_s) == ([0], 4.0)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("goal", {"goal": "speed"}),
        ("gpus", {"budget": 0}),
        ("headroom", {"headroom": 1.0}),
        ("rate", {"goal": "fewest-gpus"}),
        ("rate", {"goal": "cost", "requests_per_s": -1.0}),
        ("time-limit", {"time_limit_s": 0.0}),
        ("prefill_gpus", {"prefill_gpus": np.array([1, 2])}),
        ("decode_gpus", {"decode_gpus": np.array([0])}),
        ("decode_usd_per_gpu_hour", {"decode_usd_per_gpu_hour": np.array([0.0])}),
    ],
)
def test_misuse_names_the_field(field: str, change: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        solve(dataclasses.replace(problem([(1, 1.0)], [(1, 1.0)], budget=8), **change))
    assert caught.value.field == field
