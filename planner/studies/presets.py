"""The studies that come with ratematch, and the user's own."""

from __future__ import annotations

import os
from pathlib import Path

from planner.errors import InputError, printable, unknown
from planner.inputs.catalog import preset_folder, user_folder

FOLDER = "studies"


def known() -> dict[str, Path]:
    """Studies by name; the user's own over those that come with ratematch."""
    found: dict[str, Path] = {}
    for folder in (preset_folder() / FOLDER, user_folder() / FOLDER):
        try:
            paths = sorted(folder.glob("*.toml"))
        except OSError:
            continue
        found.update({printable(path.stem).lower(): path for path in paths if not path.name.startswith(".")})
    return found


def find(name: str) -> Path:
    """The file of a study: a preset's name first, then a path. Raises InputError for neither."""
    if not name.endswith(".toml") and os.sep not in name:
        own = known()
        if (key := name.strip().lower().replace("_", "-")) in own:
            return own[key]
        if not os.path.isfile(name):  # noqa: PTH113 (never raises, whatever the name)
            raise unknown("study", name, own)
    if not os.path.lexists(name):
        raise InputError("study", name, "no such file; a preset's name or a TOML file")
    return Path(name)
