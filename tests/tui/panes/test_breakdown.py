"""The panes beside the plan, in the room that they have."""

from __future__ import annotations

import dataclasses

import fakes
import pytest

from planner.output.notes import notes
from tui.glyphs import UNICODE
from tui.panes.breakdown import DetailsPane, optimiser_text, time_bars


def test_notes_are_whole_and_those_without_room_are_counted() -> None:
    """The last of them ended within a sentence at the foot of the pane."""
    plan = dataclasses.replace(fakes.plan(fakes.SCENARIO), not_read=("rope_scaling", "some_other_key_of_it"))
    pane = DetailsPane(glyphs=UNICODE)
    pane._plan = plan
    told = notes(plan)
    assert len(told) > 1
    for height in range(12, 60):
        lines = [line.plain for line in pane.lines(44, height)]
        text = " ".join(lines)
        whole = sum(note in text for note in told)
        facts = next(at for at, line in enumerate(lines) if line.startswith("co-located points"))
        if len(lines) <= facts + 1:
            continue  # no room for any
        assert len(lines) <= height
        left = len(told) - whole
        assert (f"{left} more note" in text) is (left > 0)
        assert all(note in text for note in told[:whole])
    assert left == 0  # in the highest


@pytest.mark.parametrize("width", [28, 32, 60])
def test_names_of_operators_are_whole_and_bars_can_be_seen(width: int) -> None:
    """In a narrow pane the shares of light go first."""
    serving = fakes.plan(fakes.SCENARIO).deployed
    assert serving is not None
    rows = [line.plain for line in time_bars(serving.pools[1], width, 10, UNICODE)]
    assert [row.split("  ")[0].split(" █")[0].strip() for row in rows][:3] == [
        "attention",
        "routed experts",
        "all-to-all",
    ]
    assert all(len(row) <= width for row in rows) and rows[0].count("█") >= 2
    assert all(row.endswith("%") for row in rows) == (width > 28)


def test_the_optimiser_took_no_time_where_no_program_was_needed() -> None:
    """`optimal, 0 µs` of co-located serving."""
    serving = fakes.plan(fakes.SCENARIO).deployed
    assert serving is not None
    assert optimiser_text(serving, UNICODE) == "optimal, 23 ms"
    none = dataclasses.replace(serving, solver=dataclasses.replace(serving.solver, seconds=0.0))
    assert optimiser_text(none, UNICODE) == "optimal"
