"""From a sweep to the better way: choice, load, bands and ranges, and the finding."""

from __future__ import annotations

from collections.abc import Mapping

from planner.inputs.catalog import Catalog
from planner.planning import evidence, load, power, solve, thrift, weigh
from planner.planning.arrived import MISSED
from planner.planning.bands import Band, later
from planner.planning.chosen import judged
from planner.planning.deadline import Deadline
from planner.planning.placed import Placed
from planner.planning.result import Serving
from planner.values import dataclass
from planner.words import Finding, Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Both ways of serving, with all that is known of either, and which is better."""

    choice: solve.Choice  # as the programs found them
    split: Serving | None
    colocated: Serving | None
    bands: Mapping[str, Band]
    found: Finding


def judge(
    placed: Placed,
    catalog: Catalog,
    deadline: Deadline,
    *,
    alone: Placed | None = None,
    offers: bool = True,
) -> Judgement:
    """The best of either way at the asked limits, and which is better.

    Co-located serving runs where `alone` says, if not where the split does. `offers`: also the mix that was
    not asked for, and the study's match (`planner.planning.solve.choose`).

    Raises Stopped when the deadline's owner asks to stop.
    """
    return of_choice(placed, catalog, solve.choose(placed, deadline, alone=alone, offers=offers), alone=alone)


def of_choice(
    placed: Placed, catalog: Catalog, choice: solve.Choice, *, alone: Placed | None = None
) -> Judgement:
    """The best of either way as the programs found them, under their load, and which is better."""
    other = placed if alone is None else alone
    split, colocated = load.loaded(
        (
            (placed.question, placed.sweep, choice.disaggregated),
            (other.question, other.sweep, choice.colocated),
        )
    )
    return weighed(placed, catalog, choice, split, colocated, alone=alone)


def weighed(
    placed: Placed,
    catalog: Catalog,
    choice: solve.Choice,
    split: Serving | None,
    colocated: Serving | None,
    *,
    alone: Placed | None = None,
) -> Judgement:
    """Two ways of serving whose load is known, against each other."""
    other = placed if alone is None else alone
    ways: dict[Way, Serving | None] = {"disaggregated": split, "colocated": colocated}
    table = catalog.accuracy()
    bands = evidence.widened(placed.question, table, ways)
    if alone is not None:
        bands |= {
            way: band
            for way, band in evidence.widened(alone.question, table, ways).items()
            if way == "colocated"
        }
    for name, serving in ways.items():
        if name in bands and unsure(serving):
            bands[name] = later(bands[name], MISSED)
    split, colocated = (judged(at, way) for at, way in ((placed, split), (other, colocated)))
    scenario = placed.question.scenario
    if thrift.asked(scenario):
        split, colocated = (
            way and power.powered(at.question, way) for at, way in ((placed, split), (other, colocated))
        )
    found = weigh.finding(scenario, bands, split, colocated)
    if way := scenario.deployment.way:  # what is given is the plan; the other is what it is held to
        found = weigh.given(way, {"disaggregated": split, "colocated": colocated})
    return Judgement(choice=choice, split=split, colocated=colocated, bands=bands, found=found)


def unsure(serving: Serving | None) -> bool:
    """Whether closed forms are unsure of its waits."""
    return serving is not None and serving.queued is not None and not serving.queued.sure
