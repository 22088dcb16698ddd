"""What the row above the keys says of each part, and a scrollbar for terminals without block characters."""

from __future__ import annotations

from typing import ClassVar

from textual.scrollbar import ScrollBarRender
from textual.widget import Widget

HINTS: dict[str, str] = {  # by class: those of pages are not there before one is opened
    "ParetoChart": "Each point meets the FTL limit; enter takes its TTL as the limit.",
    "FixList": "Each line alone is enough; its letter, enter or a click applies it.",
    "PlanCard": "What to deploy, and what it gives; m shows the numbers behind, ? explains each.",
    "BreakdownPane": "Where a pass of the pool at its limit spends its time; ? explains the bars.",
    "DetailsPane": "What fills the memory, and what the plan takes for granted.",
    "PlanGrid": "All deployments: s sorts, / finds, space pins, enter takes the row's layouts.",
    "CompareTable": "p pins, a adds; b baseline, backspace drops, D differences, enter opens.",
    "Tornado": "What each change alone would bring; enter makes it, u takes it back.",
    "CurveChart": "The answer over one input: x takes another, enter sets the cursor's value.",
    "TraceText": "What a trace holds; enter opens one, R replays the plan under it, T plans one.",
    "Scrolled": "All reasons behind the plan; ? explains the numbers.",
}


def hint(widget: Widget) -> str:
    """What is said of a part; "" where nothing is."""
    return next((HINTS[kind.__name__] for kind in type(widget).__mro__ if kind.__name__ in HINTS), "")


# to whoever opens it for the first time, until the first row is left
GREETING = "Arrows turn a row, enter types, tab goes on, ? explains, ctrl+p finds anything."


class PlainScrollBar(ScrollBarRender):
    """A scrollbar that moves by whole cells: no block characters."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "]
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "]
