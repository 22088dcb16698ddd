"""A page of the main screen: filled when it is opened, and after that while it is open."""

from __future__ import annotations

from textual.containers import Container
from textual.widget import Widget

from tui.state import View


class Page(Container):
    """What every page can do."""

    composed = False  # whether its parts are there to be shown something

    @property
    def curve_key(self) -> str:
        """The input that a curve on it runs over; "" where there is none."""
        return ""

    def on_mount(self) -> None:
        """Its parts are there."""
        self.composed = True

    def show(self, view: View) -> None:
        """Draw a view."""
        raise NotImplementedError

    def stops(self) -> list[Widget]:
        """Where the focus can go, the first one first."""
        raise NotImplementedError
