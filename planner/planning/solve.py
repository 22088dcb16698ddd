"""The certified choice at the asked limits: the integer program on the points that meet them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.arrays import BoolArray, FloatArray
from planner.match import milp, packed, slack
from planner.match.milp import Problem, Solution
from planner.match.rate_match import TIE
from planner.match.robust import KNOWN, Errors
from planner.planning import copies, frontiers, options, servings, thrift, weigh
from planner.planning.deadline import Deadline
from planner.planning.frontiers import Candidates, counts_of
from planner.planning.options import Options, worth_matching
from planner.planning.placed import Placed
from planner.planning.resolve import Question
from planner.planning.result import Count, Knee, Mix, Serving, SolverReport, StudyMatch
from planner.planning.servings import Pick
from planner.planning.sweep import Sweep
from planner.simulate.points import Points
from planner.words import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The best plan of each kind; None where no plan of the kind meets the limits."""

    disaggregated: Serving | None
    colocated: Serving | None
    mix: Mix | None
    study: StudyMatch | None


OFFERED_GAP = 0.002  # of a mix that was not asked for: what brings less than twice as much is not offered


def choose(placed: Placed, deadline: Deadline, *, alone: Placed | None = None, offers: bool = True) -> Choice:
    """Solve split, co-located and mixed for the scenario's limits, budget and goal.

    Co-located serving runs where `alone` says, if not where the split does.

    A mix that was not asked for is an offer: it and what it is held against take the rates as known and
    give nothing up for an earlier first token. None is offered where requests queue. Without `offers` neither
    is looked for.

    All programs end at one deadline. Such a mix takes what the split leaves of the time, one that was asked
    for at least half of it. Raises Stopped when told to stop; asked between programs.
    """
    sweep, question = placed.sweep, _demanded(placed.question)
    if thrift.asked(question.scenario):
        other = placed if alone is None else alone
        one, two = thrift.split(question, sweep), thrift.colocated(other.question, other.sweep)
        split = None if one is None else one.whole(question, sweep)
        colocated = None if two is None else two.whole(other.question, other.sweep)
        return Choice(disaggregated=split, colocated=colocated, mix=None, study=None)
    in_time = within_ttl(question, placed.kept)
    deadline.check()
    first = deadline.share(0.5) if question.scenario.mix else deadline
    sooner = _sooner(question, sweep, in_time)
    nothing = Options.none(sweep.colocated)
    split_only = replace(sooner, colocated=nothing)
    split = _solve(question, sweep, split_only, mix=False, deadline=first)
    study = _study(question, sweep, replace(in_time, colocated=nothing), first) if offers else None
    other = placed if alone is None else alone
    colocated = _colocated(_demanded(other.question), other.sweep)
    deadline.check()
    mixed, gain = None, 0.0
    if question.scenario.mix:
        mixed = _solve(question, sweep, sooner, mix=True, deadline=deadline)
        gain = _gain(most_of(mixed), split, colocated)
    elif not offers or question.counted or other is not placed:  # not worth every number of instances
        return Choice(disaggregated=split, colocated=colocated, mix=None, study=study)
    elif not question.scenario.deployment.counted:
        left_s = deadline.left_s
        whole = _problem(question, in_time, mix=True, errors=KNOWN, time_limit_s=left_s, gap=OFFERED_GAP)
        solution = milp.solve(whole)
        mixed = _serving(question, sweep, in_time, solution, None)
        gain = _gain(solution.requests_per_s, study, colocated)
    return Choice(
        disaggregated=split,
        colocated=colocated,
        mix=None if mixed is None else Mix(serving=mixed, gain=gain),
        study=study,
    )


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
    offered = not question.queues and not scenario.deployment.counted and not in_turn
    priced = scenario.goal == "cost" and len(prices) > 1
    mixed = scenario.mix and not in_turn
    return mixed or offered or priced or not scenario.robust


def exists(question: Question, sweep: Sweep, kept: Candidates, deadline: Deadline) -> bool:
    """Whether `choose` finds a plan among the same points: by enumeration, as exact as the programs.

    Only a mix for a demand that no single layout meets takes a program, and time.
    """
    in_time = within_ttl(question, kept)
    if question.scenario.traffic.requests_per_s:  # whatever the goal, there is a plan if there is a fleet
        question = replace(question, scenario=replace(question.scenario, goal="fewest-gpus"))
    if copies.best(question, _colocated_in_time(question, sweep)) is not None:
        return True

    def problem(*, mix: bool) -> Problem:
        errors, left_s = question.errors, deadline.left_s
        return _problem(question, in_time, mix=mix, errors=errors, time_limit_s=left_s)

    if milp.exists(problem(mix=False)):
        return True
    return question.scenario.mix and not deadline.over and milp.exists(problem(mix=True))


def most(question: Question, sweep: Sweep, kept: Candidates, deadline: Deadline) -> float:
    """The most expected requests/s of the budget within the limits, in the ways that are asked for."""
    scenario, in_time = question.scenario, within_ttl(question, kept)
    other = replace(question, scenario=replace(scenario, goal="throughput"))
    left_s = deadline.left_s
    if scenario.deployment.counted:
        split = milp.most(_problem(other, in_time, mix=False, errors=question.errors, time_limit_s=left_s))
        return max(split, _most_copies(other, sweep))
    whole = _problem(other, in_time, mix=True, errors=question.errors, time_limit_s=left_s)
    if scenario.mix and not deadline.over:
        return milp.solve(whole).expected_requests_per_s
    return milp.most(whole)


def _most_copies(question: Question, sweep: Sweep) -> float:
    """The most requests/s of copies of one instance within the limits and the budget."""
    scenario = question.scenario
    traffic = scenario.traffic  # without a rate, arrivals that are not told would be steady
    endless = replace(traffic, requests_per_s=None, arrivals=traffic.arriving)
    free = replace(scenario, traffic=endless, slack=0.0)
    found = copies.best(replace(question, scenario=free), _colocated_in_time(question, sweep))
    return found.requests_per_s if found else 0.0


def within(
    question: Question, sweep: Sweep, usable: Mapping[Phase, BoolArray], deadline: Deadline
) -> tuple[tuple[Serving, tuple[Count, ...]] | None, tuple[Serving, tuple[Count, ...]] | None]:
    """The best split and the best co-located serving of some layouts, bare, and their counts.

    `usable` are masks over the layouts of each phase.
    """
    if thrift.asked(question.scenario):
        return thrift.bare(question, sweep, usable)
    question, limits, scenario = _demanded(question), question.scenario.limits, question.scenario
    late = np.flatnonzero(sweep.split_ftl_s <= limits.ftl_s)
    prefill = late[usable["prefill"][sweep.prefill.layout[late]]]
    slow = np.flatnonzero(sweep.decode.ttl_s <= limits.ttl_s)
    decode = slow[usable["decode"][sweep.decode.layout[slow]]]
    # in coarse steps: the slack is looked for among a few first tokens
    steps = np.zeros(len(prefill))
    if scenario.slack:
        steps = np.asarray(np.exp(np.ceil(np.log(sweep.split_ftl_s[prefill]) * 2) / 2), dtype=np.float64)
    prompts = frontiers.prompts(question, sweep, prefill)
    tokens = frontiers.worth_matching(sweep.decode, decode, np.zeros(len(decode)), question)
    kept = Candidates(
        prefill=worth_matching(prompts, steps[np.searchsorted(prefill, prompts.row)]),
        decode=options.of(question, sweep.decode, tokens),
        colocated=Options.none(sweep.colocated),
    )
    split = None
    if len(kept.prefill) and len(kept.decode):
        first_token_s = steps[np.searchsorted(prefill, kept.prefill.row)]
        left_s, errors = deadline.left_s, question.errors
        found = slack.solve(
            _problem(question, kept, mix=False, errors=errors, time_limit_s=left_s, prove=False),
            prefill_ftl_s=first_token_s,
            colocated_ftl_s=np.empty(0),
            slack=scenario.slack,
        )
        solution = found.solution
        if solution.status != "infeasible" and serves(question, solution.expected_requests_per_s):
            split = _bare(question, sweep, kept, solution)
    points = sweep.colocated
    rows = np.flatnonzero(_meets(question, points) & usable["colocated"][points.layout])
    found_copies = copies.best(question, frontiers.colocations(question, sweep, rows)) if len(rows) else None
    return split, None if found_copies is None else found_copies.bare(question)


def within_ttl(question: Question, kept: Candidates) -> Candidates:
    """Those of the candidates, all within the FTL limit, that meet the TTL limit too."""
    ttl = question.scenario.limits.ttl_s

    def fast(of: Options) -> Options:
        return of.take(np.flatnonzero(of.points.ttl_s[of.row] <= ttl))

    return Candidates(prefill=kept.prefill, decode=fast(kept.decode), colocated=fast(kept.colocated))


def better(question: Question, a: Serving | None, b: Serving | None) -> Serving | None:
    """The one that serves the goal better; the first when they are equal."""
    if a is None or b is None:
        return a or b
    return b if weigh.gain(question.scenario, a, b) < 1 else a


def _demanded(question: Question) -> Question:
    """The question as the program takes it: a rate that all GPUs there are must serve is a demand.

    In a budget, most throughput is asked for, and has to be as much as the demand.
    """
    scenario = question.scenario
    if scenario.goal == "throughput" and scenario.traffic.requests_per_s and scenario.fleet.gpus is None:
        return replace(question, scenario=replace(scenario, goal="fewest-gpus"))
    return question


def serves(question: Question, expected_per_s: float) -> bool:
    """Whether an expected rate meets the demand, if there is one."""
    demand = question.scenario.traffic.requests_per_s
    return demand is None or expected_per_s >= demand * (1 - 2 * TIE)


def most_of(of: Serving | StudyMatch | None) -> float:
    """Requests/s of a way, with nothing given up for an earlier first token."""
    if of is None:
        return 0.0
    if isinstance(of, StudyMatch):
        return of.requests_per_s
    return of.knee.best_requests_per_s if of.knee else of.expected_requests_per_s


def _gain(mixed_per_s: float, *others: Serving | StudyMatch | None) -> float:
    """Throughput of the mix over the best plan without it, minus one."""
    best = max(map(most_of, others))
    return mixed_per_s / best - 1.0 if best else float("inf")


def _sooner(question: Question, sweep: Sweep, in_time: Candidates) -> Candidates:
    """Candidates that meet the limits, and those beside them that have an earlier first token."""
    scenario, points = question.scenario, sweep.colocated
    if not scenario.slack:
        return in_time
    rows = np.flatnonzero(sweep.split_ftl_s <= scenario.limits.ftl_s)
    prompts = frontiers.prompts(question, sweep, rows)
    both = _colocated_in_time(question, sweep) if scenario.mix else Options.none(points)
    return Candidates(
        prefill=worth_matching(prompts, sweep.split_ftl_s[prompts.row]),
        decode=worth_matching(in_time.decode, np.zeros(len(in_time.decode))),
        colocated=worth_matching(both, points.ftl_s[both.row]),
    )


def _meets(question: Question, points: Points) -> BoolArray:
    limits = question.scenario.limits
    return np.asarray((points.ftl_s <= limits.ftl_s) & (points.ttl_s <= limits.ttl_s))


def _colocated_in_time(question: Question, sweep: Sweep) -> Options:
    rows = np.flatnonzero(_meets(question, sweep.colocated))
    return frontiers.colocations(question, sweep, rows)


def _problem(
    question: Question,
    kept: Candidates,
    *,
    mix: bool,
    errors: Errors,
    time_limit_s: float,
    prove: bool = True,
    gap: float = 0.0,
) -> Problem:
    """What the integer program is asked of some candidates."""
    scenario = question.scenario
    pools = _pools(kept)
    gpus = [pool.gpus for pool in pools]
    rates = [pool.requests_per_s for pool in pools]
    usd = [question.pools[pool.points.phase].usd_per_gpu_hour for pool in pools]
    prices: list[FloatArray | None] = [None] * len(pools)
    if weigh.by_price(scenario.goal, usd):
        prices = [np.full(len(pool), price) for pool, price in zip(pools, usd, strict=True)]
    return Problem(
        prefill_gpus=gpus[0],
        prefill_rate=rates[0],
        decode_gpus=gpus[1],
        decode_rate=rates[1],
        colocated_gpus=gpus[2],
        colocated_rate=rates[2],
        prefill_usd_per_gpu_hour=prices[0],
        decode_usd_per_gpu_hour=prices[1],
        colocated_usd_per_gpu_hour=prices[2],
        budget=question.most_gpus,
        room=question.room,
        goal=scenario.goal,
        requests_per_s=scenario.traffic.requests_per_s,
        headroom=scenario.headroom,
        counts=counts_of(question),
        mix=mix,
        time_limit_s=time_limit_s,
        errors=errors,
        prove=prove,
        gap=gap,
    )


def _pools(kept: Candidates) -> Sequence[Options]:
    return (kept.prefill, kept.decode, kept.colocated)


def _solve(
    question: Question, sweep: Sweep, kept: Candidates, *, mix: bool, deadline: Deadline
) -> Serving | None:
    """The deployment of some candidates within the slack of the best; None where none meets the question."""
    found = _matched(question, sweep, kept, mix=mix, deadline=deadline)
    knee = Knee(best_ftl_s=found.best_ftl_s, best_requests_per_s=found.best_per_s, costs=found.costs)
    return _serving(question, sweep, kept, found.solution, knee if question.scenario.slack else None)


def _matched(
    question: Question, sweep: Sweep, kept: Candidates, *, mix: bool, deadline: Deadline
) -> slack.Choice:
    """The match of some candidates within the slack of the best."""
    prove, left_s, errors = not question.scenario.robust, deadline.left_s, question.errors
    return slack.solve(
        _problem(question, kept, mix=mix, errors=errors, time_limit_s=left_s, prove=prove),
        prefill_ftl_s=sweep.split_ftl_s[kept.prefill.row],
        colocated_ftl_s=sweep.colocated.ftl_s[kept.colocated.row],
        slack=question.scenario.slack,
    )


def weighed(
    placed: Placed, deadline: Deadline, curves: thrift.Curves | None = None
) -> tuple[tuple[Serving, tuple[Count, ...]] | None, tuple[Serving, tuple[Count, ...]] | None]:
    """The split and the co-located serving that `choose` finds, bare, and their counts: enough to weigh them.

    Raises Stopped when told to stop.
    """
    deadline.check()
    sweep, question = placed.sweep, _demanded(placed.question)
    if thrift.asked(question.scenario):
        return thrift.bare(question, sweep, None, curves)
    kept = _sooner(question, sweep, within_ttl(question, placed.kept))
    kept = replace(kept, colocated=Options.none(sweep.colocated))
    solution = _matched(question, sweep, kept, mix=False, deadline=deadline).solution
    split = None
    if solution.status != "infeasible" and serves(question, solution.expected_requests_per_s):
        split = _bare(question, sweep, kept, solution)
    copied = copies.best(question, _colocated_in_time(question, sweep))
    return split, None if copied is None else copied.bare(question)


def _bare(
    question: Question, sweep: Sweep, kept: Candidates, solution: Solution
) -> tuple[Serving, tuple[Count, ...]]:
    prefills, decodes, _ = _picks(kept, solution)
    picks = prefills + decodes
    latest_s = max(float(sweep.split_ftl_s[pick.row]) for pick in prefills)
    rates = solution.requests_per_s, solution.expected_requests_per_s
    return servings.bare(question, picks, *rates, latest_s), tuple(map(servings.count, picks))


def _study(question: Question, sweep: Sweep, kept: Candidates, deadline: Deadline) -> StudyMatch | None:
    """The match of the study: rates as known, no slack."""
    known = _problem(question, kept, mix=False, errors=KNOWN, time_limit_s=deadline.left_s, prove=False)
    solution = milp.answer(known)
    if solution.status == "infeasible" or not serves(question, solution.requests_per_s):
        return None
    picks = _picks(kept, solution)
    prefill, decode = (sum(pick.served_per_s for pick in pool) for pool in picks[:2])
    kept_free = 1.0 - question.scenario.headroom
    return StudyMatch(
        pools=tuple(servings.count(pick) for pool in picks for pick in pool),
        gpus=solution.gpus,
        ftl_s=max(float(sweep.split_ftl_s[pick.row]) for pick in picks[0]),
        requests_per_s=solution.requests_per_s,
        expected_requests_per_s=kept_free * float(question.errors.expected(prefill, decode)),
    )


def _picks(kept: Candidates, solution: Solution) -> list[list[Pick]]:
    """The instances of a solution: prefill, decode, co-located."""
    counts = (solution.prefill, solution.decode, solution.colocated)
    return [
        [pool.pick(int(i), int(count[i])) for i in np.flatnonzero(count)]
        for pool, count in zip(_pools(kept), counts, strict=True)
    ]


def _serving(
    question: Question, sweep: Sweep, kept: Candidates, solution: Solution, knee: Knee | None
) -> Serving | None:
    """A solution as pools with all that a plan says of them; None where there is none that serves."""
    if solution.status == "infeasible" or not serves(question, solution.expected_requests_per_s):
        return None
    picks = _picks(kept, solution)
    solver = SolverReport(status=solution.status, gap=solution.gap, seconds=solution.seconds)
    if not picks[0] and not picks[1]:
        return servings.colocated_serving(question, picks[2], solution.requests_per_s, solver, knee)
    return servings.split_serving(
        question,
        prefills=picks[0],
        decodes=picks[1],
        colocated=picks[2],
        split_ftl_s=sweep.split_ftl_s,
        split_rate=solution.split_requests_per_s,
        total_rate=solution.requests_per_s,
        expected_rate=solution.expected_requests_per_s,
        solver=solver,
        knee=knee,
    )


def _colocated(question: Question, sweep: Sweep) -> Serving | None:
    """Copies of one instance within the slack of the best."""
    found = copies.best(question, _colocated_in_time(question, sweep))
    if found is None:
        return None
    solver = SolverReport(status="optimal", gap=0.0, seconds=0.0)
    return servings.colocated_serving(question, [found.pick], found.requests_per_s, solver, found.knee)
