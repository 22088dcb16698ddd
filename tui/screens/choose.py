"""A list of names to choose from, with a filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option


class ChooseScreen(ModalScreen[str | None]):
    """Type to filter, arrows to move, enter to take, escape to leave."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss_none", "leave", id="choose-leave"),
        Binding("down,ctrl+n", "move(1)", "next", show=False, priority=True, id="choose-down"),
        Binding("up,ctrl+p", "move(-1)", "previous", show=False, priority=True, id="choose-up"),
        Binding("pagedown", "move(8)", "next page", show=False, priority=True, id="choose-page-down"),
        Binding("pageup", "move(-8)", "previous page", show=False, priority=True, id="choose-page-up"),
    ]

    def __init__(
        self, title: str, names: Sequence[str], current: str, *, labels: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._title = title
        self._names = list(names)
        self._labels = labels or {}  # what stands in the list, where it is more than the name
        self._shown: list[str] = []
        self._current = current

    def compose(self) -> ComposeResult:
        """A filter and the names it leaves."""
        with Vertical(id="choose") as box:
            box.set_class(bool(self._labels), "-labels")
            box.border_title = self._title
            box.border_subtitle = "type to filter"
            yield Input(compact=True, placeholder="filter", id="choose-filter")
            yield OptionList(id="choose-list", compact=True)

    def on_mount(self) -> None:
        """All names, the present one highlighted."""
        self.query_one(OptionList).can_focus = False
        self._fill("")
        self.set_focus(self.query_one(Input))

    @on(Input.Changed)
    def filter(self, event: Input.Changed) -> None:
        """Keep the names that hold every word typed."""
        event.stop()
        self._fill(event.value)

    def _fill(self, text: str) -> None:
        words = text.lower().split()
        texts = {name: self._labels.get(name, name) for name in self._names}
        self._shown = [name for name in self._names if all(word in texts[name].lower() for word in words)]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(Content(texts[name])) for name in self._shown)
        if self._shown:
            options.highlighted = self._shown.index(self._current) if self._current in self._shown else 0

    def action_move(self, by: int) -> None:
        """Move the highlight."""
        options = self.query_one(OptionList)
        if self._shown:
            at = options.highlighted or 0
            options.highlighted = min(max(at + by, 0), len(self._shown) - 1)

    @on(Input.Submitted)
    def take(self) -> None:
        """Take the highlighted name."""
        at = self.query_one(OptionList).highlighted
        self.dismiss(self._shown[at] if self._shown and at is not None else None)

    @on(OptionList.OptionSelected)
    def take_clicked(self, event: OptionList.OptionSelected) -> None:
        """Take the clicked name."""
        self.dismiss(self._shown[event.option_index])

    def action_dismiss_none(self) -> None:
        """Leave all as it is."""
        self.dismiss(None)
