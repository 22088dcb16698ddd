"""A schedule of instances, as `ratematch elastic --csv` writes it: what export fills elastic bounds with."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from planner.arrays import IntArray
from planner.errors import InputError
from planner.inputs import files, layout_label
from planner.inputs.deployment import Deployment
from planner.output.deploy import documents, keda
from planner.values import dataclass
from planner.words import Phase

FILE = "autoscale.yaml"
POLICY = "elastic"  # whose rows are read
MOST_BYTES = 64 << 20
MOST_INSTANCES = 100_000
WEEK_S = 7 * 86_400.0
_COLUMNS = ("policy", "from_s", "phase", "layout", "instances")
_ACCEPTED = "the table of ratematch elastic --csv, of a week at most and one layout for each phase"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scheduled:
    """Instances of one phase over time."""

    layout: str
    instances: IntArray  # (windows,)
    ahead_s: float  # that they start before they are wanted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """Instances of every phase over windows of one length."""

    window_s: float
    pools: Mapping[Phase, Scheduled]

    @property
    def busiest(self) -> Deployment:
        """The most instances of each phase: what a plan is made for."""
        most = {phase: (one.layout, max(int(one.instances.max()), 1)) for phase, one in self.pools.items()}
        given: dict[str, Any] = {}
        for phase, (layout, instances) in most.items():
            given |= {f"{phase}_layout": layout, f"{phase}_instances": instances}
        return Deployment(**given)


def read(path: Path) -> Schedule:
    """The schedule of a file. Raises InputError for one that says none."""
    rows = list(csv.DictReader(io.StringIO(files.read_text(path, MOST_BYTES, what="schedule"))))
    if not rows or not set(_COLUMNS) <= set(rows[0]):
        raise InputError("schedule", str(path), _ACCEPTED)
    found: dict[Phase, dict[float, int]] = {}
    layouts: dict[Phase, str] = {}
    ahead: dict[Phase, float] = {}
    for row in rows:
        if row["policy"] != POLICY:
            continue
        phase = next((one for one in get_args(Phase) if one == row["phase"]), None)
        try:
            at, n, early = float(row["from_s"]), int(row["instances"]), float(row.get("start_s") or 0.0)
        except (ValueError, TypeError):
            raise InputError("schedule", str(path), _ACCEPTED) from None
        bad = phase is None or not 0 <= n <= MOST_INSTANCES or not 0 <= at < WEEK_S or not 0 <= early < WEEK_S
        if bad or phase is None or layouts.setdefault(phase, row["layout"]) != row["layout"]:
            raise InputError("schedule", str(path), _ACCEPTED)
        layout_label.parse(row["layout"], "schedule")
        found.setdefault(phase, {})[at] = n
        ahead[phase] = early
    windows = {tuple(sorted(counts)) for counts in found.values()}
    starts = np.array(next(iter(windows)) if windows else (), dtype=float)
    gaps = np.diff(starts)
    if len(windows) != 1 or not len(gaps) or starts[0] or not np.allclose(gaps, gaps[0], rtol=1e-6):
        raise InputError("schedule", str(path), f"{_ACCEPTED}, with two windows or more of {POLICY}")
    if math.fsum(gaps) + gaps[0] > WEEK_S * (1 + 1e-9):
        raise InputError("schedule", str(path), _ACCEPTED)
    return Schedule(
        window_s=float(gaps[0]),
        pools={
            phase: Scheduled(
                layout=layouts[phase],
                instances=np.array([counts[at] for at in sorted(counts)], dtype=np.int64),
                ahead_s=ahead[phase],
            )
            for phase, counts in found.items()
        },
    )


def autoscale(schedule: Schedule, scaled: Mapping[Phase, tuple[str, Mapping[str, str]]], name: str) -> str:
    """KEDA's documents of a deployment: of each phase the name and what is scaled."""
    listed = [
        keda.scaled_object(label, target, one.instances, schedule.window_s, one.ahead_s)
        for phase, (label, target) in scaled.items()
        if (one := schedule.pools.get(phase)) is not None
    ]
    return documents.yaml_texts(listed, f"{name}: instances by the schedule, whose start is Monday 0:00 UTC")
