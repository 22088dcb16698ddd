"""The traces that come with ratematch: the first requests of public ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from planner.errors import InputError
from planner.inputs.catalog import preset_folder

SHIPPED: Mapping[str, str] = {
    "azure-conversations": "azure-conversations.csv.gz",
    "azure-code": "azure-code.csv.gz",
    "mooncake-conversations": "mooncake-conversations.jsonl.gz",
    "coding-agents": "coding-agents.csv.gz",
}


def find(path: Path) -> Path:
    """The file itself, or that of a shipped trace of this name where no such file is."""
    file = SHIPPED.get(str(path))
    if file is None or os.path.lexists(path):
        return path
    return preset_folder() / "traces" / file


def found(path: Path) -> Path:
    """`find`, of what is there. Raises InputError with the names of shipped traces where nothing is."""
    at = find(path)
    if at is path and path.name == str(path) and not os.path.lexists(path):
        raise InputError("trace", str(path), f"a file that is there, or one of {', '.join(SHIPPED)}")
    return at
