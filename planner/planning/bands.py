"""How far to trust a plan: the range that holds 80 % of what was measured, as factors on a prediction.

The table is `Catalog.accuracy`, written by ``ratematch calibrate --engines FILE --bands``: measured runs,
each predicted with its own group left out of the fit. Three levels: the model and the GPU were both
measured (but not together: the pair was left out), one of them never was, neither was. An engine or a
feature that no run had counts like a GPU that was never measured, and so does what an import could not
read of a model. Engines err differently: one that was measured has bands of its own, which lean on the
others' runs where its own are few (`planner.evidence.calibrate.intervals`). Runs whose first tokens are out
of line with those of their neighbours (builds that were not ready) do not widen the band of TTFT.

Runs are a closed loop at a fixed number of requests in flight; a plan's FTL has no queue before it,
so the band of TTFT is the wider for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from planner.match.robust import END_OF_80, KNOWN, Errors, errors, spread
from planner.values import dataclass
from planner.words import Level, Way

if TYPE_CHECKING:
    from planner.planning.resolve import Question

SHARE = 0.8
HALF = 0.6745  # of a standard normal: half of the draws are nearer to the middle
LEVELS: tuple[Level, ...] = ("both", "one", "neither")
MODES: tuple[Way, ...] = ("disaggregated", "colocated")

Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Factors on a prediction between which 80 % of measurements lie."""

    ftl: Range
    ttl: Range
    throughput: Range
    level: Level
    rows: int  # measurements behind it
    of_layouts: bool = (
        False  # wider than the model, the GPU and the engine ask for: layouts were not measured
    )
    shared: float = 0.0  # correlation of the errors with those of the other way
    prefill: Range = (1.0, 1.0)  # of the rate of a prefill pool; a decode pool's has that of throughput


def level(question: Question, table: Mapping[str, Any]) -> Level:
    """What of a question was measured."""
    setups = [pool.setup for pool in question.pools.values()]
    unknown = (
        any(setup.model.not_read for setup in setups),  # it does more than its preset says
        any(setup.model.name not in table["models"] for setup in setups),
        any(pool.system.name not in table["systems"] for pool in question.pools.values()),
        question.scenario.mtp > 0
        or any(setup.machine.engine.name not in table["engines"] for setup in setups)
        or any(setup.precision.kv == "fp4" for setup in setups),
    )
    return LEVELS[min(sum(unknown), 2)]


def bands(
    question: Question, table: Mapping[str, Any], layouts: Mapping[Way, Level] | None = None
) -> dict[str, Band]:
    """The band of each way of serving; {} from an empty table. `layouts`: levels that its layouts ask for."""
    if not table:
        return {}
    own = level(question, table)
    names = {mode: max(own, (layouts or {}).get(mode, own), key=LEVELS.index) for mode in MODES}
    return {
        mode: replace(of_level(table, mode, name, engine(question)), of_layouts=name != own)
        for mode, name in names.items()
        if mode in table["bands"]
    }


def levels(question: Question, table: Mapping[str, Any]) -> dict[Way, Mapping[Level, Band]]:
    """The bands of either way for every level; {} from an empty table."""
    return {
        way: {name: of_level(table, way, name, engine(question)) for name in LEVELS}
        for way in MODES
        if way in table.get("bands", {})
    }


def engine(question: Question) -> str:
    """The engine that a question's pools run on, or the one whose kernels theirs takes."""
    return question.pools["decode"].setup.machine.engine.family


def of_level(table: Mapping[str, Any], way: Way, name: Level, engine: str = "") -> Band:
    """The band of a way of serving of which so much was measured; that of all engines for one without."""
    entry = table["bands"][way][name]
    entry = {**entry, **entry.get("engines", {}).get(engine, {})}
    ftl, ttl = _inverse(entry["ttft"]), _inverse(entry["tpot"])
    return Band(
        ftl=ftl,
        ttl=ttl,
        # throughput is one over the time per token, so its factors are those of TTL upside down
        throughput=_inverse(ttl),
        prefill=_prefill(table, name),
        shared=float(table.get("errors", {}).get("ways", {}).get("correlation", 0.0)),
        level=name,
        rows=int(entry["rows"]),
    )


def later(band: Band, factor: float) -> Band:
    """The band where first tokens may besides be so much later, independently of what else is wrong.

    >>> band = Band(ftl=(0.8, 1.25), ttl=(1, 1), throughput=(1, 1), level="both", rows=1)
    >>> round(later(band, 1.5).ftl[1], 2)
    1.59
    """
    high = math.exp(math.hypot(math.log(max(band.ftl[1], 1.0)), math.log(factor)))
    return replace(band, ftl=(band.ftl[0], max(high, band.ftl[1])))


LEFT_OUT: Mapping[Level, tuple[str, ...]] = {  # ways of leaving runs out that stand for a level
    "both": ("pair",),
    "one": ("model", "system_kernels"),
    "neither": ("neither",),
}


def _prefill(table: Mapping[str, Any], name: Level) -> Range:
    """Factors between which 80 % of the rates of prefill pools lie.

    The table's own (`prefill_rate`), where it has one. Else from the median error of first tokens, whose
    middle is prefill itself and whose tails are queues: 80 % of a normal's draws lie within 1.9 times the
    range of half of them.
    """
    measured = table.get("prefill_rate", {})
    if name in measured:
        return _inverse(measured[name])
    middle = max(float(table["left_out"][split]["ttft_median_ape"]) for split in LEFT_OUT[name])
    width = math.exp(math.log1p(middle) * END_OF_80 / HALF)
    return 1.0 / width, width


def pool_errors(band: Band | None) -> Errors:
    """What a split's two pools may be wrong by, for `planner.match.robust`; known without a band."""
    if band is None:
        return KNOWN
    return errors(spread(*band.prefill), spread(*band.throughput))


def _inverse(ratio: Any) -> Range:
    """Factors on a prediction from predicted over measured, or the other way round.

    >>> _inverse((0.8, 1.25))
    (0.8, 1.25)
    """
    low, high = float(ratio[0]), float(ratio[1])
    return 1.0 / high, 1.0 / low


def compare(ratio: float, one: Range, other: Range, shared: float = 0.0) -> Range:
    """Range of a true ratio of two predictions, each with its own band.

    What their errors share cancels in a ratio: of half-widths a and b in the logarithm and errors of
    correlation `shared`, ``sqrt(a^2 + b^2 - 2 shared a b)`` is left. It is that of the two ways of serving
    where both were measured, 0 where too few were: the range is the wider for it.

    >>> low, high = compare(1.5, (0.8, 1.25), (0.8, 1.25))
    >>> round(low, 2), round(high, 2)
    (1.09, 2.06)
    """
    down = _apart(math.log(one[0]), math.log(other[1]), shared)
    up = _apart(math.log(one[1]), math.log(other[0]), shared)
    return ratio * math.exp(-down), ratio * math.exp(up)


def _apart(a: float, b: float, shared: float) -> float:
    return math.sqrt(max(a * a + b * b - 2.0 * shared * abs(a * b), 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """What errors of predictions have in common; from `Catalog.accuracy`."""

    spread: float = 0.0  # standard deviation of their logarithm
    correlation: float = 0.0  # within one model, GPU and engine

    @property
    def own(self) -> float:
        """Standard deviation of what candidates do not share."""
        return self.spread * math.sqrt(max(1.0 - self.correlation, 0.0))


def alike(table: Mapping[str, Any]) -> dict[str, Alike]:
    """By way of serving; {} from a table without."""
    return {
        name: Alike(spread=float(entry["spread"]), correlation=float(entry["correlation"]))
        for name, entry in table.get("errors", {}).items()
        if "spread" in entry
    }
