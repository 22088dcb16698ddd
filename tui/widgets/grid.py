"""A table that can be long: one header row, a cursor, sorting, filtering, columns that give way.

Only rows in sight are drawn, as strips; Textual's own table paints cell by cell, which costs tens of
milliseconds for each new answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style as RichStyle
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from planner.values import dataclass
from tui.glyphs import UNICODE, Glyphs
from tui.widgets.line_edit import LineEdit

GAP, WIDEST_GAP = 1, 3  # blanks between two columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One property of the rows. Columns with the lowest `need` go first when space is short."""

    title: str
    right: bool = True
    need: int = 1
    down: bool = False  # whether the first sort puts the largest on top
    rare: bool = False  # not a column of every table


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Texts, what they sort by, and what the row stands for; `mark` goes in front."""

    cells: tuple[str, ...]
    values: tuple[Any, ...]
    item: Any
    mark: str = " "
    hue: str = ""  # name of a hue for the mark
    faint: bool = False


class Grid(ScrollView, can_focus=True):
    """Rows under a header; letters pick a column after `s` (sort) or `c` (show and hide)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "row(1)", "move", key_display="up_down", tooltip="down", id="grid-down"),
        Binding("up,k", "row(-1)", "up", show=False, id="grid-up"),
        Binding("pagedown", "page(1)", "next page", show=False, id="grid-page-down"),
        Binding("pageup", "page(-1)", "previous page", show=False, id="grid-page-up"),
        Binding("home", "row(-1000000)", "first", show=False, id="grid-first"),
        Binding("end", "row(1000000)", "last", show=False, id="grid-last"),
        Binding("enter", "choose", "choose", key_display="enter", id="grid-choose"),
        Binding("s", "pick('sort')", "sort", tooltip="Sort: then the letter of a column", id="grid-sort"),
        Binding("slash", "filter", "find", key_display="/", id="grid-filter"),
        Binding("c", "pick('columns')", "columns", id="grid-columns"),
    ]

    class Chosen(Message):
        """The user wants what a row stands for."""

        def __init__(self, item: Any) -> None:
            super().__init__()
            self.item = item

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        glyphs: Glyphs = UNICODE,
        none: str = "",
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.glyphs = glyphs
        self.cursor = 0
        self.hidden: set[int] = set()  # columns the user does not want
        self.sort: tuple[int, bool] | None = None  # column, largest first
        self.line: LineEdit | None = None  # the filter while it is typed
        self.filter = ""
        self.picking = ""  # "sort" or "columns" while a letter is awaited
        self._none = none
        self._count = ""  # the subtitle last set
        self._all: tuple[Row, ...] = ()
        self._rows: list[Row] = []
        self._sizes = [cell_len(column.title) + 1 for column in self.columns]

    # Data

    def fill(self, rows: Sequence[Row], none: str = "") -> None:
        """Show these rows; the cursor stays at its place. `none` is said where there are none."""
        self._all = tuple(rows)
        self._none = none or self._none
        self._arrange()

    @property
    def rows(self) -> list[Row]:
        """The rows that pass the filter, in order."""
        return self._rows

    def _arrange(self) -> None:
        words = (self.line.text if self.line else self.filter).lower().split()
        self._rows = [
            row for row in self._all if all(any(w in cell.lower() for cell in row.cells) for w in words)
        ]
        if self.sort is not None:
            at, down = self.sort
            self._rows.sort(key=lambda row: _order(row.values[at], down), reverse=down)
        spare = 2 if self.picking else 1  # before a title a letter and a colon, after it an arrow
        self._sizes = [
            max([cell_len(column.title) + spare, *(cell_len(row.cells[i]) for row in self._all)])
            for i, column in enumerate(self.columns)
        ]
        self._fold()
        self.cursor = min(self.cursor, max(len(self._rows) - 1, 0))
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._rows) + 1)
        self._show_count()
        self.refresh()

    def _fold(self) -> None:
        """Of rows that would read alike only the first stays."""
        columns = self.shown(self.scrollable_content_region.width)
        alike: dict[tuple[str, ...], Row] = {}
        if self.scrollable_content_region.width > 0:
            for row in self._rows:
                alike.setdefault((row.mark, *(row.cells[i] for i in columns)), row)
            self._rows = list(alike.values())

    def csv(self) -> str:
        """The rows and columns that are shown, as CSV."""
        import csv
        import io

        columns = self.shown(self.scrollable_content_region.width)
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns[i].title for i in columns)
        writer.writerows([row.cells[i] for i in columns] for row in self._rows)
        return out.getvalue()

    def _show_count(self) -> None:
        if self.line is not None:
            text = f"/{self.line.text}_"
        elif self.picking:
            text = f"{self.picking}: letter of a column"
        elif self.filter:
            text = f"/{self.filter}  {len(self._rows)} of {len(self._all)}"
        else:
            text = f"{len(self._all)} rows" if self._all else ""
        if text != self._count:  # what Textual gives back is spelled otherwise, and setting it repaints all
            self._count = text
            self.border_subtitle = text.replace("[", "\\[")

    def _told(self, at: int) -> bool:
        """Whether a row has something in a column; without rows, whether one of them is to be expected."""
        return any(row.cells[at] for row in self._all) or not (self._all or self.columns[at].rare)

    def shown(self, width: int) -> list[int]:
        """The columns that have something to show and fit, in order."""
        kept = [i for i in range(len(self.columns)) if i not in self.hidden and self._told(i)]
        while len(kept) > 1 and 2 + sum(self._sizes[i] + GAP for i in kept) - GAP > width:
            kept.remove(min(kept, key=lambda i: (self.columns[i].need, -i)))
        return kept

    def gap(self, shown: Sequence[int], width: int) -> int:
        """Blanks between columns: what is to spare, shared out."""
        spare = width - 2 - sum(self._sizes[i] + GAP for i in shown) + GAP
        return min(GAP + max(spare, 0) // max(len(shown) - 1, 1), WIDEST_GAP)

    # Keys

    def action_row(self, by: int) -> None:
        """Move the cursor."""
        self.move_to(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Move it by what is in sight."""
        self.move_to(self.cursor + by * max(self.scrollable_content_region.height - 2, 1))

    def move_to(self, at: int) -> None:
        """Put the cursor on a row and bring it in sight."""
        self.cursor = min(max(at, 0), max(len(self._rows) - 1, 0))
        top, room = round(self.scroll_y), max(self.scrollable_content_region.height - 1, 1)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True)
        elif self.cursor >= top + room:
            self.scroll_to(y=self.cursor - room + 1, animate=False, force=True)
        self.refresh()

    def action_choose(self) -> None:
        """Take the row under the cursor."""
        if self._rows:
            self.post_message(self.Chosen(self._rows[self.cursor].item))

    def action_pick(self, what: str) -> None:
        """Await the letter of a column."""
        self.picking = what
        self._arrange()
        self.refresh_bindings()

    def action_filter(self) -> None:
        """Type words that rows must hold."""
        self.line = LineEdit(self.filter, len(self.filter))
        self._show_count()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a filter or a letter is typed, enter ends that and takes no row."""
        return action != "choose" or not self.typing

    @property
    def typing(self) -> bool:
        """Whether a filter or the letter of a column is typed."""
        return self.line is not None or bool(self.picking)

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """While a filter or a letter is typed, printable keys are text."""
        return self.typing and self.has_focus and character is not None and character.isprintable()

    def on_key(self, event: events.Key) -> None:
        """Route keys to the filter, or to the choice of a column."""
        if self.picking:
            self._pick(event.character or "")
        elif self.line is None and event.key == "escape" and self.filter:
            self.filter = ""
            self._arrange()
        elif self.line is not None:
            if event.key in ("up", "down", "pageup", "pagedown"):
                return
            self._type(event)
        else:
            return
        event.stop()
        event.prevent_default()

    def on_blur(self) -> None:
        """Leaving keeps the filter."""
        self.picking = ""
        if self.line is not None:
            self.filter, self.line = self.line.text, None
        self._arrange()

    def _pick(self, letter: str) -> None:
        what, self.picking = self.picking, ""
        at = "abcdefghijklmnopqrstuvwxyz".find(letter) if letter else -1
        if 0 <= at < len(self.columns):
            if what == "sort":
                self.sort_by(at)
            elif len(self.columns) - len(self.hidden ^ {at}) >= 1:
                self.hidden ^= {at}
        self._arrange()
        self.refresh_bindings()

    def sort_by(self, at: int) -> None:
        """Sort by a column; again, the other way round."""
        down = self.columns[at].down
        if self.sort is not None and self.sort[0] == at:
            down = not self.sort[1]
        self.sort = (at, down)
        self.cursor = 0
        self._arrange()
        self.scroll_to(y=0, animate=False, force=True)

    def _type(self, event: events.Key) -> None:
        assert self.line is not None
        if event.key in ("enter", "escape"):
            self.filter = self.line.text if event.key == "enter" else ""
            self.line = None
            self.refresh_bindings()
        elif (moved := self.line.key(event.key)) is not None:
            self.line = moved
        elif event.character is not None and event.is_printable:
            self.line = self.line.insert(event.character)
        self.cursor = 0
        self._arrange()

    # Mouse

    def on_click(self, event: events.Click) -> None:
        """A click on a title sorts, on a row puts the cursor there, a second one takes it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            left, width = 2, self.scrollable_content_region.width
            shown = self.shown(width)
            gap = self.gap(shown, width)
            for at in shown:
                if left <= offset.x < left + self._sizes[at] + gap:
                    self.sort_by(at)
                    return
                left += self._sizes[at] + gap
            return
        at = offset.y - 1 + round(self.scroll_y)
        if at < len(self._rows):
            self.move_to(at)
            if event.chain == 2:
                self.action_choose()

    # Drawing

    def on_resize(self) -> None:
        """Columns fit the width."""
        self._arrange()

    def on_focus(self) -> None:
        """The cursor shows where the keys go."""
        self.refresh()

    def _hue(self, name: str) -> str:
        return self.app.theme_variables.get(f"hue-{name}", "#888888")

    def render_line(self, y: int) -> Strip:
        """The header, or the row that is scrolled there."""
        width = self.scrollable_content_region.width
        base = self.rich_style
        muted = RichStyle(color=self._hue("muted"))
        columns = self.shown(width)
        gap = " " * self.gap(columns, width)
        if y == 0:
            parts = [Segment("  ", base)]
            for at in columns:
                parts.append(Segment(self._title(at), base + muted + RichStyle(bold=True)))
                parts.append(Segment(gap, base))
            return Strip(parts).adjust_cell_length(width, base)
        at = y - 1 + round(self.scroll_y)
        if at >= len(self._rows):
            text = self._none if not self._rows and y == 1 else ""
            return Strip([Segment(f"  {text}", base + muted)]).adjust_cell_length(width, base)
        row = self._rows[at]
        style = base + (muted if row.faint else RichStyle())
        mark = style + (RichStyle(color=self._hue(row.hue)) if row.hue else RichStyle())
        if at == self.cursor and self.has_focus:
            lit = self.app.theme_variables
            style = mark = RichStyle(color=lit["background"], bgcolor=lit["primary"], bold=True)
        parts = [Segment(f"{row.mark:<2}", mark)]
        for i in columns:
            parts.append(Segment(self._fit(row.cells[i], i) + gap, style))
        return Strip(parts).adjust_cell_length(width, style)

    def _title(self, at: int) -> str:
        column, size = self.columns[at], self._sizes[at]
        if self.picking:
            text = f"{'abcdefghijklmnopqrstuvwxyz'[at]}:{column.title}"[:size]
        elif self.sort is not None and self.sort[0] == at:
            text = f"{column.title}{self.glyphs.down if self.sort[1] else self.glyphs.up}"
        else:
            text = column.title
        return self._fit(text, at)

    def _fit(self, text: str, at: int) -> str:
        blank = " " * (self._sizes[at] - cell_len(text))
        return blank + text if self.columns[at].right else text + blank

    def region_of(self, at: int) -> Region:
        """Where a row is on the screen."""
        top = at + 1 - round(self.scroll_y)
        return Region(self.content_region.x, self.content_region.y + top, self.content_region.width, 1)


def _order(value: Any, down: bool) -> tuple[bool, Any]:
    """Sort key: what has no value goes last, whichever way."""
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return (missing is not down, 0 if missing else value)
