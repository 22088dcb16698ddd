"""One input as one row: a label, a value that arrow keys turn, and how much of a limit is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events
from textual.app import RenderResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget

from planner.errors import InputError
from planner.inputs.field import Field, Names
from planner.output.command import spelled
from planner.words import LimitState
from tui.glyphs import UNICODE, Glyphs, limit_mark
from tui.widgets.line_edit import LineEdit

LABEL = 11  # columns of the labels; the value starts there
NARROW, LABEL_NARROW = 25, 9  # in rows less wide than this the value starts here
PAUSE_S = 0.6  # typing that may be half a unit ("20", "20m") is judged after this long without a key
BIG_STEP = 4  # steps of shift+arrow: the ladder has 6 or 7 to a decade

AT_MOST = ("ftl", "ttl", "gpus")  # rows that are limits, and look so


class Knob(Widget, can_focus=True):
    """A focusable row driven by a planner field.

    It holds a value and nothing of the scenario; it posts what the user wants and is told what holds.
    Letters stay free for the application's keys except while a value is being typed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "step", key_display="left_right", tooltip="step down", id="knob-down"),
        Binding("right,l", "step(1)", "step up", show=False, id="knob-up"),
        Binding("shift+left", f"step(-{BIG_STEP})", "several steps down", show=False, id="knob-down-more"),
        Binding("shift+right", f"step({BIG_STEP})", "several steps up", show=False, id="knob-up-more"),
        Binding("enter", "edit", "edit", key_display="enter", id="knob-edit"),
        Binding("enter", "take", "take", key_display="enter", id="knob-take"),
        Binding("escape", "cancel", "take back", key_display="esc", id="knob-cancel"),
        Binding("backspace", "reset", "reset to the scenario's value", show=False, id="knob-reset"),
    ]

    value: reactive[Any] = reactive(None)
    base: reactive[Any] = reactive(None)
    used: reactive[tuple[float, LimitState] | None] = reactive(None)  # share of the limit, and how it stands
    problem: reactive[str] = reactive("")
    stale: reactive[bool] = reactive(False)
    idle: reactive[str] = reactive("")  # why the value has no effect in this scenario
    line: reactive[LineEdit | None] = reactive(None)

    class Changed(Message):
        """The user wants a value. Edits of one `session` are one step of undo."""

        def __init__(self, knob: Knob, value: Any, session: object = None) -> None:
            super().__init__()
            self.knob, self.value, self.session = knob, value, session

        @property
        def control(self) -> Knob:
            """The row."""
            return self.knob

    class Rejected(Message):
        """What was typed cannot be used: `error` says why."""

        def __init__(self, knob: Knob, error: InputError) -> None:
            super().__init__()
            self.knob, self.error = knob, error

    class Insisted(Message):
        """The user wants to take what cannot be used: the reason must be seen in full."""

        def __init__(self, knob: Knob, problem: str) -> None:
            super().__init__()
            self.knob, self.problem = knob, problem

    class Cancelled(Message):
        """The user gave up typing; the value before `session` holds again."""

        def __init__(self, knob: Knob, session: object) -> None:
            super().__init__()
            self.knob, self.session = knob, session

    class Choose(Message):
        """The user wants the list of choices."""

        def __init__(self, knob: Knob) -> None:
            super().__init__()
            self.knob = knob

    def __init__(self, field: Field, names: Names = tuple, *, glyphs: Glyphs = UNICODE) -> None:
        super().__init__(id=f"knob-{field.key}", classes=f"-{field.kind}")
        self.field = field
        self.glyphs = glyphs
        self._names = names
        self._edits = 0
        self._typed = False  # whether the open line differs from what it started with
        self._unit = ""  # of the value that it stands for, which a bare number keeps
        self._pause: Timer | None = None

    @property
    def names(self) -> Sequence[str]:
        """The choices, if the field has any."""
        if self.field.catalog:
            return tuple(self._names())
        return self.field.choices

    @property
    def editing(self) -> bool:
        """Whether keys go into the value."""
        return self.line is not None and self.has_focus

    @property
    def session(self) -> tuple[str, int]:
        """Names the present bout of typing."""
        return (self.field.key, self._edits)

    @property
    def near(self) -> Sequence[Any]:
        """The values that the next step would give, up and down."""
        if self.line is not None or (self.field.kind == "choice" and not self.names):
            return ()
        steps = (self.field.step(self.value, by, self.names) for by in (1, -1))
        return [value for value in steps if value != self.value]

    # Keys

    def action_step(self, by: int) -> None:
        """Turn the knob."""
        self.discard()
        if self.field.kind == "choice" and not self.names:
            return
        value = self.field.step(self.value, by, self.names)
        if value != self.value:
            self.post_message(self.Changed(self, value))

    def action_reset(self) -> None:
        """Back to the scenario's value."""
        self.discard()
        if self.value != self.base:
            self.post_message(self.Changed(self, self.base))

    def action_edit(self) -> None:
        """Type a value, or open the list, or flip the switch."""
        if self.field.kind == "switch":
            self.action_step(1)
        elif self.field.kind == "choice":
            self.post_message(self.Choose(self))
        elif self.line is None:
            named = self.field.kind not in ("layout", "fleet") or self.value is not None
            text = spelled(self.field, self.value) if named else ""  # letters are typed into it
            self._open(LineEdit(text, len(text), whole=True))

    def action_take(self) -> None:
        """Close the line with what was typed, if it can be used."""
        self._commit()

    def action_cancel(self) -> None:
        """Give up typing."""
        self._cancel()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A closed value is stepped and opened, an open one taken or given up."""
        closed = self.line is None
        return {"step": closed, "edit": closed, "take": not closed, "cancel": not closed}.get(action, True)

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """While typing, printable keys are text."""
        return self.editing and character is not None and character.isprintable()

    async def on_key(self, event: events.Key) -> None:
        """Route keys to the open line; where none is, digits turn pages, as everywhere."""
        if self.line is None:
            return
        if event.key == "enter":
            self._commit()
        elif event.key == "escape":
            self._cancel()
        elif event.key in ("up", "down", "tab", "shift+tab"):
            return  # the screen moves the focus, and leaving takes the value
        elif (moved := self.line.key(event.key)) is not None:
            self._type(moved)
        elif event.character is not None and event.is_printable:
            self._type(self.line.insert(event.character))
        else:
            return
        _swallow(event)

    def on_paste(self, event: events.Paste) -> None:
        """Paste the first line into the value."""
        if self.field.kind in ("choice", "switch"):
            return
        text = event.text.strip().splitlines()[0] if event.text.strip() else ""
        if self.line is None:
            self._open(LineEdit())
        assert self.line is not None
        self._type(self.line.insert(text))
        event.stop()

    def on_blur(self) -> None:
        """Leaving takes a good value and keeps a bad one in sight."""
        if self.line is not None:
            self._commit()

    # Mouse

    def on_click(self, event: events.Click) -> None:
        """The marks beside the value step; the value itself opens."""
        start, end = self._value_span
        offset = event.get_content_offset(self)
        if offset is None or self.line is not None:
            return
        if offset.x == start:
            self.action_step(-1)
        elif offset.x == end - 1 and self.field.kind != "choice":
            self.action_step(1)
        elif start < offset.x < end and (event.chain == 2 or self.field.kind in ("choice", "switch")):
            self.action_edit()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel turns the knob that has the focus; over others it scrolls the form."""
        self._wheel(1, event)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """As `on_mouse_scroll_up`, the other way."""
        self._wheel(-1, event)

    def _wheel(self, by: int, event: events.MouseEvent) -> None:
        if self.has_focus and self.line is None:
            self.action_step(by)
            event.stop()
            event.prevent_default()

    # The open line

    def watch_line(self, before: LineEdit | None, after: LineEdit | None) -> None:
        """While typing, letters are no keys: the bottom row must say so."""
        if self.is_mounted and (before is None) != (after is None):
            self.refresh_bindings()

    def discard(self) -> None:
        """Drop what was typed, without a word."""
        self._stop_pause()
        self.line, self.problem, self._typed = None, "", False

    def _open(self, line: LineEdit) -> None:
        self._edits += 1
        self._typed = False
        self._unit = self.field.unit_of(self.value)
        self.line = line

    def _type(self, line: LineEdit) -> None:
        assert self.line is not None
        edited = line.text != self.line.text
        self.line = line
        if not edited:
            return
        self._typed = True
        self._stop_pause()
        if self.field.kind == "seconds" and line.text[-1:] in "0123456789.m":
            self._pause = self.set_timer(PAUSE_S, self._judge)
        else:
            self._judge()

    def _stop_pause(self) -> None:
        if self._pause is not None:
            self._pause.stop()
            self._pause = None

    def _judge(self) -> None:
        """Tell the screen what the open line means."""
        self._stop_pause()
        if self.line is None:
            return
        try:
            value = self.field.parse(self.field.in_unit(self.line.text, self._unit), self.names)
        except InputError as error:
            self.problem = str(error)
            self.post_message(self.Rejected(self, error))
        else:
            self.problem = ""
            self.post_message(self.Changed(self, value, self.session))

    def _commit(self) -> None:
        if self._pause is not None:
            self._judge()
        if not self.problem:  # else it stays open, with the reason under the form
            self.discard()
        elif self.has_focus:
            self.post_message(self.Insisted(self, self.problem))

    def _cancel(self) -> None:
        typed = self._typed
        self.discard()
        if typed:
            self.post_message(self.Cancelled(self, self.session))

    # Drawing

    @property
    def _shown(self) -> str:
        if self.line is not None:
            return self.line.text
        return self.glyphs.plain(self.field.format(self.value))

    @property
    def _value_span(self) -> tuple[int, int]:
        return self._span

    _span: tuple[int, int] = (0, 0)

    def render(self) -> RenderResult:
        """label, value, unit, mark, in that order of need: the unit goes first when space is short.

        A name of the catalog stands whole, if need be without its label.
        """
        g, width = self.glyphs, self.size.width
        column = LABEL if width >= NARROW else LABEL_NARROW
        label, mark, mark_style, share = self._label(), "", "", ""
        if self.problem:
            mark, mark_style = g.bad, "$hue-bad bold"
        elif self.used is not None:
            portion, state = self.used
            mark, hue = limit_mark(state, g)
            mark_style = "$hue-muted" if self.stale else hue
            share = f"{100 * portion:.0f}%" if portion == portion else ""
        tail = f" {share} {mark}" if share else (f" {mark}" if mark else "")
        unit = self.field.unit if self.value is not None else ""
        focused = self.has_focus
        opening, closing = (g.open, g.close) if focused else (" ", " ")
        if self.field.kind == "choice":
            closing = g.menu
        value = self._shown
        room = width - cell_len(label) - cell_len(tail) - 2  # for the value and a blank on either side
        if self.field.catalog and room < cell_len(value) < width - cell_len(tail) - 2:
            label = label[-1]  # a long name says what it is of; its end tells it from others
            room = width - cell_len(label) - cell_len(tail) - 2
        if cell_len(value) + 2 + cell_len(unit) > room:
            unit = ""
        gap = " " if cell_len(value) + 2 <= room else ""
        space = max(room - 2 * len(gap), 1)
        if self.line is None and cell_len(value) > space:
            value = value[: max(space - len(g.ellipsis), 1)] + g.ellipsis
        changed = self.value != self.base or self.line is not None
        value_style = "bold $hue-cursor" if self.line is not None else ("bold" if changed else "")
        if self.idle and self.line is None:
            value_style = "$hue-muted"
        if self.problem:
            value_style = "bold $hue-bad"
        frame_style = "$hue-split" if focused else "$hue-muted"
        box = Content.assemble(
            (opening + (gap if cell_len(label) <= column else ""), frame_style),
            self._line_content(value, space, value_style),
            (gap + closing, frame_style),
        )
        free = width - cell_len(label) - box.cell_length - cell_len(unit) - cell_len(tail)
        left = min(max(column - cell_len(label), 0), max(free, 0))
        start = cell_len(label) + left
        self._span = (start, start + box.cell_length)
        return Content.assemble(
            (label, "bold $hue-split" if focused else "$hue-muted"),
            " " * left,
            box,
            (unit, "$hue-muted"),
            " " * max(free - left, 0),
            (tail[: len(tail) - len(mark)], "$hue-muted"),
            (mark, mark_style),
        )

    def _label(self) -> str:
        text = self.field.label
        if self.field.key in AT_MOST:
            text = f"{text} {self.glyphs.at_most}"
        changed = self.value != self.base
        return f"{text}{self.glyphs.changed if changed else ' '}"

    def _line_content(self, value: str, space: int, style: str) -> Content:
        if self.line is None:
            return Content.styled(value, style)
        if self.line.whole and value:
            return Content.styled(value[:space], f"{style} reverse")
        at = self.line.cursor
        first = max(0, at - max(space - 1, 1))  # keep the cursor in sight
        cells = (value + " ")[first : first + max(space, 1)]
        at -= first
        return Content.assemble(
            (cells[:at], style), (cells[at : at + 1], f"{style} reverse"), (cells[at + 1 :], style)
        )


def _swallow(event: events.Key) -> None:
    event.stop()
    event.prevent_default()
