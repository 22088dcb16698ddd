"""What the screens look like, cell by cell. After a wanted change: pytest --snapshot-update."""

from __future__ import annotations

import dataclasses
from typing import Any

import fakes
import pytest

from planner.fields import BY_KEY
from tui import palette

INFEASIBLE = BY_KEY["ttl"].set(fakes.SCENARIO, 0.002)
CASES: dict[str, tuple[tuple[int, int], dict[str, Any], tuple[str, ...]]] = {
    "feasible-80x24": ((80, 24), {}, ()),
    "feasible-120x36": ((120, 36), {}, ()),
    "feasible-160x45": ((160, 45), {}, ()),
    "light-120x36": ((120, 36), {"theme": palette.LIGHT.name}, ("tab", "right", "right")),
    "infeasible-80x24": ((80, 24), {"scenario": INFEASIBLE, "base": fakes.SCENARIO}, ("f",)),
    "invalid-80x24": ((80, 24), {}, (*["j"] * 8, "7", "x")),
    "ascii-80x24": ((80, 24), {"ascii": True}, ("tab", "right")),
    "choose-80x24": ((80, 24), {}, ("enter", "3")),
    "small-60x18": ((60, 18), {}, ()),
}


@pytest.mark.parametrize("case", CASES)
def test_screen(snap_compare: Any, case: str) -> None:
    size, options, keys = CASES[case]

    async def drive(pilot: Any) -> None:
        await fakes.settled(pilot)
        for key in keys:
            await pilot.press(key)
        await pilot.pause()

    assert snap_compare(fakes.app(**options), terminal_size=size, run_before=drive)


def test_the_fake_plan_does_not_change_by_itself() -> None:
    a, b = fakes.plan(fakes.SCENARIO), fakes.plan(fakes.SCENARIO)
    assert dataclasses.asdict(a.disaggregated.pools[1].memory) == dataclasses.asdict(
        b.disaggregated.pools[1].memory
    )
    assert (a.frontier_disaggregated.cloud_y == b.frontier_disaggregated.cloud_y).all()
