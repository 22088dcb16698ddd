"""A study's maps as coloured cells, for a terminal, and as SVG, HTML and PNG. rich draws all but the last."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.text import Text

from planner.inputs import files
from planner.studies.columns import VERDICTS
from planner.studies.maps import GAIN, NOTHING, VERDICT, Map
from planner.units import three_digits

if TYPE_CHECKING:
    from planner.arrays import FloatArray

CELL = 5  # columns of a cell with its number, at least
NARROW = 2  # and where the terminal is too narrow for that
MARGIN = 3  # beside the labels
SPLIT, TIE, COLOCATED, NO_PLAN, FAILED = range(len(VERDICTS))
LETTERS = {SPLIT: "S", TIE: "=", COLOCATED: "C", NO_PLAN: "·", FAILED: "!", NOTHING: " "}
PLAIN = {"·": ".", "×": "x", "≤": "<=", "µ": "u"}
# hues that those who see no red or no green tell apart (Okabe and Ito), on either background
HUES = {SPLIT: (0, 114, 178), TIE: (120, 124, 130), COLOCATED: (213, 94, 0)}  # as everywhere else
LOW, HIGH = (68, 1, 84), (253, 231, 37)  # of what is no gain: dark to light
MOST_GAIN = 4.0  # from here on the colour is full
PICTURES = (".svg", ".png", ".html")


class NoDrawing(Exception):
    """matplotlib is not installed; `str()` says how to get it."""


def lines(
    shown: Map, width: int, *, ascii: bool = False, cursor: tuple[int, int] | None = None
) -> list[Text]:
    """One map: its title, a row for each value of y, the largest at the top, and the values of x below.

    A number with `=` is a tie; `·` no plan, `!` a failure. Colours only add to that. `cursor` is a cell, as
    indices of y and x.
    """
    rows = [Text(shown.title, style="bold")] if shown.title else []
    labels, (left, cell) = shown.y.labels, _room(shown, width)
    low, high = _span(shown)
    for at in reversed(range(len(shown.y))):
        name = shown.y.field.label if at == len(shown.y) - 1 else ""
        row = Text(f"{labels[at]:>{left}} ")
        for column in range(len(shown.x)):
            value, verdict = float(shown.values[at, column]), int(shown.verdicts[at, column])
            text = _cell(shown.value, value, verdict) if cell >= CELL else LETTERS[verdict]
            style = _style(shown.value, value, verdict, low, high)
            if (at, column) == cursor:
                style, text = "bold reverse", f"[{text}]" if len(text) < cell - 1 else text
            row.append(f"{text:^{cell}}", style=style)
        row.append(f" {name}" if name else "")
        rows.append(row)
    rows += [Text(line) for line in _axis(shown.x.labels, left + 1, cell, shown.x.field.label)]
    return [_ascii(row) for row in rows] if ascii else rows


def _room(shown: Map, width: int) -> tuple[int, int]:
    """Columns of the labels, a blank before the cells not counted, and of a cell."""
    left = max(len(shown.y.field.label), *map(len, shown.y.labels)) + 1
    named = max(CELL, *(len(label) + 1 for label in shown.x.labels))  # each column under its label
    fits = (cell for cell in (named, CELL) if left + MARGIN + cell * len(shown.x) <= width)
    return left, next(fits, NARROW)


def cell_at(shown: Map, width: int, column: int, line: int) -> tuple[int, int] | None:
    """The cell, as indices of y and x, that `lines` draws at a place; None where there is none."""
    left, cell = _room(shown, width)
    y, x = len(shown.y) - 1 - (line - bool(shown.title)), (column - left - 1) // cell
    return (y, x) if 0 <= y < len(shown.y) and 0 <= x < len(shown.x) else None


def legend(value: str, *, ascii: bool = False) -> Text:
    """What the marks mean."""
    if value == GAIN:
        text = "split over co-located; = a tie, within the error; S, C only that way; · no plan; ! failed"
    elif value == VERDICT:
        text = "S split; = a tie, within the error; C co-located; · no plan; ! failed"
    elif value in VERDICTS:
        text = f"the share of a cell's scenarios that are {value}"
    else:
        text = f"{value}: the median of a cell; · no plan; ! failed"
    return _ascii(Text(text)) if ascii else Text(text)


def _ascii(text: Text) -> Text:
    plain = text.copy()
    plain.plain = "".join(PLAIN.get(c, c) if c in PLAIN else c if c.isascii() else "?" for c in text.plain)
    return plain


def _axis(labels: Sequence[str], left: int, cell: int, name: str) -> list[str]:
    """The labels of x under their columns: as many as have room."""
    line, end = [" "] * (left + cell * len(labels) + 24), 0
    for at, label in enumerate(labels):
        start = left + at * cell + max((cell - len(label)) // 2, 0)
        if start >= end:
            line[start : start + len(label)] = label
            end = start + len(label) + 1
    return ["".join(line).rstrip(), f"{'':{left}}{name}"]


def _cell(column: str, value: float, verdict: int) -> str:
    if column in VERDICTS and math.isfinite(value):
        return f"{100 * value:.0f}%"
    if column == VERDICT or verdict in (NOTHING, NO_PLAN, FAILED) or not math.isfinite(value):
        return LETTERS[verdict]
    if column == GAIN:
        digits = f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"
        return f"{digits}=" if verdict == TIE else digits
    return _short(value)


def _short(value: float) -> str:
    """At most four characters."""
    for scale, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * scale:
            return f"{value / scale:.2g}{unit}" if abs(value) < 99.5 * scale else f"{value / scale:.0f}{unit}"
    if 0.00995 <= abs(value) < 0.0995:
        return f"{value:.2f}"
    return three_digits(value) if abs(value) >= 0.0995 else f"{value:.0e}".replace("e-0", "e-")


def _span(shown: Map) -> tuple[float, float]:
    """The range of colours, logarithms where all are above zero."""
    if shown.value in VERDICTS:
        return 0.0, 1.0
    known = shown.values[np.isfinite(shown.values)]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)


def _style(column: str, value: float, verdict: int, low: float, high: float) -> str:
    colour = _colour(column, value, verdict, low, high)
    if colour is None:
        return ""
    dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 140
    return f"{'#FFFFFF' if dark else '#000000'} on #{colour[0]:02X}{colour[1]:02X}{colour[2]:02X}"


def _colour(column: str, value: float, verdict: int, low: float, high: float) -> tuple[int, int, int] | None:
    if verdict in (NOTHING, NO_PLAN, FAILED) and column not in VERDICTS:
        return None
    if column in (GAIN, VERDICT):
        if verdict == TIE:
            return HUES[TIE]
        full = column == VERDICT or not math.isfinite(value)
        far = 1.0 if full else min(abs(math.log(max(value, 1e-9))) / math.log(MOST_GAIN), 1.0)
        return _between(HUES[TIE], HUES[verdict], 0.35 + 0.65 * far)
    if not math.isfinite(value):
        return None
    if low > 0:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return _between(LOW, HIGH, (value - low) / (high - low) if high > low else 0.5)


def _between(one: tuple[int, int, int], other: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(one, other, strict=True))
    return red, green, blue


def to_text(blocks: Sequence[Text], *, colour: bool) -> str:
    """Lines as a terminal takes them, with or without colours."""
    if not colour:
        return "\n".join(block.plain.rstrip() for block in blocks)
    console = _console(blocks, io.StringIO(), force=True)
    for block in blocks:
        console.print(block, no_wrap=True, crop=False, overflow="ignore")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().rstrip("\n")


def _console(
    blocks: Sequence[Text], out: io.StringIO, *, force: bool = False, record: bool = False
) -> Console:
    width = max((len(block.plain) for block in blocks), default=1) + 1
    return Console(
        file=out,
        width=width,
        record=record,
        force_terminal=force,
        color_system="truecolor",
        legacy_windows=False,
    )


def save(shown: Sequence[Map], blocks: Sequence[Text], path: Path, title: str) -> None:
    """The maps and what is said of them as a picture or a page, by the ending of the path.

    Raises NoDrawing for PNG without matplotlib, OSError where nothing can be written.
    """
    if path.suffix == ".png":
        files.write_atomically(path, _png(shown, title))
        return
    console = _console(blocks, io.StringIO(), record=True)
    for block in blocks:
        console.print(block, no_wrap=True, crop=False, overflow="ignore")
    if path.suffix == ".svg":
        text = console.export_svg(title=title, unique_id="study")
    else:
        text = console.export_html(inline_styles=True)
    files.write_atomically(path, text)


def _png(shown: Sequence[Map], title: str) -> bytes:
    try:
        import matplotlib
    except ImportError:
        raise NoDrawing("PNG needs matplotlib: pip install 'ratematch[figures]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(len(shown), 2)
    size = 6.4 * columns, 5.0 * math.ceil(len(shown) / columns)
    canvas, axes = pyplot.subplots(
        math.ceil(len(shown) / columns), columns, figsize=size, squeeze=False, layout="constrained"
    )
    for draw, one in zip(axes.flat, shown, strict=False):
        draw.imshow(_pixels(one), origin="lower", aspect="auto")
        draw.set(title=one.title, xlabel=one.x.field.label, ylabel=one.y.field.label)
        for ticks, labels in ((draw.set_xticks, one.x.labels), (draw.set_yticks, one.y.labels)):
            some = range(0, len(labels), max(1, len(labels) // 8))
            ticks(list(some), [labels[i] for i in some])
        for at, column in np.ndindex(one.values.shape):
            text = _cell(one.value, float(one.values[at, column]), int(one.verdicts[at, column]))
            draw.text(column, at, text, ha="center", va="center", fontsize=6)
    for draw in list(axes.flat)[len(shown) :]:
        draw.set_visible(False)
    canvas.suptitle(title)
    picture = io.BytesIO()
    canvas.savefig(picture, format="png", dpi=110)
    pyplot.close(canvas)
    return picture.getvalue()


def _pixels(shown: Map) -> FloatArray:
    low, high = _span(shown)
    pixels = np.ones((*shown.values.shape, 3))
    for at, column in np.ndindex(shown.values.shape):
        colour = _colour(
            shown.value, float(shown.values[at, column]), int(shown.verdicts[at, column]), low, high
        )
        if colour is not None:
            pixels[at, column] = np.array(colour) / 255
    return pixels
