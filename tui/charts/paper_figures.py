"""Panels of the study as text for a terminal, drawn with plotext, and as SVG and PNG with matplotlib.

As in `tui.charts.plotting`, logarithms, limits and ticks are ours. Each is imported when something is drawn.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.inputs import files
from tui.charts.plotting import decode
from tui.charts.ticks import log_ticks, nice_ticks, tick_label

if TYPE_CHECKING:
    from planner.arrays import FloatArray
    from planner.paper.figures.drawing import Figure, Panel

HEIGHT = 18  # rows of a panel, axis included
WIDEST = 100
MOST_MARKS = 8  # points of a line that each get a tick
# the terminal's own palette, so that both dark and light backgrounds read well
_HUES = (6, 3, 2, 5, 1, 4, 7)
_LETTERS = "abcdefg"
_DOT = {True: ".", False: "·"}


class NoDrawing(Exception):
    """matplotlib is not installed; `str()` says how to get it."""


def to_text(panel: Panel, width: int, *, colour: bool = False, ascii: bool = False) -> str:
    """One panel with its title and legend, at most `width` columns.

    With `colour` the lines are braille dots in the hue of their series; without, each is drawn in a
    letter of its own.
    """
    import plotext

    width = min(width, WIDEST)
    x_low, x_high = _limits([s.x for s in panel.series], panel.x_log)
    y_low, y_high = _limits([s.y for s in panel.series], panel.y_log)
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plot_size(width, HEIGHT)
    plotext.xaxes(True, False)
    plotext.yaxes(True, False)
    _axis(plotext.xlim, plotext.xticks, x_low, x_high, panel.x_log, max(width // 10, 2))
    _axis(plotext.ylim, plotext.yticks, y_low, y_high, panel.y_log, HEIGHT // 4)
    legend = []
    lines = [s for s in panel.series if not s.dots]
    for series in (*(s for s in panel.series if s.dots), *reversed(lines)):
        x, y = _scaled(series.x, panel.x_log), _scaled(series.y, panel.y_log)
        good = np.isfinite(x) & np.isfinite(y)
        if not good.any():
            continue
        if series.dots:
            plotext.scatter(x[good].tolist(), y[good].tolist(), marker=_DOT[ascii])
            continue
        at = lines.index(series) % len(_LETTERS)
        marker = "braille" if colour else _LETTERS[at]
        draw = plotext.plot if good.sum() > 1 else plotext.scatter
        hue = {"color": _HUES[at]} if colour else {}
        draw(x[good].tolist(), y[good].tolist(), marker=marker, **hue)
    for at, series in enumerate(lines):
        mark = _LETTERS[at % len(_LETTERS)]
        if colour:
            mark = f"\x1b[38;5;{_HUES[at % len(_HUES)]}m{'-' if ascii else '━'}\x1b[0m"
        legend.append(f"{mark} {series.name}")
    text = plotext.build()
    if not colour:
        cells = decode(text, width, HEIGHT, ascii=ascii)
        text = "\n".join("".join(char for char, _ in row).rstrip() for row in cells)
    head = f"{panel.title}   {panel.y_label}"
    return "\n".join([head, text.rstrip("\n"), f"{panel.x_label:>{width}}", "  ".join(legend)])


def _scaled(values: FloatArray, log: bool) -> FloatArray:
    if not log:
        return np.asarray(values, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(np.where(values > 0, values, np.nan))


def _limits(columns: list[FloatArray], log: bool) -> tuple[float, float]:
    """Limits of an axis in its own scale; from zero where it is linear."""
    values = np.concatenate([_scaled(c, log) for c in columns]) if columns else np.empty(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = (float(values.min()), float(values.max())) if log else (0.0, float(values.max()))
    pad = 0.03 * (high - low) or 0.5
    return (low - pad if log else 0.0), high + pad


def _axis(limit: Any, ticks: Any, low: float, high: float, log: bool, most: int) -> None:
    limit(low, high)
    if log:
        marks = log_ticks(10**low, 10**high, most) or (10**low, 10**high)
        ticks([math.log10(t) for t in marks], [tick_label(float(f"{t:.3g}")) for t in marks])
    else:
        marks = nice_ticks(low, high, most)
        ticks(list(marks), [tick_label(t) for t in marks])


def save(figure: Figure, folder: Path, kinds: tuple[str, ...] = ("svg",)) -> list[Path]:
    """The figure as files `fig-<id>.<kind>` in a folder.

    Raises NoDrawing without matplotlib, OSError where nothing can be written.
    """
    try:
        import matplotlib
    except ImportError:
        raise NoDrawing("SVG and PNG need matplotlib: pip install 'ratematch[figures]'") from None
    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "ratematch", "svg.fonttype": "none"})  # the same every time
    from matplotlib import pyplot

    alike = sum(panel.setting == figure.panels[0].setting for panel in figure.panels)
    columns = alike if alike <= 3 else 2  # each setting on rows of its own
    rows = math.ceil(len(figure.panels) / columns)
    canvas, axes = pyplot.subplots(
        rows, columns, figsize=(5.2 * columns, 3.6 * rows), squeeze=False, layout="constrained"
    )
    for axis, panel in zip(axes.flat, figure.panels, strict=False):
        _panel(axis, panel)
    for axis in axes.flat[len(figure.panels) :]:
        axis.set_visible(False)
    paths = [folder / f"fig-{figure.id}.{kind}" for kind in kinds]
    for path in paths:
        stamp = {"Date": None} if path.suffix == ".svg" else {}
        picture = io.BytesIO()
        canvas.savefig(picture, format=path.suffix[1:], dpi=110, metadata=stamp)
        files.write_atomically(path, picture.getvalue())
    pyplot.close(canvas)
    return paths


def _panel(draw: Any, panel: Panel) -> None:
    for series in panel.series:
        if series.dots:
            draw.plot(series.x, series.y, ".", color="#B8C0CA", markersize=2, zorder=0)
        else:
            (line,) = draw.plot(series.x, series.y, label=series.name, linewidth=1.6)
            if series.y_band is not None:
                low, high = (series.y * factor for factor in series.y_band)
                draw.fill_between(series.x, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
    draw.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
    if panel.x_log:
        draw.set_xscale("log")
        marks = np.unique(np.concatenate([s.x for s in panel.series]))
        if len(marks) <= MOST_MARKS:
            draw.set_xticks(marks, [f"{mark:g}" for mark in marks])
            draw.set_xticks([], minor=True)
    else:
        draw.set_xlim(left=0)
    if panel.y_log:
        draw.set_yscale("log")
    else:
        draw.set_ylim(bottom=0)
    draw.grid(alpha=0.25)
    draw.legend(fontsize=8, frameon=False)
