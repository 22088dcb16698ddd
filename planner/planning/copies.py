"""Co-located serving without a mix: copies of one instance, by enumeration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.match.rate_match import TIE
from planner.planning import options, servings
from planner.planning.options import Options
from planner.planning.resolve import Question
from planner.planning.result import Count, Knee, Serving, SolverReport
from planner.planning.servings import Pick, Rates
from planner.planning.sooner import sooner
from planner.planning.sweep import Sweep
from planner.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Some copies of one instance."""

    pick: Pick
    rates: Rates
    knee: Knee | None

    def bare(self, question: Question) -> tuple[Serving, tuple[Count, ...]]:
        """A serving without its pools, and their counts: enough to weigh it."""
        pick = self.pick
        ftl_s = float(pick.points.ftl_s[pick.row])
        return servings.bare(question, [pick], self.rates, ftl_s), (servings.count(pick),)

    @property
    def requests_per_s(self) -> float:
        """What they are predicted to serve, headroom kept."""
        return self.rates.total


def best(question: Question, of: Options) -> Copies | None:
    """The best copies of one of the options, all within the limits, and within the slack: exact."""
    scenario, slack_share = question.scenario, question.scenario.slack
    budget = scenario.fleet.gpus
    demand = None if scenario.goal == "throughput" else scenario.traffic.requests_per_s
    gpus, ftl_s = of.gpus, of.points.ftl_s[of.row]
    rate = of.weighed_per_s * (1.0 - scenario.headroom)
    copies = np.ones(len(of)) if budget is None else np.floor(budget / gpus)
    given = options.given(question, "colocated")
    if given is not None:
        copies = np.where(given * gpus <= (budget or np.inf), given, 0.0)
    needed = np.ceil(demand / rate * (1 - 1e-12)) if demand is not None and given is None else copies
    asked = scenario.traffic.requests_per_s or 0.0  # in a budget, what the most has to be
    enough = copies * rate >= asked * (1 - TIE)
    endless = budget is None and given is None
    usable = np.flatnonzero((copies >= 1) & (((needed <= copies) & enough) | endless))
    if not len(usable):
        return None
    size, served = needed * gpus, needed * rate
    in_all = demand is None and scenario.goal == "throughput" and budget is not None  # a rate is what counts
    worth = -size if demand is not None else served if in_all else rate / gpus
    tied = usable[worth[usable] == worth[usable].max()]
    most_worth = chosen = tied[np.lexsort((size[tied], -served[tied]))[0]]
    most, value, knee = float(served[most_worth]), float(worth[most_worth]), None
    if slack_share:
        least = value - abs(value) * (slack_share + TIE)
        if in_all:
            least = max(least, asked * (1 - TIE))
        near = usable[worth[usable] >= least]
        near = near[ftl_s[near] == ftl_s[near].min()]
        if in_all and given is None:  # fewer copies may be enough
            needed = np.ceil(least / rate)
            size, worth = needed * gpus, needed * rate
        chosen = near[np.lexsort((-needed[near] * rate[near], size[near]))[0]]
        costs = max((value - float(worth[chosen])) / abs(value), 0.0)
        knee = Knee(best_ftl_s=float(ftl_s[most_worth]), best_requests_per_s=most, costs=costs)
    pick = of.pick(int(chosen), int(needed[chosen]))
    return Copies(pick=pick, rates=servings.rates(question, [[], [], [pick]]), knee=knee)


def serving(question: Question, sweep: Sweep, of: Options) -> Serving | None:
    """`best` as a serving; where requests queue, the one without slack if that is as early under its load."""

    def found(question: Question) -> Serving | None:
        some = best(question, of)
        if some is None:
            return None
        solver = SolverReport(status="optimal", gap=0.0, seconds=0.0)
        return servings.colocated_serving(question, [some.pick], some.rates, solver, some.knee)

    if not (question.queues and question.scenario.slack):
        return found(question)
    free = replace(question, scenario=replace(question.scenario, slack=0.0))
    return sooner(question, sweep, found(question), found(free))
