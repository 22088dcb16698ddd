"""What the study does not have: ratios held and fleets bounded as views, other systems, other models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from planner.paper import pool, probes
from planner.paper.cases import HEAVY, MODELS, OTHER_MODELS, PATTERNS, heavy
from planner.paper.drawing import RATIO, USER, Figure, Panel, Series
from planner.paper.panels import MATCHED, axis, bands, frontiers, held, matched, traffic
from planner.paper.pool import LOOSE, MEDIUM, STEPS, TIGHT
from planner.paper.study import Case, Study
from planner.planning.bands import Range, compare

HELD = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)  # ctx:gen ratios of the view on fixed matching
SYSTEMS = ("gb200", "b200", "h200")
PAYS = 1.05  # a gain below 5 % is within the error of any simulator

# On a GPU without FP4 units: the published checkpoint where that is 4-bit, else FP8.
_HOPPER_WEIGHTS = {"gpt-oss-120b": "fp4", "kimi-k2.5": "fp4"}


def elsewhere(model: str, system: str, isl: int, osl: int) -> Case:
    """A model on a system in the formats it is served in there."""
    weights = _HOPPER_WEIGHTS.get(model, "fp8") if system == "h200" else "fp4"
    return Case(model=model, system=system, isl=isl, osl=osl, weights=weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Where a split pays: one model, system and traffic. Gains are geometric means over parts of the axis."""

    model: str
    system: str
    weights: str
    isl: int
    osl: int
    gain_loose: float
    gain_medium: float
    gain_tight: float
    medium_low: float  # 80 % band of gain_medium, errors of both ways taken as independent; nan: not known
    medium_high: float
    most_per_gpu: float  # output tokens/s per GPU at the loose end, split
    most_per_gpu_colocated: float
    fastest_user: float  # tokens/s per user, split
    ratio_loose: float
    ratio_tight: float

    @property
    def pays(self) -> str:
        """The parts of the axis where a split gains at least 5 %."""
        parts = {"loose": self.gain_loose, "medium": self.gain_medium, "tight": self.gain_tight}
        found = [name for name, gain in parts.items() if gain >= PAYS]
        return "everywhere" if len(found) == 3 else ", ".join(found) or "nowhere"


def row(study: Study, case: Case) -> Row | None:
    """One line of the table; None where no split or no co-located instance meets the limits."""
    split, together = study.split(case), study.together(case)
    if not len(split) or not len(together):
        return None
    gains = pool.gain(split, together)
    end = pool.axis_end(split, together)
    ratio = split.column(split.ratio, STEPS * end)
    medium = pool.mean(gains, MEDIUM)
    low, high = _gain_band(study, case, medium)
    return Row(
        model=case.model,
        system=case.system,
        weights=case.weights,
        isl=case.isl,
        osl=case.osl,
        gain_loose=pool.mean(gains, LOOSE),
        gain_medium=medium,
        gain_tight=pool.mean(gains, TIGHT),
        medium_low=low,
        medium_high=high,
        most_per_gpu=float(split.per_gpu[0]),
        most_per_gpu_colocated=float(together.per_gpu[0]),
        fastest_user=split.end,
        ratio_loose=float(ratio[0]),
        ratio_tight=float(ratio[-1]),
    )


def _gain_band(study: Study, case: Case, gain: float) -> Range:
    apart, joint = bands(study, case)
    if apart is None or joint is None:
        return float("nan"), float("nan")
    return compare(gain, apart.throughput, joint.throughput)


def where_it_pays(study: Study) -> tuple[Row, ...]:
    """The study's models at 16k/2k and the others under all four patterns, on three systems."""
    cases = [elsewhere(m, s, *PATTERNS[0]) for m in MODELS for s in SYSTEMS]
    cases += [elsewhere(m, s, *p) for m in OTHER_MODELS for p in PATTERNS for s in SYSTEMS]
    return tuple(found for case in cases if (found := row(study, case)) is not None)


def _systems(study: Study) -> Figure:
    cases = [elsewhere(m, s, HEAVY.isl, HEAVY.osl) for s in ("h200", "b200") for m in MODELS]
    return Figure(
        id="systems",
        title="The study's models on HGX H200 (FP8) and HGX B200 (FP4), 16k/2k",
        notes=("Domains of 8; larger instances cross the network.",),
        panels=tuple(_one(study, case, f", {case.weights}") for case in cases),
    )


def _models(study: Study) -> Figure:
    return Figure(
        id="models",
        title="Models that the study lacks, 16k/2k on GB200",
        notes=("Other traffic and systems: the table of where a split pays.",),
        panels=tuple(_one(study, heavy(model)) for model in OTHER_MODELS),
    )


def _one(study: Study, case: Case, formats: str = "") -> Panel:
    title = f"{case.model} on {case.system}{formats}, {traffic(case)}"
    return frontiers(study, case, title, piggybacked=False)


def _held(study: Study) -> Figure:
    """Dynamic against fixed matching: share of the matched throughput left at each held ratio."""
    over = axis(study, HEAVY)
    best = over.best()
    single, loss = probes.best_single_ratio(study)
    series = tuple(Series(name=f"held at {r:g}", x=over.user, y=held(study, HEAVY, r) / best) for r in HELD)
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


def _budget(study: Study) -> Figure:
    over = axis(study, HEAVY)
    series = [matched(study, HEAVY, "without limit")]
    for gpus in (16, 32, 72, 288):
        curve = study.budget(HEAVY, gpus)
        ratio = {"ctx_gen_ratio": [float(r) for r in curve.column(curve.ratio, over.user)]}
        line = Series(name=f"{gpus} GPUs", x=over.user, y=curve.at(over.user), columns=ratio)
        series.append(line.banded(study.band(HEAVY, "disaggregated")))
    losses = [float(np.mean(probes.budget_loss(study, HEAVY, b))) for b in probes.BUDGETS]
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
                series=(Series(name="loss", x=np.array(probes.BUDGETS, dtype=float), y=np.array(losses)),),
            ),
        ),
    )


FIGURES: Mapping[str, Callable[[Study], Figure]] = {
    "matching": _held,
    "budget": _budget,
    "systems": _systems,
    "models": _models,
}
