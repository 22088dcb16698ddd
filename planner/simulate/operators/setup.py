"""What a pass runs: a model in its formats on a machine."""

from __future__ import annotations

from dataclasses import dataclass

from planner.inputs.model import ModelSpec
from planner.inputs.precision import Precision
from planner.simulate.operators.machine import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A model in its formats on a machine."""

    machine: Machine
    model: ModelSpec
    precision: Precision
    mla_cache: bool = False  # up-projected KV of earlier chunks is kept
    skew: float | None = None  # of routing, as in `moe.route`; None: what planning expects
