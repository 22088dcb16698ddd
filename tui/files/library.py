"""Scenarios by name: those that come with ratematch, the user's own, and saving one."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError
from planner.inputs import files
from planner.values import dataclass

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog
    from planner.inputs.scenario import Scenario

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
LONGEST = 64  # characters of a name
_NOBODY = Path(os.devnull)  # the folder of a user without any files


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One scenario to open."""

    name: str
    own: bool = False  # in the user's folder
    recent: bool = False  # among those opened or saved last
    note: str = ""
    problem: str = ""  # why it cannot be used, in one line


def own_folder() -> Path:
    """Where the user's scenarios lie; the catalog reads it."""
    from planner.inputs.catalog import user_folder

    return user_folder() / "scenarios"


def entries(recent: Sequence[str] = ()) -> list[Entry]:
    """All scenarios: the recent, the user's own, those that come with ratematch, of them the paper's last.

    Raises InputError if the user's folder cannot be read.
    """
    from planner.inputs.catalog import load

    catalog, folder = load(), own_folder()
    found = []
    for name in catalog.names("scenario"):
        note, problem = "", ""
        try:
            note = catalog.note("scenario", name)
        except InputError as error:
            problem = str(error)
        own = catalog.scenario_path(name).parent == folder
        found.append(Entry(name=name, own=own, recent=name in recent, note=note, problem=problem))
    rank = {name: i for i, name in enumerate(recent)}

    def place(e: Entry) -> tuple[int, bool, bool, str]:
        return rank.get(e.name, len(rank)), not e.own, e.name.startswith("paper-"), e.name

    return sorted(found, key=place)


def read(name: str) -> Scenario:
    """A scenario of the catalog, its presets looked up. Raises InputError if it cannot be used."""
    from planner.inputs.catalog import load

    return load().scenario(name)


def own_name(text: str) -> str:
    """What a user may call a scenario: the file's name without `.toml`, and no preset's.

    >>> own_name(" My fleet_2 "), own_name("eu.toml")
    ('my-fleet-2', 'eu')

    Raises InputError for any other.
    """
    from planner.inputs.catalog import load

    name = text.strip().lower().removesuffix(".toml").replace("_", "-").replace(" ", "-")
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise InputError("name", text, "letters, digits, '-' and '.', such as eu-prod")
    if name in load(_NOBODY).names("scenario"):
        raise InputError("name", text, "another name: this one comes with ratematch")
    return name


def own_path(name: str) -> Path:
    """The file of one of the user's scenarios."""
    return own_folder() / f"{name}.toml"


def save(scenario: Scenario, name: str, *, base: str = "", replace: bool = False) -> Path:
    """Write a scenario of the user's, what differs from `base` where that is known; where it lies now.

    Raises FileExistsError where one of that name exists and `replace` is not said, OSError for what
    else the disk refuses.
    """
    from planner.inputs import scenario_file
    from planner.inputs.catalog import load

    catalog, path = load(), own_path(name)
    above = _base(base, name, catalog)
    note = ""
    if path.exists():
        try:
            note = catalog.note("scenario", name)
        except InputError:
            note = ""  # damaged: what is written now is whole again
    files.write_file(path, scenario_file.write(scenario, above, catalog=catalog, note=note), replace=replace)
    return path


def content(scenario: Scenario) -> str:
    """A scenario as a file that stands on its own."""
    from planner.inputs import scenario_file
    from planner.inputs.catalog import load

    return scenario_file.write(scenario, catalog=load())


def _base(base: str, name: str, catalog: Catalog) -> str | None:
    """The scenario to write the differences from: not the written one, nor one that leads back to it."""
    from planner.inputs import toml_tables

    chain: list[str] = []
    at: object = base
    while isinstance(at, str) and at not in chain:
        try:
            at = catalog.canonical("scenario", at)
            chain.append(at)
            at = toml_tables.read_toml(catalog.scenario_path(at)).get("base")
        except InputError:
            return None  # one of them cannot be read: the file stands on its own
    if name in chain:
        chain = chain[chain.index(name) + 1 :]
    return chain[0] if chain else None
