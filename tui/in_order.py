"""What the user does takes effect in the order in which it was done, however much arrives at once.

Textual puts a key into the queue of the part that has the focus *when the key arrives*. A key that this
part does not take climbs from queue to queue up to the application, which then runs its binding. Over a
slow line several keys come in one packet: `j`, `2`, `0` all go to the same row before `j` moves the focus,
and a pasted text goes to the row that the keys before it wanted to leave. So here a key is handled to its
end, with all that it makes the parts say to the screen, before the next is looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from textual import events
from textual.app import App
from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.errors import NoWidget
from textual.message_pump import MessagePump
from textual.screen import Screen

# With a part that does not come to rest the next key is taken all the same, once the application has had
# nothing to do for so long. By the clock alone a busy machine would mix up keys that came in one packet.
PATIENCE_S = 1.0
CEILING_S = 30.0  # by the clock, for a part that neither rests nor lets the others
TICK_S = 0.02
LONGEST_PASTE = 1024  # characters of a pasted text: no value, name or path is longer
PRESSES = (events.MouseUp, events.MouseScrollUp, events.MouseScrollDown)  # a click is made of a MouseUp


class Flood(events.Event, bubble=False):
    """More keys came than can be handled; those over are gone."""


class InOrder(App[None]):
    """An application that takes one key, paste, click or turn of the wheel at a time."""

    taken = 0  # keys, pastes and moves of the mouse that have been handled
    leaving = False

    def exit(self, *args: Any, **options: Any) -> None:
        """Textual's. From here on parts go without notice."""
        self.leaving = True
        super().exit(*args, **options)

    def on_exit_app(self) -> None:
        """Told to go from outside."""
        self.leaving = True

    def _handle_exception(self, error: Exception) -> None:
        """Textual mounts a screen that it has given up making: what its parts miss then is no error."""
        if not (self.leaving and isinstance(error, NoMatches)):
            super()._handle_exception(error)

    async def on_event(self, event: events.Event) -> None:
        """Take the next one."""
        fresh = isinstance(event, (events.InputEvent, events.Paste)) and not event.is_forwarded
        try:
            await self._take(event)
        finally:
            self.taken += fresh

    def hang_up(self, code: int) -> None:
        """No one is there any more."""
        self.exit(return_code=code)

    async def _take(self, event: events.Event) -> None:
        if isinstance(event, events.InputEvent) and event.is_forwarded:
            await super().on_event(event)
        elif self.leaving and isinstance(event, (events.InputEvent, events.Paste)):
            pass  # typed behind the key that ends it: there may be no screen any more
        elif isinstance(event, events.MouseEvent) and not self._under(event).is_attached:
            pass  # on a part that has just gone, and is only still drawn
        elif isinstance(event, Flood):
            self.notify("More came at once than can be typed; what was over is dropped.", severity="warning")
        elif isinstance(event, events.Paste) and len(event.text) > LONGEST_PASTE:
            self.notify(
                f"A pasted text has more than {LONGEST_PASTE:,} characters; nothing of it is taken.",
                severity="warning",
            )
        elif isinstance(event, (events.Key, events.Paste)):
            if isinstance(event, events.Paste):
                event = events.Paste(_plain(event.text))
            screen, target = self.screen, self.focused or self.screen
            await self._hand_up(event, target)
            await self._rest(screen, target, climbs=1)
        elif isinstance(event, PRESSES):
            screen, under = self.screen, self._under(event)
            await super().on_event(event)  # into the queue of what is under the mouse
            await self._rest(screen, under, climbs=2)  # the first lets it be handled
        else:
            await super().on_event(event)

    async def _hand_up(self, event: events.Key | events.Paste, target: DOMNode) -> None:
        """Offer a key or a text to the focused part and to all above it, here and now."""
        self.app_focus = True
        if isinstance(event, events.Key):
            if self.focused is not None:
                self.screen._clear_tooltip()
            if await self._check_bindings(event.key, priority=True):
                return
        event._set_forwarded()
        event.bubble = False  # type: ignore[misc]  # it climbs here
        node: MessagePump | None = target
        while node is not None and not event._stop_propagation:
            with node._context():
                await (super().on_event(event) if node is self else node._dispatch_message(event))
            node = node._parent

    async def _rest(self, screen: Screen[object], node: DOMNode, *, climbs: int) -> None:
        """Until what was said below has come up to the screen, and a screen that was opened listens."""

        async def rest() -> None:
            for _ in range(climbs):
                await _climb(node)
            if self.is_running and self.screen is not screen:
                await _handled(self.screen)  # it is composed before
                await _climb(self.focused or self.screen)

        resting = asyncio.ensure_future(rest())
        loop = asyncio.get_running_loop()
        end, idle_s = loop.time() + CEILING_S, 0.0
        while idle_s < PATIENCE_S and loop.time() < end:
            begun, worked_s = loop.time(), time.thread_time()
            await asyncio.wait((resting,), timeout=TICK_S)
            if resting.done():
                return resting.result()
            on_time = loop.time() - begun < 2 * TICK_S  # else it worked, or waited for the processor
            if on_time and time.thread_time() - worked_s < TICK_S / 4:
                idle_s += TICK_S
        resting.cancel()

    def _under(self, event: events.MouseEvent) -> DOMNode:
        with contextlib.suppress(NoWidget):
            return self.mouse_captured or self.get_widget_at(event.x, event.y)[0]
        return self.screen


def _plain(text: str) -> str:
    r"""A pasted text without what no key could have typed.

    >>> _plain("30\tms\x07\n")
    '30 ms\n'
    """
    return "".join(char for char in text.replace("\t", " ") if char.isprintable() or char in "\r\n")


async def _climb(node: MessagePump | None) -> None:
    """Until each part from here to the screen has handled what is in its queue now."""
    while node is not None and not isinstance(node, App):
        parent = node._parent
        await _handled(node)
        node = parent


async def _handled(pump: MessagePump) -> None:
    done = asyncio.Event()
    if pump.call_later(done.set):  # not if it is on its way out
        await done.wait()
