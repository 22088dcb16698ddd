"""A screen's first frame: laid out for its size, styled once; what follows is drawn in parts."""

from __future__ import annotations

import gc

from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from tui.screens.partial import PartialCompositor

BARS_FROM = 40  # rows of a screen of middling width that has room for bars under the card


class Begun(Message):
    """The first frame is drawn."""


class StartingScreen(Screen[None]):
    """What the main screen does until its first frame is drawn."""

    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-narrow"),
        (80, "-normal"),
        (110, "-wide"),
        (150, "-xwide"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012

    _begun = False  # whether the first frame is drawn
    _styled_with: frozenset[str] = frozenset()  # classes, as it was composed

    def __init__(self, *, classes: str) -> None:
        super().__init__(classes=classes)
        self._compositor = PartialCompositor()

    def fit(self, *classes: str) -> None:
        """The layout of the size from the first frame on: Textual sees to it only when that is drawn.

        `classes` are those that what is shown asks for.
        """
        width, height = self.app.size
        for size, steps in ((width, self.HORIZONTAL_BREAKPOINTS), (height, self.VERTICAL_BREAKPOINTS)):
            self.add_class(next(name for least, name in reversed(steps) if size >= least))
        self.set_class(height >= BARS_FROM, "-bars")  # a screen has but one vertical breakpoint
        self.add_class(*classes)
        self._styled_with = self.classes

    def update_node_styles(self, animate: bool = True) -> None:
        """Textual's, but not for a first frame whose widgets were styled with these classes just now."""
        if self._begun or self.classes != self._styled_with:
            super().update_node_styles(animate)

    def _update_focus_styles(self, focused: Widget | None = None, blurred: Widget | None = None) -> None:
        """Textual's styles the pane around the focus with all that is in it; here no style asks for the focus
        of a part further up than the part itself."""
        changed = {
            node
            for widget in (focused, blurred)
            if widget is not None
            for node in widget.ancestors_with_self
            if node is widget or (isinstance(node, Widget) and node._has_focus_within)
        }
        if changed:
            self.app.stylesheet.update_nodes(changed, animate=True)

    def begun(self) -> None:
        """The first frame is drawn."""
        self._begun = True
        gc.freeze()
        gc.enable()  # off since the start of the command
        self.post_message(Begun())
