"""Three screens at three sizes, cell by cell. After a wanted change: pytest --snapshot-update.

What the other screens say is asserted on their text, in `test_screens.py`.
"""

from __future__ import annotations

from typing import Any

import fakes
import pytest

from planner.inputs.fields import BY_KEY

SIZES = ((80, 24), (120, 36), (160, 45))
INFEASIBLE = BY_KEY["ttl"].set(fakes.SCENARIO, 0.002)
STATES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {  # options of the application, and keys
    "plan": ({}, ()),
    "infeasible": ({"scenario": INFEASIBLE, "base": fakes.SCENARIO}, ("f",)),
    "table": ({}, ("2", "down", "down", "s")),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", STATES)
def test_state(snap_compare: Any, state: str, size: tuple[int, int]) -> None:
    options, keys = STATES[state]
    app = fakes.app(**options)

    async def drive(pilot: Any) -> None:
        await fakes.settled(pilot)
        await pilot.press(*keys)
        if state == "infeasible":
            await fakes.until(pilot, lambda: app.main.view.findings.miss is not None)
        await fakes.painted(pilot)

    assert snap_compare(app, terminal_size=size, run_before=drive)
