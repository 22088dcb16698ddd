"""Mixes by dynamic programming against the integer program, and against trying all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.match import milp, packed
from planner.match.problem import Problem
from planner.match.robust import KNOWN, errors


def problem(seed: int, budget: int, off: bool = False) -> Problem:
    chance = np.random.default_rng(seed)
    gpus = [chance.integers(1, 12, size=5) for _ in range(3)]
    rate = [size * chance.uniform(0.6, 1.4, size=5) for size in gpus]
    return Problem(
        prefill_gpus=gpus[0], prefill_rate=rate[0], decode_gpus=gpus[1], decode_rate=rate[1],
        colocated_gpus=gpus[2], colocated_rate=0.4 * rate[2], budget=budget, mix=True,
        errors=errors(0.2, 0.1) if off else KNOWN,
    )  # fmt: skip


@pytest.mark.parametrize("off", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_the_mix_is_that_of_the_integer_program(
    seed: int, off: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = problem(seed, 37, off)
    exact = milp.solve(asked)
    monkeypatch.setattr(packed, "solvable", lambda *_: False)
    solved = milp.solve(asked)
    assert exact.status == "optimal"
    assert exact.expected_requests_per_s == pytest.approx(solved.expected_requests_per_s, rel=2e-6)
    assert exact.gpus <= solved.gpus and exact.gpus <= 37


def test_a_mix_is_never_less_than_one_layout_per_pool() -> None:
    for seed in range(20):
        asked = problem(seed, 50)
        assert milp.solve(asked).requests_per_s >= milp.solve(replace(asked, mix=False)).requests_per_s * (
            1 - 1e-9
        )


def test_nothing_to_serve_with_is_no_plan() -> None:
    none = problem(0, 20)
    none = replace(none, prefill_rate=0 * none.prefill_rate, colocated_rate=0 * none.colocated_rate)
    assert milp.solve(none).status == "infeasible"
