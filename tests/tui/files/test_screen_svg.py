"""The picture of the screen: every word where it stands on the screen, whatever renders it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import fakes
import pytest

from tui.files.screen_svg import portable


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_each_word_has_its_own_place_and_no_font_is_fetched(size: tuple[int, int]) -> None:
    """A renderer that takes spaces together moved every column, and the font was one of the web."""
    async with fakes.app().run_test(size=size) as pilot:
        await fakes.settled(pilot)
        made = pilot.app.export_screenshot()
        rows = [
            "".join(part.text for part in strip) for strip in pilot.app.screen._compositor.render_strips()
        ]
    picture = portable(made)
    assert "@font-face" not in picture and "url(http" not in picture
    assert "\xa0" not in picture and "&#160;" not in picture
    texts = [node for node in ElementTree.fromstring(picture).iter() if node.get("textLength")]
    assert not any(re.search(r"\s", node.text or "") for node in texts)
    wide = min(float(node.get("textLength", "")) / len(node.text or "") for node in texts)
    tops = sorted({float(node.get("y", "")) for node in texts})
    drawn = [[" "] * size[0] for _ in rows]
    for node in texts:
        at, row = round(float(node.get("x", "")) / wide), tops.index(float(node.get("y", "")))
        drawn[row][at : at + len(node.text or "")] = node.text or ""
    assert ["".join(row).rstrip() for row in drawn] == [row.rstrip() for row in rows]
