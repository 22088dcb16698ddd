"""What the card and the chart say: no plan, an old one, none yet, an error."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import fakes
import pytest
from driving import SIZE, Driver

from planner.inputs.fields import BY_KEY
from planner.inputs.scenario import Scenario
from tui.charts.pareto_chart import ParetoChart
from tui.panes.plan_card import PlanCard
from tui.panes.why_not import FixList
from tui.solver.messages import SolveDone
from tui.state import CARD


async def test_undo_and_redo_are_instant_and_from_memory(driver: Driver) -> None:
    await driver.focus("isl")
    await driver.pilot.press("right")
    await driver.settled()
    await driver.pilot.press("u")
    await driver.settled()
    assert driver.scenario == fakes.SCENARIO and "from memory" in driver.title
    await driver.pilot.press("U")
    await driver.settled()
    assert driver.scenario.traffic.isl > 8192
    await driver.pilot.press("u", "u", "u")
    assert driver.scenario == fakes.SCENARIO


async def test_the_steps_of_the_row_with_the_focus_are_planned_ahead() -> None:
    asked: list[Scenario] = []

    def plan(scenario: Scenario, **options: Any) -> Any:
        asked.append(scenario)
        found = fakes.plan(scenario, **options)
        slow = scenario.traffic.osl > fakes.SCENARIO.traffic.osl
        return dataclasses.replace(found, seconds={"total": 2.0}) if slow else found

    app = fakes.app(plan_fn=plan, looks_ahead=True)
    async with app.run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        await driver.focus("isl")
        field = driver.knob("isl").field
        near = [field.set(fakes.SCENARIO, field.step(8192, by)) for by in (1, -1)]
        await fakes.until(pilot, lambda: all(scenario in asked for scenario in near))
        await pilot.press("right")
        await driver.settled()
        assert driver.scenario == near[0] and asked.count(near[0]) == 1 and "from memory" in driver.title
        await driver.focus("osl")
        await pilot.press("right")
        await driver.settled()
        slow = driver.scenario
        assert slow in asked
        await driver.focus("ttl")  # such plans are made when they are asked for
        await pilot.press("up", "down")
        await fakes.painted(pilot)
        steps = [BY_KEY["ttl"].set(slow, BY_KEY["ttl"].step(0.02, by)) for by in (1, -1)]
        assert not any(scenario in asked for scenario in steps)


async def test_infeasible_says_why_and_a_fix_applies_and_undoes(driver: Driver) -> None:
    await driver.focus("ttl")
    await driver.enter("2ms")
    await driver.pilot.press("enter")
    await driver.settled()
    assert "infeasible" in driver.title and "✗" in driver.title
    assert "do not fit" in driver.card and "TTL 2 ms → 3.8 ms" in driver.card
    assert "✗" in fakes.text(driver.knob("ttl"))
    await driver.pilot.press("f")
    assert driver.main.query_one(FixList).has_focus
    await driver.pilot.press("enter")
    await driver.settled()
    assert driver.scenario.limits.ttl_s == 0.0038 and not driver.main.view.infeasible
    assert driver.knob("ttl").has_focus
    await driver.pilot.press("u")
    await driver.settled()
    assert driver.main.view.infeasible
    await driver.pilot.press("f", "j", "enter")
    await driver.settled()
    assert driver.scenario.fleet.gpus == 144


async def test_each_fix_is_one_key_away_wherever_the_focus_is(driver: Driver) -> None:
    await driver.focus("ttl")
    await driver.enter("2ms")
    await driver.pilot.press("enter")
    await driver.settled()
    assert "A TTL 2 ms → 3.8 ms" in driver.card and "B GPUs 72 → 144" in driver.card
    await driver.pilot.press("B")
    await driver.settled()
    assert driver.scenario.fleet.gpus == 144 and driver.scenario.limits.ttl_s == 0.002
    await driver.pilot.press("u")
    await driver.settled()
    await driver.pilot.press(
        "right_square_bracket", "A"
    )  # not from another page, where no one sees what it does
    assert driver.scenario.limits.ttl_s == 0.002
    await driver.pilot.press("left_square_bracket", "A")
    await driver.settled()
    assert driver.scenario.limits.ttl_s == 0.0038
    await driver.pilot.press("A")  # nothing is offered any more
    assert driver.scenario.limits.ttl_s == 0.0038 and driver.main.view.current


async def test_the_card_says_at_every_size_whether_it_is_beyond_the_error() -> None:
    async with fakes.app().run_test(size=(60, 18)) as pilot:
        driver = Driver(pilot)
        for size in ((60, 18), (80, 24), (120, 36), (160, 45), (200, 60)):
            await pilot.resize_terminal(*size)
            await driver.settled()
            driver.main.set_view(unfolded=frozenset())
            await fakes.painted(pilot)
            assert "beyond the error" in " ".join(driver.card.split()), size
            driver.main.set_view(unfolded=frozenset({CARD}))  # on small screens the ranges are a key away
            await fakes.painted(pilot)
            words = " ".join(driver.card.split())
            assert "15–24 ms" in words and "0.62–5 s" in words and "1,200–1,900 tok/s/GPU" in words, size


@pytest.mark.parametrize("goal", ["cost", "fewest-gpus"])
async def test_other_goals_say_it_too(driver: Driver, goal: str) -> None:
    scenario = BY_KEY["goal"].set(BY_KEY["rate"].set(fakes.SCENARIO, 50.0), goal)
    driver.main.take(scenario)
    await driver.settled()
    assert "error" in driver.card or "the same as co-located" in driver.card


async def test_the_card_says_when_it_is_of_an_earlier_scenario(driver: Driver) -> None:
    card = driver.main.query_one(PlanCard)
    assert card.border_title == "Plan"
    await driver.focus("isl")
    await driver.enter("5x")
    assert card.border_title == "Plan, before the edit"
    await driver.pilot.press("escape")
    await driver.settled()
    assert card.border_title == "Plan"


async def test_f_does_nothing_while_all_is_well(driver: Driver) -> None:
    await driver.pilot.press("f")
    assert driver.knob("model").has_focus


async def test_fields_that_disagree_are_told_at_the_row(driver: Driver) -> None:
    await driver.focus("goal")
    await driver.pilot.press("right")
    assert driver.main.view.invalid == "rate" and "request rate" in driver.hint
    assert "✗" in fakes.text(driver.knob("rate"))
    await driver.focus("rate")
    await driver.enter("20")
    await driver.pilot.press("enter")
    await driver.settled()
    assert driver.main.view.plan.scenario.goal == "fewest-gpus" and "✗" not in fakes.text(driver.knob("rate"))
    assert "64 GPUs, the same as co-located" in driver.card


async def test_a_planner_error_keeps_the_result() -> None:
    def moody(scenario: Scenario, **options: Any):
        if scenario.traffic.isl > 8192:
            raise ZeroDivisionError("float division by zero")
        return fakes.plan(scenario, **options)

    async with fakes.app(plan_fn=moody).run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        card = driver.card
        await driver.focus("isl")
        await driver.pilot.press("right")
        await fakes.until(pilot, lambda: driver.main.view.error)
        assert "ZeroDivisionError: float division by zero" in driver.hint
        assert "! error" in driver.title and driver.card == card
        await driver.pilot.press("left")
        await driver.settled()
        assert "error" not in driver.title and "ISL" in driver.hint


async def test_a_name_the_planner_refuses_marks_its_row() -> None:
    stray = dataclasses.replace(fakes.SCENARIO, model="gpt-0")
    async with fakes.app(stray).run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        await fakes.until(pilot, lambda: driver.main.view.invalid)
        assert driver.main.view.invalid == "model" and "gpt-0" in driver.hint
        assert "gpt-0" in driver.card
        await driver.pilot.press("right")
        await driver.settled()
        assert "Split" in driver.card


async def test_never_blank_before_the_first_plan_and_the_picture_comes_first() -> None:
    between = threading.Semaphore(0)
    before = threading.Semaphore(0)

    def slow(scenario: Scenario, *, on_frontier: Any, **options: Any):
        assert before.acquire(timeout=fakes.CEILING_S)
        on_frontier(*fakes.frontiers(scenario))
        assert between.acquire(timeout=fakes.CEILING_S)
        return fakes.plan(scenario)

    async with fakes.app(plan_fn=slow).run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        await pilot.pause()
        chart = driver.main.query_one(ParetoChart)
        assert "computing" in driver.card and "computing" in fakes.text(chart)
        assert "◐ computing" in driver.title
        before.release()
        await fakes.until(pilot, lambda: driver.main.view.frontiers)
        assert "●" in fakes.text(chart) and "computing" in driver.card
        between.release()
        await driver.settled()
        assert "Split" in driver.card


async def test_a_stale_answer_ages_and_is_not_taken_for_the_new_one() -> None:
    gate, clock = fakes.Gate(), fakes.Clock()
    async with fakes.app(plan_fn=gate, clock=clock).run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        gate.open()
        await driver.settled()
        await driver.focus("isl")
        await pilot.press("right")
        await pilot.press("right")
        clock.now += 7
        driver.main._tick()
        await pilot.pause()
        assert "computing" in driver.title and "shown: 7 s ago" in driver.title
        assert driver.main.view.plan.scenario == fakes.SCENARIO
        wanted = driver.scenario
        gate.open()
        await fakes.until(pilot, lambda: not driver.main.view.solving or gate._go.release())
        assert driver.main.view.plan.scenario == wanted


async def test_held_keys_are_asked_once() -> None:
    asked: list[int] = []

    def counting(scenario: Scenario, **options: Any):
        asked.append(scenario.traffic.isl)
        return fakes.plan(scenario, **options)

    app = fakes.app(plan_fn=counting, debounce_s=3600)  # and the clock stands still: keys come at once
    async with app.run_test(size=SIZE) as pilot:
        driver = Driver(pilot)
        await driver.settled()
        await driver.focus("isl")
        await pilot.press(*["right"] * 6)
        await fakes.until(pilot, lambda: len(asked) == 2)  # the first step at once, the others wait
        await pilot.press("r")
        await driver.settled()
        assert asked == [8192, 12288, driver.scenario.traffic.isl] and asked[-1] > 12288


async def test_an_older_answer_behind_a_remembered_one_does_not_take_its_place(driver: Driver) -> None:
    """The thread's answers take the longer way into the queue."""
    main = driver.main
    await driver.focus("isl")
    await driver.pilot.press("right")
    await driver.settled()
    older = SolveDone(main.solver.generation, main.view.plan)
    main.action_undo()  # remembered: its answer lies in the queue at once
    main.post_message(older)
    await driver.settled()
    assert main.view.plan.scenario == fakes.SCENARIO and main.view.cached
