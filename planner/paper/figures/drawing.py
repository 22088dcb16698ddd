"""What a figure is, before anything draws it: panels of series, absolute, with the values of 1.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from planner.arrays import FloatArray
from planner.paper.scenarios import PRESETS
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
        return tuple(PRESETS.get(self.id, ()))
