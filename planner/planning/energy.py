"""What a serving draws: values, without a sentence. Watts of boards; what a facility needs is beside them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import field
from functools import cached_property

from planner.planning.bands import Range
from planner.values import dataclass
from planner.words import Stage

# measured over predicted watts in 4 of 5 serving runs, by constants fitted without their GPU (docs/power.md)
RANGE = (0.85, 1.41)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPower:
    """Mean watts of one GPU of a pool."""

    phase: Stage
    gpus: int
    idle_watts: float  # with nothing to do
    watts: float  # at the load of the plan
    busy_watts: float  # at the pool's capacity
    limit_watts: float  # that the board draws at most


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
    def watts_range(self) -> Range:
        """`watts` in 4 of 5 cases, at most what the boards draw: by runs whose GPU the fit has not seen."""
        low, high = RANGE
        limit = sum(pool.gpus * pool.limit_watts for pool in self.pools)
        return low * self.watts, max(min(high * self.watts, limit), self.watts)

    @property
    def joules_per_token(self) -> float:
        """Of the boards, per output token; nan where none is made."""
        return self._per_token(self.watts)

    def joules_range(self, tokens: Range = (1.0, 1.0)) -> Range:
        """`joules_per_token` in 4 of 5 cases, where so many of the predicted tokens/s hold 4 of 5.

        Errors of watts and of tokens/s are independent: the logarithms' middles add, their half widths as
        squares. So it is for the runs of docs/power.md: their ranges of watts and tokens/s give 1.08 to 2.31
        times the prediction, and 1.05 to 2.29 were measured.
        """
        (low, high), (least, most) = self.watts_range, tokens
        middle = math.sqrt(low * high / (least * most))
        half = math.hypot(math.log(high / low), math.log(most / least)) / 2
        return self._per_token(middle * math.exp(-half)), self._per_token(middle * math.exp(half))

    def _per_token(self, watts: float) -> float:
        return watts / self.tokens_per_s if self.tokens_per_s > 0 else math.nan
