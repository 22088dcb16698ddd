"""A trace over time: traffic, what each policy deploys, what it misses and costs. Enter plans one window."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static

from planner.errors import InputError
from planner.inputs.scenario import Scenario
from planner.simulate.points import Stopped
from tui.glyphs import UNICODE, Glyphs

if TYPE_CHECKING:
    from planner.elastic.over_time import OverTime
    from planner.inputs.requests import Requests

WINDOWS = 60  # of the shortest that a horizon is cut into
LEAST_S, STEP_S = 10.0, 10.0  # of a window, and what it is a multiple of


class TimeScreen(Screen[Scenario | None]):
    """The plan over time of one scenario and one trace."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "left", show=False, id="time-left"),
        Binding("right,l", "move(1)", "right", show=False, id="time-right"),
        Binding("pageup", "move(-10)", "far left", show=False, id="time-far-left"),
        Binding("pagedown", "move(10)", "far right", show=False, id="time-far-right"),
        Binding("up,k", "page(-1)", "up", show=False, id="time-up"),
        Binding("down,j", "page(1)", "down", show=False, id="time-down"),
        Binding("enter", "take", "plan this window", show=False, id="time-take"),
        Binding("escape,q", "leave", "leave", id="time-leave"),
    ]

    def __init__(self, scenario: Scenario, trace: str, *, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.glyphs = glyphs
        self._scenario, self._trace = scenario, trace
        self._found: OverTime | None = None
        self._requests: Requests | None = None
        self._left = False
        self._doing = ""  # what goes on
        self._began = 0.0
        self._ticks: Timer | None = None
        self.cursor = 0

    def compose(self) -> ComposeResult:
        """Name, picture, window, sentences, keys."""
        yield Static(id="time-name")
        with VerticalScroll(id="time-all", can_focus=False):
            yield Static(id="time-words")
            yield Static(id="time-chart")
        yield Static(id="time-cell")
        yield Static(id="time-keys")

    def on_mount(self) -> None:
        """Plan it off the screen's thread."""
        self._began = time.monotonic()
        self._tell(f"reading {self._trace}")
        self._say("time-keys", "esc cancels", "$hue-muted")
        self._ticks = self.set_interval(1.0, self._tick)
        self.run_worker(self._plan(), exclusive=True)

    def on_unmount(self) -> None:
        """The application may end under a plan on its way."""
        self._left = True

    def _tell(self, what: str) -> None:
        """Say what goes on."""
        self._doing = what
        self._tick()

    def _tick(self) -> None:
        """Say it again, and for how long it has: a program may not be heard of for many seconds."""
        if not self._left:
            passed = time.monotonic() - self._began
            so_far = f" ({passed:.0f} s so far)" if passed >= 1 else ""
            self._say("time-name", f"{self._doing}{self.glyphs.ellipsis}{so_far}", "$hue-muted")

    def _ended(self) -> None:
        """Nothing goes on any more."""
        if self._ticks is not None:
            self._ticks.stop()
        g = self.glyphs
        moves = f"{g.left_right} move {g.dot} {g.up_down} scroll {g.dot} {g.enter} plans the window {g.dot} "
        self._say("time-keys", (moves if self._found is not None else "") + "esc leaves", "$hue-muted")

    async def _plan(self) -> None:
        try:
            found, requests = await asyncio.to_thread(self._answer)
        except Stopped:
            return
        except InputError as error:
            self._ended()
            self._say("time-name", str(error), "$hue-bad")
            return
        if not found.outcomes:
            self._ended()
            self._say("time-name", "no layout keeps the limits of any window", "$hue-bad")
            return
        from planner.elastic.why import sentences

        self._found, self._requests = found, requests
        self._ended()
        windows = found.windows
        cut = f"{len(windows):,} windows of {windows.window_s:g} s"
        name = f"{Path(self._trace).name}: {len(requests):,} requests in {cut}"
        self._say("time-name", name, "bold")
        self._say("time-words", "\n".join(sentences(found)), "")
        self._draw()

    def _answer(self) -> tuple[OverTime, Requests]:
        """The plan. Raises InputError, Stopped."""
        from planner import load
        from planner.elastic.over_time import Settings, plan
        from planner.inputs.traces import read_requests
        from planner.planning.demand import at_own_rate

        read = read_requests(Path(self._trace))[0]
        if self._left:
            raise Stopped
        requests = at_own_rate(read, self._scenario.traffic.requests_per_s)
        window_s = max(requests.seconds / WINDOWS // STEP_S * STEP_S, LEAST_S)
        found = plan(
            self._scenario,
            load(),
            requests,
            Settings(window_s=window_s),
            should_stop=lambda: self._left,
            progress=self._from_thread,
        )
        return found, requests

    def _from_thread(self, what: str) -> None:
        if not self._left:
            self.app.call_from_thread(self._tell, f"planning {Path(self._trace).name}: {what}")

    def on_resize(self) -> None:
        """As wide as the screen."""
        self._draw()

    def _draw(self) -> None:
        if self._found is None:
            return
        from tui.charts import time_chart

        picture = time_chart.drawn(self._found, self.cursor, self.size.width - 4, self.glyphs)
        rows = [
            Content.styled(self.glyphs.plain(line), hue)
            for line, hue in zip(picture.lines, picture.hues, strict=True)
        ]
        self.query_one("#time-chart", Static).update(Content("\n").join(rows))
        self._say("time-cell", time_chart.cell(self._found, self.cursor), "$hue-cursor")

    def action_move(self, by: int) -> None:
        """To another window."""
        if self._found is not None:
            self.cursor = min(max(self.cursor + by, 0), len(self._found.windows) - 1)
            self._draw()

    def action_page(self, by: int) -> None:
        """To the policies below, where they do not fit."""
        self.query_one("#time-all", VerticalScroll).scroll_relative(y=5 * by, animate=False)

    def action_take(self) -> None:
        """Give back the scenario of the window under the cursor: its rate and its mean lengths."""
        if self._found is None or self._requests is None:
            return
        window_s = self._found.windows.window_s
        inside = (self._requests.arrival_s // window_s).astype(np.int64) == self.cursor
        if not inside.any():
            self._say("time-cell", "No request comes in this window.", "$hue-bad")
            return
        traffic = replace(
            self._scenario.traffic,
            trace=None,
            isl=max(round(float(self._requests.isl[inside].mean())), 1),
            osl=max(round(float(self._requests.osl[inside].mean())), 2),
            requests_per_s=float(inside.sum()) / window_s,
        )
        self._left = True
        self.dismiss(replace(self._scenario, traffic=traffic))

    def action_leave(self) -> None:
        """Back to the scenario there was; a plan on its way ends."""
        self._left = True
        self.dismiss(None)

    def _say(self, id: str, text: str, style: str) -> None:
        self.query_one(f"#{id}", Static).update(Content.styled(self.glyphs.plain(text), style))
