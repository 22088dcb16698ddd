"""Figures that the study lacks: ratios held, fleets bounded, other systems, other models."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from planner.inputs.scenario import Scenario
from planner.paper import over_time, readings
from planner.paper.figures.drawing import RATIO, USER, Figure, Panel, Series
from planner.paper.figures.panels import MATCHED, axis, frontiers, held, matched, traffic
from planner.paper.scenarios import HEAVY, MODELS, OTHER_MODELS, PATTERNS, heavy
from planner.paper.sweeps import Sweeps
from planner.paper.where_it_pays import elsewhere

HOUR = "hour of the day"
HELD = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)  # ctx:gen ratios of the view on fixed matching


def _systems(sweeps: Sweeps) -> Figure:
    cases = [elsewhere(m, s, *PATTERNS[0]) for s in ("h200", "b200") for m in MODELS]
    return Figure(
        id="systems",
        title="The study's models on HGX H200 (FP8) and HGX B200 (FP4), 16k/2k",
        notes=("Domains of 8; larger instances cross the network.",),
        panels=tuple(_one(sweeps, case, f", {case.weights}") for case in cases),
    )


def _models(sweeps: Sweeps) -> Figure:
    return Figure(
        id="models",
        title="Models that the study lacks, 16k/2k on GB200",
        notes=("Other traffic and systems: the table of where a split pays.",),
        panels=tuple(_one(sweeps, heavy(model)) for model in OTHER_MODELS),
    )


def _one(sweeps: Sweeps, scenario: Scenario, formats: str = "") -> Panel:
    title = f"{scenario.model} on {scenario.system}{formats}, {traffic(scenario)}"
    return frontiers(sweeps, scenario, title, piggybacked=False)


def _held(sweeps: Sweeps) -> Figure:
    """Dynamic against fixed matching: share of the matched throughput left at each held ratio."""
    over = axis(sweeps, HEAVY)
    best = over.best()
    single, loss = readings.best_single_ratio(sweeps)
    series = tuple(Series(name=f"held at {r:g}", x=over.user, y=held(sweeps, HEAVY, r) / best) for r in HELD)
    return Figure(
        id="matching",
        title="Dynamic against fixed matching: DeepSeek-R1, 16k/2k",
        notes=(
            f"The best single ratio over this axis is {single:.2f}; it still loses {loss:.0%} on average.",
        ),
        panels=(
            Panel(
                title="Share of matched throughput",
                x_label=USER,
                y_label="share",
                series=series,
                x_one=over.end,
            ),
            Panel(
                title="The ratio that matching takes",
                x_label=USER,
                y_label=RATIO,
                y_log=True,
                x_one=over.end,
                series=(Series(name=MATCHED, x=over.user, y=over.ratio()),),
            ),
        ),
    )


def _budget(sweeps: Sweeps) -> Figure:
    over = axis(sweeps, HEAVY)
    series = [matched(sweeps, HEAVY, "without limit")]
    for gpus in (16, 32, 72, 288):
        curve = sweeps.in_fleet(HEAVY, gpus)
        ratio = {"ctx_gen_ratio": [float(r) for r in curve.column(curve.ratio, over.user)]}
        line = Series(name=f"{gpus} GPUs", x=over.user, y=curve.at(over.user), columns=ratio)
        series.append(line.banded(sweeps.band(HEAVY, "disaggregated")))
    losses = [float(np.mean(readings.fleet_loss(sweeps, HEAVY, b))) for b in readings.BUDGETS]
    return Figure(
        id="budget",
        title="What a small fleet costs: DeepSeek-R1, 16k/2k",
        notes=(
            "Throughput over all GPUs of the fleet, idle ones too; whole instances, one layout per pool.",
        ),
        panels=(
            over.panel("Frontiers under a budget", tuple(series)),
            Panel(
                title="Mean loss over the axis",
                x_label="GPUs",
                y_label="share lost",
                x_log=True,
                series=(Series(name="loss", x=np.array(readings.BUDGETS, dtype=float), y=np.array(losses)),),
            ),
        ),
    )


def _over_time(sweeps: Sweeps) -> Figure:
    """Figures 9 and 10 with a day in place of the latency target."""
    days = over_time.days(sweeps.catalog)
    drawn = days[over_time.DRAWN]
    hours = drawn.gpu_hours
    told = ", ".join(f"{name} {hours[name]:,.0f}" for name in hours)
    return Figure(
        id="over-time",
        title="Over a day: DeepSeek-R1, long prompts in the morning, long answers at night",
        notes=(
            "A made-up day, not a measured one: each quarter of an hour, starts and drains in the bill, "
            "rates as predicted.",
            f"GPU hours at a TTL of {1e3 * drawn.ttl_s:.0f} ms: {told}.",
        ),
        panels=(
            Panel(
                title="The ratio that an elastic split takes",
                x_label=HOUR,
                y_label=RATIO,
                y_log=True,
                series=tuple(
                    Series(name=f"TTL {1e3 * day.ttl_s:.0f} ms", x=day.hour, y=day.ratio) for day in days
                ),
            ),
            Panel(
                title=f"GPUs taken, TTL {1e3 * drawn.ttl_s:.0f} ms",
                x_label=HOUR,
                y_label="GPUs",
                series=tuple(Series(name=name, x=drawn.hour, y=gpus) for name, gpus in drawn.gpus.items()),
            ),
        ),
    )


FIGURES: Mapping[str, Callable[[Sweeps], Figure]] = {
    "over-time": _over_time,
    "matching": _held,
    "budget": _budget,
    "systems": _systems,
    "models": _models,
}
