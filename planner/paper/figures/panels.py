"""Panels that several figures draw: frontiers of both ways of serving, and lines over one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.arrays import FloatArray
from planner.inputs.scenario import Scenario
from planner.paper.figures.drawing import PER_GPU, USER, Panel, Series
from planner.paper.readings import STEPS, fixed_ratio
from planner.paper.scenarios import K
from planner.paper.sweeps import Curve, Sweeps
from planner.planning.bands import Band
from planner.planning.frontiers import thin

SPLIT, COLOCATED, PIGGYBACKED, MATCHED = "disaggregated", "co-located", "piggybacked", "matched"


def traffic(scenario: Scenario) -> str:
    """As the study writes it: "16k/2k"."""

    def tokens(count: int) -> str:
        return f"{count // K}k" if count >= K and count % K == 0 else f"{count}"

    return f"{tokens(scenario.traffic.isl)}/{tokens(scenario.traffic.osl)}"


def bands(sweeps: Sweeps, scenario: Scenario) -> tuple[Band | None, Band | None]:
    """Of a split and of a co-located instance."""
    return sweeps.band(scenario, "disaggregated"), sweeps.band(scenario, "colocated")


def frontier_series(name: str, curve: Curve, band: Band | None = None) -> Series:
    """A frontier as steps' corners, with what is deployed at each and how far off it may be."""
    frontier = curve.frontier
    columns: dict[str, Sequence[object]] = {
        "layout": frontier.decode,
        "batch": [round(float(b)) for b in curve.points.batch],
        "gpus": frontier.gpus.tolist(),
    }
    if curve.prefill is not None:
        columns["prefill"] = frontier.prefill
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


def frontiers(
    sweeps: Sweeps, scenario: Scenario, title: str, *, piggybacked: bool = True, cloud: bool = False
) -> Panel:
    """Split and co-located, with the piggybacked curve alone and the instances behind the split if asked."""
    of_split, of_colocated = bands(sweeps, scenario)
    series = [
        frontier_series(SPLIT, sweeps.split(scenario), of_split),
        frontier_series(COLOCATED, sweeps.colocated(scenario), of_colocated),
    ]
    if piggybacked:
        series.append(frontier_series(PIGGYBACKED, sweeps.colocated(scenario, "steady"), of_colocated))
    if cloud and len(series[0].x):
        series.insert(0, _cloud(sweeps, scenario))
    return frontier_panel(title, series)


def _cloud(sweeps: Sweeps, scenario: Scenario) -> Series:
    """Every decode instance at its ideal ratio, thinned."""
    pre, dec = sweeps.split(scenario).prefill, sweeps.decode_points(scenario)
    assert pre is not None
    gpu_seconds = dec.gpus / dec.requests_per_s + float(pre.gpus[0] / pre.requests_per_s[0])
    ttl_s, per_gpu = thin(dec.ttl_s, (scenario.traffic.osl - 1) / gpu_seconds)
    return Series(name="design points", x=1.0 / ttl_s, y=per_gpu, dots=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The axis of a scenario: `user` are STEPS of it, up to `end`."""

    curve: Curve
    end: float
    user: FloatArray

    def best(self) -> FloatArray:
        """Throughput of the matched split."""
        return self.curve.at(self.user)

    def ratio(self) -> FloatArray:
        """The ratio that matching takes."""
        return self.curve.column(self.curve.ratio, self.user)

    def panel(self, title: str, series: tuple[Series, ...]) -> Panel:
        """Throughput over this axis; 1.0 is its end and the highest of the first line."""
        top = float(np.max(series[0].y))
        return Panel(title=title, x_label=USER, y_label=PER_GPU, series=series, x_one=self.end, y_one=top)


def axis(sweeps: Sweeps, scenario: Scenario) -> Axis:
    """Of a split under a scenario."""
    curve = sweeps.split(scenario)
    return Axis(curve=curve, end=curve.axis_end, user=STEPS * curve.axis_end)


def matched(sweeps: Sweeps, scenario: Scenario, name: str = MATCHED) -> Series:
    """The best split along its axis, with the ratio it takes."""
    over = axis(sweeps, scenario)
    columns = {"ctx_gen_ratio": [float(r) for r in over.ratio()]}
    line = Series(name=name, x=over.user, y=over.best(), columns=columns)
    return line.banded(sweeps.band(scenario, "disaggregated"))


def held(sweeps: Sweeps, scenario: Scenario, ratio: float) -> FloatArray:
    """Throughput of a split held at one ratio, along the same axis."""
    return fixed_ratio(sweeps, scenario, ratio, axis(sweeps, scenario).user)
