"""The solver thread: the newest request wins, stale news is dropped, nothing stays behind."""

from __future__ import annotations

import dataclasses
import os
import sys
import termios
import threading
import time
import types
from pathlib import Path

import fakes
import pytest
from inbox import Inbox, start, variant, wait_done
from terminals import Terminal

from planner.errors import InputError
from planner.inputs.scenario import Scenario
from planner.planning.result import Plan
from planner.simulate.points import Stopped
from tui.solver import worker as solver_module
from tui.solver.messages import FrontierReady, SolveDone, SolveFailed, SolverMessage, SolveStarted, StudyNews
from tui.solver.worker import Planner, Presets, Solver, one_line


def test_it_tells_of_start_frontier_and_answer_in_order(inbox: Inbox) -> None:
    solver = start(inbox)
    generation = solver.submit(fakes.SCENARIO)
    done = inbox.wait(SolveDone, generation)
    assert isinstance(done, SolveDone) and done.plan.scenario == fakes.SCENARIO
    assert [type(m) for m in inbox.messages] == [SolveStarted, FrontierReady, SolveDone]
    assert solver.close()


def test_the_newest_request_wins_and_those_between_are_never_asked(inbox: Inbox) -> None:
    gate = fakes.Gate()
    solver = start(inbox, gate)
    first = solver.submit(variant(1024))
    assert gate.started.acquire(timeout=fakes.CEILING_S)
    between = [solver.submit(variant(isl)) for isl in (2048, 3072)]
    last = solver.submit(variant(4096))
    assert gate.started.acquire(timeout=fakes.CEILING_S)  # the first has stopped, the newest is at the gate
    gate.open()
    inbox.wait(SolveDone, last)
    assert [s.traffic.isl for s in gate.asked] == [1024, 4096]
    assert gate.stopped == [variant(1024)]
    for generation in (first, *between):
        assert not inbox.find(SolveDone, generation)
        assert not inbox.find(SolveFailed, generation)
    assert solver.close()


def test_an_answer_that_comes_too_late_is_remembered_but_not_told(inbox: Inbox) -> None:
    entered, go = threading.Event(), threading.Event()

    def deaf(scenario: Scenario, **options):
        if scenario == variant(1024):
            entered.set()
            assert go.wait(10)
        return fakes.plan(scenario)  # never looks at should_stop

    solver = start(inbox, deaf)
    old = solver.submit(variant(1024))
    assert entered.wait(10)
    new = solver.submit(variant(2048))
    go.set()
    inbox.wait(SolveDone, new)
    assert not inbox.find(SolveDone, old)
    again = solver.submit(variant(1024))
    done = inbox.wait(SolveDone, again)
    assert isinstance(done, SolveDone) and done.cached
    assert solver.close()


def test_a_known_scenario_is_answered_from_memory_unless_fresh(inbox: Inbox) -> None:
    asked = []

    def counting(scenario: Scenario, **options):
        asked.append(scenario)
        return fakes.plan(scenario, **options)

    solver = start(inbox, counting)
    inbox.wait(SolveDone, solver.submit(fakes.SCENARIO))
    known = inbox.wait(SolveDone, solver.submit(fakes.SCENARIO))
    assert isinstance(known, SolveDone) and known.cached and len(asked) == 1
    fresh = inbox.wait(SolveDone, solver.submit(fakes.SCENARIO, fresh=True))
    assert isinstance(fresh, SolveDone) and not fresh.cached and len(asked) == 2
    assert solver.close()


def test_memory_is_bounded(inbox: Inbox) -> None:
    asked = []

    def counting(scenario: Scenario, **options):
        asked.append(scenario.traffic.isl)
        return fakes.plan(scenario, **options)

    solver = start(inbox, counting, remembered=2)
    for isl in (1, 2, 3, 1):
        inbox.wait(SolveDone, solver.submit(variant(isl)))
    assert asked == [1, 2, 3, 1]
    assert solver.close()


def test_bad_input_names_its_field(inbox: Inbox) -> None:
    solver = start(inbox)
    failed = inbox.wait(SolveFailed, solver.submit(dataclasses.replace(fakes.SCENARIO, model="gpt-0")))
    assert isinstance(failed, SolveFailed)
    assert failed.field == "model" and "gpt-0" in failed.line and "\n" not in failed.line
    assert solver.close()


def test_a_bug_in_the_planner_is_one_line_and_the_thread_lives_on(inbox: Inbox) -> None:
    def broken(scenario: Scenario, **options):
        if scenario.traffic.isl == 1024:
            raise ZeroDivisionError("division\nby zero")
        return fakes.plan(scenario, **options)

    solver = start(inbox, broken)
    failed = inbox.wait(SolveFailed, solver.submit(variant(1024)))
    assert isinstance(failed, SolveFailed)
    assert failed.line == "ZeroDivisionError: division by zero" and failed.field == ""
    inbox.wait(SolveDone, solver.submit(variant(2048)))
    assert solver.close()


def test_a_failed_warm_up_is_told_and_does_not_stop_the_thread(inbox: Inbox) -> None:
    def no_plots() -> None:
        raise ImportError("no plotext")

    solver = start(inbox, warm_up=no_plots)
    inbox.wait(SolveDone, solver.submit(fakes.SCENARIO))
    assert any(isinstance(m, SolveFailed) and "no plotext" in m.line for m in inbox.messages)
    assert solver.close()


def test_close_stops_a_running_solve_and_leaves_no_thread(inbox: Inbox) -> None:
    gate = fakes.Gate()
    solver = start(inbox, gate)
    generation = solver.submit(fakes.SCENARIO)
    assert gate.started.acquire(timeout=fakes.CEILING_S)
    assert solver.close()
    assert not solver.alive
    assert gate.stopped == [fakes.SCENARIO]
    assert not inbox.find(SolveDone, generation) and not inbox.find(SolveFailed, generation)
    assert "ratematch-solver" not in {t.name for t in threading.enumerate()}


def test_close_without_start_and_twice(inbox: Inbox) -> None:
    solver = Solver(inbox, fakes.plan)
    assert solver.close() and solver.close()


def test_a_closed_event_loop_ends_the_thread() -> None:
    def closed(message: SolverMessage) -> None:
        raise RuntimeError("Event loop is closed")

    solver = Solver(closed, fakes.plan)
    solver.start()
    solver.submit(fakes.SCENARIO)
    solver._thread.join(fakes.CEILING_S)
    assert not solver.alive


def test_what_is_known_later_of_an_answer_is_a_second_one(inbox: Inbox) -> None:
    told: list[Plan] = []

    def again(scenario: Scenario, plan: Plan, *, should_stop) -> Plan:
        told.append(plan)
        return dataclasses.replace(plan, max_context=len(told)) if scenario == fakes.SCENARIO else plan

    solver = start(inbox, again_fn=again)
    other = solver.submit(variant(1024))
    inbox.wait(SolveDone, other)
    generation = solver.submit(fakes.SCENARIO)
    with inbox._news:
        inbox._news.wait_for(lambda: len(inbox.find(SolveDone, generation)) == 2, timeout=fakes.CEILING_S)
    first, second = inbox.find(SolveDone, generation)
    assert isinstance(first, SolveDone) and isinstance(second, SolveDone)
    assert first.plan is told[-1] and second.plan.max_context == len(told)
    assert len(inbox.find(SolveDone, other)) == 1
    known = solver.submit(fakes.SCENARIO)
    remembered = inbox.wait(SolveDone, known)
    assert isinstance(remembered, SolveDone) and remembered.cached and remembered.plan is second.plan
    assert solver.close()


def test_what_is_known_later_comes_after_all_of_an_answer_that_was_overtaken(inbox: Inbox) -> None:
    begun = threading.Event()

    def again(scenario: Scenario, plan: Plan, *, should_stop) -> Plan:
        if scenario != fakes.SCENARIO:
            return plan
        if not begun.is_set():
            begun.set()
            while not should_stop():
                time.sleep(0.002)
            raise Stopped
        return dataclasses.replace(plan, max_context=7)

    solver = start(inbox, again_fn=again)
    first = solver.submit(fakes.SCENARIO)
    assert begun.wait(fakes.CEILING_S)
    inbox.wait(SolveDone, solver.submit(variant(1024)))
    back = solver.submit(fakes.SCENARIO)
    with inbox._news:
        inbox._news.wait_for(lambda: len(inbox.find(SolveDone, back)) == 2, timeout=fakes.CEILING_S)
    assert len(inbox.find(SolveDone, first)) == 1
    remembered, whole = inbox.find(SolveDone, back)
    assert isinstance(remembered, SolveDone) and isinstance(whole, SolveDone)
    assert remembered.cached and whole.plan.max_context == 7
    known = inbox.wait(SolveDone, solver.submit(fakes.SCENARIO))
    assert isinstance(known, SolveDone) and known.plan is whole.plan
    assert solver.close()


def test_an_answer_stands_whatever_happens_to_what_is_known_later(inbox: Inbox) -> None:
    def broken(*_: object, **__: object) -> Plan:
        raise RuntimeError("no replay")

    solver = start(inbox, again_fn=broken)
    first = solver.submit(fakes.SCENARIO)
    inbox.wait(SolveDone, first)
    second = solver.submit(variant(1024))
    inbox.wait(SolveDone, second)
    assert len(inbox.find(SolveDone, first)) == 1 and not inbox.find(SolveFailed, first)
    assert solver.close()


def test_one_line_of_an_exception_without_words() -> None:
    assert one_line(KeyError()) == "KeyError"
    assert one_line(InputError("isl", "x", "a number")).startswith("InputError: isl")


def test_a_study_runs_after_the_answer_and_tells_each_finding(inbox: Inbox) -> None:
    solver = start(inbox)
    generation = solver.submit(fakes.SCENARIO)

    def study(plan):
        for isl in (1024, 2048):
            yield plan(variant(isl)).scenario.traffic.isl

    solver.study("isl", study)
    last = wait_done(inbox, generation, "isl")
    assert last.found == (1024, 2048) and last.line == ""
    kinds = [type(m) for m in inbox.messages]
    assert kinds.index(SolveDone) < kinds.index(StudyNews)
    assert [m.found for m in inbox.find(StudyNews, generation)] == [(1024,), (1024, 2048), (1024, 2048)]
    assert solver.close()


def test_a_submit_ends_the_studies(inbox: Inbox) -> None:
    gate = fakes.Gate()
    solver = start(inbox, gate)
    first = solver.submit(variant(1024))
    gate.open()
    inbox.wait(SolveDone, first)
    assert gate.started.acquire(timeout=fakes.CEILING_S)
    solver.study("long", lambda plan: (plan(variant(isl)) for isl in (1, 2, 3)))
    solver.study("never", lambda plan: (plan(variant(isl)) for isl in (4, 5)))
    assert gate.started.acquire(timeout=fakes.CEILING_S)  # the study's first plan is at the gate
    second = solver.submit(variant(2048))
    assert gate.started.acquire(timeout=fakes.CEILING_S)
    gate.open()
    inbox.wait(SolveDone, second)
    assert [s.traffic.isl for s in gate.asked] == [1024, 1, 2048]
    assert not inbox.find(StudyNews, first)
    assert solver.close()


def test_a_study_that_fails_ends_with_what_it_has(inbox: Inbox) -> None:
    solver = start(inbox)
    generation = solver.submit(fakes.SCENARIO)

    def study(plan):
        yield 1
        raise ZeroDivisionError("in a study")

    solver.study("bad", study)
    last = wait_done(inbox, generation, "bad")
    assert last.found == (1,) and "in a study" in last.line
    again = solver.submit(variant(1024))
    inbox.wait(SolveDone, again)
    assert solver.close()


def test_a_study_asked_for_again_takes_the_old_ones_place(inbox: Inbox) -> None:
    gate = fakes.Gate()
    solver = start(inbox, gate)
    generation = solver.submit(fakes.SCENARIO)
    assert gate.started.acquire(timeout=fakes.CEILING_S)
    solver.study("curve", lambda plan: iter(("old",)))
    solver.study("curve", lambda plan: iter(("new",)))
    gate.open()
    assert wait_done(inbox, generation, "curve").found == ("new",)
    assert solver.close()


def test_the_optimiser_waits_for_the_frontier_to_be_drawn_and_no_longer() -> None:
    """Either the screen says that it has drawn, or a newer request comes: both let it go on."""
    inbox = Inbox()
    solver = Solver(inbox, fakes.plan, courtesy_s=3600.0)
    solver.start()
    try:
        first = solver.submit(fakes.SCENARIO)
        inbox.wait(FrontierReady, first)
        assert not inbox.find(SolveDone, first)
        solver.drawn()
        inbox.wait(SolveDone, first)
        second = solver.submit(dataclasses.replace(fakes.SCENARIO, headroom=0.1))
        inbox.wait(FrontierReady, second)
        third = solver.submit(dataclasses.replace(fakes.SCENARIO, headroom=0.2))
        inbox.wait(FrontierReady, third)  # the thread did not wait for the second to be drawn
    finally:
        assert solver.close()


SMALL = dataclasses.replace(fakes.SCENARIO, model="llama-3.1-8b", system="h100", engine="trtllm")


def test_presets_are_read_again_only_when_a_file_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path))
    presets = Presets()
    first = presets.now()
    assert presets.now() is first
    mine = tmp_path / "scenarios" / "mine.toml"
    mine.parent.mkdir()
    mine.write_text("schema = 1\nisl = 1000\n", encoding="utf-8")
    second = presets.now()
    assert second is not first and second.scenario("mine").traffic.isl == 1000
    mine.write_text("schema = 1\nisl = 2000\n", encoding="utf-8")
    os.utime(mine, ns=(1, 1))  # clocks of file systems can be coarse
    assert presets.now().scenario("mine").traffic.isl == 2000
    mine.unlink()
    assert "mine" not in presets.now().names("scenario")


def test_an_edit_after_the_frontier_does_not_wait_for_the_optimisers_imports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    imported: list[str] = []
    # the worker's own name for it, not the module that all share: what a plan reads is imported by name too
    monkeypatch.setattr(solver_module, "importlib", types.SimpleNamespace(import_module=imported.append))
    seen: list[object] = []
    with pytest.raises(Stopped):
        Planner()(SMALL, on_frontier=lambda *both: seen.append(both), should_stop=lambda: bool(seen))
    assert len(seen) == 1 and imported == []
    monkeypatch.undo()
    assert Planner()(SMALL, on_frontier=lambda *both: seen.append(both)).scenario == SMALL
    assert len(seen) == 2 and "scipy.optimize" in sys.modules


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
def test_leaving_does_not_wait_for_a_solve_that_hears_nothing(tmp_path: Path) -> None:
    """The integer program cannot be interrupted; here it would take an hour."""
    program = (
        "import sys, time; from tui.app import run; from tui.solver.backend import Backend; "
        "sys.exit(run(backend=Backend(plan_fn=lambda *scenario, **rest: time.sleep(3600))))"
    )
    terminal = Terminal([], tmp_path, program=("-c", program))
    try:
        terminal.wait_for("ratematch", "computing")
        terminal.type("q")
        assert terminal.leave() == 0
        assert terminal.sent.rindex(b"\x1b[?1049l") > terminal.sent.rindex(b"\x1b[?1049h")
        assert termios.tcgetattr(terminal.slave) == terminal.before
        assert b"Traceback" not in terminal.sent
        assert (
            tmp_path / "state" / "ratematch" / "session.json"
        ).exists()  # the session is kept all the same
    finally:
        terminal.close()
