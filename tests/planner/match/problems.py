"""Problems for the integer program, and what holds of any answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from planner.match.problem import Problem, Solution

SAME = 1e-7  # what "optimal" promises


def problem(
    prefill: list[tuple[int, float]],
    decode: list[tuple[int, float]],
    colocated: list[tuple[int, float]] = (),  # type: ignore[assignment]
    **question: Any,
) -> Problem:
    """A problem from (GPUs, requests/s) pairs."""
    arrays: dict[str, Any] = {}
    for name, pool in (("prefill", prefill), ("decode", decode), ("colocated", colocated)):
        arrays[f"{name}_gpus"] = np.array([p[0] for p in pool], dtype=np.int64)
        arrays[f"{name}_rate"] = np.array([p[1] for p in pool], dtype=np.float64)
    return Problem(**arrays, **question)


def some_problem(rng: np.random.Generator, *, mix: bool, largest: int = 40) -> Problem:
    """Few candidates of awkward sizes; some rates whole, so that ties happen; pools of unlike speed."""
    budget = int(rng.integers(1, largest + 1))
    scale = 10 ** rng.uniform(-3, 5, 3)
    if rng.random() < 0.7:
        scale[2] = 1 / (1 / scale[0] + 1 / scale[1])  # co-located about as good as the split
    columns: dict[str, Any] = {}
    for name, unit in zip(("prefill", "decode", "colocated"), scale, strict=True):
        gpus = rng.integers(1, rng.integers(2, 16), rng.integers(1, 6))
        rate = gpus * rng.uniform(0.4, 1.5, len(gpus)) * unit
        columns[f"{name}_gpus"] = gpus
        columns[f"{name}_rate"] = np.maximum(np.round(rate), 1.0) if rng.random() < 0.3 else rate
    return Problem(**columns, budget=budget, mix=mix, headroom=float(rng.choice([0.0, 0.1, 0.25])))


def best_by_size(p: Problem, budget: int) -> np.ndarray:
    """Most requests/s on at most x GPUs, x = 0 .. budget, by trying every partition of x."""
    keep = 1 - p.headroom

    def one_layout(gpus: np.ndarray, rate: np.ndarray) -> np.ndarray:
        pool = [x // g * r * keep for x in range(budget + 1) for g, r in zip(gpus, rate, strict=True)]
        return np.max(np.reshape(pool, (budget + 1, -1)), axis=1, initial=0.0)

    def any_layouts(gpus: np.ndarray, rate: np.ndarray) -> np.ndarray:
        pool = np.zeros(budget + 1)
        for x in range(1, budget + 1):
            used = [pool[x - g] + r * keep for g, r in zip(gpus, rate, strict=True) if g <= x]
            pool[x] = max([pool[x - 1], *used])
        return pool

    pool_of = any_layouts if p.mix else one_layout
    prefill, decode = pool_of(p.prefill_gpus, p.prefill_rate), pool_of(p.decode_gpus, p.decode_rate)
    split = np.array([np.minimum(prefill[: x + 1], decode[x::-1]).max() for x in range(budget + 1)])
    if not p.mix:
        return split
    colocated = any_layouts(p.colocated_gpus, p.colocated_rate)
    return np.array([(split[: x + 1] + colocated[x::-1]).max() for x in range(budget + 1)])


def check_counts(p: Problem, s: Solution) -> None:
    """The reported numbers follow from the instances, and the instances obey the question."""
    prefill, decode, colocated = (
        n @ ((1 - p.headroom) * np.nan_to_num(rate))
        for n, rate in (
            (s.prefill, p.prefill_rate),
            (s.decode, p.decode_rate),
            (s.colocated, p.colocated_rate),
        )
    )
    assert s.split_requests_per_s == pytest.approx(min(prefill, decode), rel=1e-12)
    assert s.requests_per_s == pytest.approx(min(prefill, decode) + colocated, rel=1e-12)
    assert s.gpus == s.prefill @ p.prefill_gpus + s.decode @ p.decode_gpus + s.colocated @ p.colocated_gpus
    assert p.budget is None or s.gpus <= p.budget
    assert min(s.prefill.min(initial=0), s.decode.min(initial=0), s.colocated.min(initial=0)) >= 0
    if not p.mix:
        assert np.count_nonzero(s.prefill) <= 1
        assert np.count_nonzero(s.decode) <= 1
        assert not s.colocated.any()
