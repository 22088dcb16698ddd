"""Short words for what a user does on the pages."""

from __future__ import annotations

from typing import Any

import fakes

from planner.inputs.scenario import Scenario

SIZE = (120, 36)


class Pages:
    """Short words for what a user does and sees."""

    def __init__(self, pilot: Any) -> None:
        self.pilot = pilot
        self.main = pilot.app.main

    async def open(self, tab: str) -> None:
        await self.main.action_tab(tab)
        await self.pilot.pause()

    async def settled(self) -> None:
        await fakes.settled(self.pilot)

    async def studied(self) -> None:
        """Until the what-if and its curve are whole."""

        def whole() -> bool:
            found = self.main.view.findings
            plan = self.main.view.plan
            effects = found.base is plan and len(found.effects) == found.wanted > 0
            return effects and found.curve_of is plan and found.curve_done

        await fakes.until(self.pilot, whole)

    def one(self, kind: type[Any]) -> Any:
        return self.main.query_one(kind)

    def shown(self, name: str) -> str:
        """The texts inside a part, line by line."""
        part = self.main.query_one(name)
        return "\n".join(fakes.text(child) for child in part.query("*") if child.display and child.size)

    @property
    def scenario(self) -> Scenario:
        return self.main.view.scenario


async def pin_two(pages: Pages) -> None:
    await pages.pilot.press("p")
    pages.main.query_one("#knob-isl").focus()
    await pages.pilot.press("right")
    await pages.settled()
    await pages.pilot.press("p")
