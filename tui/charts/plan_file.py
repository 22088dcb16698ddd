"""A plan in each of the formats that need no screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.planning.result import Plan


class CannotMake(Exception):
    """What a format needs is not installed; `str()` says how to get it."""


def content(plan: Plan, ending: str) -> str | bytes:
    """A plan in one of the formats that need no screen. Raises CannotMake for a png without matplotlib."""
    if ending == "png":
        from tui.charts.frontier_png import to_png
        from tui.charts.paper_figures import NoDrawing

        try:
            return to_png(plan)
        except NoDrawing as error:
            raise CannotMake(str(error)) from None
    if ending == "svg":
        from planner.output.chart_svg import to_svg

        return to_svg(plan)
    from planner.output.formats import WRITERS

    made = WRITERS["markdown" if ending == "md" else ending](plan)
    return made if made.endswith("\n") else made + "\n"
