"""A mix on a fleet of several systems: instances of any layouts on any of them, in one program.

All candidates of all systems compete for the GPUs of each, and for what the caps allow
(`planner.match.mixed`). Any prefill instance may hand over to any decode instance, so a first token counts
the slowest link among those of decode: one program for each speed of link, with the systems that are as fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from planner.arrays import FloatArray
from planner.inputs import failures
from planner.inputs.fleet import MOST_GPUS, Fleet
from planner.match import milp
from planner.match.problem import Problem, Solution
from planner.match.room import Filled, Limit
from planner.planning import housed, in_time, power, servings, solve, weigh
from planner.planning.deadline import Deadline
from planner.planning.energy import Power
from planner.planning.options import Options
from planner.planning.placed import Placed, beside
from planner.planning.result import Mix, Serving, SolverReport
from planner.planning.servings import Pick
from planner.planning.solve import Choice
from planner.values import dataclass
from planner.words import Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidates:
    """The options of one system, and the question that they answer."""

    at: Placed
    prefill: Options
    decode: Options
    colocated: Options

    def __getitem__(self, pool: int) -> Options:
        return (self.prefill, self.decode, self.colocated)[pool]


def best(placed: Sequence[Placed], fleet: Fleet, deadline: Deadline) -> Serving | None:
    """The best mix; None where none meets the limits.

    Raises Stopped when told to stop.
    """
    alone = [at for at in placed if len(at.systems) == 1]
    scenario = alone[0].question.scenario
    goal = scenario.goal
    demand = scenario.traffic.requests_per_s
    if goal == "throughput" and demand is not None and fleet.gpus is None and not fleet.capped:
        goal = "fewest-gpus"
    for by in zip(*map(in_time.tries, alone), strict=True):
        found = _best(by, fleet, goal, deadline)
        if found is not None:
            return found
    return None


def _best(alone: Sequence[Placed], fleet: Fleet, goal: Goal, deadline: Deadline) -> Serving | None:
    """The best mix, by the rates that the systems' points have."""
    demand = alone[0].question.scenario.traffic.requests_per_s
    wanted = None if goal == "throughput" else demand
    found: tuple[float, Sequence[_Candidates], Solution] | None = None
    for some in _choices(alone):
        deadline.check()
        problem = _problem(some, fleet, goal, deadline)
        solution = milp.solve(problem)
        if solution.status == "infeasible" or not solve.serves(
            some[0].at.question, solution.expected_requests_per_s
        ):
            continue
        worth = solution.expected_requests_per_s
        if goal != "throughput":
            cost = milp.cost(problem, solution)
            worth = worth / cost if wanted is None else -cost
        if found is None or worth > found[0]:
            found = worth, some, solution
    return None if found is None else _serving(found[1], found[2])


def chosen(choice: Choice, placed: Sequence[Placed], fleet: Fleet, deadline: Deadline) -> Choice:
    """A choice with the best mix beside its split and co-located serving."""
    serving = best(placed, fleet, deadline)
    if serving is None:
        return choice
    alone = [at for at in placed if len(at.systems) == 1]
    scenario = replace(alone[0].question.scenario, fleet=fleet)
    ways = choice.disaggregated, choice.colocated
    questions = [at.question for at in alone]
    if housed.asked(scenario) and not deadline.over and not housed.mix_fits(questions, serving):
        less: list[Placed] = []  # with fewer GPUs, where whole hosts do not do
        for step in (*housed.STEPS, *housed.FEWER):
            on = [housed.whole(at, step) for at in alone]
            if step is None:
                fewer = housed.fewer_each(less or on, serving)
                if fewer is None:
                    break
                less = on = fewer
            serving = best(on, fleet, deadline) or serving
            if deadline.over or housed.mix_fits(questions, serving):
                break
        serving = housed.at_least(scenario, serving, *ways)
    gain = solve.gain_of(serving, *ways)
    return replace(choice, mix=Mix(serving=serving, gain=gain))


def power_of(serving: Serving, placed: Sequence[Placed]) -> Power:
    """Watts of a mix's pools, each on its system."""
    on = {at.systems[0]: at.question for at in placed if len(at.systems) == 1}
    each = [power.of(on[pool.system], replace(serving, pools=(pool,))) for pool in serving.pools]
    return replace(each[0], pools_of=lambda: tuple(one for found in each for one in found.pools))


def _choices(alone: Sequence[Placed]) -> Iterator[Sequence[_Candidates]]:
    """The candidates of a program: by the format of the cache, and the slowest link that decode may have."""
    links = [at.question.pools["decode"].system.fabric.scale_out_bytes_per_s for at in alone]
    formats = [at.question.pools["decode"].setup.precision.kv for at in alone]
    for kv in dict.fromkeys(formats):
        for slowest in sorted({link for link, fmt in zip(links, formats, strict=True) if fmt == kv}):
            yield [
                _of(at, slowest, prefill=fmt == kv, decode=fmt == kv and link >= slowest)
                for at, link, fmt in zip(alone, links, formats, strict=True)
            ]


def _of(at: Placed, link: float, *, prefill: bool, decode: bool) -> _Candidates:
    """The options of a system whose cache crosses a link no faster than this."""
    own = at.question.pools["decode"]
    slower = min(link, own.system.fabric.scale_out_bytes_per_s)
    question = at.question.on(replace(own, link_bytes_per_s=slower))
    sent = beside(question, at.sweep, at.sweep).to_choose()
    if at.expected is not None and not at.expected.weighs:
        sent = in_time.as_predicted(sent)
    kept = in_time.candidates(sent, mix=True)
    together = in_time.candidates(at, mix=True).colocated
    nothing = Options.none(at.sweep.decode)
    return _Candidates(
        at=sent,
        prefill=kept.prefill if prefill else Options.none(at.sweep.prefill),
        decode=kept.decode if decode else nothing,
        colocated=together,
    )


def _problem(some: Sequence[_Candidates], fleet: Fleet, goal: Goal, deadline: Deadline) -> Problem:
    gpus = [np.concatenate([one[pool].gpus for one in some]) for pool in range(3)]
    rates = [np.concatenate([one[pool].weighed_per_s for one in some]) for pool in range(3)]

    def each(values: Sequence[float]) -> list[FloatArray]:
        return [
            np.concatenate([np.full(len(one[pool]), value) for one, value in zip(some, values, strict=True)])
            for pool in range(3)
        ]

    limits = []
    for i, one in enumerate(some):
        count = one.at.question.scenario.fleet.gpus
        of_it = [float(j == i) for j in range(len(some))]
        limits.append(Limit(each=each(of_it), most=float(MOST_GPUS if count is None else count)))
    pools = [one.at.question.pools["decode"] for one in some]
    if fleet.max_usd_per_hour is not None:
        limits.append(Limit(each=each([p.usd_per_gpu_hour for p in pools]), most=fleet.max_usd_per_hour))
    if fleet.max_kw is not None:
        limits.append(Limit(each=each([p.watts_per_gpu / 1e3 for p in pools]), most=fleet.max_kw))
    racks = None
    if fleet.max_racks is not None:
        racks = Filled(
            system=[np.repeat(np.arange(len(some)), [len(one[pool]) for one in some]) for pool in range(3)],
            gpus=np.array([failures.nodes(pool.system).rack_gpus for pool in pools]),
            most=fleet.max_racks,
        )
    question = some[0].at.question
    usd = [pool.usd_per_gpu_hour for pool in pools]
    prices = each(usd) if weigh.by_price(goal, usd) else [None, None, None]
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
        goal=goal,
        budget=sum(int(limit.most) for limit in limits[: len(some)]),
        limits=tuple(limits),
        racks=racks,
        requests_per_s=question.scenario.traffic.requests_per_s,
        headroom=question.scenario.headroom,
        mix=True,
        time_limit_s=deadline.left_s,
        errors=question.errors,
    )


def _serving(some: Sequence[_Candidates], solution: Solution) -> Serving:
    """A solution as pools, each on its system."""
    picks: list[list[Pick]] = []
    for pool, counts in enumerate((solution.prefill, solution.decode, solution.colocated)):
        ends = np.cumsum([len(one[pool]) for one in some])
        found: list[Pick] = []
        for one, part in zip(some, np.split(counts, ends[:-1]), strict=True):
            for i in np.flatnonzero(part):
                pick = one[pool].pick(int(i), int(part[i]))
                ftl_s = float(one.at.sweep.split_ftl_s[pick.row]) if pool == 0 else None
                found.append(replace(pick, asked=one.at.question, first_token_s=ftl_s))
        picks.append(found)
    question = (picks[0] or picks[2])[0].asked
    assert question is not None
    solver = SolverReport(status=solution.status, gap=solution.gap, seconds=solution.seconds)
    rates = servings.rates(question, picks)
    if not picks[0] and not picks[1]:
        return servings.colocated_serving(question, picks[2], rates, solver)
    return servings.split_serving(
        question,
        prefills=picks[0],
        decodes=picks[1],
        colocated=picks[2],
        split_ftl_s=np.empty(0),
        rates=rates,
        solver=solver,
    )
