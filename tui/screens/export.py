"""The export dialog: a format, a path."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, Static

from tui.files import export
from tui.glyphs import UNICODE, Glyphs
from tui.screens.ask import AskScreen


class ExportScreen(AskScreen):
    """Up and down choose the format, and so does a typed ending; enter writes.

    In a browser the answer is the name of a download, and no path of this machine can be asked for.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,tab", "format(1)", "format", show=False, priority=True, id="export-next"),
        Binding("up,shift+tab", "format(-1)", "format", show=False, priority=True, id="export-previous"),
    ]

    def __init__(
        self,
        suggested: str,
        ending: str = "html",
        *,
        folder: Path | None = None,
        browser: bool = False,
        glyphs: Glyphs = UNICODE,
    ) -> None:
        self.ending = ending
        self._suggested = suggested
        find, hint = (self._download, "a download: ") if browser else (self._target, "")
        name = f"{suggested}.{ending}"
        text = str(folder / name) if folder is not None else name
        super().__init__("Export", text, find, hint=hint, on_disk=not browser, glyphs=glyphs)

    def _download(self, text: str) -> Path:
        return export.file_name(text, self.ending)

    def _target(self, text: str) -> Path:
        return export.target(text, self.ending, self._suggested).absolute()

    def keys(self) -> tuple[str, ...]:
        """What its keys do."""
        return f"{self.glyphs.up_down} format", *super().keys()

    def above(self) -> ComposeResult:
        """The formats."""
        yield Static(id="export-formats")

    def on_mount(self) -> None:
        """The first format."""
        self._draw()

    def _draw(self) -> None:
        lines = []
        for ending, holds in export.FORMATS.items():
            at = ending == self.ending
            mark = self.glyphs.pointer if at else " "
            lines.append(
                Content.assemble(
                    (f"{mark} {ending:<11}", "bold $hue-split" if at else ""), (holds, "$hue-muted")
                )
            )
        self.query_one("#export-formats", Static).update(Content("\n").join(lines))

    def action_format(self, by: int) -> None:
        """Another format; a path that ends in the old one's name goes along."""
        endings = list(export.FORMATS)
        self._to(endings[(endings.index(self.ending) + by) % len(endings)])

    def _to(self, ending: str) -> None:
        line = self.query_one("#ask-line", Input)
        before, self.ending = self.ending, ending
        if line.value.endswith(f".{before}"):
            line.value = f"{line.value.removesuffix(before)}{ending}"
            line.select_all()
        self._draw()
        self._look()

    @on(Input.Changed)
    def typed(self, event: Input.Changed) -> None:
        """An ending that is a format's chooses it: what is in a file is what its name says."""
        name = event.value.strip().lower()
        known = sorted(export.FORMATS, key=len, reverse=True)  # the screen's ending holds the picture's
        self.ending = next((ending for ending in known if name.endswith(f".{ending}")), self.ending)
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """A click on a format takes it."""
        formats = self.query_one("#export-formats", Static)
        if event.widget is formats:
            offset = event.get_content_offset(formats)
            if offset is not None and offset.y < len(export.FORMATS):
                self._to(list(export.FORMATS)[offset.y])
