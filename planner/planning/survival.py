"""What is left of a plan after a loss: values, without a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from planner.values import dataclass
from planner.words import Loss, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """What is left of a plan after the worst loss, and what that costs."""

    loss: Loss
    lost: Mapping[Stage, int]  # instances of each phase that the worst one takes
    requests_per_s: float  # that are still served within the limits
    gpus: int
    hosts: int  # that the instances lie on
    # the plan of the same question without: None where there is none
    gpus_without: int | None
    requests_per_s_without: float | None
    # share of the time in which what is up has capacity for the plan's rate
    availability: float
    availability_without: float | None
    hours_between_failures: float  # of a GPU
    hours_to_repair: float

    @property
    def cost_gpus(self) -> int:
        """GPUs more than the best plan without has; 0 where that is not known."""
        return 0 if self.gpus_without is None else self.gpus - self.gpus_without

    @property
    def cost_share(self) -> float:
        """Share of the requests/s of the best plan without that are given up; 0 where that is not known."""
        if not self.requests_per_s_without:
            return 0.0
        return 1.0 - self.requests_per_s / self.requests_per_s_without
