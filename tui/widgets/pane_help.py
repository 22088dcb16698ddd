"""The help panel: what the focused part means, then the keys. Imported late: Markdown is slow to import."""

from __future__ import annotations

from dataclasses import replace

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import HelpPanel, KeyPanel, Markdown, Static

PAIRS = ("left_right", "up_down")  # in the row of keys one entry for two bindings: here each has its own


class PlainMarkdown(Markdown):
    """Lists with ASCII marks."""

    BULLETS = ["- "]  # noqa: RUF012 (declared as an instance variable by Textual)


class PaneKeys(KeyPanel):
    """The application's keys that do something here; those every Textual widget has are none of its."""

    def compose(self) -> ComposeResult:
        """A line for each."""
        yield Static(self._table(), id="bindings")

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(justify="right", style=f"bold {self.app.theme_variables['hue-cursor']}")
        table.add_column()
        actions: dict[str, list[str]] = {}
        texts: dict[str, Text] = {}
        for _, binding, _, tooltip in self.screen.active_bindings.values():
            if binding.system or not binding.id:
                continue
            one = binding.key_display in PAIRS
            key = self.app.get_key_display(replace(binding, key_display=None) if one else binding)
            actions.setdefault(binding.action, []).append(key)
            if binding.action in texts:
                continue
            if one and tooltip:
                texts[binding.action] = Text(tooltip)
            else:
                texts[binding.action] = Text(binding.description)
                if tooltip and tooltip != binding.description:
                    texts[binding.action].append(f" {tooltip}", "dim")
        for action, keys in actions.items():
            table.add_row(" ".join(dict.fromkeys(keys)), texts[action])
        return table


class PaneHelp(HelpPanel):
    """Textual's help panel, in the application's alphabet."""

    def __init__(self, *, ascii: bool = False) -> None:
        super().__init__()
        self._ascii = ascii

    def compose(self) -> ComposeResult:
        """The text above the keys."""
        yield (PlainMarkdown if self._ascii else Markdown)(id="widget-help")
        yield PaneKeys(id="keys-help")
