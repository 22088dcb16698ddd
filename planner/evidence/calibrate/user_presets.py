"""The user's preset folder: the files that calibration writes into, and what they inherit.

A kernels file in the user's folder takes the place of the installed one of that name, so it starts as
a copy of it: what was not measured again stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import tomli_w

from planner.evidence.calibrate.fit import write_table
from planner.inputs import files
from planner.inputs.catalog import RELATIVE, Catalog
from planner.inputs.toml_tables import read_toml

KERNELS: Final = "kernels"
SYSTEMS, ENGINES = "systems", "engines"


def kernels_path(name: str, folder: Path) -> Path:
    """Where a preset folder has a system's kernels file."""
    return folder / KERNELS / f"{name}.toml"


def prepare_kernels(name: str, folder: Path, catalog: Catalog) -> None:
    """A kernels file for a system in a preset folder, unless it is there.

    A system that ran on a relative's constants gets a file that names the relative, and a preset that
    names the file.
    """
    path = kernels_path(name, folder)
    if path.exists():
        return
    installed = catalog.files[KERNELS].get(name)
    if installed is not None:
        files.write_atomically(path, files.read_text(installed))
        return
    relative = catalog.system(name).kernels
    write_table(path, {RELATIVE: relative} if relative and relative != name else {})
    preset = folder / SYSTEMS / f"{name}.toml"
    if not preset.exists():
        table = {**read_toml(catalog.files["system"][name]), KERNELS: name}
        files.write_atomically(preset, tomli_w.dumps(table))


def prepare_engine(name: str, folder: Path, catalog: Catalog) -> None:
    """A copy of an engine's file in a preset folder, unless it is there."""
    path = folder / ENGINES / f"{name}.toml"
    if not path.exists():
        files.write_atomically(path, files.read_text(catalog.files["engine"][name]))


def inherited(name: str, folder: Path, catalog: Catalog) -> dict[str, str]:
    """Operators that a system's file lacks, and the relative whose constants stand in."""
    tables: list[tuple[str, Mapping[str, Any]]] = []
    at: str | None = name
    while at is not None and at not in (seen for seen, _ in tables):
        path = kernels_path(at, folder)
        source = path if path.exists() else catalog.files[KERNELS].get(at)
        if source is None:
            break
        table = read_toml(source)
        tables.append((at, {k: v for k, v in table.items() if isinstance(v, Mapping)}))
        at = table.get(RELATIVE)
    found: dict[str, str] = {}
    for owner, operators in tables:
        for operator in operators:
            found.setdefault(operator, owner)
    return {operator: owner for operator, owner in sorted(found.items()) if owner != name}
