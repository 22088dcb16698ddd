"""The whole study in one call: figures, verdicts, the table of where a split pays."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from planner import catalog as presets
from planner.catalog import Catalog
from planner.errors import unknown
from planner.paper import beyond, figures, gains, pools, ratios
from planner.paper.claims import Claim, Verdict, judge
from planner.paper.drawing import Figure
from planner.paper.study import Study

CLAIMS: tuple[Claim, ...] = tuple(
    sorted((*gains.CLAIMS, *pools.CLAIMS, *ratios.CLAIMS), key=lambda claim: claim.id)
)
FIGURES: Mapping[str, Callable[[Study], Figure]] = {**figures.FIGURES, **beyond.FIGURES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What `ratematch paper` reports."""

    verdicts: tuple[Verdict, ...]
    figures: tuple[Figure, ...]
    pays: tuple[beyond.Row, ...]
    design_points: int
    seconds: float

    def count(self, verdict: str) -> int:
        """Claims with a verdict."""
        return sum(v.verdict == verdict for v in self.verdicts)


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
    study = Study(found, on_sweep)
    perfect = Study(
        found, None if on_sweep is None else lambda n: on_sweep(study.design_points + n), perfect=True
    )
    drawn = tuple(make(study) for name, make in FIGURES.items() if figure in (None, name))
    judged = tuple(judge(claim, study, perfect) for claim in CLAIMS if figure in (None, claim.figure))
    pays = beyond.where_it_pays(study) if figure in (None, "systems", "models") else ()
    return Reproduction(
        verdicts=judged,
        figures=drawn,
        pays=pays,
        design_points=study.design_points + perfect.design_points,
        seconds=time.perf_counter() - start,
    )
