"""A study: what is fixed, what varies, and so which scenarios are asked."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputError, unknown
from planner.inputs import files, toml_tables
from planner.inputs.catalog import Catalog
from planner.inputs.fields import BY_KEY, FIELDS, lookup
from planner.inputs.scenario import Scenario
from planner.studies import axes as axes_
from planner.studies.axes import Axis
from planner.studies.columns import DEFAULT_GROUPS, GROUPS

SCHEMA = 1
MOST_CELLS = 1_000_000  # scenarios of a study
MOST_AXES = 16
_KEYS = ("schema", "base", "note", "keep", "fixed", "axes", "zip", "sample")


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Scenarios by number, from 0: a sample, or the product of the axes, the last of them fastest."""

    name: str
    note: str
    base: Scenario  # with what is fixed
    axes: tuple[Axis, ...]
    keep: tuple[str, ...]  # groups of columns (`planner.studies.columns`)
    drawn: tuple[tuple[tuple[Any, ...], ...], ...] | None = None  # of a sample, values of each axis

    def __len__(self) -> int:
        return math.prod(map(len, self.axes)) if self.drawn is None else len(self.drawn)

    def values(self, number: int) -> tuple[tuple[Any, ...], ...]:
        """The values on each axis of one scenario."""
        if self.drawn is not None:
            return self.drawn[number]
        found = []
        for axis in reversed(self.axes):
            number, at = divmod(number, len(axis))
            found.append(axis.values[at])
        return tuple(reversed(found))

    def scenario(self, number: int) -> Scenario:
        """One scenario. Whether it can be answered is the planner's to say."""
        scenario = self.base
        for axis, values in zip(self.axes, self.values(number), strict=True):
            for field, value in zip(axis.fields, values, strict=True):
                scenario = field.set(scenario, value)
        return scenario

    @property
    def digest(self) -> str:
        """The same for studies that ask the same scenarios in the same order."""
        asked = {
            "base": {field.key: field.get(self.base) for field in FIELDS},
            "axes": [[axis.name, axis.values, None] for axis in self.axes],
            "drawn": self.drawn,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def read(source: Path | str, catalog: Catalog, *, name: str = "study") -> Study:
    """A study from a file (a Path) or from TOML text (a str, called `name`).

    Raises InputError for what is no study: an unknown key or axis (with the nearest known one), an empty
    or too large product, a value out of range.
    """
    text = files.read_text(source, what="study") if isinstance(source, Path) else source
    where = source.name if isinstance(source, Path) else name
    table = toml_tables.parse_toml(text, where)
    schema = table.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise InputError(f"{where}: schema", schema, f"the first line of a study is schema = {SCHEMA}")
    for key in table:
        if key not in _KEYS:
            raise unknown(where, key, _KEYS)
    toml_tables.check_words(table, "note", where)
    sample = _sample(table.get("sample"), where)
    found = _axes(table, where, catalog, sampled=sample is not None)
    study = Study(
        name=where.removesuffix(".toml"),
        note=str(table.get("note", "")),
        base=_base(table, where, catalog, {field.key for axis in found for field in axis.fields}),
        axes=found,
        keep=_keep(table.get("keep"), where),
        drawn=None if sample is None else _draw(found, *sample),
    )
    if len(study) > MOST_CELLS:
        accepted = f"at most {MOST_CELLS:,}: fewer steps, or a [sample] with a count"
        raise InputError(where, f"{len(study):,} scenarios", accepted)
    return study


def _base(table: Mapping[str, Any], where: str, catalog: Catalog, varied: set[str]) -> Scenario:
    base = table.get("base")
    if base is not None and not isinstance(base, str):
        raise InputError(f"{where}: base", base, "the name of a scenario")
    scenario = Scenario() if base is None else catalog.scenario(base)
    for key, given in _table(table.get("fixed", {}), f"{where}: fixed").items():
        field = _field(key, f"{where}: fixed")
        if field.key in varied:
            raise InputError(f"{where}: fixed.{key}", given, "either fixed or an axis, not both")
        scenario = field.set(scenario, axes_.value(field, given, f"{where}: fixed.{key}", catalog))
    return scenario


def _axes(table: Mapping[str, Any], where: str, catalog: Catalog, *, sampled: bool) -> tuple[Axis, ...]:
    zips = table.get("zip", [])
    if not isinstance(zips, list):
        raise InputError(f"{where}: zip", type(zips).__name__, "tables under [[zip]]")
    found = []
    for i, group in enumerate(zips):
        place = f"{where}: zip[{i}]"
        for key in _table(group, place):
            _field(key, place)
        found.append(axes_.together(group, place, catalog))
    for key, given in _table(table.get("axes", {}), f"{where}: axes").items():
        _field(key, f"{where}: axes")
        found.append(axes_.axis(key, given, f"{where}: axes", catalog, sampled=sampled))
    if not found:
        raise InputError(where, "no axes", "something that varies, under [axes] or [[zip]]")
    if len(found) > MOST_AXES:
        raise InputError(where, f"{len(found)} axes", f"at most {MOST_AXES}")
    keys = [field.key for axis in found for field in axis.fields]
    for key in keys:
        if keys.count(key) > 1:
            raise InputError(f"{where}: axes", key, "each input on one axis")
    return tuple(found)


def _field(key: str, where: str) -> Any:
    try:
        return lookup(key)
    except InputError:
        raise unknown(where, key, BY_KEY) from None


def _table(given: object, where: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise InputError(where, type(given).__name__, "a table of keys and values")
    return given


def _keep(given: object, where: str) -> tuple[str, ...]:
    if given is None:
        return DEFAULT_GROUPS
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise InputError(f"{where}: keep", type(given).__name__, f"a list of {', '.join(GROUPS)}")
    for name in given:
        if name not in GROUPS:
            raise unknown(f"{where}: keep", name, GROUPS)
    return tuple(name for name in GROUPS if name in given)


def _sample(given: object, where: str) -> tuple[int, int] | None:
    """How many to draw, and the seed; None without a sample."""
    if given is None:
        return None
    table, numbers = _table(given, f"{where}: sample"), []
    for key in table:
        if key not in ("count", "seed"):
            raise unknown(f"{where}: sample", key, ("count", "seed"))
    for key, low, high, usual in (("count", 1, MOST_CELLS, None), ("seed", 0, 2**31 - 1, 0)):
        value = table.get(key, usual)
        if type(value) is not int or not low <= value <= high:
            raise InputError(f"{where}: sample.{key}", value, f"a whole number from {low} to {high:,}")
        numbers.append(value)
    return numbers[0], numbers[1]


def _draw(found: tuple[Axis, ...], count: int, seed: int) -> tuple[tuple[tuple[Any, ...], ...], ...]:
    """The first points of a scrambled Sobol sequence, each once: a few steps of an axis give equal ones.

    Of a power of two, each half, quarter and so on of every axis has the same number (Sobol, 1967; Owen,
    "Scrambling Sobol' and Niederreiter-Xing Points", 1998).
    """
    from scipy.stats import qmc

    sequence = qmc.Sobol(len(found), scramble=True, seed=seed)
    shares = sequence.random_base2(max(count - 1, 0).bit_length())[:count]
    drawn = (tuple(axis.at(float(u)) for axis, u in zip(found, row, strict=True)) for row in shares)
    return tuple(dict.fromkeys(drawn))
