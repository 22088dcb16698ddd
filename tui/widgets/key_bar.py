"""The bottom row: the keys that work now.

Textual's own footer is a widget for each key and makes them all anew whenever the focus moves, which
costs a layout and several kilobytes on the wire each time. This is one line of text.
"""

from __future__ import annotations

from dataclasses import replace

from rich.cells import cell_len
from textual import events
from textual.app import RenderResult
from textual.binding import Binding
from textual.content import Content
from textual.keys import key_to_character
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget

from planner.values import dataclass

KEPT = (
    "help",
    "quit",
    "help-more",  # there while the help is open
    "swap-view",
    "fixes",
    "export",
    "deploy",
)  # in this order where space is short


@dataclass(frozen=True, slots=True)
class Key:
    """One entry: the key to press, how it is written, what it does, whether it can do it now."""

    key: str
    shown: str
    does: str
    live: bool
    id: str | None

    @property
    def size(self) -> int:
        """Cells it takes."""
        return cell_len(self.shown) + 1 + cell_len(self.does)


class KeyBar(Widget):
    """The live bindings in a row; a click presses the key; keys that can do nothing now are dim."""

    keys: reactive[tuple[Key, ...]] = reactive(())

    def on_mount(self) -> None:
        """Follow the bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._follow)
        self._follow(self.screen)

    def on_unmount(self) -> None:
        """Let go of them."""
        self.screen.bindings_updated_signal.unsubscribe(self)

    def _follow(self, screen: Screen[object]) -> None:
        seen: set[str] = set()
        keys = []
        for _, binding, enabled, _ in screen.active_bindings.values():
            if binding.show and binding.action not in seen and not self._text(screen, binding):
                seen.add(binding.action)
                shown = self._written(screen, binding)
                keys.append(Key(binding.key, shown, binding.description, enabled, binding.id))
        self.keys = tuple(keys)

    def _text(self, screen: Screen[object], binding: Binding) -> bool:
        """Whether a key is text where the focus is: it does not do then what it is bound to."""
        if screen.focused is None or "+" in binding.key:
            return False
        shown = self.app.get_key_display(binding)
        char = shown if len(shown) == 1 and shown.isascii() else key_to_character(binding.key)
        return char is not None and screen.focused.check_consume_key(binding.key, char)

    def _written(self, screen: Screen[object], binding: Binding) -> str:
        """How a key is written: a letter that is text where the focus is gives way to the key that works."""
        shown, focused = self.app.get_key_display(binding), screen.focused
        if len(shown) == 1 and focused is not None and focused.check_consume_key(shown, shown):
            return self.app.get_key_display(replace(binding, key_display=None))
        return shown

    def fitting(self, width: int) -> list[Key]:
        """The keys that fit; those of `KEPT` before all others."""
        keys = list(self.keys)
        while keys and sum(key.size + 2 for key in keys) > width:
            del keys[max(range(len(keys)), key=lambda at: (_rank(keys[at]), at))]
        return keys

    def render(self) -> RenderResult:
        """` key does  key does `."""
        parts: list[tuple[str, str]] = []
        for key in self.fitting(self.size.width):
            parts += [
                (f" {key.shown}", "bold $footer-key-foreground" if key.live else "$hue-cloud"),
                (f" {key.does} ", "$footer-description-foreground" if key.live else "$hue-cloud"),
            ]
        return Content.assemble(*parts)

    async def on_click(self, event: events.Click) -> None:
        """Press the key under the mouse."""
        end = 0
        for key in self.fitting(self.size.width):
            end += key.size + 2
            if event.x < end:
                if key.live:
                    self.app.simulate_key(key.key)
                return


def _rank(key: Key) -> int:
    return KEPT.index(key.id) if key.id in KEPT else len(KEPT)
