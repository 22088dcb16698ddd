"""What the pages look like, cell by cell. After a wanted change: pytest --snapshot-update."""

from __future__ import annotations

from typing import Any

import fakes
import pytest

from planner.inputs.fields import BY_KEY
from tui.widgets import themes

SIZES = ((80, 24), (120, 36), (160, 45))
PAGES: dict[str, tuple[str, ...]] = {
    "table": ("2", "down", "down", "s"),
    "compare": ("3", "right"),
    "what-if": ("4",),
    "breakdown": ("5",),
}
LOOKS: dict[str, tuple[tuple[int, int], dict[str, Any], tuple[str, ...]]] = {
    "what-if-light-120x36": ((120, 36), {"theme": themes.LIGHT.name}, ("4", "down")),
    "compare-ascii-120x36": ((120, 36), {"ascii": True}, ("3",)),
    "axis-gpus-120x36": ((120, 36), {}, ("x", "x", "x")),
    "zoom-linear-120x36": ((120, 36), {}, ("escape", "L", "plus", "plus")),
    "infeasible-miss-160x45": ((160, 45), {"scenario": BY_KEY["ttl"].set(fakes.SCENARIO, 0.002)}, ()),
}


async def pin_two(pilot: Any) -> None:
    """Pin the scenario and one with twice the GPUs; the form is left with a third."""
    main = pilot.app.main
    for gpus in (72, 144, 96):
        main.take(BY_KEY["gpus"].set(fakes.SCENARIO, gpus))
        await fakes.settled(pilot)
        if gpus != 96:
            main.action_pin()
            pilot.app.clear_notifications()
            await fakes.until(pilot, lambda: all(pin.plan is not None for pin in main.view.pins))


async def rest(pilot: Any) -> None:
    """Let studies end."""
    main = pilot.app.main

    def whole() -> bool:
        found = main.view.findings
        if main.view.infeasible:
            return found.miss_of is main.view.plan
        return main.tab != "what-if" or (len(found.effects) == found.wanted > 0 and found.curve_done)

    await fakes.until(pilot, whole)
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("page", PAGES)
def test_page(snap_compare: Any, page: str, size: tuple[int, int]) -> None:
    async def drive(pilot: Any) -> None:
        await fakes.settled(pilot)
        if page == "compare":
            await pin_two(pilot)
        for key in PAGES[page]:
            await pilot.press(key)
        await rest(pilot)

    assert snap_compare(fakes.app(), terminal_size=size, run_before=drive)


@pytest.mark.parametrize("look", LOOKS)
def test_look(snap_compare: Any, look: str) -> None:
    size, options, keys = LOOKS[look]

    async def drive(pilot: Any) -> None:
        await fakes.settled(pilot)
        if "compare" in look:
            await pin_two(pilot)
        for key in keys:
            await pilot.press(key)
        await rest(pilot)

    assert snap_compare(fakes.app(**options), terminal_size=size, run_before=drive)
