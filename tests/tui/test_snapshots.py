"""What the screens look like, cell by cell. After a wanted change: pytest --snapshot-update."""

from __future__ import annotations

import dataclasses
from typing import Any

import fakes
import pytest

from planner.inputs.fields import BY_KEY
from planner.inputs.scenario import Scenario
from planner.planning.result import Plan
from tui.widgets import themes

SIZES = ((80, 24), (120, 36), (160, 45))
INFEASIBLE = BY_KEY["ttl"].set(fakes.SCENARIO, 0.002)


class Stuck:
    """Plans as the fake does, until `at`: that one gets as far as its frontier, or fails."""

    def __init__(self, at: int, *, fails: bool = False) -> None:
        self._left, self._fails = at, fails

    def __call__(self, scenario: Scenario, *, should_stop: Any, **options: Any) -> Plan:
        self._left -= 1
        if self._left > 0:
            return fakes.plan(scenario, **options)
        if self._fails:
            raise RuntimeError("the kernels are gone")
        options["on_frontier"](*fakes.frontiers(scenario))
        fakes.hold_until(should_stop)
        raise RuntimeError("stopped")


# state: options of the application, keys, and what must hold before the picture is taken
STATES: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "dark": ({}, (), "current"),
    "light": ({"theme": themes.LIGHT.name}, ("tab", "right", "right"), "current"),
    "ascii": ({"ascii": True}, ("tab", "right"), "current"),
    "no-colour": ({}, (), "current"),
    "infeasible": ({"scenario": INFEASIBLE, "base": fakes.SCENARIO}, ("f",), "current"),
    "mid-computation": ({"plan_fn": Stuck}, (), "frontiers"),
    "stale": ({"plan_fn": Stuck}, (*["j"] * 3, "right"), "late"),
    "error": ({"plan_fn": Stuck}, (*["j"] * 3, "right"), "error"),
}
OTHERS: dict[str, tuple[tuple[int, int], dict[str, Any], tuple[str, ...]]] = {
    "invalid-80x24": ((80, 24), {}, (*["j"] * 8, "7", "x")),
    "choose-80x24": ((80, 24), {}, ("enter", "3")),
    "small-60x18": ((60, 18), {}, ()),
    "large-200x60": ((200, 60), {}, ()),
    "help-80x24": ((80, 24), {}, ("tab", "tab", "question_mark")),
    "help-ascii-80x24": ((80, 24), {"ascii": True}, ("tab", "tab", "question_mark")),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", STATES)
def test_state(snap_compare: Any, monkeypatch: pytest.MonkeyPatch, state: str, size: tuple[int, int]) -> None:
    options, keys, wanted = STATES[state]
    if state == "no-colour":
        monkeypatch.setenv("NO_COLOR", "1")
    if "plan_fn" in options:
        options = {**options, "plan_fn": Stuck(1 if not keys else 2, fails=state == "error")}
    app = fakes.app(**options)

    async def drive(pilot: Any) -> None:
        if keys:
            await fakes.settled(pilot)
        await pilot.press(*keys)
        app.main._clock.now += 3.0
        await fakes.until(pilot, lambda: getattr(app.main.view, wanted))
        if state == "infeasible":
            await fakes.until(pilot, lambda: app.main.view.findings.miss is not None)
        app.main._tick()
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=drive)


@pytest.mark.parametrize("case", OTHERS)
def test_screen(snap_compare: Any, case: str) -> None:
    size, options, keys = OTHERS[case]

    async def drive(pilot: Any) -> None:
        await fakes.settled(pilot)
        await pilot.press(*keys)
        await pilot.pause()

    assert snap_compare(fakes.app(**options), terminal_size=size, run_before=drive)


def test_the_fake_plan_does_not_change_by_itself() -> None:
    a, b = fakes.plan(fakes.SCENARIO), fakes.plan(fakes.SCENARIO)
    assert dataclasses.asdict(a.disaggregated.pools[1].memory) == dataclasses.asdict(
        b.disaggregated.pools[1].memory
    )
    assert (a.frontier_disaggregated.cloud_ttl_s == b.frontier_disaggregated.cloud_ttl_s).all()
