"""The whole study in one call: figures, verdicts, the table of where a split pays."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from planner.errors import unknown
from planner.inputs import catalog as presets
from planner.inputs.catalog import Catalog
from planner.paper import over_time
from planner.paper.claims import claim, gains, layouts, ratios
from planner.paper.claims.claim import Check, Part, Verdict
from planner.paper.figures import added, published
from planner.paper.figures.drawing import Figure
from planner.paper.parts import Count, Each, OnPoints, here
from planner.paper.settings import SERVED, SETTINGS, STUDY, Setting
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
    each: Each | None = None,
) -> Reproduction:
    """Sweep, draw and judge.

    Parameters
    ----------
    figure
        One of `FIGURES`: only that figure and the claims read from it. None: everything.
    on_sweep
        Called with the number of design points so far after every sweep, or after every setting where
        `each` makes them.
    each
        Who makes the settings' parts; this process by default.

    Raises InputError for an unknown figure.
    """
    if figure is not None and figure not in FIGURES:
        raise unknown("figure", figure, FIGURES)
    start = time.perf_counter()
    found = catalog or presets.load()
    count = Count(on_sweep)
    made: dict[str, _Part] = {}
    for part in (each or here(count.add))(partial(_part, figure=figure), SETTINGS, found):
        count.part(part.design_points)
        made[part.setting.name] = part
    in_study, served = made[STUDY.name], made[SERVED.name]
    asked = (c for c in claim.load() if figure in (None, c.figure))
    judged = (Verdict(claim=c, parts={name: part.claims[c.id] for name, part in made.items()}) for c in asked)
    return Reproduction(
        verdicts=tuple(judged),
        figures=(*map(_both, in_study.published, served.published), *served.added),
        pays=served.pays,
        design_points=count.points,
        seconds=time.perf_counter() - start,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one setting gives."""

    setting: Setting
    published: tuple[Figure, ...] = ()
    added: tuple[Figure, ...] = ()
    claims: Mapping[int, tuple[Part, ...]]
    pays: tuple[Row, ...] = ()
    design_points: int


def _part(
    setting: Setting, catalog: Catalog, *, figure: str | None = None, on_points: OnPoints = None
) -> _Part:
    sweeps = Sweeps(catalog, on_points, setting=setting)
    makers = published.FIGURES if setting in (STUDY, SERVED) else {}
    drawn = tuple(make(sweeps) for name, make in makers.items() if figure in (None, name))
    makers = added.FIGURES if setting == SERVED else {}
    more = tuple(make(sweeps) for name, make in makers.items() if figure in (None, name))
    pays = where_it_pays(sweeps) if setting == SERVED and figure in (None, "systems", "models") else ()
    claims = {c.id: CHECKS[c.id](sweeps) for c in claim.load() if figure in (None, c.figure)}
    if setting == SERVED:
        beside = {number: tell for number, tell in over_time.FACTS.items() if number in claims}
        claims |= {number: (*claims[number], tell(catalog)) for number, tell in beside.items()}
    return _Part(
        setting=setting,
        published=drawn,
        added=more,
        claims=claims,
        pays=pays,
        design_points=sweeps.design_points,
    )


def _both(figure: Figure, today: Figure) -> Figure:
    """A figure of the study in its own setting, and its panels again as served today."""
    first = (replace(panel, setting=STUDY.title) for panel in figure.panels)
    again = (
        replace(panel, title=f"{panel.title}, {SERVED.title}", setting=SERVED.title)
        for panel in today.panels
        if panel.series and figure.id not in UNSIMULATED
    )
    return replace(figure, panels=(*first, *again))
