"""Where a split pays, as served today: the study's models and others, on three systems."""

from __future__ import annotations

from dataclasses import dataclass

from planner.inputs.scenario import Scenario
from planner.paper import readings
from planner.paper.readings import LOOSE, MEDIUM, STEPS, TIGHT
from planner.paper.scenarios import MODELS, OTHER_MODELS, PATTERNS, scenario
from planner.paper.sweeps import Sweeps
from planner.planning.bands import Range, compare
from planner.words import Weights

SYSTEMS = ("gb200", "b200", "h200")
PAYS = 1.05  # a gain below 5 % is within the error of any simulator

# On a GPU without FP4 units: the published checkpoint where that is 4-bit, else FP8.
_HOPPER_WEIGHTS: dict[str, Weights] = {"gpt-oss-120b": "fp4", "kimi-k2.5": "fp4"}


def elsewhere(model: str, system: str, isl: int, osl: int) -> Scenario:
    """A model on a system in the formats it is served in there."""
    weights: Weights = _HOPPER_WEIGHTS.get(model, "fp8") if system == "h200" else "fp4"
    return scenario(model, isl, osl, system=system, weights=weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Where a split pays: one model, system and traffic. Gains are geometric means over parts of the axis."""

    model: str
    system: str
    weights: Weights
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


def row(sweeps: Sweeps, of: Scenario) -> Row | None:
    """One line of the table; None where no split or no co-located instance meets the limits."""
    split, colocated = sweeps.split(of), sweeps.colocated(of)
    if not len(split) or not len(colocated):
        return None
    gains = readings.gains(sweeps, of)
    end = readings.axis_end(split, colocated)
    ratio = split.column(split.ratio, STEPS * end)
    medium = readings.mean(gains, MEDIUM)
    low, high = _gain_band(sweeps, of, medium)
    return Row(
        model=of.model,
        system=of.system,
        weights=of.weights,
        isl=of.traffic.isl,
        osl=of.traffic.osl,
        gain_loose=readings.mean(gains, LOOSE),
        gain_medium=medium,
        gain_tight=readings.mean(gains, TIGHT),
        medium_low=low,
        medium_high=high,
        most_per_gpu=float(split.per_gpu[0]),
        most_per_gpu_colocated=float(colocated.per_gpu[0]),
        fastest_user=split.end,
        ratio_loose=float(ratio[0]),
        ratio_tight=float(ratio[-1]),
    )


def _gain_band(sweeps: Sweeps, of: Scenario, gain: float) -> Range:
    split, colocated = sweeps.band(of, "disaggregated"), sweeps.band(of, "colocated")
    if split is None or colocated is None:
        return float("nan"), float("nan")
    return compare(gain, split.throughput, colocated.throughput)


def where_it_pays(sweeps: Sweeps) -> tuple[Row, ...]:
    """The study's models at 16k/2k and the others under all four patterns, on three systems."""
    cases = [elsewhere(m, s, *PATTERNS[0]) for m in MODELS for s in SYSTEMS]
    cases += [elsewhere(m, s, *p) for m in OTHER_MODELS for p in PATTERNS for s in SYSTEMS]
    return tuple(found for case in cases if (found := row(sweeps, case)) is not None)
