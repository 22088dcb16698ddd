"""The help panel: what the focused part means, then the keys. Imported late: Markdown is slow to import."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import HelpPanel, KeyPanel, Markdown


class PlainMarkdown(Markdown):
    """Lists with ASCII marks."""

    BULLETS = ["- "]  # noqa: RUF012 (declared as an instance variable by Textual)


class PaneHelp(HelpPanel):
    """Textual's help panel, in the application's alphabet."""

    def __init__(self, *, ascii: bool = False) -> None:
        super().__init__()
        self._ascii = ascii

    def compose(self) -> ComposeResult:
        """The text above the keys."""
        yield (PlainMarkdown if self._ascii else Markdown)(id="widget-help")
        yield KeyPanel(id="keys-help")
