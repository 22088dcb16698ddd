"""Small pieces of text that several panes are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from planner.units import three_digits
from tui.glyphs import Glyphs

if TYPE_CHECKING:
    from planner.planning.result import Serving


_UNIT = re.compile(r"(\d) ((?:[nµum]?s|[kMGT]i?B|[kM]?W|J|%|GPUs?|tokens?)\b|%)")


def wrap(text: str, width: int, style: str) -> list[Content]:
    """Words over as many lines as they need; a number stays with its unit."""
    lines, line = [], ""
    for joined in _UNIT.sub("\\1\N{NO-BREAK SPACE}\\2", " ".join(text.split())).split(" "):
        word = joined.replace("\N{NO-BREAK SPACE}", " ")
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [Content.styled(part, style) for part in (*lines, line) if part]


def flow(phrases: Sequence[tuple[str, str]], width: int, g: Glyphs) -> list[Content]:
    """Phrases side by side with dots between, as many lines as they need."""
    lines: list[Content] = []
    line: list[tuple[str, str]] = []
    length = 0
    for number, unit in phrases:
        joint = " " if number and not unit.startswith("/") else ""
        size = len(number) + len(joint) + len(unit)
        if line and length + 3 + size > width:
            lines.append(Content.assemble(*line))
            line, length = [], 0
        if line:
            line.append((f" {g.dot} ", "$hue-muted"))
            length += 3
        line += [(number, "bold"), (joint + unit, "$hue-muted" if number else "")]
        length += size
    return [*lines, Content.assemble(*line)] if line else lines


def layouts(serving: Serving, g: Glyphs) -> list[str]:
    """The pools of a serving, instances times layout."""
    return [f"{pool.instances}{g.times}{pool.layout.label}" for pool in serving.pools]


def span(low: float, high: float, *, seconds: bool = False) -> str:
    """A range in two digits, a duration in the unit of its upper end.

    >>> span(1310.2, 2040.9), span(0.0157, 0.0243, seconds=True), span(0.763, 10.9, seconds=True)
    ('1,300–2,000', '16–24 ms', '0.76–11 s')
    """
    scale, unit = 1.0, ""
    if seconds:
        scale, unit = next(
            (s, u) for s, u in ((1.0, " s"), (1e-3, " ms"), (1e-6, " µs")) if high >= s or s < 1e-5
        )
    ends = [three_digits(float(f"{end / scale:.2g}")) for end in (low, high)]
    return f"{ends[0]}–{ends[1]}{unit}"
