"""What a serving draws: values, without a sentence. Watts of boards; what a facility needs is beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from planner.words import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPower:
    """Mean watts of one GPU of a pool."""

    phase: Stage
    gpus: int
    idle_watts: float  # with nothing to do
    watts: float  # at the load of the plan
    busy_watts: float  # at the pool's capacity


@dataclass(frozen=True, kw_only=True)  # without slots: it keeps what it has computed
class Power:
    """Watts of the GPUs of all pools, boards alone: no host, network or cooling.

    They are computed when they are first asked for: a plan that nobody asks takes no time for them, and
    both ways of serving can be asked alike.
    """

    pools_of: Callable[[], tuple[PoolPower, ...]] = field(repr=False)
    tokens_per_s: float  # output tokens of the whole serving

    @cached_property
    def pools(self) -> tuple[PoolPower, ...]:
        """Each pool, in the order of the serving's, and after them that of its encoders."""
        return self.pools_of()

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
