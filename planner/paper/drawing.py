"""What a figure is, before anything draws it: panels of series, absolute, with the values of 1.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from planner.arrays import FloatArray
from planner.paper.cases import SCENARIOS
from planner.paper.pool import Curve
from planner.planning.bands import SHARE, Band, Range

USER = "tokens/s per user"
PER_GPU = "output tokens/s per GPU"
RATIO = "prefill GPUs per decode GPU"
BAND = f"{SHARE:.0%} band"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line (or cloud of dots) and what belongs to each of its points."""

    name: str
    x: FloatArray
    y: FloatArray
    dots: bool = False
    columns: Mapping[str, Sequence[object]] = field(default_factory=dict)  # layout, batch, ratio ...
    x_band: Range | None = None  # factors between which 80 % of measurements lie; None: not known
    y_band: Range | None = None

    def banded(self, band: Band | None) -> Series:
        """With the band of throughput over interactivity: both go as one over the time per token."""
        return self if band is None else replace(self, x_band=band.throughput, y_band=band.throughput)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One pair of axes. `x_one` and `y_one` are what the study's normalised axes call 1."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_log: bool = False
    y_log: bool = False
    x_one: float = 1.0
    y_one: float = 1.0
    setting: str = ""  # title of the `planner.paper.settings.Setting` it was computed in


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of the study, or one that it lacks (ids that are words)."""

    id: str
    title: str
    notes: tuple[str, ...]
    panels: tuple[Panel, ...]

    @property
    def scenarios(self) -> tuple[str, ...]:
        """Presets that open it in the application."""
        return tuple(SCENARIOS.get(self.id, ()))


def frontier_series(name: str, curve: Curve, band: Band | None = None) -> Series:
    """A frontier as steps' corners, with what is deployed at each and how far off it may be."""
    columns: dict[str, Sequence[object]] = {
        "layout": curve.points.labels(),
        "batch": [round(float(b)) for b in curve.points.batch],
        "gpus": [round(float(g)) for g in curve.gpus],
    }
    if curve.prefill is not None:
        columns["prefill"] = curve.prefill.labels(True) * len(curve)
        columns["ctx_gen_ratio"] = [float(r) for r in curve.ratio]
    return Series(name=name, x=curve.user, y=curve.per_gpu, columns=columns).banded(band)


def frontier_panel(title: str, series: Sequence[Series]) -> Panel:
    """Throughput over interactivity. 1.0 is the fastest user and the highest throughput of a line."""
    lines = [s for s in series if not s.dots and len(s.x)]
    return Panel(
        title=title,
        x_label=USER,
        y_label=PER_GPU,
        series=tuple(series),
        x_one=max((float(np.max(s.x)) for s in lines), default=1.0),
        y_one=max((float(np.max(s.y)) for s in lines), default=1.0),
    )


def thin(x: FloatArray, y: FloatArray, columns: int = 120, rows: int = 60) -> tuple[FloatArray, FloatArray]:
    """One of the points in each cell of a grid: all that a plot can show.

    >>> [len(v) for v in thin(np.linspace(0, 1, 10_000), np.ones(10_000), 10, 10)]
    [10, 10]
    """
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if not len(x):
        return x, y
    across = (x - x.min()) / max(float(np.ptp(x)), 1e-12) * (columns - 1e-6)
    up = (y - y.min()) / max(float(np.ptp(y)), 1e-12) * (rows - 1e-6)
    _, first = np.unique(np.floor(across) * rows + np.floor(up), return_index=True)
    return x[first], y[first]
