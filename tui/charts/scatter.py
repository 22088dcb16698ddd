"""Predicted against measured as a plot of text, for `ratematch validate --plot`."""

from __future__ import annotations

import math
from collections.abc import Sequence

MARGIN = 0.05  # of the span, around the points


def draw(
    measured: Sequence[float],
    predicted: Sequence[float],
    title: str,
    *,
    width: int = 80,
    height: int = 24,
    ascii: bool = False,
    colour: bool = False,
) -> str:
    """A log-log plot of seconds with the line of equality; "" where there is nothing to draw."""
    import plotext

    from tui.charts.ticks import log_ticks

    points = [
        (math.log10(m), math.log10(p))
        for m, p in zip(measured, predicted, strict=True)
        if m > 0 and p > 0 and math.isfinite(m) and math.isfinite(p)
    ]
    if not points:
        return ""
    values = [value for point in points for value in point]
    pad = MARGIN * max(max(values) - min(values), 0.1)
    low, high = min(values) - pad, max(values) + pad
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plot_size(width, height)
    plotext.xlim(low, high)
    plotext.ylim(low, high)
    for ticks, set_ticks in (
        (log_ticks(10**low, 10**high, 8), plotext.xticks),
        (log_ticks(10**low, 10**high, 6), plotext.yticks),
    ):
        set_ticks([math.log10(t) for t in ticks], [label(t) for t in ticks])
    plotext.title(title)
    plotext.xlabel("measured")
    plotext.ylabel("predicted")
    plotext.plot([low, high], [low, high], marker="." if ascii else "braille", color="gray")
    plotext.scatter(
        [x for x, _ in points],
        [y for _, y in points],
        marker="o" if ascii else "braille",
        color="cyan",
    )
    text = str(plotext.build())
    return text if colour else str(plotext.uncolorize(text))


def label(seconds: float) -> str:
    """A tick in a few characters.

    >>> label(0.005), label(2.0), label(2e-5)
    ('5ms', '2s', '20us')
    """
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= size * 0.9999:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
