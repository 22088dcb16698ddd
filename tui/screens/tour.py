"""A tour that plays itself: the keys a user would press, with a word on each. Any real key ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import events

from planner.values import dataclass

if TYPE_CHECKING:
    from tui.screens.file_actions import FileActions
    from tui.state import View
    from tui.widgets.tab_bar import TabId

SCENARIO = "prefill-heavy"  # what the tour is about, unless another is named
PAUSE_S = 3.5  # to read a caption and look
KEY_S = 0.25  # between keys: slow enough to follow
PATIENCE_S = 30.0  # for an answer; then the tour goes on without


@dataclass(frozen=True, slots=True)
class Step:
    """Keys, then a caption while their effect is looked at. `name` is what a recording calls it."""

    name: str
    caption: str
    keys: tuple[str, ...] = ()
    page: TabId | None = None  # the page to open first
    row: str = ""  # the form's row to go to then


STEPS = (
    Step("answer", "The answer first: split prefill from decode or not, and what that gives.", ("home",)),
    Step("ease", "Arrow keys turn a limit. The plan follows at once.", ("right", "right"), row="ttl"),
    Step("type", "Or press enter and type a value with its unit.", ("enter", *"15ms", "enter"), row="ttl"),
    Step(
        "frontier",
        "Each point is a deployment. Arrow keys walk along, enter takes its TTL as the limit.",
        ("tab", "home", *["right"] * 6),
    ),
    Step("table", "All candidates, to sort and filter.", page="table"),
    Step("what-if", "What each input is worth: a fifth less, a fifth more.", page="what-if"),
    Step("breakdown", "Where a pass spends its time, and what fills the memory.", page="breakdown"),
    Step(
        "infeasible",
        "Ask for too much, and it says why and what would do.",
        ("enter", *"2ms", "enter"),
        page="plan",
        row="ttl",
    ),
    Step("fixed", "Each fix is one key away.", ("f", "enter")),
    Step("light", "Light terminals have colours of their own.", ("t",)),
    Step("dark", "y copies the command, e exports, ? explains every number. That was it.", ("t",)),
)


class Tour:
    """Plays the steps in an application, then leaves.

    `look` is called at the end of each step, when its effect is on the screen: a recording takes its
    picture there, and after each key (`pressed`), and wants no `captions` over it.
    """

    def __init__(
        self,
        app: FileActions,
        *,
        pause_s: float = PAUSE_S,
        key_s: float = KEY_S,
        captions: bool = True,
        look: Callable[[Step], object] | None = None,
        pressed: Callable[[Step], object] | None = None,
    ) -> None:
        self._app = app
        self._pause_s, self._key_s = pause_s, key_s
        self._look, self._pressed = look, pressed
        self._captions = captions
        self._sent: list[events.Key] = []

    def ended_by(self, event: events.Event) -> bool:
        """Whether the user has pressed a key."""
        return isinstance(event, events.Key) and all(event is not sent for sent in self._sent)

    async def play(self) -> None:
        """All steps; the application ends after the last."""
        await self._answered()
        for step in STEPS:
            if step.page:
                await self._app.main.action_tab(step.page)
            if step.row:
                self._app.main.query_one(f"#knob-{step.row}").focus()
            for key in step.keys:
                await self._press(key)
                if self._pressed is not None:
                    self._pressed(step)
            await self._answered()
            if self._captions:
                self._app.clear_notifications()
                self._app.notify(step.caption, title="Tour: any key ends it", timeout=60)
            if step.page == "what-if":
                await self._until(self._studied)  # for seconds, under its own caption
            await asyncio.sleep(self._pause_s)
            if self._look is not None:
                self._look(step)
        self._app.exit()

    async def _press(self, key: str) -> None:
        event = events.Key(key, key if len(key) == 1 else None)
        self._sent.append(event)
        self._app.post_message(event)
        for pump in (self._app, self._app.focused or self._app.screen, self._app.screen):
            done = asyncio.Event()  # the key goes this way; the next one must find its effect
            pump.call_later(done.set)
            await done.wait()
        await asyncio.sleep(self._key_s)

    async def _answered(self) -> None:
        """Until the answer shown is that of the form, or something went wrong."""
        await asyncio.sleep(0.02)
        await self._until(lambda: self._view.current or self._view.error or self._view.invalid)

    def _studied(self) -> bool:
        """Whether the study of the what-if page is complete."""
        found = self._view.findings
        whole = found.base is self._view.plan and len(found.effects) >= found.wanted > 0
        return whole and found.curve_of is self._view.plan and found.curve_done

    @property
    def _view(self) -> View:
        return self._app.main.view

    async def _until(self, condition: Callable[[], object]) -> None:
        """Wait for something, but not for ever."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE_S
        while not condition() and loop.time() < end:
            await asyncio.sleep(0.02)
