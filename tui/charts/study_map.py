"""A study's maps with a cursor on a cell: arrows move it, enter takes the scenario behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from planner.studies.maps import NOTHING, Map
from tui.charts import heat_map
from tui.glyphs import UNICODE, Glyphs


class StudyMap(Widget):
    """One of several maps, and where one is on it."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(0, -1)", "left", show=False, id="study-left"),
        Binding("right,l", "move(0, 1)", "right", show=False, id="study-right"),
        Binding("up,k", "move(1, 0)", "up", show=False, id="study-up"),
        Binding("down,j", "move(-1, 0)", "down", show=False, id="study-down"),
        Binding("right_square_bracket,n", "turn(1)", "next map", show=False, id="study-next"),
        Binding("left_square_bracket,b", "turn(-1)", "map before", show=False, id="study-before"),
        Binding("enter", "take", "open", show=False, id="study-take"),
    ]

    class Moved(Message):
        """The cursor is on another cell."""

    class Picked(Message):
        """The user wants the scenario of a row of the table."""

        def __init__(self, row: int) -> None:
            super().__init__()
            self.row = row

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self.maps: Sequence[Map] = ()
        self.at = 0  # which of them
        self.cursor = (0, 0)  # indices of y and x

    def show(self, maps: Sequence[Map]) -> None:
        """Draw these, the cursor at the lower left."""
        self.maps, self.at, self.cursor = maps, 0, (0, 0)
        self.refresh(layout=True)
        self.post_message(self.Moved())

    @property
    def shown(self) -> Map | None:
        """The map on the screen."""
        return self.maps[self.at] if self.maps else None

    @property
    def row(self) -> int | None:
        """The table's row under the cursor; None where there is none."""
        if self.shown is None:
            return None
        row = int(self.shown.first[self.cursor])
        return None if row == NOTHING else row

    def render(self) -> Text:
        """The map as coloured cells."""
        if self.shown is None:
            return Text("")
        lines = heat_map.lines(self.shown, self.size.width, ascii=self.glyphs.ascii, cursor=self.cursor)
        return Text("\n").join(lines)

    def action_move(self, up: int, right: int) -> None:
        """To a neighbour."""
        if self.shown is None:
            return
        rows, columns = self.shown.values.shape
        y, x = self.cursor
        self._go((min(max(y + up, 0), rows - 1), min(max(x + right, 0), columns - 1)))

    def action_turn(self, by: int) -> None:
        """The same cell of another map."""
        if self.maps:
            self.at = (self.at + by) % len(self.maps)
            self._go(self.cursor)

    def action_take(self) -> None:
        """Say which scenario is wanted."""
        if (row := self.row) is not None:
            self.post_message(self.Picked(row))

    def on_click(self, event: events.Click) -> None:
        """A click goes to its cell."""
        if self.shown is None:
            return
        place = event.get_content_offset(self)
        cell = None if place is None else heat_map.cell_at(self.shown, self.size.width, place.x, place.y)
        if cell is not None:
            self._go(cell)

    def _go(self, cell: tuple[int, int]) -> None:
        self.cursor = cell
        self.refresh()
        self.post_message(self.Moved())
