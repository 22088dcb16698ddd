"""One row above the footer: what is wrong, or what the focused part means."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui.glyphs import UNICODE, Glyphs


class HintLine(Widget):
    """A problem in words, else help; cut to the width, in full as a tooltip."""

    hint: reactive[str] = reactive("")
    problem: reactive[str] = reactive("")

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs

    def watch_problem(self, problem: str) -> None:
        """The whole text under the mouse."""
        self.tooltip = Content(problem) if problem else None  # a text would be taken for markup

    def render(self) -> RenderResult:
        """The line."""
        if self.problem:
            line = Content.assemble(
                (f" {self.glyphs.bad} ", "bold $hue-bad"), (self.glyphs.plain(self.problem), "$hue-bad")
            )
        else:
            line = Content.styled(f" {self.glyphs.plain(self.hint)}", "$hue-muted")
        return line.truncate(self.size.width, ellipsis=not self.glyphs.ascii)
