"""Each limit as a bar of how much of it a serving uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from tui.glyphs import Glyphs, bar, limit_mark

if TYPE_CHECKING:
    from planner.planning.result import Plan, Serving


def limit_lines(plan: Plan, serving: Serving, width: int, g: Glyphs) -> list[Content]:
    """`TTL  3.8 ms of 2 ms  ████████  190% ✗`: a serving against the limits of a plan's scenario."""
    from planner.output.limits import limits

    uses = limits(plan, serving)
    shown = [g.plain(use.text) for use in uses]
    size = max(map(len, shown), default=0)
    room = max(width - 5 - size - 1 - 8, 1)
    lines = []
    for use, text in zip(uses, shown, strict=True):
        mark, hue = limit_mark(use.state, g)
        filled = bar(use.share, room, g)
        lines.append(
            Content.assemble(
                (f"{use.name:<5}", "$hue-muted"),
                f"{text:<{size}} ",
                (filled, hue),
                (" " * (room - len(filled)) + g.plain(f"{_share(use.share):>6} "), "$hue-muted"),
                (mark, hue),
            ).truncate(width)
        )
    return lines


def _share(used: float) -> str:
    """Of a limit: `95%`, or how many times over.

    >>> _share(0.951), _share(12.4), _share(31450)
    ('95%', '12×', '31,450×')
    """
    return f"{100 * used:.0f}%" if used < 10 else f"{used:,.0f}×"
