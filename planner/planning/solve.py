"""The certified choice at the asked limits: the integer program on the points that meet them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import TypeAlias

import numpy as np

from planner.arrays import BoolArray
from planner.match import milp, packed, slack
from planner.match.problem import Problem, Solution
from planner.match.rate_match import TIE
from planner.match.robust import KNOWN
from planner.planning import copies, frontiers, servings, thrift
from planner.planning.deadline import Deadline
from planner.planning.frontiers import Candidates
from planner.planning.in_time import (
    Pools,
    as_predicted,
    candidates,
    decoding,
    enough,
    may_be_too_much,
    meets,
    tries,
    within_ttl,
)
from planner.planning.in_time import colocated as colocations
from planner.planning.options import Options, worth_matching
from planner.planning.placed import Placed
from planner.planning.program import picks_of, problem_of
from planner.planning.resolve import Question
from planner.planning.result import Count, Knee, Mix, Serving, SolverReport, StudyMatch
from planner.planning.sooner import sooner
from planner.planning.sweep import Sweep
from planner.values import dataclass
from planner.words import Phase, Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The best plan of each kind; None where no plan of the kind meets the limits."""

    disaggregated: Serving | None
    colocated: Serving | None
    mix: Mix | None
    study: StudyMatch | None


OFFERED_GAP = 0.002  # of a mix that was not asked for: what brings less than twice as much is not offered


def choose(
    placed: Placed,
    deadline: Deadline,
    *,
    alone: Placed | None = None,
    offers: bool = True,
    only: Way | None = None,
) -> Choice:
    """Solve split, co-located and mixed for the scenario's limits, budget and goal.

    Co-located serving runs where `alone` says, if not where the split does. All are chosen by what is
    expected of their layouts (`planner.planning.expected`); a demand that neither way, nor a mix that is
    asked for, is expected to serve is planned for as predicted.

    A mix that was not asked for is an offer: it and what it is held against take the rates as known and
    give nothing up for an earlier first token. None is offered where requests queue. Without `offers` neither
    is looked for. `only` one way may be asked for, by the rates that the candidates have.

    All programs end at one deadline. Such a mix takes what the split leaves of the time, one that was asked
    for at least half of it. Raises Stopped when told to stop; asked between programs.
    """
    found = _choose(placed, placed if alone is None else alone, deadline, offers, only)
    if only or found.disaggregated or found.colocated or (placed.question.scenario.mix and found.mix):
        return found
    if not any(map(may_be_too_much, (placed, alone or placed))):
        return found
    known = as_predicted(placed)
    return _choose(known, known if alone is None else as_predicted(alone), deadline, offers)


def _choose(
    placed: Placed, other: Placed, deadline: Deadline, offers: bool, only: Way | None = None
) -> Choice:
    """`choose`, by the rates that the candidates have."""
    together = other is placed
    placed, other = _demanded(placed), _demanded(other)
    sweep, question = placed.sweep, placed.question
    if thrift.asked(question.scenario):
        one = thrift.split(placed) if only != "colocated" else None
        two = thrift.colocated(other) if only != "disaggregated" else None
        return Choice(
            disaggregated=None if one is None else one.whole(placed),
            colocated=None if two is None else two.whole(other),
            mix=None,
            study=None,
        )
    deadline.check()
    first = deadline.share(0.5) if question.scenario.mix else deadline
    split = _solve(placed, mix=False, deadline=first) if only != "colocated" else None
    nothing = Options.none(sweep.colocated)
    in_time = within_ttl(question, placed.kept) if offers else None
    study = _study(placed, replace(in_time, colocated=nothing), first) if in_time else None
    colocated = None
    if only != "disaggregated":
        some = colocations(other.question, other.sweep, other.expected)
        colocated = copies.serving(other.question, other.sweep, some)
    deadline.check()
    mixed, gain = None, 0.0
    if question.scenario.mix:
        mixed = _solve(placed, mix=True, deadline=deadline)
        gain = gain_of(mixed, split, colocated)
    elif in_time is None or question.counted or not together:  # not worth every number of instances
        return Choice(disaggregated=split, colocated=colocated, mix=None, study=study)
    elif not question.scenario.deployment.counted:
        mixed = _offered(placed, in_time, deadline)
        known = copies.best(
            replace(question, scenario=replace(question.scenario, slack=0.0)), in_time.colocated
        )
        gain = _gain(
            mixed.requests_per_s if mixed else 0.0,
            study.requests_per_s if study else 0.0,
            known.requests_per_s if known else 0.0,
        )
    return Choice(
        disaggregated=split,
        colocated=colocated,
        mix=None if mixed is None else Mix(serving=mixed, gain=gain),
        study=study,
    )


def offered(placed: Placed, deadline: Deadline) -> Serving | None:
    """The mix that `choose` offers of a placement."""
    placed = _demanded(placed)
    return _offered(placed, within_ttl(placed.question, placed.kept), deadline)


def _offered(placed: Placed, in_time: Candidates, deadline: Deadline) -> Serving | None:
    question, left_s = placed.question, deadline.left_s
    whole = problem_of(question, in_time, mix=True, errors=KNOWN, time_limit_s=left_s, gap=OFFERED_GAP)
    return _serving(question, placed.sweep, in_time, milp.solve(whole), None)


def takes_programs(question: Question) -> bool:
    """Whether `choose` may need the solver, whose import takes half a second."""
    scenario = question.scenario
    if thrift.asked(scenario):
        return False
    prices = {pool.usd_per_gpu_hour for pool in question.pools.values()}
    # what a mix would bring in a budget is found by dynamic programming
    budget, scenarios = scenario.fleet.gpus, len(question.errors.prefill)
    in_turn = scenario.goal == "throughput" and budget is not None and packed.small(budget, scenarios)
    in_turn = in_turn and len(prices) == 1
    # a mix is offered on one system alone, and only where instances add up
    offered = not (question.counted or scenario.deployment.counted or in_turn) and question.room is None
    priced = scenario.goal == "cost" and len(prices) > 1
    mixed = scenario.mix and not in_turn
    return mixed or offered or priced or not scenario.robust


def exists(question: Question, sweep: Sweep, deadline: Deadline) -> bool:
    """Whether `choose` finds a plan among the same points: by enumeration, as exact as the programs.

    Only a mix for a demand that no single layout meets takes a program, and time.
    """
    in_time = enough(question, sweep)
    if question.scenario.traffic.requests_per_s:  # whatever the goal, there is a plan if there is a fleet
        question = replace(question, scenario=replace(question.scenario, goal="fewest-gpus"))
    if copies.best(question, in_time.colocated) is not None:
        return True

    def problem(*, mix: bool) -> Problem:
        errors, left_s = question.errors, deadline.left_s
        return problem_of(question, in_time, mix=mix, errors=errors, time_limit_s=left_s)

    if milp.exists(problem(mix=False)):
        return True
    return question.scenario.mix and not deadline.over and milp.exists(problem(mix=True))


def most(question: Question, sweep: Sweep, deadline: Deadline) -> float:
    """The most expected requests/s of the budget within the limits, in the ways that are asked for."""
    scenario, in_time = question.scenario, enough(question, sweep)
    other = replace(question, scenario=replace(scenario, goal="throughput"))
    left_s = deadline.left_s
    if scenario.deployment.counted:
        split = milp.most(problem_of(other, in_time, mix=False, errors=question.errors, time_limit_s=left_s))
        return max(split, _most_copies(other, sweep))
    whole = problem_of(other, in_time, mix=True, errors=question.errors, time_limit_s=left_s)
    if scenario.mix and not deadline.over:
        return milp.solve(whole).expected_requests_per_s
    return milp.most(whole)


def _most_copies(question: Question, sweep: Sweep) -> float:
    """The most requests/s of copies of one instance within the limits and the budget."""
    scenario = question.scenario
    traffic = scenario.traffic  # without a rate, arrivals that are not told would be steady
    endless = replace(traffic, requests_per_s=None, arrivals=traffic.arriving)
    free = replace(scenario, traffic=endless, slack=0.0)
    found = copies.best(replace(question, scenario=free), colocations(question, sweep, None))
    return found.requests_per_s if found else 0.0


def within(placed: Placed, usable: Mapping[Phase, BoolArray], deadline: Deadline) -> Weighed:
    """The best split and the best co-located serving of some layouts, bare, and their counts.

    `usable` are masks over the layouts of each phase.
    """
    placed = _demanded(placed)
    if thrift.asked(placed.question.scenario):
        return next((found for at in tries(placed) if any(found := thrift.bare(at, usable))), (None, None))
    question, points = placed.question, placed.sweep.colocated
    rows = np.flatnonzero(meets(question, points) & usable["colocated"][points.layout])
    for at in tries(placed):
        split = _split_of(at, usable, deadline)
        some = frontiers.colocations(question, at.sweep, rows, at.expected) if len(rows) else None
        copied = None if some is None else copies.best(question, some)
        if split or copied:
            return split, None if copied is None else copied.bare(question)
    return None, None


def _split_of(
    placed: Placed, usable: Mapping[Phase, BoolArray], deadline: Deadline
) -> tuple[Serving, tuple[Count, ...]] | None:
    """The best split of some layouts."""
    question, sweep, expected = placed.question, placed.sweep, placed.expected
    scenario, limits = question.scenario, question.scenario.limits
    late = np.flatnonzero(sweep.split_ftl_s <= limits.ftl_s)
    prefill = late[usable["prefill"][sweep.prefill.layout[late]]]
    slow = (sweep.decode.ttl_s <= limits.ttl_s) & usable["decode"][sweep.decode.layout]
    tokens = decoding(question, sweep, frontiers.best_of_each(sweep.decode, slow), expected)
    # in coarse steps: the slack is looked for among a few first tokens
    steps = np.zeros(len(prefill))
    if scenario.slack:
        steps = np.asarray(np.exp(np.ceil(np.log(sweep.split_ftl_s[prefill]) * 2) / 2), dtype=np.float64)
    prompts = frontiers.prompts(question, sweep, prefill, expected)
    kept = Candidates(
        prefill=worth_matching(prompts, steps[np.searchsorted(prefill, prompts.row)]),
        decode=worth_matching(tokens, np.zeros(len(tokens))),
        colocated=Options.none(sweep.colocated),
    )
    if not len(kept.prefill) or not len(kept.decode):
        return None
    first_token_s, errors = steps[np.searchsorted(prefill, kept.prefill.row)], question.errors
    problem = problem_of(question, kept, mix=False, errors=errors, time_limit_s=deadline.left_s, prove=False)
    found = slack.solve(
        problem, prefill_ftl_s=first_token_s, colocated_ftl_s=np.empty(0), slack=scenario.slack
    )
    solution = found.solution
    if solution.status == "infeasible" or not serves(question, solution.expected_requests_per_s):
        return None
    return _bare(question, sweep, kept, solution)


def _demanded(placed: Placed) -> Placed:
    """The question as the program takes it: a rate that all GPUs there are must serve is a demand.

    In a budget, most throughput is asked for, and has to be as much as the demand.
    """
    scenario = placed.question.scenario
    if scenario.goal == "throughput" and scenario.traffic.requests_per_s and scenario.fleet.gpus is None:
        scenario = replace(scenario, goal="fewest-gpus")
        return replace(placed, question=replace(placed.question, scenario=scenario))
    return placed


def serves(question: Question, expected_per_s: float) -> bool:
    """Whether an expected rate meets the demand, if there is one."""
    demand = question.scenario.traffic.requests_per_s
    return demand is None or expected_per_s >= demand * (1 - 2 * TIE)


def most_of(of: Serving | None) -> float:
    """Requests/s that are expected of a way, with nothing given up for an earlier first token."""
    if of is None:
        return 0.0
    return of.knee.best_requests_per_s if of.knee else of.expected_requests_per_s


def gain_of(mixed: Serving | None, *ways: Serving | None) -> float:
    """What a mix is expected to serve over the best way without it, minus one."""
    return _gain(most_of(mixed), *map(most_of, ways))


def _gain(mixed_per_s: float, *others: float) -> float:
    """Throughput of the mix over the best plan without it, minus one."""
    best = max(others)
    return mixed_per_s / best - 1.0 if best else float("inf")


def _solve(placed: Placed, *, mix: bool, deadline: Deadline) -> Serving | None:
    """The deployment within the slack of the best; None where none meets the question."""
    question, sweep, kept = placed.question, placed.sweep, candidates(placed, mix=mix)
    found = _matched(question, sweep, kept, mix=mix, deadline=deadline)
    deadline.check()
    if not question.scenario.slack:
        return _serving(question, sweep, kept, found.solution, None)
    knee = Knee(best_ftl_s=found.best_ftl_s, best_requests_per_s=found.best_per_s, costs=found.costs)
    near = _serving(question, sweep, kept, found.solution, knee)
    best = _serving(question, sweep, kept, found.best, None) if question.queues else None
    return sooner(question, sweep, near, best)


def _matched(
    question: Question,
    sweep: Sweep,
    kept: Candidates,
    *,
    mix: bool,
    deadline: Deadline,
) -> slack.Choice:
    """The match of some candidates within the slack of the best."""
    prove, left_s, errors = not question.scenario.robust, deadline.left_s, question.errors
    return slack.solve(
        problem_of(question, kept, mix=mix, errors=errors, time_limit_s=left_s, prove=prove),
        prefill_ftl_s=sweep.split_ftl_s[kept.prefill.row],
        colocated_ftl_s=sweep.colocated.ftl_s[kept.colocated.row],
        slack=question.scenario.slack,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the placements of one plan share, each found once."""

    curves: thrift.Curves = field(default_factory=thrift.Curves)
    pools: Pools = field(default_factory=Pools)


def most_split(placed: Placed, deadline: Deadline, shared: Shared) -> float:
    """The most expected requests/s of a placement's split in its budget: no slack leaves it more."""
    question, errors = placed.question, placed.question.errors
    kept = candidates(placed, mix=False, pools=shared.pools)
    return milp.most(problem_of(question, kept, mix=False, errors=errors, time_limit_s=deadline.left_s))


Weighed: TypeAlias = tuple[tuple[Serving, tuple[Count, ...]] | None, tuple[Serving, tuple[Count, ...]] | None]


def weighed(
    placed: Placed,
    deadline: Deadline,
    shared: Shared | None = None,
    *,
    only: Way | None = None,
) -> Weighed:
    """The split and the co-located serving that `choose` finds, bare, and their counts: enough to weigh them.

    Both, if not `only` one is asked for. None for a demand that is too much for what is expected
    (`planner.planning.in_time.tries`). What other placements found is taken from what they have `shared`.

    Raises Stopped when told to stop.
    """
    deadline.check()
    placed, shared = _demanded(placed), shared or Shared()
    if thrift.asked(placed.question.scenario):
        return thrift.bare(placed, None, shared.curves)
    sweep, question = placed.sweep, placed.question
    split = copied = None
    if only != "colocated":
        kept = candidates(placed, mix=False, pools=shared.pools)
        solution = _matched(question, sweep, kept, mix=False, deadline=deadline).solution
        if solution.status != "infeasible" and serves(question, solution.expected_requests_per_s):
            split = _bare(question, sweep, kept, solution)
    if only != "disaggregated":
        copied = copies.best(question, colocations(question, sweep, placed.expected))
    return split, None if copied is None else copied.bare(question)


def _bare(
    question: Question, sweep: Sweep, kept: Candidates, solution: Solution
) -> tuple[Serving, tuple[Count, ...]]:
    picks = picks_of(kept, solution)
    rates = servings.rates(question, picks)
    both = picks[0] + picks[1]
    latest_s = max(float(sweep.split_ftl_s[pick.row]) for pick in picks[0])
    return servings.bare(question, both, rates, latest_s), tuple(map(servings.count, both))


def _study(placed: Placed, kept: Candidates, deadline: Deadline) -> StudyMatch | None:
    """The match of the study: rates as known, no slack."""
    question, sweep = placed.question, placed.sweep
    known = problem_of(question, kept, mix=False, errors=KNOWN, time_limit_s=deadline.left_s, prove=False)
    solution = milp.answer(known)
    if solution.status == "infeasible" or not serves(question, solution.requests_per_s):
        return None
    picks = picks_of(kept, solution)
    if (expected := placed.expected) is not None:
        picks = [
            [replace(p, share=float(expected.of(p.points, np.array([p.row]))[0])) for p in pool]
            for pool in picks
        ]
    rates = servings.rates(question, picks)
    return StudyMatch(
        pools=tuple(servings.count(pick) for pool in picks for pick in pool),
        gpus=solution.gpus,
        ftl_s=max(float(sweep.split_ftl_s[pick.row]) for pick in picks[0]),
        requests_per_s=solution.requests_per_s,
        expected_requests_per_s=rates.expected,
    )


def _serving(
    question: Question, sweep: Sweep, kept: Candidates, solution: Solution, knee: Knee | None
) -> Serving | None:
    """A solution as pools with all that a plan says of them; None where there is none that serves."""
    if solution.status == "infeasible" or not serves(question, solution.expected_requests_per_s):
        return None
    picks = picks_of(kept, solution)
    rates = servings.rates(question, picks)
    solver = SolverReport(status=solution.status, gap=solution.gap, seconds=solution.seconds)
    if not picks[0] and not picks[1]:
        return servings.colocated_serving(question, picks[2], rates, solver, knee)
    return servings.split_serving(
        question,
        prefills=picks[0],
        decodes=picks[1],
        colocated=picks[2],
        split_ftl_s=sweep.split_ftl_s,
        rates=rates,
        solver=solver,
        knee=knee,
    )
