"""How long an instance takes from getting its GPUs until it serves: weights over storage, and all else."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from statistics import median

from planner.inputs import files
from planner.inputs.catalog import preset_folder

FILE = "start_times.csv"
SWAP_S = 5.0  # new role, new connections; weights stay. No public measurement: --swap sets it


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTimes:
    """Medians of what was measured (presets/start_times.csv has the rows and their sources)."""

    storage_bytes_per_s: float  # weights to GPUs, of a whole instance
    other_s: float  # processes, compilation, graphs, warm-up

    def seconds(self, weight_bytes: float) -> float:
        """Of an instance with so many bytes of weights.

        >>> StartTimes(storage_bytes_per_s=4e9, other_s=200.0).seconds(140e9)
        235.0
        """
        return weight_bytes / self.storage_bytes_per_s + self.other_s


def shipped() -> StartTimes:
    """What comes with ratematch. Raises InputError for a file that cannot be read."""
    text = files.read_bytes(preset_folder() / FILE, files.MOST_BYTES, what="start times").decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    known = [float(row["weights_gb"]) / float(row["load_s"]) for row in rows if row["weights_gb"]]
    return StartTimes(
        storage_bytes_per_s=1e9 * median(known),
        other_s=median(float(row["other_s"]) for row in rows if row["other_s"]),
    )
