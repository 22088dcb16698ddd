"""The whole study in one call: figures, verdicts, the table of where a split pays."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from planner.errors import unknown
from planner.inputs import catalog as presets
from planner.inputs.catalog import Catalog
from planner.paper.claims import claim, gains, layouts, ratios
from planner.paper.claims.claim import Check, Verdict, judge
from planner.paper.figures import added, published
from planner.paper.figures.drawing import Figure
from planner.paper.settings import SERVED, SETTINGS, STUDY
from planner.paper.sweeps import Sweeps
from planner.paper.where_it_pays import Row, where_it_pays
from planner.words import Outcome

CHECKS: Mapping[int, Check] = {**gains.CHECKS, **layouts.CHECKS, **ratios.CHECKS}
UNSIMULATED = ("13",)  # the same whatever serves it
FIGURES: Mapping[str, Callable[[Sweeps], Figure]] = {**published.FIGURES, **added.FIGURES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What `ratematch paper` reports."""

    verdicts: tuple[Verdict, ...]
    figures: tuple[Figure, ...]
    pays: tuple[Row, ...]
    design_points: int
    seconds: float

    def count(self, outcome: Outcome, setting: str = STUDY.name) -> int:
        """Claims with an outcome in a setting."""
        return sum(v.of(setting) == outcome for v in self.verdicts)


def run(
    figure: str | None = None,
    catalog: Catalog | None = None,
    *,
    on_sweep: Callable[[int], None] | None = None,
) -> Reproduction:
    """Sweep, draw and judge.

    Parameters
    ----------
    figure
        One of `FIGURES`: only that figure and the claims read from it. None: everything.
    on_sweep
        Called with the number of design points so far after every sweep.

    Raises InputError for an unknown figure.
    """
    if figure is not None and figure not in FIGURES:
        raise unknown("figure", figure, FIGURES)
    start = time.perf_counter()
    found = catalog or presets.load()
    points = 0

    def count(simulated: int) -> None:
        nonlocal points
        points += simulated
        if on_sweep is not None:
            on_sweep(points)

    every = {setting.name: Sweeps(found, count, setting=setting) for setting in SETTINGS}
    in_study, served = every[STUDY.name], every[SERVED.name]
    drawn = [
        _both(make, in_study, served) for name, make in published.FIGURES.items() if figure in (None, name)
    ]
    drawn += [make(served) for name, make in added.FIGURES.items() if figure in (None, name)]
    asked = (c for c in claim.load() if figure in (None, c.figure))
    judged = tuple(judge(c, CHECKS[c.id], tuple(every.values())) for c in asked)
    pays = where_it_pays(served) if figure in (None, "systems", "models") else ()
    return Reproduction(
        verdicts=judged,
        figures=tuple(drawn),
        pays=pays,
        design_points=points,
        seconds=time.perf_counter() - start,
    )


def _both(make: Callable[[Sweeps], Figure], in_study: Sweeps, served: Sweeps) -> Figure:
    """A figure of the study in its own setting, and its panels again as served today."""
    figure, today = make(in_study), make(served)
    first = (replace(panel, setting=STUDY.title) for panel in figure.panels)
    again = (
        replace(panel, title=f"{panel.title}, {SERVED.title}", setting=SERVED.title)
        for panel in today.panels
        if panel.series and figure.id not in UNSIMULATED
    )
    return replace(figure, panels=(*first, *again))
