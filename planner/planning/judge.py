"""From a sweep to the better way: choice, load, bands and luck, and the finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from planner.inputs.catalog import Catalog
from planner.planning import evidence, load, solve, weigh
from planner.planning.bands import Band
from planner.planning.chosen import judged
from planner.planning.deadline import Deadline
from planner.planning.frontiers import Candidates
from planner.planning.resolve import Question
from planner.planning.result import Serving
from planner.planning.sweep import Sweep
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
    question: Question,
    swept: Sweep,
    kept: Candidates,
    catalog: Catalog,
    deadline: Deadline,
    *,
    offers: bool = True,
) -> Judgement:
    """The best of either way at the asked limits, and which is better.

    `offers`: also the mix that was not asked for, and the study's match (`planner.planning.solve.choose`).

    Raises Stopped when the deadline's owner asks to stop.
    """
    choice = solve.choose(question, swept, kept, deadline, offers=offers)
    split, colocated = (load.loaded(question, swept, way) for way in (choice.disaggregated, choice.colocated))
    ways: dict[Way, Serving | None] = {"disaggregated": split, "colocated": colocated}
    bands = evidence.widened(question, catalog.accuracy(), ways)
    banded = replace(question, bands=bands)
    split, colocated = (judged(banded, swept, way) for way in (split, colocated))
    found = weigh.finding(question.scenario, bands, split, colocated)
    if way := question.scenario.deployment.way:  # what is given is the plan; the other is what it is held to
        found = weigh.given(way, {"disaggregated": split, "colocated": colocated})
    return Judgement(choice=choice, split=split, colocated=colocated, bands=bands, found=found)
