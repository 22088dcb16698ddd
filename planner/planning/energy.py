"""What a serving draws: values, without a sentence. Watts of boards; what a facility needs is beside them."""

from __future__ import annotations

from dataclasses import dataclass

from planner.words import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPower:
    """Mean watts of one GPU of a pool."""

    phase: Phase
    gpus: int
    idle_watts: float  # with nothing to do
    watts: float  # at the load of the plan
    busy_watts: float  # at the pool's capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """Watts of the GPUs of all pools, boards alone: no host, network or cooling."""

    pools: tuple[PoolPower, ...]
    tokens_per_s: float  # output tokens of the whole serving

    @property
    def idle_watts(self) -> float:
        """All GPUs, with nothing to do."""
        return sum(pool.gpus * pool.idle_watts for pool in self.pools)

    @property
    def watts(self) -> float:
        """All GPUs, at the load of the plan."""
        return sum(pool.gpus * pool.watts for pool in self.pools)

    @property
    def busy_watts(self) -> float:
        """All GPUs, each pool at its capacity."""
        return sum(pool.gpus * pool.busy_watts for pool in self.pools)

    @property
    def joules_per_token(self) -> float:
        """Of the boards, per output token; nan where none is made."""
        return self.watts / self.tokens_per_s if self.tokens_per_s > 0 else float("nan")
