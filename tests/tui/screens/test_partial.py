"""A frame in parts: what is sent is what Textual would have sent, whatever lies over what."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import AsyncIterator

import fakes
import pytest
from textual._compositor import Compositor
from textual.geometry import Region

from tui.app import RatematchApp
from tui.screens.partial import PartialCompositor

SIZE = (120, 36)
EMPTY = re.compile("\x1b\\[[0-9]+;[0-9]+H(?=\x1b\\[[0-9]+;[0-9]+H|\n|$)")  # a move to where nothing is drawn


def some(chance: random.Random) -> set[Region]:
    """Parts of the screen, one cell to all of its width."""
    parts = set()
    for _ in range(chance.randint(1, 5)):
        x, y = chance.randrange(SIZE[0]), chance.randrange(SIZE[1])
        width, height = chance.randint(1, SIZE[0] - x), chance.randint(1, min(6, SIZE[1] - y))
        parts.add(Region(x, y, width, height))
    return parts


@contextlib.asynccontextmanager
async def shown(over: str) -> AsyncIterator[RatematchApp]:
    """The application once it has drawn all that a key shows."""
    app = fakes.app()
    async with app.run_test(size=SIZE) as pilot:
        await fakes.settled(pilot)
        if over:
            await pilot.press(over)
            await fakes.settled(pilot)
        yield app


@pytest.mark.parametrize("over", ["", "question_mark", "2"])  # nothing, the help over the panes, another page
async def test_parts_of_a_frame_are_what_textual_draws(over: str) -> None:
    async with shown(over) as app:
        compositor = app.main._compositor
        assert isinstance(compositor, PartialCompositor)
        chance = random.Random(over)
        for _ in range(20):
            parts = some(chance)
            compositor._dirty_regions.update(parts)
            mine = compositor.render_partial_update()
            compositor._dirty_regions.update(parts)
            whole = Compositor.render_partial_update(compositor)
            assert mine is not None and whole is not None
            sent, wanted = (EMPTY.sub("", part.render_segments(app.console)) for part in (mine, whole))
            assert sent == wanted


@pytest.mark.parametrize("over", ["", "question_mark", "2"])
async def test_a_whole_frame_is_what_textual_draws(over: str) -> None:
    async with shown(over) as app:
        compositor = app.main._compositor
        mine = compositor.render_full_update().render_segments(app.console)
        assert mine == Compositor.render_full_update(compositor).render_segments(app.console)


async def test_a_value_in_the_form_draws_no_pane() -> None:
    app = fakes.app()
    async with app.run_test(size=SIZE) as pilot:
        main = app.main
        await fakes.settled(pilot)
        asked = []
        for pane in main.query("#chart, #card, #inputs, #work"):
            draw = pane.render_lines
            pane.render_lines = lambda crop, draw=draw, pane=pane: asked.append(pane) or draw(crop)
        main.query_one("#knob-isl").refresh()
        main.query_one("#title").refresh()  # the rectangle around both holds most of the panes
        await fakes.painted(pilot)
        assert not asked
