"""One line to type: a name or a path. What exists already is replaced only when asked twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from planner.errors import InputError
from planner.values import dataclass
from tui.glyphs import UNICODE, Glyphs


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was typed, where it leads, and whether what lies there may go."""

    text: str
    path: Path
    replace: bool = False


class AskScreen(ModalScreen[Answer | None]):
    """Type, enter to take, escape to leave.

    `find` turns the text into the file it stands for, or raises InputError, which is shown. Whether one lies
    there is looked up only where the file is to be written by this process (`on_disk`). While nothing is
    typed the word is `wanted`, what belongs there: an empty line is no mistake before it is taken. The
    arrows go through `names`, some of what may be typed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave", id="ask-leave"),
        Binding("down", "name(1)", "next name", show=False, id="ask-down"),
        Binding("up", "name(-1)", "previous name", show=False, id="ask-up"),
    ]

    def __init__(
        self,
        title: str,
        text: str,
        find: Callable[[str], Path],
        *,
        hint: str = "",
        wanted: str = "",
        on_disk: bool = True,
        verb: str = "save",
        names: Sequence[str] = (),
        glyphs: Glyphs = UNICODE,
    ) -> None:
        super().__init__()
        self.glyphs = glyphs
        self._title, self._text, self._hint, self._wanted = title, text, hint, wanted
        self._find, self._on_disk, self._verb = find, on_disk, verb
        self._names = tuple(names)
        self._confirmed: Path | None = None  # the file that the user has been told of

    def compose(self) -> ComposeResult:
        """The line, and a word on it."""
        with Vertical(id="ask") as box:
            box.border_title = self._title
            box.border_subtitle = f" {self.glyphs.dot} ".join(self.keys())
            yield from self.above()
            yield Input(self._text, compact=True, select_on_focus=False, id="ask-line")
            yield Static(id="ask-word")

    def keys(self) -> tuple[str, ...]:
        """What its keys do."""
        through = (f"{self.glyphs.up_down} names",) if self._names else ()
        return *through, f"{self.glyphs.enter} {self._verb}", "esc leave"

    def above(self) -> ComposeResult:
        """What stands over the line."""
        yield from ()

    def on_mount(self) -> None:
        """What is proposed stands in full, and the first key replaces it."""
        self.set_class(self.glyphs.ascii, "-ascii")
        line = self.query_one("#ask-line", Input)
        self.set_focus(line)
        line.select_all()
        self._tell(self._text)

    @on(Input.Changed)
    def changed(self, event: Input.Changed) -> None:
        """Another name: what was agreed to holds no more."""
        event.stop()
        self._confirmed = None
        self._tell(event.value)

    def _tell(self, text: str) -> None:
        """Say where the text leads; of no text, what belongs there."""
        if text.strip():
            self._look()
        else:
            self._say(self._wanted, "$hue-muted")

    def _look(self) -> Path | None:
        """Say where the text leads, or why nowhere."""
        try:
            path = self._find(self.query_one("#ask-line", Input).value)
        except InputError as error:
            self._say(str(error), "$hue-bad")
            return None
        if self._lies(path):
            self._say(f"{path} exists", "$hue-tight")
        else:
            self._say(f"{self._hint}{path}", "$hue-muted")
        return path

    def _lies(self, path: Path) -> bool:
        """Whether something is there. Never raises, whatever the name: too long, of a loop of links."""
        return self._on_disk and os.path.exists(path)  # noqa: PTH110

    def _say(self, text: str, style: str) -> None:
        self.query_one("#ask-word", Static).update(Content.styled(self.glyphs.plain(text), style))

    @on(Input.Submitted)
    def take(self, event: Input.Submitted) -> None:
        """Take it; ask once more where something would be lost."""
        event.stop()
        path = self._look()
        if path is None:
            return
        if self._on_disk and os.path.isdir(path):  # noqa: PTH112
            self._say(f"{path} is a folder", "$hue-bad")
            return
        if self._lies(path) and path != self._confirmed:
            self._confirmed = path
            self._say(f"{path} exists; {self.glyphs.enter} again replaces it", "bold $hue-tight")
            return
        self.dismiss(self.answer(event.value, path))

    def answer(self, text: str, path: Path) -> Answer:
        """What the screen gives back."""
        return Answer(text=text, path=path, replace=path == self._confirmed)

    def action_name(self, by: int) -> None:
        """Another of the names, in full: the first key replaces it."""
        if self._names:
            line = self.query_one("#ask-line", Input)
            typed = line.value.strip()
            at = self._names.index(typed) + by if typed in self._names else min(by, 0)
            line.value = self._names[at % len(self._names)]
            line.select_all()

    def action_leave(self) -> None:
        """Save nothing."""
        self.dismiss(None)
