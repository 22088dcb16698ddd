"""How far predictions are off where nothing was measured: engines fitted anew with groups of runs left out.

Each row is predicted by profiles fitted without its own group: its model, its GPU, its pair of both, its
engine. A GPU may be left out with its kernels: then its operators run with a relative's constants, as
those of a GPU that was never measured do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from planner.arrays import BoolArray, FloatArray
from planner.evidence import gather, seen
from planner.evidence.calibrate import engines, intervals, luck
from planner.evidence.calibrate.engines import Near, Trials
from planner.evidence.calibrate.fit import significant
from planner.evidence.calibrate.intervals import Interval, LeftOut, interval, never_inside
from planner.evidence.deployment import engine_profile
from planner.evidence.figures import spread
from planner.evidence.outliers import outliers
from planner.evidence.runs import Row
from planner.inputs import files
from planner.inputs.catalog import Catalog
from planner.planning.bands import LEFT_OUT, LEVELS, MODES, SHARE
from planner.words import Level

FEW = 10  # saturated prefill pools that make a band: there are few
METRICS = "ttft", "tpot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A way of leaving runs out: a row's group, and which other rows must go with it."""

    name: str
    label: str
    group: Callable[[Row], tuple[str, ...]]
    related: Callable[[tuple[str, ...], Row], bool]
    kernels: bool = False  # the GPU's own kernels go too
    listed: bool = False  # figures of each group are kept
    ways: bool = False  # and of each way of serving and engine


def _of(*names: str) -> Callable[[Row], tuple[str, ...]]:
    return lambda row: tuple(str(getattr(row, name)) for name in names)


SPLITS = (
    Split(
        name="pair",
        label="model on this GPU",
        group=_of("model", "system"),
        related=lambda group, row: (row.model, row.system) == group,
    ),
    Split(
        name="model",
        label="model",
        group=_of("model"),
        related=lambda group, row: row.model == group[0],
        listed=True,
        ways=True,
    ),
    Split(
        name="system",
        label="GPU",
        group=_of("system"),
        related=lambda group, row: row.system == group[0],
        ways=True,
    ),
    Split(
        name="system_kernels",
        label="GPU and its kernels",
        group=_of("system"),
        related=lambda group, row: row.system == group[0],
        kernels=True,
        listed=True,
    ),
    Split(
        name="engine",
        label="engine",
        group=_of("engine"),
        related=lambda group, row: row.engine == group[0],
        listed=True,
    ),
    Split(
        name="neither",
        label="model and GPU with its kernels",
        group=_of("model", "system"),
        related=lambda group, row: row.model == group[0] or row.system == group[1],
        kernels=True,
    ),
)


Found = tuple[FloatArray, FloatArray, FloatArray]


def ratios(
    rows: Sequence[Row], trials: Trials, catalog: Catalog, split: Split, near: Near | None = None
) -> Found:
    """(TTFT, TPOT, prefill rate) predicted over measured, each row's group left out; nan where not known.

    The rate of prefill is that of saturated pools (`planner.evidence.gather.prefill_ratio`).

    `trials` are the rows as `engines.prepare` simulates them, whatever the way of leaving out; `near` is
    `engines.known` of them, from where the fits are four times as fast.

    The profiles that ran a group are fitted anew for it, from every row that is not related to it; one
    whose runs are all left out takes what the rows of all others together give.
    """
    index = {id(row): i for i, row in enumerate(rows)}
    ttft, tpot, prefill = (np.full(len(rows), np.nan) for _ in range(3))
    known = trials.full.rows
    groups = [split.group(row) for row in known]
    for group in sorted(set(groups)):
        inside = [row for row, own in zip(known, groups, strict=True) if own == group]
        rest = np.array([not split.related(group, row) for row in known])
        ran = sorted({e.name for e, own in zip(trials.full.engines, groups, strict=True) if own == group})
        fitted = engines.fitted(trials.take(rest), catalog, ran, near)
        seen = catalog.without_kernels(inside[0].system) if split.kernels else catalog
        runs = gather.gather(inside, seen, fitted)
        at = [index[id(row)] for row in runs.rows]
        ttft[at], tpot[at] = gather.predict(runs)
        prefill[at] = gather.prefill_ratio(runs)
    return (
        ttft / np.array([row.ttft_s for row in rows], dtype=float),
        tpot / np.array([row.tpot_s for row in rows], dtype=float),
        prefill,
    )


def each(rows: Sequence[Row], catalog: Catalog) -> Iterator[tuple[Split, FloatArray, FloatArray, FloatArray]]:
    """(split, TTFT, TPOT, prefill rate) of each way of leaving runs out, predicted over measured: `ratios`.

    A few minutes for a thousand rows: a few seconds for each group left out.
    """
    trials = engines.prepare(rows, catalog)
    near = engines.known(trials, catalog)
    for split in SPLITS:
        yield split, *ratios(rows, trials, catalog, split, near)


def summarise(rows: Sequence[Row], catalog: Catalog, found: Mapping[str, Found]) -> dict[str, Any]:
    """Everything that presets/accuracy.toml holds: left-out errors, bands, and what was measured at all.

    `found` has (TTFT, TPOT, prefill rate) of `each` by the name of the split.
    """
    colocated = np.array([row.colocated for row in rows])
    families = [engine_profile(catalog, row.engine, row.version).family for row in rows]
    left_out: dict[str, Any] = {}
    for split in SPLITS:
        ttft, tpot, _ = found[split.name]
        left_out[split.name] = {"label": split.label, **_flat({"ttft": spread(ttft), "tpot": spread(tpot)})}
        if split.listed:
            names = np.array([split.group(row)[0] for row in rows])
            groups = {str(name): names == name for name in sorted(set(names))}
            left_out[split.name]["groups"] = _figures(groups, ttft, tpot)
        if split.ways:
            left_out[split.name]["ways"] = _figures(_ways(rows, families), ttft, tpot)
    bands: dict[str, Any] = {}
    ready = ~outliers(rows)  # builds that were compiling say nothing of a first token to come
    for mode, inside in zip(MODES, (~colocated, colocated), strict=True):
        before: dict[str, Interval] = {}
        for level in LEVELS:
            entry: dict[str, Any] = {}
            for i, key in enumerate(METRICS):
                kept = inside & ready if key == "ttft" else inside
                parts = [found[name][i][kept] for name in LEFT_OUT[level]]
                band, count = interval(parts, before.get(key))
                before[key] = band
                entry[key] = [significant(value, 3) for value in band]
                entry["rows"] = count
                parts_of = _parts(rows, found, families, i, level, kept)
                for name in sorted({str(name) for part in parts_of for name in part.engine}):
                    own = never_inside(intervals.of_engine(parts_of, name), before.get(f"{name} {key}"))
                    before[f"{name} {key}"] = own
                    of_engine = entry.setdefault("engines", {}).setdefault(name, {})
                    of_engine[key] = [significant(value, 3) for value in own]
            bands.setdefault(mode, {})[level] = entry
    rates: dict[str, list[float]] = {}
    known: Interval | None = None
    for level in LEVELS:
        known, count = interval([found[name][2][ready] for name in LEFT_OUT[level]], known, FEW)
        if count >= FEW:
            rates[level] = [significant(value, 3) for value in known]
    return {
        "share": SHARE,
        "rows": len(rows),
        "models": sorted({catalog.canonical("model", row.model) for row in rows}),
        "systems": sorted({catalog.canonical("system", row.system) for row in rows}),
        "engines": sorted({catalog.canonical("engine", row.engine) for row in rows}),
        "left_out": left_out,
        "bands": bands,
        "coverage": coverage(rows, found, families, bands),
        "evidence": seen.cells(rows, catalog),
        "prefill_rate": rates,
        "errors": luck.errors(rows, found["pair"][1]),
    }


def _ways(rows: Sequence[Row], families: Sequence[str]) -> dict[str, BoolArray]:
    """Which rows are served in a way: by each engine, and co-located with attention data-parallel."""
    names = np.array(families)
    colocated = np.array([row.colocated for row in rows])
    parallel = np.array([row.decode.attention_dp > 1 for row in rows])
    found = {
        "disaggregated": ~colocated,
        "colocated": colocated,
        "colocated, attention DP": colocated & parallel,
    }
    for way, inside in (("disaggregated", ~colocated), ("colocated", colocated)):
        found |= {f"{way}, {name}": inside & (names == name) for name in sorted(set(families))}
    return {name: found[name] for name in sorted(found) if found[name].any()}


def _figures(groups: Mapping[str, BoolArray], ttft: FloatArray, tpot: FloatArray) -> dict[str, Any]:
    """Errors of groups of rows."""
    return {
        name: _flat({"ttft": spread(ttft[inside]), "tpot": spread(tpot[inside])})
        for name, inside in groups.items()
    }


def _parts(
    rows: Sequence[Row],
    found: Mapping[str, Found],
    families: Sequence[str],
    of: int,
    level: Level,
    at: BoolArray,
) -> list[LeftOut]:
    """What intervals of a level are found from: the rows `at`, of TTFT (0) or TPOT (1), of each way."""
    parts = []
    for split in SPLITS:
        if split.name in LEFT_OUT[level]:
            ratio = found[split.name][of]
            some = [int(i) for i in np.flatnonzero(at & np.isfinite(ratio) & (ratio > 0))]
            groups = [split.group(rows[i]) for i in some]
            parts.append(
                LeftOut(
                    error=np.log(ratio[some]),
                    engine=np.array([families[i] for i in some], dtype=np.str_),
                    group=np.array(["|".join(group) for group in groups], dtype=np.str_),
                    related={
                        "|".join(group): np.array([split.related(group, rows[i]) for i in some])
                        for group in set(groups)
                    },
                )
            )
    return parts


def coverage(
    rows: Sequence[Row], found: Mapping[str, Found], families: Sequence[str], bands: Mapping[str, Any]
) -> dict[str, Any]:
    """How much of what was left out (model on this GPU) the bands of each engine cover, by way.

    `ttft` and `tpot`: shares covered by intervals found without the row's group; `ttft_shipped` and
    `tpot_shipped`: by the bands as they are, which these rows made.
    """
    colocated, ready = np.array([row.colocated for row in rows]), ~outliers(rows)
    shares: dict[str, Any] = {}
    for way, inside in zip(MODES, (~colocated, colocated), strict=True):
        for of, key in enumerate(METRICS):
            (part,) = _parts(rows, found, families, of, "both", inside & ready if of == 0 else inside)
            judged, engine = intervals.covered(part), part.engine
            for name in sorted({str(name) for name in part.engine}):
                mine = engine == name
                low, high = np.log(bands[way]["both"]["engines"][name][key])
                error = part.error[mine]
                entry = shares.setdefault(way, {}).setdefault(name, {"rows": 0})
                entry["rows"] = max(entry["rows"], int(mine.sum()))
                told = judged[mine][np.isfinite(judged[mine])]
                entry[key] = significant(float(told.mean()), 3) if len(told) else float("nan")
                entry[f"{key}_shipped"] = significant(float(((low <= error) & (error <= high)).mean()), 3)
    return shares


def write(table: Mapping[str, Any], path: Path, source: str) -> None:
    """Write an accuracy file; `source` names the measurements in its head."""
    head = (
        "# Left-out errors, error bands and what was measured at all, written by\n"
        "# `ratematch calibrate --engines FILE --bands`.\n"
        f"# Predicted over measured; measurements: {source}. Bands of TTFT leave out runs whose first\n"
        "# tokens are out of line with those of their neighbours (`planner.evidence.outliers`).\n\n"
    )
    files.write_atomically(path, head + tomli_w.dumps(dict(table)))


def _flat(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{key}_{k}": _short(v) for key, part in figures.items() for k, v in part.items()}


def _short(value: float | int | None) -> float | int:
    if value is None:
        return float("nan")
    return value if isinstance(value, int) else significant(value, 3)
