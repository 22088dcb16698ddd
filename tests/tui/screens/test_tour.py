"""The tour plays itself through, the same each time, and any key ends it."""

from __future__ import annotations

import importlib.util
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

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


def test_a_recording_shows_each_frame_once_and_draws_no_row_twice() -> None:
    """What opens the README: `screenshots/session.py`, on frames of two looks."""
    path = Path(__file__).parents[3] / "screenshots" / "session.py"
    spec = importlib.util.spec_from_file_location("session_pictures", path)
    assert spec is not None and spec.loader is not None
    session = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = session
    spec.loader.exec_module(session)
    row = ((0, "one & two  ", "#ffffff", "#000000", False), (11, "three", "#ff0000", "#222222", True))
    other = ((0, "four", "#ffffff", "#000000", False),)
    shown = [
        session.Frame((row, other), 3.0, "first <b>"),
        session.Frame((row, row), 0.5, "then"),
        session.Frame((other, row), 0.5, "last"),
    ]
    text = session.animation(shown)
    nodes = list(ElementTree.fromstring(text).iter())
    assert [node.text for node in nodes if node.get("class", "").startswith("say")] == [
        "first <b>",
        "then",
        "last",
    ]
    drawn = [node.text for node in nodes if node.tag.endswith("text") and node.get("class") != "say"]
    assert drawn == ["one", "&", "two", "three", "four"]  # each row once, used by the frames
    assert sum(node.tag.endswith("use") for node in nodes) == 6
    spans = re.findall(r"([\d.]+)%\{visibility:visible\}([\d.]+)%\{visibility:hidden\}", text)
    assert [tuple(map(float, span)) for span in spans] == [(0, 75), (75, 87.5), (87.5, 100)]
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


async def test_a_recording_is_told_of_every_key() -> None:
    pressed: list[str] = []
    app = fakes.app()
    app.tour = Tour(
        app, pause_s=0.0, key_s=0.0, captions=False, pressed=lambda step: pressed.append(step.name)
    )
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.until(pilot, lambda: app.return_code is not None or not app.is_running)
    assert pressed == [step.name for step in STEPS for _ in step.keys]
