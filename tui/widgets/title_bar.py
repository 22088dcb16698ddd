"""The top row: what is planned on the left, the state on the right."""

from __future__ import annotations

from pathlib import PurePath

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from planner.inputs.fields import BY_KEY
from tui.glyphs import UNICODE, Glyphs
from tui.state import Status, View, status


class TitleBar(Widget):
    """Name, scenario and state in one row; the scenario gives way when space is short."""

    view: reactive[View | None] = reactive(None, repaint=False)
    now: reactive[float] = reactive(0.0, repaint=False)

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self._drawn: Content | None = None

    def watch_view(self) -> None:
        """A new view often reads like the one before; then nothing is painted."""
        self._follow()

    def watch_now(self) -> None:
        """So does a later moment."""
        self._follow()

    def _follow(self) -> None:
        if self._drawn is not None and not self._content().is_same(self._drawn):
            self.refresh()

    @property
    def status(self) -> Status | None:
        """What the right side says."""
        return None if self.view is None else status(self.view, self.now, self.glyphs)

    def render(self) -> RenderResult:
        """` ratematch  model · GPUs · lengths        ● up to date · 84 ms `."""
        self._drawn = self._content()
        return self._drawn

    def _content(self) -> Content:
        if self.view is None or self.status is None:
            return Content.styled(" ratematch", "bold $primary")
        return self.line(self.view, self.status, self.size.width)

    def line(self, view: View, state: Status, width: int) -> Content:
        """The row at a width: what is planned is shortened first, then the state's details."""
        g = self.glyphs
        dot = f" {g.dot} "
        word = Content.assemble((f"{state.glyph} {state.word}", f"bold {state.hue}"))
        rest = Content.styled(dot + state.rest, "$hue-muted") if state.rest else Content("")
        room = width - word.cell_length - 14
        title = ""
        for title in _titles(view, dot):
            if len(title) <= room - rest.cell_length:
                break
        else:
            if len(title) > room - rest.cell_length:
                rest = Content("")
        title = title[: max(room, 0)]
        left = Content.assemble((" ratematch", "bold $primary"), "  ", title)
        right = Content.assemble(word, rest, " ")
        gap = max(width - left.cell_length - right.cell_length, 1)
        return Content.assemble(left, " " * gap, right)


def _titles(view: View, dot: str) -> list[str]:
    """The scenario in a line, from the fullest to the shortest wording."""
    s = view.scenario
    gpus = s.fleet.systems or f"{BY_KEY['gpus'].format(s.fleet.gpus)} {s.system}"
    lengths = f"{BY_KEY['isl'].format(s.traffic.isl)}/{BY_KEY['osl'].format(s.traffic.osl)}"
    if s.traffic.trace is not None:  # lengths are its own
        lengths = PurePath(s.traffic.trace).name
    short = dot.join((s.model, gpus, lengths))
    changed = " *" if view.scenario != view.base else ""
    named = f"{view.name}{changed}{dot}{short}" if view.name else short
    return [f"{named}{dot}{s.engine}", named, short, dot.join((s.model, gpus)), s.model]
