"""What operators run on: GPU, fabric and the fitted constants of one engine's kernels."""

from __future__ import annotations

from planner.inputs.engine import EngineProfile
from planner.inputs.kernels import ConstantsSource
from planner.inputs.system import Fabric, Gpu
from planner.values import dataclass
from planner.words import Vendor


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The first argument of every operator."""

    gpu: Gpu
    fabric: Fabric
    kernels: ConstantsSource
    engine: EngineProfile
    vendor: Vendor = "nvidia"  # of the GPU
    light: bool = True  # whether operators over many points say their speed of light too, or 0 for it
