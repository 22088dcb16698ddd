"""Pareto fronts against the definition, tried on every pair of points."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.match.pareto import pareto, prune, unbeaten

# Few distinct values make ties common; the rest tries rounding, nan and infinities.
few = st.integers(0, 4).map(float)
any_float = st.floats(width=32, allow_nan=True, allow_infinity=True)
points = st.lists(st.tuples(few | any_float, few | any_float), max_size=30)
instances = st.lists(
    st.tuples(few | any_float, st.integers(1, 12), st.integers(0, 6).map(float) | any_float), max_size=25
)


def beaten(x: list[float], y: list[float], i: int) -> bool:
    """Some other finite point is at least as good in both, and better in one or earlier."""
    return any(
        math.isfinite(x[j])
        and math.isfinite(y[j])
        and x[j] >= x[i]
        and y[j] >= y[i]
        and ((x[j], y[j]) != (x[i], y[i]) or j < i)
        for j in range(len(x))
        if j != i
    )


@given(points)
def test_pareto_is_the_set_of_unbeaten_points(values: list[tuple[float, float]]) -> None:
    x, y = [v[0] for v in values], [v[1] for v in values]
    front = pareto(np.array(x), np.array(y))
    expected = {
        i for i in range(len(x)) if math.isfinite(x[i]) and math.isfinite(y[i]) and not beaten(x, y, i)
    }
    assert set(front.tolist()) == expected
    assert len(front) == len(expected)


@given(points)
def test_pareto_is_a_staircase(values: list[tuple[float, float]]) -> None:
    x, y = np.array([v[0] for v in values]), np.array([v[1] for v in values])
    front = pareto(x, y)
    assert np.all(np.diff(x[front]) > 0)
    assert np.all(np.diff(y[front]) < 0)


def test_pareto_of_nothing() -> None:
    assert pareto([], []).tolist() == []
    assert pareto([np.nan, 1.0], [1.0, np.inf]).tolist() == []


def test_pareto_does_not_depend_on_the_order_of_the_points() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.uniform(size=5000), rng.uniform(size=5000)
    shuffle = rng.permutation(5000)
    front, other = pareto(x, y), pareto(x[shuffle], y[shuffle])
    assert front.tolist() == shuffle[other].tolist()


def superfluous(latency: list[float], gpus: list[int], rate: list[float], i: int) -> bool:
    """Copies of another usable instance replace i on its GPUs; of equal instances the first stays."""
    for j in range(len(gpus)):
        if j == i or not (math.isfinite(latency[j]) and math.isfinite(rate[j]) and rate[j] > 0):
            continue
        replaces = latency[j] <= latency[i] and gpus[i] // gpus[j] * rate[j] >= rate[i]
        equal = (latency[j], gpus[j], rate[j]) == (latency[i], gpus[i], rate[i])
        if replaces and (not equal or j < i):
            return True
    return False


@given(instances)
def test_prune_keeps_exactly_what_nothing_replaces(values: list[tuple[float, int, float]]) -> None:
    latency, gpus, rate = [v[0] for v in values], [v[1] for v in values], [v[2] for v in values]
    expected = [
        i
        for i in range(len(gpus))
        if math.isfinite(latency[i])
        and math.isfinite(rate[i])
        and rate[i] > 0
        and not superfluous(latency, gpus, rate, i)
    ]
    assert prune(latency, gpus, rate).tolist() == expected


@settings(max_examples=60)
@given(instances, st.integers(1, 30), few)
def test_prune_never_lowers_the_best_pool(
    values: list[tuple[float, int, float]], budget: int, limit: float
) -> None:
    """Under any budget and latency limit the pruned candidates serve as much as all of them."""

    def best(index: list[int]) -> float:
        usable = [i for i in index if latency[i] <= limit and math.isfinite(latency[i])]
        return max((budget // gpus[i] * rate[i] for i in usable if math.isfinite(rate[i])), default=0.0)

    latency, gpus, rate = [v[0] for v in values], [v[1] for v in values], [v[2] for v in values]
    kept = prune(latency, gpus, rate).tolist()
    assert max(best(kept), 0.0) == max(best(list(range(len(gpus)))), 0.0)


def test_prune_drops_a_larger_instance_only_when_copies_of_a_smaller_one_replace_it() -> None:
    same = [0.1, 0.1]
    assert prune(same, [4, 8], [1.0, 2.0]).tolist() == [0]
    assert prune(same, [4, 8], [1.0, 2.1]).tolist() == [0, 1]
    assert prune(same, [4, 7], [1.0, 1.1]).tolist() == [0, 1]  # only one of the first fits into seven GPUs
    assert prune([0.2, 0.1], [4, 8], [1.0, 2.0]).tolist() == [0, 1]  # the larger is faster


def test_prune_keeps_nothing_of_nothing() -> None:
    assert prune([], [], []).tolist() == []
    assert prune([0.1, np.nan], [1, 1], [0.0, 1.0]).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5)), max_size=30))
def test_unbeaten_are_the_front_of_each_group(values: list[tuple[int, int, int]]) -> None:
    group, latency, rate = np.array(values, dtype=np.int64).reshape(-1, 3).T
    kept = [
        i
        for i, (g, late, served) in enumerate(values)
        if not any(
            g == h and x <= late and y >= served and ((x, y) != (late, served) or j < i)
            for j, (h, x, y) in enumerate(values)
        )
    ]
    assert unbeaten(group, latency.astype(float), rate.astype(float)).tolist() == kept
