"""The tour plays itself through, the same each time, and any key ends it."""

from __future__ import annotations

import fakes
import pytest

from tui.screens import tour
from tui.screens.tour import STEPS, Tour
from tui.widgets import themes


@pytest.mark.slow
async def test_the_tour_shows_every_step_and_leaves() -> None:
    app = fakes.app()
    seen: list[tuple[str, float, bool, str]] = []

    def look(step: tour.Step) -> None:
        view = app.main.view
        assert view.current and not view.invalid and not view.error
        seen.append((step.name, view.scenario.limits.ttl_s, view.infeasible, app.theme))

    app.tour = Tour(app, pause_s=0, key_s=0.01, look=look)
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.until(pilot, lambda: app.return_code is not None or not app.is_running)
    assert [name for name, *_ in seen] == [step.name for step in STEPS]
    by_name = {name: rest for name, *rest in seen}
    assert by_name["ease"][0] > fakes.SCENARIO.limits.ttl_s  # the arrows eased the limit
    assert by_name["type"][0] == 0.015
    assert by_name["infeasible"][1] and not by_name["fixed"][1]
    assert by_name["light"][2] == themes.LIGHT.name and by_name["dark"][2] == themes.DARK.name


async def test_any_key_ends_the_tour() -> None:
    app = fakes.app()
    app.tour = Tour(app, pause_s=3600)
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        await pilot.press("x")
        await fakes.until(pilot, lambda: app.return_code == 0)
    assert not app.main.solver.alive
