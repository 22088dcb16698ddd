"""What a pass runs: a model in its formats on a machine."""

from __future__ import annotations

from dataclasses import replace

from planner.arrays import BoolArray
from planner.inputs.images import Images
from planner.inputs.kernels import ConstantsSource
from planner.inputs.model import ModelSpec
from planner.inputs.precision import Precision
from planner.simulate.operators.machine import Machine
from planner.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A model in its formats on a machine."""

    machine: Machine
    model: ModelSpec
    precision: Precision
    mla_cache: bool = False  # up-projected KV of earlier chunks is kept
    images: Images | None = None  # that are encoded in place; None: no image is
    skew: float | None = None  # of routing, as in `moe.route`; None: what planning expects
    # of instances that compute prompts and decode, which are launched once for both: where they gather
    # tokens, of any shape that passes broadcast to; None: each pass as is faster for it
    gathers: BoolArray | bool | None = None

    def on_kernels(self, kernels: ConstantsSource) -> Setup:
        """The same with its constants from elsewhere, as from a simulation's own lookups."""
        return replace(self, machine=replace(self.machine, kernels=kernels))

    def in_the_dark(self) -> Setup:
        """The same for sweeps that no one asks for the speed of light of their points."""
        return replace(self, machine=replace(self.machine, light=False))
