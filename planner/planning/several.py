"""Many scenarios at once: those that differ in what no sweep knows are answered from one.

Limits, rate, goal, prices and the way of matching come after the sweep, and so does a budget beyond the
largest instance that is tried. `planner.planning.plan.plan` answers one scenario with all that a screen
shows; here is what a table of thousands keeps, and each of its values is the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from planner.errors import InputError
from planner.inputs.catalog import Catalog
from planner.inputs.scenario import Scenario
from planner.match import milp
from planner.planning import housed, solve, sweep, weigh, why_not, within
from planner.planning.bands import Band, Range
from planner.planning.deadline import Deadline
from planner.planning.judge import of_choice
from planner.planning.placed import Placed
from planner.planning.resolve import Question, prepare
from planner.planning.result import Reason, Serving, WithinMeasured
from planner.planning.sweep import Sweep, shared_sweep
from planner.values import dataclass
from planner.words import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a study keeps of a plan."""

    scenario: Scenario
    found: Finding  # "" where no plan meets the limits
    gain: float  # of a split over co-located serving in what the goal counts; nan without both
    gain_range: Range | None  # that holds it in 80 % of cases; None where nothing was measured
    split: Serving | None
    colocated: Serving | None
    split_band: Band | None
    colocated_band: Band | None
    within_measured: WithinMeasured | None  # None where it was not asked for, too
    weights: str  # the formats behind "auto"
    kv: str
    design_points: int  # simulated for it, or for one that shares its sweep
    reasons: tuple[Reason, ...]  # what stops the design points; () with a plan
    seconds: float  # spent on it; on the sweep too where it was the first to need it

    @property
    def chosen(self) -> Serving | None:
        """What to deploy: a tie keeps prefill and decode together."""
        return self.split if self.found == "split" else self.colocated if self.found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A scenario that cannot be answered, and why in one line."""

    scenario: Scenario
    reason: str
    seconds: float = 0.0


def answers(
    scenarios: Iterable[Scenario],
    catalog: Catalog,
    *,
    measured: bool = False,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[Answer | Refused]:
    """An answer to each scenario, in order; neighbours that share a sweep have it computed once.

    Parameters
    ----------
    measured
        Also find the best plan within layouts that were measured: one more match each.
    should_stop
        As in `planner.planning.plan.plan`.

    Raises Stopped when asked to stop. A scenario that cannot be used is told in its place.
    """
    milp.load()
    last: tuple[Scenario, Question, Sweep] | None = None
    for scenario in scenarios:
        start = time.perf_counter()
        try:
            if scenario.traffic.reuse != "none":
                raise InputError("reuse", scenario.traffic.reuse, "none in studies: say it with cached")
            if scenario.traffic.images and scenario.traffic.encoder == "pool":
                raise InputError("encoder", "pool", "in-place in studies")
            question = prepare(scenario, catalog)
            key = shared_sweep(scenario, catalog)
            if last is None or last[0] != key:
                question = question.remembering()
                last = key, question, sweep.run(question, scenario.fleet.gpus, should_stop)
            question, swept = _on(question, last[1], last[2])
            answer = _answer(question, swept, catalog, measured, should_stop)
        except InputError as error:
            yield Refused(scenario=scenario, reason=str(error), seconds=time.perf_counter() - start)
            continue
        yield replace(answer, seconds=time.perf_counter() - start)


def _on(question: Question, first: Question, swept: Sweep) -> tuple[Question, Sweep]:
    """A question on the sweep of another that shares it: prices and links are its own."""
    pools = {phase: replace(pool, setup=first.pools[phase].setup) for phase, pool in question.pools.items()}
    question = replace(question, pools=pools)
    if question.link_bytes_per_s != first.link_bytes_per_s:
        swept = replace(swept, split_ftl_s=sweep.split_ftl_s(question, swept.prefill))
    return question, swept


def _answer(
    question: Question,
    swept: Sweep,
    catalog: Catalog,
    measured: bool,
    should_stop: Callable[[], bool] | None,
) -> Answer:
    scenario = question.scenario
    deadline = Deadline.after(scenario.time_limit_s, should_stop=should_stop)
    placed = Placed.of(question, swept, drawn=False)
    choice = solve.choose(placed, deadline, offers=False)
    at = alone = placed
    if housed.asked(scenario):
        at, alone, choice = housed.housed(placed, choice, deadline)
    judged = of_choice(at, catalog, choice, alone=None if alone is at else alone)
    placed = at if judged.found == "split" else alone
    split, colocated, bands = judged.split, judged.colocated, judged.bands
    best = split if judged.found == "split" else colocated if judged.found else None
    gain, spread = math.nan, None
    if split is not None and colocated is not None:
        gain = weigh.gain(scenario, split, colocated)
        spread = weigh.gain_range(gain, bands.get("disaggregated"), bands.get("colocated"))
    formats = question.pools["decode"].setup.precision
    return Answer(
        scenario=scenario,
        found=judged.found,
        gain=gain,
        gain_range=spread,
        split=split,
        colocated=colocated,
        split_band=bands.get("disaggregated"),
        colocated_band=bands.get("colocated"),
        within_measured=within.measured(placed, best, deadline) if measured else None,
        weights=formats.gemm.name,
        kv=formats.kv,
        design_points=sum(swept.design_points.values()),
        reasons=() if best is not None else why_not.reasons(question, swept, deadline),
        seconds=0.0,
    )
