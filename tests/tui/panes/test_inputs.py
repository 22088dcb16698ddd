"""The rows of the form: names that are long, groups that are folded."""

from __future__ import annotations

import fakes
from driving import Driver

from planner import load
from planner.inputs.fields import FIELDS
from tui.panes.inputs import Heading, InputsPane


async def test_a_group_without_a_row_in_sight_is_a_line_that_opens(driver: Driver) -> None:
    """Whatever the height; the arrow keys reach it, enter and z open it, z folds it again."""
    pane = driver.main.query_one(InputsPane)
    alone = [heading for heading in driver.main.query(Heading) if heading.can_focus and heading.display]
    shown = {knob.field.group for knob in pane.knobs if knob.display}
    assert {heading.group for heading in alone} == {field.group for field in FIELDS} - shown
    for key in ("enter", "z"):
        await driver.focus("goal")
        await driver.pilot.press("down")
        heading = driver.main.focused
        assert isinstance(heading, Heading) and heading is alone[0] and "enter shows" in driver.hint
        await driver.pilot.press(key)
        rows = [driver.knob(field.key) for field in FIELDS if field.group == heading.group]
        assert all(row.display for row in rows) and not heading.display and rows[0].has_focus
        assert driver.pilot.app.session.unfolded == (f"inputs:{heading.group}",)
        order = [row.region.y for row in rows]
        assert order == sorted(order) and order[0] > driver.knob("goal").region.y
        await driver.pilot.press("z")
        assert not any(row.display for row in rows) and heading.has_focus and heading.display
    await driver.pilot.press("m")
    assert not any(heading.display for heading in alone) and driver.main.focused is not None


async def test_every_name_of_a_model_can_be_read_in_its_row() -> None:
    async with fakes.app().run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        knob = pilot.app.main.query_one(InputsPane).knob("model")
        for name in load().names("model"):
            knob.value = name
            assert name in fakes.text(knob)
        knob.value = "llama-3.1-8b"
        assert "model" in fakes.text(knob)
