"""One row above the footer: what is wrong, or what the focused part means."""

from __future__ import annotations

import re

from rich.cells import cell_len
from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui.glyphs import UNICODE, Glyphs
from tui.help_texts import in_rows

_CLAUSE, _WORD = re.compile(r"(?=[.;:,] | \()"), re.compile("(?= )")  # where a text can end
LEAST = 0.6  # of the row is used, at least


def _fitting(text: str, room: int, g: Glyphs) -> str:
    """A text that is too long ends with one of its clauses, where most of it is said by then, or a word."""
    if cell_len(text) <= room:
        return text
    most = room - len(g.ellipsis)
    for ends in (_CLAUSE, _WORD):
        found = [at.start() for at in ends.finditer(text) if room * LEAST <= at.start() <= most]
        if found:
            return f"{text[: found[-1]]}{g.ellipsis}"
    return text


class HintLine(Widget):
    """A problem in words, else help; cut to the width, in full as a tooltip."""

    hint: reactive[str] = reactive("")
    problem: reactive[str] = reactive("")

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs

    def watch_problem(self, problem: str) -> None:
        """The whole text under the mouse."""
        self.tooltip = Content(in_rows(problem)) if problem else None  # a text would be taken for markup

    @property
    def cut(self) -> bool:
        """Whether a problem is longer than the row."""
        return cell_len(self.glyphs.plain(in_rows(self.problem))) + 3 > self.size.width

    def render(self) -> RenderResult:
        """The line."""
        text = self.glyphs.plain(in_rows(self.problem or self.hint))
        if self.problem:
            mark = (f" {self.glyphs.bad} ", "bold $hue-bad")
            line = Content.assemble(mark, (text, "$hue-bad"))
        else:
            line = Content.styled(f" {_fitting(text, self.size.width - 1, self.glyphs)}", "$hue-muted")
        return line.truncate(self.size.width, ellipsis=not self.glyphs.ascii)
