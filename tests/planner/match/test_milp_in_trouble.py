"""The integer program without time or with a solver that errs, and what a solver prints."""

from __future__ import annotations

import ctypes
import dataclasses
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from planner.match import milp, packed, program, solver_output
from planner.match.milp import solve
from planner.match.problem import Problem
from planner.match.rate_match import TIE, TOLERANCE, match_budget
from planner.match.solver_output import c_stdout_muted
from tests.planner.match.problems import check_counts, problem, some_problem

# When the solver has no time, or errs


@pytest.fixture(autouse=True)
def mixes_take_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of large budgets do; of small ones they are weighed pair by pair (`planner.match.packed`)."""
    monkeypatch.setattr(packed, "solvable", lambda *_: False)


def without_answer(*_: object, **__: object) -> Any:
    """What `scipy.optimize.milp` returns when the time ends before any plan was found."""
    return scipy.optimize.OptimizeResult(x=None, status=1, mip_dual_bound=None)


@pytest.mark.parametrize("goal", ["throughput", "fewest-gpus", "cost"])
@pytest.mark.parametrize("budget", [30, None])
@pytest.mark.parametrize("mix", [False, True])
def test_without_time_the_best_single_layout_plan_and_an_honest_gap(
    monkeypatch: pytest.MonkeyPatch, goal: str, budget: int | None, mix: bool
) -> None:
    demand = 2.5 if goal == "fewest-gpus" else None
    pools = [(4, 1.3), (3, 0.9)], [(5, 1.1), (2, 0.4)], [(3, 0.31)]
    p = problem(*pools, budget=budget, goal=goal, requests_per_s=demand, mix=mix)
    best = solve(p)
    monkeypatch.setattr(scipy.optimize, "milp", without_answer)
    s = solve(p)
    check_counts(p, s)
    assert s.status == "feasible"
    if demand:
        assert s.requests_per_s >= demand
        value, optimum = s.gpus, best.gpus
        assert optimum >= value / (1 + s.gap) - value * s.gap  # the bound lies below the optimum
        assert value - s.gap * value <= optimum
    elif budget:
        unit = (s.gpus, best.gpus) if goal == "cost" else (1, 1)
        assert best.requests_per_s / unit[1] <= s.requests_per_s / unit[0] * (1 + s.gap) * (1 + 1e-9)
        assert s.gap > 0


@pytest.mark.parametrize("answered", [1, 2, 3])
def test_near_the_ideal_both_programs_have_to_be_proven(
    monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    """Few GPUs, then the most on them: without the second proof the rate may be beaten."""
    pools = [(4, 1.3), (3, 0.9)], [(5, 1.1), (2, 0.4)], [(3, 0.31)]
    p = problem(*pools, budget=None, goal="cost", headroom=0.1, mix=True)
    real, calls = scipy.optimize.milp, []

    def first_ones(*a: Any, **k: Any) -> Any:
        calls.append(None)
        return real(*a, **k) if len(calls) <= answered else without_answer()

    best = solve(p)
    assert (best.status, best.gap) == ("optimal", 0.0)
    monkeypatch.setattr(scipy.optimize, "milp", first_ones)
    s = solve(p)
    least = (1 - TOLERANCE) * milp._buildable(p).ideal
    assert s.requests_per_s >= least * s.gpus * (1 - TIE)  # what is promised holds without the second
    assert s.status == ("optimal" if answered > 1 else "feasible")
    assert best.requests_per_s <= s.requests_per_s * (1 + s.gap) * (1 + 1e-9)


def test_no_further_ratio_is_tried_when_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dinkelbach's iteration ends, its gap is that of the last proof and its plan the last one."""
    rng = np.random.default_rng(5)
    p = dataclasses.replace(some_problem(rng, mix=True, largest=200), goal="cost", requests_per_s=None)
    best, calls, real = solve(p), [], scipy.optimize.milp
    monkeypatch.setattr(program.Program, "late", property(lambda self: True))
    monkeypatch.setattr(scipy.optimize, "milp", lambda *a, **k: calls.append(None) or real(*a, **k))
    s = solve(p)
    check_counts(p, s)
    assert len(calls) == 1
    assert best.requests_per_s / best.gpus <= s.requests_per_s / s.gpus * (1 + s.gap) * (1 + 1e-9)


def test_a_mix_not_found_in_time_is_told_from_one_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a mix serves 3 on 8 GPUs: 2 on a 4-GPU instance and 1 on a 3-GPU one, in either pool."""
    pools = [(1, 9.0)], [(4, 2.0), (3, 1.0)]
    p = problem(*pools, budget=8, goal="fewest-gpus", requests_per_s=3.0, mix=True)
    assert (solve(p).status, solve(p).gpus) == ("optimal", 8)
    monkeypatch.setattr(scipy.optimize, "milp", without_answer)
    s = solve(p)
    assert (s.status, s.gap, s.gpus) == ("infeasible", np.inf, 0)


def test_a_plan_that_misses_the_demand_by_the_solvers_slack_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """2.999999 of an instance may pass for 3 in the solver; the rounded plan must still serve."""
    real, asked = scipy.optimize.milp, []

    def lax(objective: np.ndarray, **arguments: Any) -> Any:
        """Accepts rows missed by 2e-6 of the demand, once."""
        rows = arguments["constraints"]
        asked.append(rows.lb[3])
        if len(asked) == 1:
            arguments["constraints"] = scipy.optimize.LinearConstraint(
                rows.A, np.where(np.arange(len(rows.lb)) == 3, rows.lb * (1 - 2e-6), rows.lb), np.inf
            )
        return real(objective, **arguments)

    monkeypatch.setattr(scipy.optimize, "milp", lax)
    decode = [(2, 1 - 1e-6), (3, 1.2)]  # nine of the first nearly do; eight and one of the second do
    p = problem([(1, 10.0)], decode, budget=40, goal="fewest-gpus", requests_per_s=9.0, mix=True)
    s = solve(p)
    assert len(asked) == 2
    assert s.requests_per_s >= 9.0 * (1 - TIE)
    assert s.gpus == 20
    assert (s.status, s.gap) == ("feasible", 0.05)  # the only bound is that of the lax answer: 19


def test_a_real_time_limit_leaves_a_plan() -> None:
    rng = np.random.default_rng(13)
    gpus = rng.integers(1, 97, 60)
    p = Problem(
        prefill_gpus=gpus,
        prefill_rate=gpus * rng.uniform(0.9, 1.1, 60),
        decode_gpus=gpus,
        decode_rate=gpus * rng.uniform(0.9, 1.1, 60) * 1.618,
        colocated_gpus=gpus,
        colocated_rate=gpus * rng.uniform(0.55, 0.62, 60),
        budget=16_384,
        mix=True,
        time_limit_s=1e-4,
    )
    s = solve(p)
    check_counts(p, s)
    assert s.status in ("feasible", "optimal")
    assert (s.gap == 0) == (s.status == "optimal")
    single = match_budget(p.prefill_gpus, p.prefill_rate, p.decode_gpus, p.decode_rate, budget=16_384)
    assert s.requests_per_s >= single.requests_per_s.max() * (1 - 2 * TIE)


# Around the solver


def test_a_solver_that_prints_does_not_reach_the_output(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if solver_output._pointers() is None:
        pytest.skip("C stdout cannot be moved here")
    real, library = scipy.optimize.milp, ctypes.CDLL(None)

    def chatty(*arguments: Any, **named: Any) -> Any:
        library.puts(b"stray line")
        return real(*arguments, **named)

    monkeypatch.setattr(scipy.optimize, "milp", chatty)
    assert solve(problem([(1, 1.0)], [(1, 1.0)], budget=4)).status == "optimal"
    library.fflush(None)
    assert capfd.readouterr().out == ""


def test_scipy_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, planner.match.milp; sys.exit(any(m.split('.')[0] == 'scipy' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


needs_c_library = pytest.mark.skipif(
    solver_output._pointers() is None, reason="C stdout cannot be moved here"
)


@needs_c_library
def test_what_c_code_prints_is_muted_and_what_python_prints_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    library = ctypes.CDLL(None)
    library.puts(b"before")
    with c_stdout_muted():
        library.puts(b"stray line")
        print("from Python", flush=True)
    library.puts(b"after")
    library.fflush(None)
    shown = capfd.readouterr().out
    assert "stray" not in shown
    assert sorted(shown.split()) == ["Python", "after", "before", "from"]


@needs_c_library
def test_output_stays_muted_until_the_last_thread_leaves(capfd: pytest.CaptureFixture[str]) -> None:
    library = ctypes.CDLL(None)
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with c_stdout_muted():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait()
    with c_stdout_muted():
        pass
    library.puts(b"stray line")
    leave.set()
    thread.join()
    library.puts(b"after")
    library.fflush(None)
    assert capfd.readouterr().out == "after\n"
