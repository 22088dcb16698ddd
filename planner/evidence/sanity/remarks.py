"""What tables say of themselves, for plans to repeat: that a format is slower than a wider one."""

from __future__ import annotations

from pathlib import Path

from planner.evidence.calibrate.fit import write_table
from planner.evidence.sanity.checks import Tables, findings, remarks
from planner.inputs.catalog import Catalog
from planner.inputs.toml_tables import read_toml

REMARK = "remark"


def tables_of(catalog: Catalog, folder: Path | None = None) -> Tables:
    """The kernels files of a catalog, by system; those of a folder take their places."""
    files = {name: path for name, path in catalog.files["kernels"].items() if name in catalog.names("system")}
    if folder is not None:
        files |= {path.stem: path for path in folder.glob("*.toml") if path.stem in catalog.names("system")}
    return {name: read_toml(path) for name, path in sorted(files.items())}


def write_remarks(folder: Path, catalog: Catalog) -> None:
    """Write them into the kernels files of a folder, and take away those that no longer hold."""
    said = remarks(findings(tables_of(catalog, folder), catalog))
    for path in sorted(folder.glob("*.toml")):
        table = read_toml(path)
        changed = False
        for operator, engines in table.items():
            for engine, entries in engines.items() if isinstance(engines, dict) else ():
                for dtype, entry in entries.items():
                    text = said.get((path.stem, operator, engine, dtype), "")
                    if text != entry.get(REMARK, ""):
                        changed = True
                        entry.pop(REMARK, None)
                        if text:
                            entry[REMARK] = text
        if changed:
            write_table(path, table)
