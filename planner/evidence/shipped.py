"""The measurements that come with the source: presets/measured (its README.md tells what they are)."""

from __future__ import annotations

from pathlib import Path

from planner.errors import InputError
from planner.inputs.catalog import preset_folder

MEASURED = "measured"
RUNS_NAME = f"presets/{MEASURED}/runs.csv"  # as docs/accuracy.md names the file
KERNELS_NAME = f"presets/{MEASURED}/kernels"


def runs_file() -> Path:
    """The measured runs. Raises InputError where they were not installed."""
    return _present(preset_folder() / MEASURED / "runs.csv")


def loads_file() -> Path:
    """The measured loads. Raises InputError where they were not installed."""
    return _present(preset_folder() / MEASURED / "loads.csv")


def power_files() -> tuple[Path, Path]:
    """The published watts of serving runs and of kernels. Raises InputError where they were not installed."""
    folder = preset_folder() / MEASURED
    return _present(folder / "power.csv"), _present(folder / "power_kernels.csv")


def kernels_folder() -> Path:
    """The folder of measured kernels. Raises InputError where they were not installed."""
    return _present(preset_folder() / MEASURED / "kernels")


def _present(path: Path) -> Path:
    if path.exists():
        return path
    raise InputError(
        "file",
        "",
        "name a FILE.csv or --kernels DIR of your own; the measurements behind docs/accuracy.md come with "
        "the source of ratematch (presets/measured), not with an installed package",
    )
