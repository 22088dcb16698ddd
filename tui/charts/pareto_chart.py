"""Frontiers as a chart with a cursor: throughput per GPU against interactivity, or another axis."""

from __future__ import annotations

import math
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from tui.charts.chart_face import At, ChartFace
from tui.charts.scene import AXES
from tui.help_texts import page

REACH = 6.0  # cells: a mouse farther than this from every point picks none
ZOOM = 1.6  # of one step
FARTHEST = ZOOM**6


class ParetoChart(ChartFace, can_focus=True):
    """The curves of a scene, with a cursor that keys and the mouse move."""

    HELP = page(
        """
    ## The frontier

    Each point is a deployment: **right** is faster for each user (tokens/s/user, 1/TTL), **up** is
    more output tokens/s from each GPU in use, both pools counted. Every point meets the FTL limit; left of
    the dotted line the TTL limit is missed. The full diamond is the plan, the hollow one the other way of
    serving, letters are pins (those for another model or traffic are faint, and off the scale until `P`);
    on a fleet small letters name the systems that a point runs on, prefill's before decode's.
    Around each curve the range is shaded that holds 4 of 5 measured cases (without colours a few `:` lie in
    it); elsewhere faint dots stand for other layouts. `ctx:gen` is prefill GPUs over decode GPUs.

    `x` puts the first token, the cost or the GPUs along x: there, points that miss the TTL limit are
    faint. `L` switches between a log and a linear axis, `a` hides the faint points.
    """,
        "chart",
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "move", key_display="left_right", tooltip="left", id="chart-left"),
        Binding("right,l", "move(1)", "right", show=False, id="chart-right"),
        Binding("shift+left", "move(-5)", "far left", show=False, id="chart-left-more"),
        Binding("shift+right", "move(5)", "far right", show=False, id="chart-right-more"),
        Binding("home", "move(-100000)", "first", show=False, id="chart-first"),
        Binding("end", "move(100000)", "last", show=False, id="chart-last"),
        Binding("up,k,down,j", "other", "series", key_display="up_down", id="chart-series"),
        Binding("enter", "choose", "set TTL", key_display="enter", id="chart-choose"),
        Binding("x", "swap_axis", "axis", id="chart-axis"),
        Binding("L", "toggle_log", "log", id="chart-log"),
        Binding("a", "toggle_faint", "all", tooltip="Show or hide the dominated points", id="chart-faint"),
        Binding(
            "P",
            "toggle_pins",
            "pins",
            tooltip="Fit the axes to all pins, or not",
            show=False,
            id="chart-pins",
        ),
        Binding("plus,equals_sign", "zoom(1)", "zoom", key_display="+", id="chart-zoom-in"),
        Binding("minus", "zoom(-1)", "zoom out", show=False, key_display="-", id="chart-zoom-out"),
        Binding("0", "zoom(0)", "no zoom", show=False, id="chart-zoom-off"),
    ]

    class PointChosen(Message):
        """The user wants the TTL of a point as the limit."""

        def __init__(self, ttl_s: float) -> None:
            super().__init__()
            self.ttl_s = ttl_s

    # Keys

    def action_move(self, by: int) -> None:
        """Move along the curve, in the order of the axis."""
        before = self._cursor_rows()
        if self._cursor is None:
            self._cursor = self._start()
        if self._cursor is not None and self._curve(self._cursor) is not None:
            series, index = self._cursor
            order = self._data[series][0].argsort(kind="stable").tolist()
            place = min(max(order.index(index) + by, 0), len(order) - 1)
            self._cursor = (series, order[place])
        self._hover = None
        self._moved(before)

    def action_other(self) -> None:
        """Go to the next curve at the same interactivity."""
        before = self._cursor_rows()
        if self._cursor is None or self._scene is None:
            self._cursor = self._start()
        else:
            following = (self._cursor[0] + 1) % max(len(self._scene.curves), 1)
            self._cursor = self._nearest(following, self._ttl_s(self._cursor) or math.inf)
        self._hover = None
        self._moved(before)

    def action_choose(self) -> None:
        """Propose the point's TTL as the limit."""
        ttl_s = self._ttl_s(self.cursor)
        if ttl_s:
            self.post_message(self.PointChosen(ttl_s))

    def action_swap_axis(self) -> None:
        """Another property along x."""
        self.axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]
        self.zoom, self._hover = 1.0, None
        self._load()
        self._renew()

    def action_toggle_log(self) -> None:
        """A log axis, or a linear one."""
        self._logs[self.axis.key] = not self._logs[self.axis.key]
        self._renew()

    def action_toggle_faint(self) -> None:
        """Show or hide the dominated points."""
        self.faint = not self.faint
        self._renew()

    def action_toggle_pins(self) -> None:
        """Whether the axes reach the pins of other questions."""
        self.pins = not self.pins
        self._renew()

    def action_zoom(self, by: int) -> None:
        """Closer (1) to the cursor or the plan, farther (-1), or all of it (0)."""
        self.zoom = min(max(self.zoom * ZOOM**by, 1.0), FARTHEST) if by else 1.0
        at = self.cursor or self._start()
        if self._curve(at) is not None and at is not None:
            self._centre = float(self._data[at[0]][0][at[1]])
        self._set_title()
        self._renew()

    def on_focus(self) -> None:
        """Show the cursor where the plan is."""
        if self._cursor is None:
            self._cursor = self._start()
        self.refresh()

    def on_blur(self) -> None:
        """Hide it."""
        self.refresh()

    # Mouse

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Read out the point under the mouse."""
        self._set_hover(self._under(event))

    def on_leave(self) -> None:
        """The mouse has left."""
        self._set_hover(None)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the point under the mouse."""
        at = self._under(event)
        if at is not None:
            self._cursor = at
            self.refresh()

    def _set_hover(self, at: At | None) -> None:
        if at != self._hover:
            before = self._cursor_rows()
            self._hover = at
            self._moved(before)

    def _under(self, event: events.MouseEvent) -> At | None:
        offset = event.get_content_offset(self)
        if offset is None or self._picture is None:
            return None
        best, distance = None, REACH
        for series, (x, y) in enumerate(self._data):
            index, far = self._picture.geometry.nearest(offset.x, offset.y, x, y)
            if far < distance:
                best, distance = (series, index), far
        return best
