"""One row with the names of the pages; a click opens one."""

from __future__ import annotations

from typing import Literal, TypeAlias

from rich.cells import cell_len
from textual import events
from textual.app import RenderResult
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from planner.values import dataclass
from tui.glyphs import UNICODE, Glyphs

TabId: TypeAlias = Literal["plan", "table", "compare", "what-if", "breakdown", "traffic"]


@dataclass(frozen=True, slots=True)
class Tab:
    """A page: its key, its name for the program and for the user."""

    key: str
    id: TabId
    title: str


TABS = (
    Tab("1", "plan", "Plan"),
    Tab("2", "table", "Table"),
    Tab("3", "compare", "Compare"),
    Tab("4", "what-if", "What-if"),
    Tab("5", "breakdown", "Breakdown"),
    Tab("6", "traffic", "Traffic"),
)


class TabBar(Widget):
    """The pages, the open one emphasised; behind Compare, how many plans are pinned."""

    active: reactive[TabId] = reactive[TabId]("plan")
    pins: reactive[int] = reactive(0)

    class Picked(Message):
        """The user wants a page."""

        def __init__(self, tab: TabId) -> None:
            super().__init__()
            self.tab = tab

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs

    def _parts(self) -> list[tuple[Tab, str, str]]:
        """Each page with the texts of its key and its name; in a narrow place a blank between two."""
        parts = self._spaced("  ")
        if sum(cell_len(key) + cell_len(name) for _, key, name in parts) > self.size.width:
            return self._spaced(" ")
        return parts

    def _spaced(self, blanks: str) -> list[tuple[Tab, str, str]]:
        parts = []
        for tab in TABS:
            count = f" {self.glyphs.tight}{self.pins}" if tab.id == "compare" and self.pins else ""
            parts.append((tab, f" {tab.key}", f" {tab.title}{count}{blanks[1:]}"))
        return parts

    def render(self) -> RenderResult:
        """` 1 Plan  2 Table  3 Compare  4 What-if  5 Breakdown  6 Traffic`."""
        pieces: list[tuple[str, str]] = []
        for tab, key, name in self._parts():
            if tab.id == self.active:
                pieces.append((f"{key}{name}", "bold underline $foreground on $panel"))
            else:
                pieces += [(key, "$primary"), (name, "$hue-muted")]
        return Content.assemble(*pieces).truncate(self.size.width)

    def on_click(self, event: events.Click) -> None:
        """Open the page under the mouse."""
        end = 0
        for tab, key, name in self._parts():
            end += cell_len(key) + cell_len(name)
            if event.x < end:
                self.post_message(self.Picked(tab.id))
                return
