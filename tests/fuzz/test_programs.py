"""A few programs against exhaustive search, and whether a wrong answer would be seen."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from planner.match.milp import solve
from planner.match.problem import Solution
from tests.fuzz import programs


def test_a_sample_of_programs_is_solved() -> None:
    assert list(programs.run(11, 40)) == []


@pytest.mark.parametrize("number", [55, 102, 131, 376])
def test_where_the_cheap_gpus_are_too_many_the_dear_ones_serve(number: int) -> None:
    """Candidates of unlike prices, rates with errors: this said that nothing can be built."""
    assert list(programs.failures(programs.program([21, number]))) == []


def test_every_kind_of_question_is_among_them() -> None:
    drawn = [programs.program([3, number]) for number in range(60)]
    kinds = {
        (p.goal, p.mix, p.budget is None, p.goal != "throughput" and p.requests_per_s is not None)
        for p in drawn
    }
    assert len(kinds) >= 10 and any(p.headroom for p in drawn)
    assert {p.prefill_usd_per_gpu_hour is None for p in drawn} == {True, False}


def dearer(s: Solution) -> Solution:
    """One instance of each kind too many."""
    return dataclasses.replace(s, prefill=s.prefill + (s.prefill > 0), decode=s.decode + (s.decode > 0))


WRONG: dict[str, Callable[[Solution], Solution]] = {
    "instances that are not those told": dearer,
    "a rate that is too high": lambda s: dataclasses.replace(s, requests_per_s=s.requests_per_s * 1.001),
    "a rate that is not expected": lambda s: dataclasses.replace(
        s, expected_requests_per_s=s.expected_requests_per_s * 0.999
    ),
    "a GPU that is not told": lambda s: dataclasses.replace(s, gpus=s.gpus - 1),
    "a gap that is none": lambda s: dataclasses.replace(s, status="feasible", gap=0.01),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_answer_is_seen(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    def spoilt(problem: Any) -> Solution:
        found = solve(problem)
        return found if found.status == "infeasible" else WRONG[fault](found)

    monkeypatch.setattr(programs, "solve", spoilt)
    assert len(list(programs.run(12, 12))) >= 6


def test_a_search_that_stops_early_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of a GPU less is not the best."""

    def short(problem: Any) -> Solution:
        less = problem.budget - 1 if problem.budget and problem.budget > 1 else problem.budget
        return solve(dataclasses.replace(problem, budget=less))

    monkeypatch.setattr(programs, "solve", short)
    assert list(programs.run(13, 20))
