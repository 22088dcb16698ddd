"""The whole study in one call: figures, verdicts, the table of where a split pays."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from planner.errors import unknown
from planner.inputs import catalog as presets
from planner.inputs.catalog import Catalog
from planner.paper import beyond, figures, gains, pools, ratios
from planner.paper.claims import Claim, Verdict, judge
from planner.paper.drawing import Figure
from planner.paper.settings import SERVED, SETTINGS, STUDY, Setting
from planner.paper.study import Study

CLAIMS: tuple[Claim, ...] = tuple(
    sorted((*gains.CLAIMS, *pools.CLAIMS, *ratios.CLAIMS), key=lambda claim: claim.id)
)
UNSIMULATED = ("13",)  # the same whatever serves it
FIGURES: Mapping[str, Callable[[Study], Figure]] = {**figures.FIGURES, **beyond.FIGURES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What `ratematch paper` reports."""

    verdicts: tuple[Verdict, ...]
    figures: tuple[Figure, ...]
    pays: tuple[beyond.Row, ...]
    design_points: int
    seconds: float

    def count(self, verdict: str, setting: str = STUDY.name) -> int:
        """Claims with a verdict in a setting."""
        return sum(v.of(setting) == verdict for v in self.verdicts)


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
    counts: dict[str, int] = {}

    def counter(setting: Setting) -> Callable[[int], None]:
        def count(points: int) -> None:
            counts[setting.name] = points
            if on_sweep is not None:
                on_sweep(sum(counts.values()))

        return count

    studies = {s.name: Study(found, counter(s), setting=s) for s in SETTINGS}
    served = studies[SERVED.name]
    drawn = [
        _both(make, studies[STUDY.name], served) for n, make in figures.FIGURES.items() if figure in (None, n)
    ]
    drawn += [make(served) for name, make in beyond.FIGURES.items() if figure in (None, name)]
    judged = tuple(judge(c, tuple(studies.values())) for c in CLAIMS if figure in (None, c.figure))
    pays = beyond.where_it_pays(served) if figure in (None, "systems", "models") else ()
    return Reproduction(
        verdicts=judged,
        figures=tuple(drawn),
        pays=pays,
        design_points=sum(counts.values()),
        seconds=time.perf_counter() - start,
    )


def _both(make: Callable[[Study], Figure], study: Study, served: Study) -> Figure:
    """A figure of the study in its own setting, and its panels again as served today."""
    own, today = make(study), make(served)
    first = (replace(panel, setting=STUDY.title) for panel in own.panels)
    again = (
        replace(panel, title=f"{panel.title}, {SERVED.title}", setting=SERVED.title)
        for panel in today.panels
        if panel.series and own.id not in UNSIMULATED
    )
    return replace(own, panels=(*first, *again))
