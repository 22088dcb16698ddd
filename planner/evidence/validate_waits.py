"""A plan's closed forms against its own replay: what requests wait, over lengths, instances and loads.

Both have the same deployment, the same times of steps and passes and requests of the same lengths that come
independently; what differs is whether waits are computed (`planner.planning.arrived`) or happen
(`planner.replay`). Nothing here was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from planner.arrays import FloatArray
from planner.inputs import lengths
from planner.inputs.catalog import Catalog
from planner.inputs.requests import Requests, plain
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.inputs.traces import read_requests
from planner.planning import arrived, servings, sweep
from planner.planning.resolve import Question, prepare
from planner.planning.result import Serving, SolverReport
from planner.planning.servings import Pick, Rates
from planner.planning.sweep import Sweep
from planner.replay import build
from planner.replay.fleet import Options
from planner.replay.run import run
from planner.simulate.points import Points
from planner.words import Way

LENGTHS = ("constant", "lognormal", "azure-conversations", "mooncake-conversations")
ISL, OSL, SPREAD = 4000, 400, 1.0
LONGEST = 32_000  # tokens of a trace's prompt that are kept: longer ones fit few deployments
INSTANCES = (1, 4, 16, 64)
LOADS = (0.5, 0.7, 0.85)
REQUESTS = 8000  # of one instance; more instances see as many each, up to `MOST`
MOST = 12_000
BEGIN, END = 0.1, 0.95  # of the requests: what is counted, neither the start nor the run-down
GPUS = 64
FIGURES = ("mean", "p50", "p95", "p99")
ASKED = {"mean": 0.10, "p99": 0.20}  # errors of the first token up to the highest load


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is deployed, and the requests and instances that it is tried with."""

    model: str
    system: str
    limits: Limits
    lockstep: bool  # ranks of attention data parallelism, or none
    kinds: Sequence[str] = LENGTHS
    instances: Sequence[int] = INSTANCES


SUBJECTS = (
    Subject(model="llama-3.1-70b", system="h200", limits=Limits(ftl_s=5.0, ttl_s=0.05), lockstep=False),
    Subject(
        model="deepseek-r1",
        system="gb200",
        limits=Limits(ftl_s=5.0, ttl_s=0.05),
        lockstep=True,
        kinds=LENGTHS[:2],
        instances=INSTANCES[:3],
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """One deployment at one load; seconds by figure."""

    model: str
    way: Way
    lengths: str
    instances: int  # of the pool that takes prompts
    load: float  # share of that pool's capacity
    closed_ftl_s: dict[str, float]
    replayed_ftl_s: dict[str, float]
    closed_ttl_s: dict[str, float]
    replayed_ttl_s: dict[str, float]
    sure: bool  # whether a plan takes these from closed forms; else it asks its replay

    @property
    def within(self) -> bool:
        """Whether the first token is as near as is asked."""
        return all(abs(self.error("ftl", figure)) <= most for figure, most in ASKED.items())

    def error(self, latency: str, figure: str) -> float:
        """Of the closed form, over the replay."""
        closed, replayed = getattr(self, f"closed_{latency}_s"), getattr(self, f"replayed_{latency}_s")
        return float(closed[figure] / replayed[figure] - 1.0)


def cases(
    catalog: Catalog,
    *,
    ways: Sequence[Way] = ("colocated", "disaggregated"),
    subjects: Sequence[Subject] = SUBJECTS,
    loads: Sequence[float] = LOADS,
    most: int = MOST,
    progress: Callable[[str], None] | None = None,
) -> Iterator[Waits]:
    """Every case, in the order of the arguments. Raises InputError."""
    for subject, way in product(subjects, ways):
        for kind in subject.kinds:
            isl, osl = drawn(kind)
            question = asked(subject, kind, isl, osl, catalog)
            swept = sweep.run(question, GPUS)
            for count in subject.instances:
                serving = of_way(question, swept, way, count, lockstep=subject.lockstep)
                for load in loads:
                    if progress is not None:
                        progress(f"{subject.model}, {way}, {kind}, {count} at {load:.0%}")
                    number = min(REQUESTS * count, most)
                    yield _case(question, swept, serving, kind, load, requests(kind, isl, osl, number))


def drawn(kind: str) -> tuple[FloatArray, FloatArray]:
    """Lengths that a kind has, shape ``(requests,)``: of a trace its own, else one of each."""
    if kind in ("constant", "lognormal"):
        return np.array([float(ISL)]), np.array([float(OSL)])
    trace, _ = read_requests(Path(kind))
    short = (trace.isl <= LONGEST) & (trace.osl >= 2)
    return trace.isl[short].astype(np.float64), trace.osl[short].astype(np.float64)


def asked(subject: Subject, kind: str, isl: FloatArray, osl: FloatArray, catalog: Catalog) -> Question:
    """The question of requests with these lengths."""
    spread = SPREAD if kind == "lognormal" else 0.0
    traffic = Traffic(
        isl=round(float(isl.mean())),
        osl=round(float(osl.mean())),
        isl_spread=spread,
        osl_spread=spread,
        arrivals="poisson",
    )
    scenario = Scenario(
        model=subject.model,
        system=subject.system,
        traffic=traffic,
        limits=subject.limits,
        fleet=Fleet(gpus=GPUS),
        goal="throughput",
    )
    question = prepare(scenario, catalog).remembering()
    return question if len(isl) == 1 else replace(question, lengths=lengths.of_requests(isl, osl))


def requests(kind: str, isl: FloatArray, osl: FloatArray, count: int) -> Requests:
    """So many of them, that come independently at one a second.

    Each kind of lengths comes as often as it should, in random order, and all together at that rate to the
    digit: near saturation a load of a hundredth more would make waits a tenth longer.
    """
    random = np.random.default_rng(1)
    arrival_s = np.cumsum(random.exponential(1.0, count))
    if kind == "lognormal":  # inputs and outputs know nothing of each other
        isl, osl = (random.permutation(mean * lengths.shares(SPREAD, count)) for mean in (ISL, OSL))
        which = np.arange(count)
    else:
        turns = [random.permutation(len(isl)) for _ in range(-(-count // len(isl)))]
        which = np.concatenate(turns)[:count]
    prompts, outputs = (np.maximum(np.round(of[which]), 1).astype(np.int64) for of in (isl, osl))
    return plain(arrival_s * count / arrival_s[-1], prompts, outputs)


def of_way(question: Question, swept: Sweep, way: Way, instances: int, *, lockstep: bool = False) -> Serving:
    """So many of the instance that serves most per GPU within the limits, and the decode pool they need.

    Of several ranks of attention data parallelism where `lockstep`, else of one.
    """
    solver = SolverReport(status="optimal", gap=0.0, seconds=0.0)
    limits = question.scenario.limits
    together = swept.colocated
    if way == "colocated":
        in_time = (together.ftl_s <= limits.ftl_s) & (together.ttl_s <= limits.ttl_s)
        pick = Pick(together, _best(together, in_time, lockstep), instances)
        return servings.colocated_serving(question, [pick], Rates.known(pick.requests_per_s), solver)
    first = Pick(swept.prefill, _best(swept.prefill, swept.split_ftl_s <= limits.ftl_s, lockstep), instances)
    one = Pick(swept.decode, _best(swept.decode, swept.decode.ttl_s <= limits.ttl_s, lockstep), 1)
    many = math.ceil(1.15 * first.requests_per_s / one.requests_per_s)
    return servings.split_serving(
        question,
        prefills=[first],
        decodes=[replace(one, instances=many)],
        colocated=[],
        split_ftl_s=swept.split_ftl_s,
        rates=Rates.known(first.requests_per_s),
        solver=solver,
    )


def _best(points: Points, usable: Any, lockstep: bool) -> int:
    several = points.layouts.attention_dp[points.layout] > 1
    rows = np.flatnonzero(usable & (several == lockstep))
    return int(rows[np.argmax(points.requests_per_s[rows] / points.gpus[rows])])


def _case(
    question: Question, swept: Sweep, serving: Serving, kind: str, load: float, one_a_second: Requests
) -> Waits:
    first = serving.pools[0]
    rate = load * first.requests_per_s
    pools = tuple(replace(pool, utilisation=rate / pool.requests_per_s) for pool in serving.pools)
    told = arrived.queued(question, swept, replace(serving, pools=pools, requests_per_s=rate))
    assert told is not None and told.queued is not None
    closed = told.queued
    asked_of = replace(one_a_second, arrival_s=one_a_second.arrival_s / rate)
    found = run(build.of_serving(question, serving, asked_of), asked_of, Options(seed=1))
    counted = slice(int(BEGIN * len(asked_of)), int(END * len(asked_of)))
    ftl_s, ttl_s = found.ftl_s[counted], found.ttl_s[counted]
    return Waits(
        model=question.scenario.model,
        way="colocated" if first.phase == "colocated" else "disaggregated",
        lengths=kind,
        instances=first.instances,
        load=load,
        closed_ftl_s=_kept(asdict(closed.ftl)),
        replayed_ftl_s=_figures(ftl_s),
        closed_ttl_s=_kept(asdict(closed.ttl)),
        replayed_ttl_s=_figures(ttl_s),
        sure=closed.sure,
    )


def _kept(of: dict[str, float]) -> dict[str, float]:
    return {name: of[name] for name in FIGURES}


def _figures(values: FloatArray) -> dict[str, float]:
    at = {name: float(np.nanpercentile(values, float(name[1:]))) for name in FIGURES if name != "mean"}
    return {"mean": float(np.nanmean(values)), **at}


def summarise(found: Sequence[Waits]) -> dict[str, Any]:
    """Errors by way and lengths, and every case; plain data."""
    groups = list(dict.fromkeys((one.model, one.way, one.lengths) for one in found))
    return {
        "asked": ASKED,
        "groups": [
            {
                "model": model,
                "way": way,
                "lengths": kind,
                "cases": len(some),
                "within": sum(one.within for one in some),
                "sure": sum(one.sure for one in some),
                "sure_within": sum(one.sure and one.within for one in some),
                **{
                    f"{latency}_{figure}": spread([one.error(latency, figure) for one in some])
                    for latency in ("ftl", "ttl")
                    for figure in FIGURES
                },
            }
            for model, way, kind in groups
            for some in [[one for one in found if (one.model, one.way, one.lengths) == (model, way, kind)]]
        ],
        "cases": [asdict(one) for one in found],
    }


def spread(errors: Sequence[float]) -> dict[str, float]:
    """The lowest, the median and the highest of some errors."""
    low, middle, high = (float(v) for v in np.quantile(errors, (0.0, 0.5, 1.0)))
    return {"low": low, "median": middle, "high": high}
