"""How far to trust a plan: the range that holds 80 % of what was measured, as factors on a prediction.

presets/accuracy.toml is written by ``ratematch calibrate --engines FILE --bands``: measured runs,
each predicted with its own group left out of the fit. Three levels: the model and the GPU were both
measured (but not together: the pair was left out), one of them never was, neither was. An engine or a
feature that no run had counts like a GPU that was never measured. Runs whose first tokens are out of line
with those of their neighbours (builds that were not ready) do not widen the band of TTFT.

Runs are a closed loop at a fixed number of requests in flight; a plan's FTL has no queue before it,
so the band of TTFT is the wider for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.inputs import catalog, toml_tables

if TYPE_CHECKING:
    from planner.planning.resolve import Question

SHARE = 0.8
LEVELS = ("both", "one", "neither")
MODES = ("disaggregated", "colocated")
FILE = "accuracy.toml"
LEVEL_TEXT = {
    "both": "runs of this model and of this GPU are among them",
    "one": "none of this model, or of this GPU, or of this engine is among them",
    "neither": "none of this model on any GPU or of this GPU with any model is among them",
}

Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Factors on a prediction between which 80 % of measurements lie."""

    ftl: Range
    ttl: Range
    throughput: Range
    level: str  # one of LEVELS
    rows: int  # measurements behind it


def load(path: Path | None = None) -> dict[str, Any]:
    """The accuracy file: the user's own, else the one that comes with ratematch; {} if there is none.

    Raises InputError for a file that is not TOML.
    """
    for candidate in (path,) if path is not None else files():
        if candidate.is_file():
            return _read(candidate, candidate.stat().st_mtime_ns)
    return {}


def files() -> tuple[Path, ...]:
    """Where an accuracy file may lie, the first that exists being used."""
    return catalog.user_folder() / FILE, catalog.preset_folder() / FILE


_KEPT: dict[Path, tuple[int, dict[str, Any]]] = {}


def _read(path: Path, stamp: int) -> dict[str, Any]:
    """Parsed once: a plan asks for it every time."""
    kept = _KEPT.get(path)
    if kept is None or kept[0] != stamp:
        _KEPT[path] = kept = (stamp, toml_tables.read_toml(path))
    return kept[1]


def level(question: Question, table: Mapping[str, Any]) -> str:
    """What of a question was measured: "both", "one" or "neither"."""
    scenario = question.scenario
    unknown = (
        question.setup.model.name not in table["models"],
        question.system.name not in table["systems"],
        question.setup.machine.engine.name not in table["engines"]
        or scenario.mtp > 0
        or question.setup.precision.kv == "fp4",
    )
    return LEVELS[min(sum(unknown), 2)]


def bands(question: Question, table: Mapping[str, Any] | None = None) -> dict[str, Band]:
    """The band of each way of serving ("disaggregated", "colocated"); {} without an accuracy file."""
    known = load() if table is None else table
    if not known:
        return {}
    name = level(question, known)
    return {mode: _band(known["bands"][mode][name], name) for mode in MODES if mode in known["bands"]}


def band(question: Question, mode: str = "colocated") -> Band | None:
    """The band of one way of serving."""
    return bands(question).get(mode)


def _band(entry: Mapping[str, Any], name: str) -> Band:
    ftl, ttl = _inverse(entry["ttft"]), _inverse(entry["tpot"])
    # throughput is one over the time per token, so its factors are those of TTL upside down
    return Band(ftl=ftl, ttl=ttl, throughput=_inverse(ttl), level=name, rows=int(entry["rows"]))


def _inverse(ratio: Any) -> Range:
    """Factors on a prediction from predicted over measured, or the other way round.

    >>> _inverse((0.8, 1.25))
    (0.8, 1.25)
    """
    low, high = float(ratio[0]), float(ratio[1])
    return 1.0 / high, 1.0 / low


def compare(ratio: float, one: Range, other: Range) -> Range:
    """Range of a true ratio of two predictions, each with its own band.

    The errors are taken as independent, which they are not: both come from the same kernels, and what
    they share cancels in a ratio. The range is the wider for it.

    >>> low, high = compare(1.5, (0.8, 1.25), (0.8, 1.25))
    >>> round(low, 2), round(high, 2)
    (1.09, 2.06)
    """
    down = math.hypot(math.log(one[0]), math.log(other[1]))
    up = math.hypot(math.log(one[1]), math.log(other[0]))
    return ratio * math.exp(-down), ratio * math.exp(up)
