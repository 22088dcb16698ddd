"""What may be deployed: how many GPUs, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass

from planner.words import Loss, Tariff


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What may be deployed."""

    gpus: int | None = 64  # budget over all pools; None: as many as the best ratio needs
    instance_gpus: int | None = None  # largest instance; None: the system's sensible maximum
    usd_per_gpu_hour: float | Tariff | None = None  # None: what owning the system's GPU costs
    survive: Loss = "none"  # the plan keeps limits and demand with the worst loss of one
