"""The one entry point: a scenario and a trace in, every policy's schedule and its bill out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from planner.arrays import BoolArray
from planner.elastic import policies, settle
from planner.elastic.costs import Costs
from planner.elastic.kinds import Pools, colocated_pools, split_pools
from planner.elastic.latency import FirstTokens, first_tokens
from planner.elastic.policies import SPLIT_ONLY, Asked, Policy
from planner.elastic.purchase import ON_DEMAND, Purchase, Tariffs
from planner.elastic.schedule import Bill, Schedule, bill, ready
from planner.elastic.settle import Settled
from planner.elastic.start_times import SWAP_S, StartTimes, shipped
from planner.elastic.windows import Windows, windows
from planner.errors import InputError
from planner.inputs.catalog import Catalog
from planner.inputs.requests import Requests
from planner.inputs.scenario import Scenario
from planner.planning import in_time, sweep
from planner.planning.placed import Placed
from planner.planning.resolve import Question, prepare
from planner.planning.servings import pool as pool_plan
from planner.planning.sweep import Sweep
from planner.simulate.points import Stopped
from planner.words import At, Settling, Way

# What a limit binds in windows of few requests: a plan that keeps P95 over all of an hour has it kept in half
# of the minutes, whose share of late ones varies by chance and comes in queues.
FEW = 1000  # requests of a window, in the median
STRICTER: Mapping[At, At] = {"auto": "p99", "p95": "p99", "p90": "p95"}
DRAINED_AT = 99.0  # percentile of the output lengths that a drain lasts


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a horizon is planned."""

    window_s: float = 60.0
    start_s: float | None = None  # None: by the weights (`planner.elastic.start_times`)
    swap_s: float = SWAP_S
    dwell_s: float = 0.0  # that an instance stays at least
    layouts: int = 1  # of one pool at most
    settle: Settling = "auto"  # whether a replay is asked what each window needs
    tariffs: Tariffs = ON_DEMAND  # ways to buy GPUs beside on demand
    usd_by_hour: tuple[float, ...] = ()  # factors on the price by hour of the day from the trace's start
    time_limit_s: float = 60.0  # of all programs of a way of serving


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """A policy on the trace."""

    name: Policy
    way: Way
    schedule: Schedule
    bill: Bill
    first_tokens: FirstTokens
    gap: float | None = None  # where a program found it

    @property
    def bought(self) -> Purchase | None:
        """As is cheapest, where GPUs are for sale in more than one way."""
        return self.bill.bought

    @property
    def ok(self) -> BoolArray:
        """Windows in which every pool has what it needs and little waits from those before."""
        return np.asarray(self.bill.ok & self.first_tokens.settled)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OverTime:
    """A horizon and what each policy makes of it."""

    trace: str | None  # where the requests are from; None: made up
    scenario: Scenario  # of any one window: the trace's mean lengths, the highest rate
    question: Question
    sweep: Sweep
    windows: Windows
    ways: dict[Way, Asked]
    settles: Settling  # when it is
    settled: dict[Way, Settled]  # ways whose needs a replay was asked for
    too_small: bool  # the fleet, for what is expected of layouts: they are counted as predicted
    outcomes: tuple[Outcome, ...]
    output_tokens: float
    seconds: float

    def of(self, name: Policy, way: Way) -> Outcome:
        """The outcome of one policy. Raises KeyError."""
        found = [one for one in self.outcomes if (one.name, one.way) == (name, way)]
        if not found:
            raise KeyError(name)
        return found[0]

    @property
    def best(self) -> Outcome:
        """The elastic schedule of the better way."""
        return min((o for o in self.outcomes if o.name == "elastic"), key=lambda o: o.bill.objective)


def plan(
    scenario: Scenario,
    catalog: Catalog,
    requests: Requests,
    settings: Settings | None = None,
    *,
    should_stop: Callable[[], bool] | None = None,
    progress: Callable[[str], None] | None = None,
) -> OverTime:
    """Every policy on a trace, in both ways of serving; no outcomes where no layout meets the limits.

    The scenario's `trace` names where its requests are from; `requests` are those that are planned for.

    Raises InputError, and `planner.simulate.points.Stopped` when told to stop.
    """
    start = time.perf_counter()
    settings = settings or Settings()
    tell = progress or (lambda _: None)
    over = windows(requests, settings.window_s, scenario.limits.ttl_s)
    tell("layouts")
    replayed = settling(settings, requests)
    question = asked_question(scenario, catalog, over, requests, replayed=replayed)
    swept = sweep.run(question, scenario.fleet.gpus, should_stop)
    found, too_small = _pools(Placed.of(question, swept), over, settings)
    ways: dict[Way, Asked] = {}
    settled: dict[Way, Settled] = {}
    outcomes: list[Outcome] = []
    bills = {way: _costs(question, pools, over, requests, settings) for way, pools in found.items()}
    for costs in bills.values():
        costs.check(requests.seconds)
    for way, pools in found.items():
        costs = bills[way]
        called = "split" if way == "disaggregated" else "co-located"

        def about(what: str, called: str = called) -> None:
            tell(f"{called}, {what}")

        if replayed:
            events = settle.EVENTS * (settle.MORE if settings.settle == "on" else 1)
            told = settle.settled(
                question, scenario, pools, costs, requests, events=events, should_stop=should_stop, tell=about
            )
            if told is not None:
                settled[way] = told
                pools = replace(pools, need=np.maximum(pools.need, told.enough), predicted=told.least)
        ways[way] = Asked(pools=pools, costs=costs, windows=over)
        outcomes += _outcomes(question, swept, ways[way], way, settings, should_stop, about)
    return OverTime(
        trace=scenario.traffic.trace,
        scenario=replace(question.scenario, limits=scenario.limits),
        question=question,
        sweep=swept,
        windows=over,
        ways=ways,
        settles=settings.settle,
        settled=settled,
        too_small=too_small,
        outcomes=tuple(outcomes),
        output_tokens=float(requests.osl.sum()),
        seconds=time.perf_counter() - start,
    )


def settling(settings: Settings, requests: Requests) -> bool:
    """Whether a replay is asked what each window needs."""
    most = {"auto": settle.MOST, "on": settle.MOST_ON, "off": 0}[settings.settle]
    return len(requests) <= most


def _pools(placed: Placed, over: Windows, settings: Settings) -> tuple[dict[Way, Pools], bool]:
    """The pools of each way that there are, by what is expected of them.

    As predicted where no way fits the fleet in every window otherwise, as `planner.planning.solve` has it;
    and whether that is so.
    """
    found, too_small = dict[Way, Pools](), False
    scenario = placed.question.scenario
    for at in in_time.tries(placed):
        both: dict[Way, Pools] = {
            "disaggregated": split_pools(at, over, settings.layouts),
            "colocated": colocated_pools(at, over, settings.layouts),
        }
        given = scenario.deployment.way
        found = {way: pools for way, pools in both.items() if pools.kinds and given in (None, way)}
        too_small = at.expected is not None and not at.expected.weighs
        if any(pools.fits(scenario.fleet.gpus) for pools in found.values()):
            break
    return found, too_small


def asked_question(
    scenario: Scenario, catalog: Catalog, over: Windows, requests: Requests, *, replayed: bool = False
) -> Question:
    """The question of any one window: the trace's lengths, bursts as within windows, the highest rate.

    In windows of fewer than `FEW` requests first tokens are held to the next higher percentile, unless a
    replay is asked what those windows need.
    """
    from planner.inputs import lengths

    traffic = scenario.traffic
    found = lengths.of_requests(
        requests.isl.astype(np.float64), requests.osl.astype(np.float64), traffic.cached_share
    )
    peak = float(max(over.prompts_per_s.max(), over.decodes_per_s.max()))
    bursty = over.variation > 1.05
    plain = replace(
        traffic,
        trace=None,
        isl=found.isl,
        osl=found.osl,
        requests_per_s=peak,
        arrivals="bursty" if bursty else "poisson",
        burstiness=min(float(np.sqrt(over.variation)), 20.0) if bursty else traffic.burstiness,
    )
    limits = scenario.limits
    if np.median(over.requests) < FEW and not replayed:
        limits = replace(limits, ftl_at=STRICTER.get(limits.ftl_at, limits.ftl_at))
    if scenario.traffic.images:
        raise InputError("images", scenario.traffic.images, "0 over time: traces say of no images")
    question = prepare(replace(scenario, traffic=plain, limits=limits), catalog).remembering()
    return replace(question, lengths=found)


def _costs(question: Question, pools: Pools, over: Windows, requests: Requests, settings: Settings) -> Costs:
    times, limits = shipped() if settings.start_s is None else None, question.scenario.limits
    longest = float(np.percentile(requests.osl, DRAINED_AT))
    starts, drains = [], []
    for kind in pools.kinds:
        starts.append(_start_s(question, pools, kind.phase, times) if times else float(settings.start_s or 0))
        ttl_s = float(kind.points.ttl_s[kind.row])
        drains.append(limits.ftl_s if kind.phase == "prefill" else limits.ftl_s + longest * ttl_s)
    hour = (np.arange(len(over)) * over.window_s // 3600).astype(np.int64)
    by_hour = np.array(settings.usd_by_hour or (1.0,))
    price = by_hour[hour % len(by_hour)][:, None] * np.array([k.usd_per_gpu_hour for k in pools.kinds])
    return Costs(
        window_s=over.window_s,
        start_s=np.array(starts),
        drain_s=np.array(drains),
        swap_s=settings.swap_s,
        usd_per_gpu_hour=price,
        budget=question.scenario.fleet.gpus,
        dwell=max(int(np.ceil(settings.dwell_s / over.window_s)), 1),
        tariffs=settings.tariffs,
    )


def _start_s(question: Question, pools: Pools, phase: str, times: StartTimes) -> float:
    kind = next(kind for kind in pools.kinds if kind.phase == phase)
    weights = pool_plan(question, kind.pick(1), 0.0).memory.weights_bytes  # of a GPU
    return times.seconds(weights * kind.gpus)


def _outcomes(
    question: Question,
    swept: Sweep,
    asked: Asked,
    way: Way,
    settings: Settings,
    should_stop: Callable[[], bool] | None,
    tell: Callable[[str], None],
) -> list[Outcome]:
    def check() -> None:
        if should_stop is not None and should_stop():
            raise Stopped

    made: dict[Policy, tuple[Schedule, float | None]] = {
        "static-peak": (policies.static_peak(asked), None),
        "static-mean": (policies.static_mean(asked), None),
    }
    half = 0.5 * settings.time_limit_s
    if way == "disaggregated":
        made["fixed-ratio"] = policies.fixed_ratio(asked), None
        tell(f"dynamic ratio, {half:.0f} s at most")
        solved = policies.dynamic_ratio(asked, half, should_stop)
        made["dynamic-ratio"] = solved.schedule, solved.gap
    check()
    tell(f"elastic schedule, {half:.0f} s at most")
    ahead = [schedule for schedule, _ in made.values()]
    best = policies.elastic(asked, ahead, half, should_stop)
    made["elastic"] = best.schedule, best.gap
    check()
    tell("forecasts")
    made["seasonal-naive"] = policies.rolling(asked, policies.seasonal_naive), None
    made["smoothing"] = policies.rolling(asked, policies.smoothing), None
    made["reactive"] = policies.reactive(asked), None
    out = []
    for name, (schedule, gap) in made.items():
        if way == "colocated" and name in SPLIT_ONLY:
            continue
        tokens = first_tokens(
            question, swept, asked.pools, ready(asked.pools, schedule, asked.costs), asked.windows
        )
        billed = bill(asked.pools, schedule, asked.costs)
        out.append(
            Outcome(
                name=name,
                way=way,
                schedule=schedule,
                bill=billed,
                first_tokens=tokens,
                gap=gap,
            )
        )
    return out
