"""The chosen plan replayed while one looks on: queue, batch and latencies over time; esc stops it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from planner.errors import InputError, printable
from planner.inputs.scenario import Scenario
from planner.simulate.points import Stopped
from planner.units import format_seconds
from tui.glyphs import UNICODE, Glyphs

if TYPE_CHECKING:
    from planner.planning.result import Plan
    from planner.replay.live import Glance
    from planner.replay.result import Progress

REQUESTS = 10_000  # drawn, or of a trace at most
ROWS_BESIDE, ALL_BESIDE = 10, 20  # of the screen that are no picture: some of what is said at the end, all
PICTURE_ROWS = 16  # that are worth scrolling for the rest of it


class ReplayScreen(Screen[None]):
    """One plan under the requests of its scenario, or of another trace."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "stop, or leave", id="replay-leave"),
        Binding("r,R", "again", "start again", id="replay-again"),
        *(
            Binding(key, f"look('{key}')", show=False)
            for key in ("up", "down", "pageup", "pagedown", "home", "end")
        ),
    ]

    def __init__(
        self, plan: Plan, scenario: Scenario, *, trace: str | None = None, glyphs: Glyphs = UNICODE
    ) -> None:
        """A plan of a scenario; the requests are those of `trace`, None: the scenario's own."""
        super().__init__()
        self._trace = trace if trace != scenario.traffic.trace else None
        self.glyphs = glyphs
        self._plan, self._scenario = plan, scenario
        self._glance: Glance | None = None
        self._stop = self._gone = False
        self.over = False  # nothing goes on any more

    def compose(self) -> ComposeResult:
        """How far it is, pictures, percentiles, keys."""
        yield Static(id="replay-name")
        with VerticalScroll(id="replay-all", can_focus=False):
            yield Static(id="replay-chart")
            yield Static(id="replay-words")
        yield Static(id="replay-keys")

    def on_mount(self) -> None:
        """Replay it off the screen's thread."""
        self._begin()

    def _begin(self) -> None:
        self._say("replay-name", f"preparing the requests{self.glyphs.ellipsis}", "$hue-muted")
        self._say("replay-keys", "esc stops it", "$hue-muted")
        self.run_worker(self._replay(), exclusive=True)

    async def _replay(self) -> None:
        try:
            text = await asyncio.to_thread(self._run)
        except InputError as error:
            self._say("replay-name", str(error), "$hue-bad")
        else:
            if not self._gone:
                self._say("replay-words", text, "")
                self._draw()
        self.over = True
        if not self._gone:
            g = self.glyphs
            keys = f"{g.up_down} scroll {g.dot} r starts again {g.dot} esc leaves"
            self._say("replay-keys", keys, "$hue-muted")

    def _run(self) -> str:
        """All of it, or up to where it is stopped; what there is to say then. Raises InputError."""
        from planner import load
        from planner.inputs.requests import first
        from planner.planning import demand
        from planner.replay import report
        from planner.replay.fleet import Options
        from planner.replay.live import glance
        from planner.replay.plans import planned, started

        asked, limits = self._scenario.traffic, self._scenario.limits
        whose = self._scenario
        if self._trace is not None:
            whose = replace(whose, traffic=replace(asked, trace=self._trace))
        requests = demand.recorded(whose)
        if requests is not None:
            from planner.inputs.traces.window import at_rate

            requests = first(requests, REQUESTS)
            requests = requests if asked.requests_per_s is None else at_rate(requests, asked.requests_per_s)
        aware = requests is not None and asked.reuse == "prefix-aware"
        options = Options(
            routing="prefix-aware" if aware else asked.routing,
            ftl_limit_s=limits.ftl_s,
            ttl_limit_s=limits.ttl_s,
        )
        begun = started(self._plan, self._scenario, load(), options, requests=requests, count=REQUESTS)
        if begun is None:
            raise InputError("replay", "no plan", "a plan that meets its limits")
        replay = begun.replay

        def tell(at: Progress) -> None:
            seen = glance(replay)
            if not self._gone:
                self.app.call_from_thread(self._progress, seen, at)

        with contextlib.suppress(Stopped):
            replay.advance(should_stop=lambda: self._stop, progress=tell)
        self._glance = glance(replay)
        told = report.to_text(replay.result(), begun.fleet, planned(begun.serving))
        said = f"{report.headline(begun)}\n{self._load()}\n{told}"
        return said + ("\nstopped: figures are of the requests that ended" if self._stop else "")

    def _load(self) -> str:
        """Whose requests came."""
        traffic = self._scenario.traffic
        if self._trace is not None:
            return f"load: the trace of page 6, {printable(self._trace, 60)}, not the plan's own"
        if traffic.trace is not None:
            return f"load: the plan's trace, {printable(traffic.trace, 60)}"
        from planner.replay.plans import arrivals

        return f"load: the plan's own, {arrivals(self._scenario).capitalize()} arrivals drawn"

    def _progress(self, seen: Glance, at: Progress) -> None:
        if self._gone:
            return
        self._glance = seen
        left = f", {format_seconds(at.left_s)} left" if at.left_s < 1e6 else ""
        self._say(
            "replay-name",
            f"{seen.share:.0%} of {seen.requests:,} requests, {at.requests_per_s:,.0f}/s{left}; "
            f"{seen.now_s:,.0f} s of service",
            "bold",
        )
        self._say("replay-words", _summary(seen), "")
        self._draw()

    def on_unmount(self) -> None:
        """The application may end under a replay that runs."""
        self._gone = self._stop = True

    def on_resize(self) -> None:
        """As large as the screen."""
        self._draw()

    def _draw(self) -> None:
        seen = self._glance
        if seen is None:
            return
        from tui.charts import replay_charts

        if self._glance is not None and (seen.ended >= seen.requests or self._stop):
            how = "stopped at" if self._stop else "replayed:"
            self._say("replay-name", f"{how} {seen.share:.0%} of {seen.requests:,} requests", "bold")
        width, rows = self.size.width - 4, self.size.height
        height = max(rows - ALL_BESIDE, min(rows - ROWS_BESIDE, PICTURE_ROWS), 12)
        picture = replay_charts.drawn(seen, width, height, self._hue, ascii=self.glyphs.ascii)
        self.query_one("#replay-chart", Static).update(picture)

    def _hue(self, name: str) -> str:
        return self.app.theme_variables.get(f"hue-{name}", "#888888")

    def action_leave(self) -> None:
        """Stop what runs; leave when nothing does."""
        if not self.over and not self._stop:
            self._stop = True
            return
        self._gone = self._stop = True
        self.dismiss(None)

    def action_again(self) -> None:
        """The same requests once more, after the end or a stop."""
        if self.over:
            self._stop = self.over = False
            self._glance = None
            self._say("replay-words", "", "")
            self._begin()

    def action_look(self, key: str) -> None:
        """Scroll to what a small screen has no room for."""
        whole = self.query_one("#replay-all", VerticalScroll)
        moves = {
            "up": whole.scroll_up,
            "down": whole.scroll_down,
            "pageup": whole.scroll_page_up,
            "pagedown": whole.scroll_page_down,
            "home": whole.scroll_home,
            "end": whole.scroll_end,
        }
        moves[key](animate=False)

    def _say(self, id: str, text: str, style: str) -> None:
        self.query_one(f"#{id}", Static).update(Content.styled(self.glyphs.plain(text), style))


def _summary(seen: Glance) -> str:
    """Percentiles so far, in two lines."""
    lines = []
    for name, of in (("FTL", seen.ftl), ("TTL", seen.ttl)):
        cells = [f"{p.upper()} {format_seconds(of[p])}" for p in ("p50", "p95", "p99") if of[p] > 0]
        lines.append(f"{name}: {', '.join(cells) or 'none yet'}")
    return "\n".join([*lines, f"within both limits: {seen.good:.1%} of those that ended"])
