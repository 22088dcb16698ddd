"""What a pool of a plan is told in: memory of its fullest GPU, and where the time of a pass goes."""

from __future__ import annotations

from planner.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUse:
    """Bytes on the fullest GPU of an instance."""

    weights_bytes: float
    kv_bytes: float
    activation_bytes: float
    reserve_bytes: float
    capacity_bytes: float
    pool_bytes: float = float("nan")  # that the engine makes the cache's: as large as it may grow

    @property
    def used_share(self) -> float:
        """Share of the GPU's memory in use."""
        used = self.weights_bytes + self.kv_bytes + self.activation_bytes + self.reserve_bytes
        return used / self.capacity_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTime:
    """Where a step's time goes: one line of the breakdown."""

    name: str
    seconds: float
    light_s: float  # the same work at the speed of light
