"""The map of a study in the application: a cursor, what is under it, and the way into the planner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakes
import pytest
from textual.widgets import Static

from planner import load
from planner.studies import maps, run
from planner.studies.maps import Asked
from planner.studies.run import Here
from planner.studies.study import read
from tui.charts.study_map import StudyMap
from tui.screens.ask import AskScreen
from tui.screens.study import StudyScreen

pytestmark = pytest.mark.slow  # many applications and terminals

pytest.importorskip("pyarrow")
TEXT = """schema = 1
note = "lengths and limits"
[fixed]
model = "llama-3.1-8b"
gpus = 16
instance-gpus = 4
[axes]
isl = ["1k", "4k", "16k"]
ttl = ["0.2ms", "10ms"]
mtp = [0, 1]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study")
    run.run(read(TEXT, load()), TEXT, out, Here(), load())
    return out


def _said(pilot: Any, name: str) -> str:
    return str(pilot.app.screen.query_one(f"#study-{name}", Static).content)


def _asked(pilot: Any) -> str:
    """What the question says of what was typed."""
    return str(pilot.app.screen.query_one("#ask-word", Static).content)


async def _open(pilot: Any, typed: str) -> None:
    await pilot.press("M")
    await fakes.until(pilot, lambda: isinstance(pilot.app.screen, AskScreen))
    pilot.app.screen.query_one("#ask-line").value = typed
    await pilot.press("enter")


async def test_a_cell_of_several_scenarios_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`0.9` stood in the cell and `0.671 times` below it: the one of all fleets, the other of the first."""
    pooled = Asked(x="isl", y="ttl", value="gain", by=())
    monkeypatch.setattr(maps, "asked", lambda *_: pooled)
    async with fakes.app().run_test(size=(100, 30)) as pilot:
        await fakes.settled(pilot)
        await _open(pilot, str(folder))
        await fakes.until(pilot, lambda: isinstance(pilot.app.screen, StudyScreen))
        await fakes.until(pilot, lambda: "median of 2 scenarios; the first: ISL 1k" in _said(pilot, "cell"))


@pytest.mark.parametrize("ascii", [False, True])
async def test_a_cell_leads_into_the_planner(folder: Path, ascii: bool) -> None:
    async with fakes.app(ascii=ascii).run_test(size=(100, 30)) as pilot:
        await fakes.settled(pilot)
        await _open(pilot, str(folder))
        await fakes.until(pilot, lambda: isinstance(pilot.app.screen, StudyScreen))
        await fakes.until(pilot, lambda: "FTL" in _said(pilot, "cell") or "TTL" in _said(pilot, "cell"))
        shown = pilot.app.screen.query_one(StudyMap)
        assert "lengths and limits" in _said(pilot, "name") and "A split pays in" in _said(pilot, "finding")
        assert "TTL 200" in _said(pilot, "cell") and "no plan meets the limits" in _said(pilot, "cell")
        await pilot.press("up", "right", "right", "right")
        await fakes.until(pilot, lambda: shown.cursor == (1, 2))
        await fakes.until(pilot, lambda: "ISL 16k" in _said(pilot, "cell"))
        assert "TTL 10 ms" in _said(pilot, "cell") and "Co-located" in _said(pilot, "cell")
        assert "is expected to give" in _said(pilot, "cell") and "predicted" in _said(pilot, "cell")
        assert "median of" not in _said(pilot, "cell") and ": colocated" not in _said(pilot, "cell")
        assert "no plan" in _said(pilot, "marks") and (_said(pilot, "marks").isascii() or not ascii)
        assert _said(pilot, "cell").isascii() or not ascii
        assert shown.render().plain.isascii() or not ascii
        await pilot.press("right_square_bracket")
        await fakes.until(pilot, lambda: "cannot be asked" in _said(pilot, "cell"))
        await pilot.press("left_square_bracket", "enter")
        main = pilot.app.main  # type: ignore[attr-defined]
        await fakes.until(pilot, lambda: pilot.app.screen is main)
        present = main.history.present
        assert (present.traffic.isl, present.limits.ttl_s, present.fleet.gpus) == (16384, 0.01, 16)
        assert present.model == "llama-3.1-8b" and main.history.can_undo


async def test_a_click_moves_the_cursor_and_escape_leaves_all_as_it_was(folder: Path) -> None:
    async with fakes.app().run_test(size=(100, 30)) as pilot:
        await fakes.settled(pilot)
        before = pilot.app.main.history.present  # type: ignore[attr-defined]
        await _open(pilot, str(folder))
        await fakes.until(pilot, lambda: isinstance(pilot.app.screen, StudyScreen))
        shown = pilot.app.screen.query_one(StudyMap)
        await fakes.until(pilot, lambda: shown.shown is not None)
        lines = shown.render().plain.split("\n")
        row = next(i for i, line in enumerate(lines) if line.lstrip().startswith("10 ms"))
        await pilot.click(StudyMap, offset=(lines[row].index(" TTL") - 2, row))
        await fakes.until(pilot, lambda: shown.cursor == (1, 2))
        await pilot.press("escape")
        await fakes.until(pilot, lambda: pilot.app.screen is pilot.app.main)  # type: ignore[attr-defined]
        assert pilot.app.main.history.present == before  # type: ignore[attr-defined]


async def test_nothing_is_refused_before_anything_is_typed() -> None:
    async with fakes.app().run_test(size=(100, 30)) as pilot:
        await fakes.settled(pilot)
        await pilot.press("M")
        await fakes.until(pilot, lambda: isinstance(pilot.app.screen, AskScreen))
        assert _asked(pilot) == "the folder that `ratematch study` wrote"
        await pilot.press("x")
        await fakes.until(pilot, lambda: "is not accepted" in _asked(pilot))
        await pilot.press("backspace")
        await fakes.until(pilot, lambda: "is not accepted" not in _asked(pilot))
        await pilot.press("enter")
        await fakes.until(pilot, lambda: "is not accepted" in _asked(pilot))


async def test_what_is_no_study_is_told_where_it_is_typed(tmp_path: Path) -> None:
    async with fakes.app().run_test(size=(100, 30)) as pilot:
        await fakes.settled(pilot)
        for typed in (str(tmp_path), "", "~nobody/x", "a\x00b"):
            await _open(pilot, typed)
            await fakes.until(pilot, lambda: "is not accepted" in _asked(pilot))
            assert isinstance(pilot.app.screen, AskScreen)
            await pilot.press("escape")
            await fakes.until(pilot, lambda: pilot.app.screen is pilot.app.main)  # type: ignore[attr-defined]


async def test_a_damaged_part_is_told_on_the_screen(tmp_path: Path) -> None:
    run.run(read(TEXT, load()), TEXT, tmp_path, Here(), load())
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1")
    async with fakes.app().run_test(size=(100, 30)) as pilot:
        await fakes.settled(pilot)
        await _open(pilot, str(tmp_path))
        await fakes.until(pilot, lambda: isinstance(pilot.app.screen, StudyScreen))
        await fakes.until(pilot, lambda: "part-00000" in _said(pilot, "name"))
