"""Panels that several figures draw: frontiers of both ways of serving, and lines over one axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import FloatArray
from planner.paper import pool, probes
from planner.paper.cases import K
from planner.paper.drawing import PER_GPU, USER, Panel, Series, frontier_panel, frontier_series, thin
from planner.paper.pool import STEPS, Curve
from planner.paper.study import Case, Study
from planner.planning.bands import Band

SPLIT, TOGETHER, PIGGYBACKED, MATCHED = "disaggregated", "co-located", "piggybacked", "matched"


def traffic(case: Case) -> str:
    """As the study writes it: "16k/2k"."""

    def tokens(count: int) -> str:
        return f"{count // K}k" if count >= K and count % K == 0 else f"{count}"

    return f"{tokens(case.isl)}/{tokens(case.osl)}"


def bands(study: Study, case: Case) -> tuple[Band | None, Band | None]:
    """Of a split and of a co-located instance."""
    return study.band(case, "disaggregated"), study.band(case, "colocated")


def frontiers(
    study: Study, case: Case, title: str, *, piggybacked: bool = True, cloud: bool = False
) -> Panel:
    """Split and co-located, with the piggybacked curve alone and the instances behind the split if asked."""
    apart, joint = bands(study, case)
    series = [
        frontier_series(SPLIT, study.split(case), apart),
        frontier_series(TOGETHER, study.together(case), joint),
    ]
    if piggybacked:
        series.append(frontier_series(PIGGYBACKED, study.together(case, pool.STEADY), joint))
    if cloud and len(series[0].x):
        series.insert(0, _cloud(study, case))
    return frontier_panel(title, series)


def _cloud(study: Study, case: Case) -> Series:
    """Every decode instance at its ideal ratio, thinned."""
    split, decode = study.split(case), study.decode(case)
    assert split.prefill is not None
    prefill = float(split.prefill.gpus[0] / split.prefill.rate[0])
    x, y = thin(1.0 / decode.ttl_s, (case.osl - 1) / (decode.gpus / decode.rate + prefill))
    return Series(name="design points", x=x, y=y, dots=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The axis of a case: `user` are STEPS of it, up to `end`."""

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


def axis(study: Study, case: Case) -> Axis:
    """Of a split under a case."""
    curve = study.split(case)
    return Axis(curve=curve, end=curve.axis_end, user=STEPS * curve.axis_end)


def matched(study: Study, case: Case, name: str = MATCHED) -> Series:
    """The best split along its axis, with the ratio it takes."""
    over = axis(study, case)
    columns = {"ctx_gen_ratio": [float(r) for r in over.ratio()]}
    line = Series(name=name, x=over.user, y=over.best(), columns=columns)
    return line.banded(study.band(case, "disaggregated"))


def held(study: Study, case: Case, ratio: float) -> FloatArray:
    """Throughput of a split held at one ratio, along the same axis."""
    return probes.fixed_curve(study, case, ratio, axis(study, case).user)
