"""The deployment that runs, as the user marked it: kept in the state folder, read as any plan's JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError
from planner.inputs import files
from planner.output.as_json import dumps
from tui.files import storage

if TYPE_CHECKING:
    from planner.output.running import Pool


def path() -> Path:
    """Where it lies; `ratematch plan --running` takes it too."""
    return storage.state_folder() / "running.json"


def load() -> tuple[Pool, ...] | None:
    """What runs; None where nothing was marked, or it can no longer be read."""
    from planner.output import running  # which needs numpy: the first screen does not

    try:
        return running.read(path())
    except InputError:
        return None


def save(pools: tuple[Pool, ...]) -> None:
    """Mark what runs. Raises OSError."""
    document = {
        "pools": [
            {
                "phase": pool.phase,
                "layout": pool.layout,
                "instances": pool.instances,
                "max_batch": pool.max_batch,
                "serves": pool.serves,
            }
            for pool in pools
        ]
    }
    files.write_atomically(path(), dumps(document) + "\n")
