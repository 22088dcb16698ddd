"""Short words for what a user does on the form and sees."""

from __future__ import annotations

from typing import Any

import fakes

from planner.inputs.scenario import Scenario
from tui.panes.inputs import InputsPane
from tui.panes.plan_card import PlanCard
from tui.widgets.hint_line import HintLine
from tui.widgets.knob import Knob

SIZE = (120, 36)


class Driver:
    """Short words for what a user does and sees."""

    def __init__(self, pilot: Any) -> None:
        self.pilot = pilot
        self.main = pilot.app.main

    def knob(self, key: str) -> Knob:
        return self.main.query_one(InputsPane).knob(key)

    async def focus(self, key: str) -> Knob:
        knob = self.main.query_one(InputsPane).reveal(key)
        self.main.set_focus(knob)
        await self.pilot.pause()
        return knob

    async def type(self, text: str) -> None:
        await self.pilot.press(*text)

    async def enter(self, text: str) -> None:
        """Open the row that has the focus, and type in place of its value."""
        await self.pilot.press("enter", *text)

    async def settled(self) -> None:
        await fakes.settled(self.pilot)

    @property
    def scenario(self) -> Scenario:
        return self.main.view.scenario

    @property
    def card(self) -> str:
        return "\n".join(fakes.text(w) for w in self.main.query_one(PlanCard).children if w.display)

    @property
    def hint(self) -> str:
        return fakes.text(self.main.query_one(HintLine))

    @property
    def title(self) -> str:
        return fakes.text(self.main.query_one("#title"))
