"""The pair of pools that spends least at the rate it runs at, against every pair by hand."""

from __future__ import annotations

import numpy as np
import pytest

from planner.match import spent, spent_bounds
from planner.match.robust import KNOWN, Errors, errors
from planner.match.spending import Pairs, Spending


def some(random: np.random.Generator, number: int, loads: int) -> Spending:
    capacity = random.uniform(0.5, 4.0, number)
    inner = np.sort(random.uniform(0.1, 0.9, (number, loads - 2)), axis=1)
    runs = capacity * random.uniform(0.7, 1.0, number)
    return Spending(
        gpus=random.integers(1, 9, number),
        rate=runs * random.uniform(0.6, 1.0, number),
        runs=runs,
        capacity=capacity,
        late_s=random.choice([0.1, 0.5, 1.0, 2.0], number),
        loads=np.concatenate((np.zeros((number, 1)), inner, np.ones((number, 1))), axis=1),
        spends=np.sort(random.uniform(100.0, 5000.0, (number, loads)), axis=1),
    )


def by_hand(
    prefill: Spending, decode: Spending, off: Errors, budget: int, demand: float | None, slack: float
) -> tuple[float, float, int] | None:
    """The most worth; then within the slack of it the earliest first token, and the fewest GPUs with that."""
    found = []
    for i in range(len(prefill)):
        for j in range(len(decode)):
            gpus = int(prefill.gpus[i] + decode.gpus[j])
            pairs = zip(off.prefill, off.decode, strict=True)
            served = [min(prefill.rate[i] * e, decode.rate[j] * d) for e, d in pairs]
            expected = sum(served) / len(served)
            at = min(prefill.runs[i], decode.runs[j]) if demand is None else demand
            if gpus > budget or (demand is not None and expected < demand):
                continue
            watts = sum(
                float(np.interp(at / of.capacity[row], of.loads[row], of.spends[row]))
                for of, row in ((prefill, i), (decode, j))
            )
            found.append((expected / watts if demand is None else -watts, prefill.late_s[i], gpus))
    if not found:
        return None
    top = max(worth for worth, _, _ in found)
    near = [one for one in found if one[0] >= top - abs(top) * (slack + 1e-9)]
    late = min(one[1] for one in near) if slack else None
    _, gpus = min((one[1] if slack else 0.0, one[2]) for one in near)
    return top, late, gpus


@pytest.mark.parametrize("seed", range(40))
def test_it_is_the_best_of_every_pair(seed):
    random = np.random.default_rng(seed)
    prefill, decode = some(random, 12, 2), some(random, 15, 5)
    off = KNOWN if seed % 2 else errors(0.2, 0.1)
    budget, slack = int(random.integers(3, 16)), [0.0, 0.05][seed % 4 // 2]
    demand = [None, float(random.uniform(0.5, 3.0))][seed % 3 > 0]
    choice = spent.least(
        prefill, decode, errors=off, fits=lambda x, y: x + y <= budget, demand=demand, slack=slack
    )
    known = by_hand(prefill, decode, off, budget, demand, slack)
    assert (choice is None) == (known is None)
    if choice is None or known is None:
        return
    top, late, gpus = known
    assert choice.best.worth == pytest.approx(top, rel=1e-9)
    at = choice.chosen
    assert at.worth >= top - abs(top) * (slack + 1e-8)
    assert prefill.gpus[at.prefill] + decode.gpus[at.decode] == gpus
    if slack:
        assert at.late_s == late


def by_instances(random: np.random.Generator, kinds: int, counts: int, loads: int) -> Spending:
    """Some instances of each of some kinds, whose rates do not quite add up."""
    one = some(random, kinds, loads)
    at, n = np.repeat(np.arange(kinds), counts), np.tile(np.arange(1, counts + 1), kinds)
    runs = one.runs[at] * n * random.uniform(0.9, 1.0, len(at))
    return Spending(
        gpus=one.gpus[at] * n,
        rate=runs * (one.rate / one.runs)[at] * random.uniform(0.95, 1.0, len(at)),
        runs=runs,
        capacity=one.capacity[at] * n,
        late_s=one.late_s[at] + random.choice([0.0, 0.01], kinds)[at],
        loads=one.loads[at],
        spends=one.spends[at] * n[:, None],
        kind=at,
    )


@pytest.mark.parametrize("seed", range(60))
def test_pairs_that_a_bound_leaves_out_are_never_the_answer(seed, monkeypatch):
    random = np.random.default_rng([7, seed])
    prefill, decode = by_instances(random, 8, 6, 2), by_instances(random, 9, 7, 5)
    off = KNOWN if seed % 3 == 0 else errors(*random.uniform(0.05, 0.5, 2))
    budget, slack = int(random.integers(3, 120)), [0.0, 0.05, 0.4][seed // 2 % 3]
    asked = {
        "errors": off,
        "fits": lambda x, y: x + y <= budget,
        "demand": None if seed % 2 else float(random.uniform(0.5, 12.0)),
        "slack": slack,
    }
    every = spent.least(prefill, decode, **asked)
    monkeypatch.setattr(spent, "MOST_PAIRS", 0)
    monkeypatch.setattr(spent_bounds, "PART", 64)
    assert spent.least(prefill, decode, **asked) == every


def test_few_of_many_pairs_are_weighed(monkeypatch):
    """All of them would take gigabytes: 12,000 by 15,000."""
    random = np.random.default_rng(3)
    prefill, decode = by_instances(random, 60, 200, 2), by_instances(random, 75, 200, 5)
    weighed = []
    real = Pairs.worth
    monkeypatch.setattr(Pairs, "worth", lambda of, i, j: weighed.append(len(i) * len(j)) or real(of, i, j))
    for demand in (None, 40.0):
        weighed.clear()
        fits = lambda x, y: x + y <= 4096  # noqa: E731
        found = spent.least(prefill, decode, errors=errors(0.2, 0.1), fits=fits, demand=demand, slack=0.02)
        assert found is not None and max(weighed) <= spent_bounds.PART
        assert sum(weighed) < 0.1 * len(prefill) * len(decode)


def test_nothing_where_no_pool_can_be_built():
    random = np.random.default_rng(1)
    decode = some(random, 3, 4)
    none = some(random, 0, 2)
    assert spent.least(none, decode, errors=KNOWN, fits=lambda x, y: x > 0, demand=None, slack=0.0) is None
