"""Scenario TOML: `schema = 1`, `base`, `note`, then only the fields that differ."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from planner.errors import InputError, unknown
from planner.inputs import deployment_fields, files, fleet, naming, toml_tables
from planner.inputs.fields import BY_KEY, FIELDS, Field, check, lookup
from planner.inputs.scenario import Scenario
from planner.inputs.typed import Names, named

SCHEMA = 1
DEEPEST = 32  # scenarios that build on each other
_OTHER_KEYS = ("schema", "base", "note", "aliases")


def read(source: Path | str, catalog: Names) -> Scenario:
    """A scenario from a file (a Path) or from TOML text (a str).

    Keys are those of `planner.inputs.fields` and their aliases; values are numbers in SI units or texts
    as a user types them ("16k", "20ms"). Fields that are not given are those of the scenario
    named in `base`, or the defaults.

    Raises
    ------
    InputError
        For text that is not TOML, another schema, an unknown key (with the nearest known one), a
        value out of range, an unknown preset, or a `base` that leads back to the file itself.
    """
    return _read(source, catalog, ())


def _read(source: Path | str, catalog: Names, above: tuple[Path, ...]) -> Scenario:
    if isinstance(source, Path):
        where, text = source.name, files.read_text(source)
        above = (*above, source.resolve())
    else:
        where, text = "scenario", source
    table = toml_tables.parse_toml(text, where)
    schema = table.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise InputError(f"{where}: schema", schema, f"the first line is schema = {SCHEMA}")
    for key in ("note", "aliases"):
        toml_tables.check_words(table, key, where)
    scenario = _base(table.get("base"), where, catalog, above)
    given: set[str] = set()
    implied: dict[str, Any] = {}
    for key, value in table.items():
        if key in _OTHER_KEYS:
            continue
        try:
            field = lookup(key)
        except InputError:
            raise unknown(where, key, (*BY_KEY, *_OTHER_KEYS)) from None
        if field.key in given:
            raise InputError(f"{where}: {key}", value, f"{field.key} once, not twice")
        given.add(field.key)
        try:
            if field.catalog and isinstance(value, str):
                exact, more = named(field, _beside(field, value, source), catalog)
                scenario, implied = field.set(scenario, exact), {**implied, **more}
            else:
                scenario = field.set(scenario, plain(field, value))
        except InputError as error:
            raise InputError(f"{where}: {key}", error.value, error.accepted) from None
    for key, value in implied.items():
        if key not in given:
            scenario = BY_KEY[key].set(scenario, value)
    return check(scenario if "gpus" in {*given, *implied} else deployment_fields.fitted(scenario))


def _beside(field: Field, text: str, source: Path | str) -> str:
    """A file of one's own as a scenario names it: from here, else beside the scenario's file."""
    if field.catalog and naming.is_file(field.catalog, text) and not os.path.exists(text):  # noqa: PTH110
        near = source.parent / text if isinstance(source, Path) else None
        if near is not None and os.path.exists(near):  # noqa: PTH110 (never raises, whatever the name)
            return str(near)
    return text


def _base(name: object, where: str, catalog: Names, above: tuple[Path, ...]) -> Scenario:
    if name is None:
        return Scenario()
    if not isinstance(name, str):
        raise InputError(f"{where}: base", name, "the name of a scenario")
    path = catalog.scenario_path(name)
    if path.resolve() in above:
        raise InputError(f"{where}: base", name, "another scenario; this one leads back to itself")
    if len(above) >= DEEPEST:
        raise InputError(f"{where}: base", name, f"at most {DEEPEST} scenarios on top of each other")
    return _read(path, catalog, above)


def plain(field: Field, value: Any) -> Any:
    """The value of a field that names no preset: a text as typed, or a number. Raises InputError."""
    if isinstance(value, int) and abs(value) >= 2**63:
        raise InputError(field.key, value, field.accepted)
    if field.kind == "fleet" and isinstance(value, dict):
        return fleet.of_table(value)
    return field.parse(value) if isinstance(value, str) else field.check(value)


def write(scenario: Scenario, base: str | None = None, *, catalog: Names, note: str = "") -> str:
    """A scenario as TOML text that `read` gives back exactly.

    Parameters
    ----------
    scenario
        What to write.
    base
        Name of a scenario in the catalog: only the fields that differ from it are written. None:
        those that differ from the defaults.
    catalog
        Where `base` is looked up.
    note
        One line on what the scenario stands for.

    Raises InputError if `base` is unknown.
    """
    import tomli_w

    below = Scenario() if base is None else read(catalog.scenario_path(base), catalog)
    table: dict[str, Any] = {"schema": SCHEMA}
    if base is not None:
        table["base"] = base
    if note:
        table["note"] = note
    for field in FIELDS:
        value = field.get(scenario)
        if value != field.get(below):
            table[field.key] = _written(field, value)
    if scenario.deployment.complete:  # else what is read would have as many GPUs as the deployment takes
        table["gpus"] = _written(BY_KEY["gpus"], scenario.fleet.gpus)
    return tomli_w.dumps(table)


def _written(field: Field, value: Any) -> Any:
    """As a user would type it where that is exact, the plain number elsewhere."""
    if value is None:
        return field.none
    if field.kind not in ("tokens", "seconds", "share"):
        return value
    text = field.format(value)
    try:
        exact = not text[-1].isdigit() and field.parse(text) == value
    except InputError:
        exact = False
    return text if exact else value
