"""A study's answer: maps with a cursor, what lies under it, and the finding. Enter opens that scenario."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from planner.errors import InputError
from planner.inputs.scenario import Scenario
from planner.studies import dataset, decides, finding, maps, table
from tui.charts.study_map import StudyMap
from tui.glyphs import UNICODE, Glyphs

if TYPE_CHECKING:
    from planner.studies.maps import Map
    from planner.studies.table import Table


def folder(text: str) -> Path:
    """The dataset of a typed path. Raises InputError where there is none."""
    if not text.strip():
        raise InputError("study", text, "the folder of a study")
    try:
        path = Path(text.strip()).expanduser()
        dataset.about(path)
    except (RuntimeError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("study", text, "the folder of a study") from None
    return path


class StudyScreen(Screen[Scenario | None]):
    """The maps of one dataset."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "leave", id="study-leave")]

    def __init__(self, folder: Path, *, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.glyphs = glyphs
        self._folder = folder
        self._table: Table | None = None

    def compose(self) -> ComposeResult:
        """Name, map, cell, finding, keys."""
        yield Static(id="study-name")
        yield StudyMap(glyphs=self.glyphs, id="study-map")
        with VerticalScroll(id="study-words", can_focus=False):
            yield Static(id="study-cell")
            yield Static(id="study-finding")
            yield Static(id="study-marks")
        yield Static(id="study-keys")

    def on_mount(self) -> None:
        """Read it off the screen's thread."""
        g = self.glyphs
        self._say("study-name", f"reading {self._folder}{g.ellipsis}", "$hue-muted")
        keys = f"arrows move {g.dot} [ ] other maps {g.dot} {g.enter} opens the scenario {g.dot} esc leaves"
        self._say("study-keys", keys, "$hue-muted")
        self.run_worker(self._read(), exclusive=True)

    async def _read(self) -> None:
        try:
            rows, drawn, told = await asyncio.to_thread(_found, self._folder)
        except InputError as error:
            self._say("study-name", str(error), "$hue-bad")
            return
        self._table, about = rows, rows.about
        self._say("study-name", f"{about.name}: {about.note}" if about.note else about.name, "bold")
        self._say("study-finding", told, "")
        if not drawn:
            self._say("study-cell", "What varies makes no map: `ratematch study show` has the rest.", "")
        else:
            from tui.charts.heat_map import legend

            self._say("study-marks", f"Cells: {legend(drawn[0].value).plain}.", "$hue-muted")
        shown = self.query_one(StudyMap)
        shown.show(drawn)
        shown.focus()

    @on(StudyMap.Moved)
    def moved(self) -> None:
        """Say what is under the cursor."""
        shown = self.query_one(StudyMap)
        if self._table is None or shown.shown is None:
            return
        which = f"Map {shown.at + 1} of {len(shown.maps)}. " if len(shown.maps) > 1 else ""
        told = "Nothing was asked here." if shown.row is None else finding.row_text(self._table, shown.row)
        if (pooled := int(shown.shown.rows[shown.cursor])) > 1:
            which += f"The cell is the median of {pooled:,} scenarios; the first: "
        self._say("study-cell", which + told, "$hue-cursor")

    @on(StudyMap.Picked)
    def picked(self, event: StudyMap.Picked) -> None:
        """Give the scenario back."""
        event.stop()
        if self._table is None:
            return
        try:
            self.dismiss(self._table.scenario(event.row))
        except InputError as error:
            self._say("study-cell", str(error), "$hue-bad")

    def action_leave(self) -> None:
        """Back to the scenario there was."""
        self.dismiss(None)

    def _say(self, id: str, text: str, style: str) -> None:
        self.query_one(f"#{id}", Static).update(Content.styled(self.glyphs.plain(text), style))


def _found(folder: Path) -> tuple[Table, list[Map], str]:
    """The dataset, its maps (none where what varies makes none), and the finding."""
    rows = table.read(folder)
    told = finding.finding(rows, decides.marginals(rows))
    try:
        return rows, maps.maps(rows, maps.asked(rows, None, None, None, None)), told
    except InputError:
        return rows, [], told
