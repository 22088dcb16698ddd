"""The first frame: styled once, with what it needs alone."""

from __future__ import annotations

import fakes
import pytest

from tui.state import CARD

SIZE = (120, 36)


@pytest.mark.parametrize("unfolded", [(), (CARD,)])
@pytest.mark.parametrize("size", [(79, 24), SIZE, (160, 45)])
async def test_the_first_frame_needs_no_second_look_at_styles(
    size: tuple[int, int], unfolded: tuple[str, ...]
) -> None:
    app = fakes.app(unfolded=unfolded)
    async with app.run_test(size=size) as pilot:
        await fakes.settled(pilot)
        widgets = list(app.main.walk_children())
        mounted = [dict(widget._css_styles.get_rules()) for widget in widgets]
        app.stylesheet.update(app.main)
        assert [dict(widget._css_styles.get_rules()) for widget in widgets] == mounted


@pytest.mark.parametrize("page", ["1", "2", "4", "question_mark"])
async def test_what_gets_the_focus_is_styled_as_if_all_were(page: str) -> None:
    app = fakes.app()
    async with app.run_test(size=SIZE) as pilot:
        await fakes.settled(pilot)
        await pilot.press(page)
        for key in ("tab", "tab", "tab", "escape", "j"):
            await pilot.press(key)
            widgets = list(app.main.walk_children())
            kept = [dict(widget._css_styles.get_rules()) for widget in widgets]
            app.stylesheet.update(app.main)
            assert [dict(widget._css_styles.get_rules()) for widget in widgets] == kept, key


async def test_styles_of_what_comes_later_are_there_once_the_first_frame_is() -> None:
    app = fakes.app()
    async with app.run_test(size=SIZE) as pilot:
        await fakes.settled(pilot)
        assert any(path.endswith("later.tcss") for path, _ in app.stylesheet.source)
        await pilot.press("o")
        await pilot.pause()
        assert app.screen.query_one("#choose").styles.border.top[0] == "round"
