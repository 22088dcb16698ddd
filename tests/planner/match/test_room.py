"""Pools on systems of their own: the match in a room against all that it has, one by one."""

from __future__ import annotations

from itertools import product
from math import ceil

import numpy as np
import pytest

from planner.match import milp
from planner.match.problem import Problem
from planner.match.rate_match import match_budget
from planner.match.robust import KNOWN, errors
from planner.match.room import Cap, Filled, Limit, Racks, Room

NONE = np.empty(0, dtype=np.int64)


def inventory(seed):
    """A few layouts of either pool, GPUs and prices of two systems, and what caps and racks leave."""
    chance = np.random.default_rng(seed)
    sizes = [chance.choice([1, 2, 3, 4, 8], size=chance.integers(1, 4)) for _ in range(2)]
    rates = [size * chance.uniform(0.5, 2.0, len(size)) for size in sizes]
    have = [int(n) for n in chance.integers(2, 17, 2)]
    prices, watts = chance.uniform(1, 6, 2), chance.uniform(0.7, 2.0, 2)
    caps = [
        Cap(
            prefill=float(each[0]),
            decode=float(each[1]),
            most=float(chance.uniform(0.3, 1.1) * (each @ have)),
        )
        for each in (prices, watts)
        if chance.random() < 0.6
    ]
    off = errors(0.2, 0.1) if chance.random() < 0.5 else KNOWN
    racks = None
    if chance.random() < 0.5:
        of = [int(n) for n in chance.integers(1, 9, 2)]
        racks = Racks(prefill=of[0], decode=of[1], most=int(chance.integers(1, 6)))
    return sizes, rates, have, prices, (caps, racks), off


def every(sizes, rates, have, limits):
    """GPUs and rates of all pairs of pools within the room."""
    caps, racks = limits
    for i, j in product(range(len(sizes[0])), range(len(sizes[1]))):
        for n, m in product(range(1, have[0] // sizes[0][i] + 1), range(1, have[1] // sizes[1][j] + 1)):
            x, y = n * sizes[0][i], m * sizes[1][j]
            within = all(cap.prefill * x + cap.decode * y <= cap.most * (1 + 1e-9) for cap in caps)
            if within and (racks is None or ceil(x / racks.prefill) + ceil(y / racks.decode) <= racks.most):
                yield int(x), int(y), float(n * rates[0][i]), float(m * rates[1][j])


def found(seed, **asked):
    sizes, rates, have, prices, limits, off = inventory(seed)
    room = Room.of(*have, *limits)
    each = [np.full(len(size), price) for size, price in zip(sizes, prices, strict=True)]
    solution = milp.solve(
        Problem(
            prefill_gpus=sizes[0],
            prefill_rate=rates[0],
            decode_gpus=sizes[1],
            decode_rate=rates[1],
            colocated_gpus=NONE,
            colocated_rate=NONE.astype(float),
            prefill_usd_per_gpu_hour=each[0],
            decode_usd_per_gpu_hour=each[1],
            budget=max(room.gpus, 1),
            room=room,
            errors=off,
            **asked,
        )
    )
    pools = int(solution.prefill @ sizes[0]), int(solution.decode @ sizes[1])
    return solution, pools, float(np.dot(pools, prices))


def agrees(seed):
    """Each goal of one inventory: what is found is in the room, and nothing in it is better."""
    sizes, rates, have, prices, limits, off = inventory(seed)
    all_of_them = [
        (x, y, float(off.expected(p, d)), x * prices[0] + y * prices[1])
        for x, y, p, d in every(sizes, rates, have, limits)
    ]
    solution, pools, usd = found(seed)
    if not all_of_them:
        assert solution.status == "infeasible"
        return
    assert solution.status == "optimal"
    room = Room.of(*have, *limits)
    assert room.fits(*map(np.asarray, pools))
    most = max(rate for _, _, rate, _ in all_of_them)
    assert solution.expected_requests_per_s == pytest.approx(most)
    assert sum(pools) == min(x + y for x, y, rate, _ in all_of_them if rate >= most * (1 - 1e-9))
    demand = 0.6 * most
    serves = [one for one in all_of_them if one[2] >= demand * (1 - 1e-9)]
    fewest, pools, _ = found(seed, goal="fewest-gpus", requests_per_s=demand)
    assert (sum(pools), fewest.status) == (min(x + y for x, y, _, _ in serves), "optimal")
    _, _, usd = found(seed, goal="cost", requests_per_s=demand)
    assert usd == pytest.approx(min(one[3] for one in serves))
    cheap, pools, usd = found(seed, goal="cost")
    assert cheap.expected_requests_per_s / usd == pytest.approx(max(one[2] / one[3] for one in all_of_them))
    assert room.fits(*map(np.asarray, pools))


@pytest.mark.parametrize("seed", range(60))
def test_no_deployment_of_two_systems_beats_the_match(seed):
    agrees(seed)


@pytest.mark.parametrize("seed", range(12))
def test_the_best_of_every_decode_candidate_is_that_of_all_pairs(seed):
    sizes, rates, have, _, limits, _ = inventory(seed)
    matched = match_budget(
        sizes[0], rates[0], sizes[1], rates[1], budget=sum(have), room=Room.of(*have, *limits)
    )
    for j in range(len(sizes[1])):
        one = sizes[1][[j]], rates[1][[j]]
        rated = [min(p, d) for _, _, p, d in every([sizes[0], one[0]], [rates[0], one[1]], have, limits)]
        assert matched.requests_per_s[j] == pytest.approx(max(rated, default=0.0))


def test_one_budget_is_the_room_of_one_system():
    gpus, rate = np.array([1, 2, 4]), np.array([1.0, 2.1, 4.5])
    plain = match_budget(gpus, rate, gpus, 2 * rate, budget=16)
    roomy = match_budget(gpus, rate, gpus, 2 * rate, budget=16, room=Room.shared(16))
    assert all(np.array_equal(getattr(plain, name), getattr(roomy, name)) for name in plain.__slots__)


def test_a_free_gpu_passes_no_cap():
    assert Room.of(2, 3, [Cap(prefill=1.0, decode=0.0, most=1.0)]).decode_beside.tolist() == [3, 3]
    assert Room.of(2, 3, [Cap(prefill=1.0, decode=1.0, most=-1.0)]).gpus == 0


def mixed(seed):
    """A mix on two systems by the program and by all numbers of instances, for each goal."""
    chance = np.random.default_rng(seed)
    system = [chance.integers(0, 2, 2) for _ in range(3)]  # of each candidate of each pool
    sizes = [chance.choice([1, 2, 3], 2) for _ in range(3)]
    rates = [size * chance.uniform(0.5, 2.0, 2) for size in sizes]
    have, prices = chance.integers(2, 6, 2), chance.uniform(1, 4, 2)
    most = float(chance.uniform(0.5, 1.2) * (have @ prices))
    limits = [Limit(each=[(of == s).astype(float) for of in system], most=float(have[s])) for s in (0, 1)]
    limits.append(Limit(each=[prices[of] for of in system], most=most))
    off = errors(0.2, 0.1) if chance.random() < 0.5 else KNOWN
    racks = None
    if chance.random() < 0.5:
        of_a_rack, many = chance.integers(1, 4, 2), int(chance.integers(1, 5))
        racks = Filled(system=system, gpus=of_a_rack, most=many)

    def solved(**asked):
        names = ("prefill", "decode", "colocated")
        return milp.solve(
            Problem(
                **{f"{name}_gpus": size for name, size in zip(names, sizes, strict=True)},
                **{f"{name}_rate": rate for name, rate in zip(names, rates, strict=True)},
                **{f"{name}_usd_per_gpu_hour": prices[of] for name, of in zip(names, system, strict=True)},
                budget=int(have.sum()),
                limits=limits,
                racks=racks,
                mix=True,
                errors=off,
                **asked,
            )
        )

    every = np.array(list(product(range(6), repeat=6)))
    gpus = every * np.concatenate(sizes)
    of = np.concatenate(system)
    usd = gpus @ prices[of]
    fits = (usd <= most * (1 + 1e-9)) & np.all([gpus @ (of == s) <= have[s] for s in (0, 1)], axis=0)
    if racks is not None:
        fits &= sum(np.ceil(gpus @ (of == s) / racks.gpus[s]) for s in (0, 1)) <= racks.most
    every, gpus, usd = every[fits], gpus[fits].sum(1), usd[fits]
    served = [every[:, 2 * pool : 2 * pool + 2] @ rates[pool] for pool in range(3)]
    rate = off.expected(served[0], served[1]) + served[2]
    top = solved()
    if not rate.any():
        assert top.status == "infeasible"
        return
    assert top.expected_requests_per_s == pytest.approx(rate.max(), rel=1e-6)
    assert top.gpus == gpus[rate >= rate.max() * (1 - 1e-9)].min()
    enough = rate >= 0.6 * rate.max() * (1 - 1e-9)
    assert solved(goal="fewest-gpus", requests_per_s=0.6 * rate.max()).gpus == gpus[enough].min()
    cost = solved(goal="cost", requests_per_s=0.6 * rate.max())
    spent = sum(
        float(n @ (size * prices[of]))
        for n, size, of in zip((cost.prefill, cost.decode, cost.colocated), sizes, system, strict=True)
    )
    assert spent == pytest.approx(usd[enough].min(), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_no_mix_on_two_systems_beats_the_programs(seed):
    mixed(seed)
