"""The ways of serving that a plan is made of, before what it says beside them.

A plan that counts on what its own prefix caches find is drafted a few times
(`planner.planning.caches.settled`); its survival, its alternatives and what was measured are told of the last
draft alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from planner.inputs.catalog import Catalog
from planner.inputs.scenario import Scenario
from planner.match import milp
from planner.planning import demand, housed, in_time, mixes, settle, solve, weigh
from planner.planning.deadline import Deadline
from planner.planning.demand import Held
from planner.planning.judge import Judgement, of_choice
from planner.planning.placed import Placed, to_choose
from planner.planning.resolve import Question
from planner.planning.result import Caches, Frontier, Serving
from planner.planning.settle import Settled
from planner.planning.solve import Choice
from planner.planning.sweep import Sweeps
from planner.values import dataclass
from planner.words import Way

if TYPE_CHECKING:
    from planner.planning.asked import Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Where the pools of a scenario run, the best of either way, and the mix."""

    scenario: Scenario
    to_draw: Sequence[Placed]
    placed: Sequence[Placed]
    settled: Settled
    at: Placed  # the best split
    alone: Placed  # the best co-located serving
    judgement: Judgement
    choice: Choice  # with the mix
    deadline: Deadline
    first: Deadline  # of what comes before a mix that is asked for
    frontiers: tuple[Frontier, Frontier] | None  # None until they are drawn
    began_s: float  # of `time.perf_counter`, when everything was swept

    @property
    def best(self) -> Serving | None:
        """The better way."""
        found = self.judgement.found
        return self.judgement.split if found == "split" else self.judgement.colocated if found else None

    @property
    def chosen(self) -> Serving | None:
        """What to deploy: the better way, or a mix that is asked for and better still."""
        mix = self.choice.mix
        if mix is None or not self.scenario.mix:
            return self.best
        return weigh.better(self.at.question.scenario, self.best, mix.serving)

    @property
    def here(self) -> Placed:
        """Where the chosen way runs."""
        return self.alone if self.chosen is self.judgement.colocated else self.at

    @property
    def other(self) -> Placed | None:
        """Where co-located serving runs, if not where the split does."""
        return None if self.alone is self.at else self.alone

    @property
    def caches(self) -> Caches | None:
        """What prefix caches of the chosen way would find; None where no trace says what prompts share."""
        return cached(self.here.question, self.chosen)


def draft(
    scenario: Scenario,
    catalog: Catalog,
    held: Held | None = None,
    *,
    should_stop: Callable[[], bool] | None = None,
    on_frontier: Callable[[Frontier, Frontier], None] | None = None,
    ask: Ask | None = None,
    sweeps: Sweeps | None = None,
    pictured: bool = True,
) -> Draft:
    """Sweep, match and weigh a scenario whose prefix caches are those `held`.

    Its frontiers are drawn before anything is chosen, if they are `pictured`. `ask` replays what closed forms
    are not sure of. Raises InputError and Stopped as `planner.planning.plan.plan`.
    """
    to_draw = settle.placements(scenario, catalog, held, should_stop, sweeps)
    began_s = time.perf_counter()
    frontiers = _drawn(to_draw) if pictured else None
    if frontiers is not None and on_frontier is not None:
        on_frontier(*frontiers)
    placed = to_choose(to_draw)
    if scenario.mix or any(solve.takes_programs(one.question) for one in placed):
        milp.load()
    deadline = Deadline.after(scenario.time_limit_s, should_stop=should_stop)
    settled = settle.settle(placed, deadline)
    at, alone = settled.split, settled.colocated
    first = deadline.share(0.5) if scenario.mix and settled.alone else deadline
    other = None if alone is at else alone
    choice = solve.choose(at, first, alone=other)
    if len(placed) == 1 and housed.asked(scenario):  # several were housed when they were weighed
        at, alone, choice = housed.housed(at, choice, first)
        other = None if alone is at else alone
    elif housed.asked(scenario) and not scenario.mix:
        choice = housed.offered(at, choice)
    found = Draft(
        scenario=scenario,
        to_draw=to_draw,
        placed=placed,
        settled=settled,
        at=at,
        alone=alone,
        judgement=of_choice(at, catalog, choice, alone=other),
        choice=choice,
        deadline=deadline,
        first=first,
        frontiers=frontiers,
        began_s=began_s,
    )
    if ask is not None:
        found = proven(found, catalog, ask)
    if scenario.mix and settled.alone:
        mixed = mixes.chosen(found.judgement.choice, placed, scenario.fleet, deadline)
        found = replace(found, choice=mixed)
    return found


def short_of_demand(found: Draft) -> Way | None:
    """The way that meets the limits as predicted, while nothing of it is expected to serve the demand.

    None where either way is there, or neither: then both are planned as predicted.
    """
    ways: dict[Way, Serving | None] = {
        "disaggregated": found.choice.disaggregated,
        "colocated": found.choice.colocated,
    }
    lacking = [way for way, serving in ways.items() if serving is None]
    if len(lacking) != 1:
        return None
    (way,) = lacking
    for one in filter(in_time.may_be_too_much, found.placed):
        if way == "disaggregated" or len(one.systems) == 1:
            choice = solve.choose(in_time.as_predicted(one), found.deadline, offers=False, only=way)
            if choice.disaggregated or choice.colocated:
                return way
    return None


def proven(found: Draft, catalog: Catalog, ask: Ask) -> Draft:
    """The draft with what the replays of its ways say. Raises Stopped when told to stop."""
    from planner.planning import asked  # needed where there is a replay alone

    judgement = asked.proven(found.judgement, found.at, catalog, found.first, ask, alone=found.other)
    return replace(found, judgement=judgement)


def pictured(found: Draft, on_frontier: Callable[[Frontier, Frontier], None] | None) -> Draft:
    """The draft with its frontiers."""
    frontiers = _drawn(found.to_draw)
    if on_frontier is not None:
        on_frontier(*frontiers)
    return replace(found, frontiers=frontiers)


def timed(found: Draft) -> Draft:
    """The draft with as much time for what follows as it had: others may have been made since."""
    deadline = Deadline.after(found.scenario.time_limit_s, should_stop=found.deadline.should_stop)
    return replace(found, deadline=deadline, first=deadline)


def cached(question: Question, chosen: Serving | None) -> Caches | None:
    """What prefix caches of a serving would find; None where no trace says what prompts share."""
    requests = demand.recorded(question.scenario)
    if requests is None or chosen is None:
        return None
    from planner.planning.caches import caches  # needed for traces alone

    return caches(question, chosen, requests)


def _drawn(placed: Sequence[Placed]) -> tuple[Frontier, Frontier]:
    pictured = settle.drawn(placed)
    return settle.split_frontier(pictured), settle.colocated_frontier(pictured)
