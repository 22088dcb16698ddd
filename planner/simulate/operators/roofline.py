"""What an operator costs: its time and its speed of light."""

from __future__ import annotations

import numpy as np

from planner.arrays import IndexArray, Real
from planner.values import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """Predicted time of some work and the time that physics allows at best.

    Both in seconds, scalars or arrays of any common shape; `seconds >= light_s` holds everywhere.
    """

    seconds: Real
    light_s: Real

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, self.light_s + other.light_s)

    def __mul__(self, times: Real) -> Cost:
        return Cost(self.seconds * times, self.light_s * times)

    __rmul__ = __mul__

    def take(self, rows: IndexArray, batches: int | None = None) -> Cost:
        """Rows along the first axis, and the first `batches` along the second, of a table."""

        def part(values: Real) -> Real:
            return values[rows, :batches] if isinstance(values, np.ndarray) and values.ndim else values

        return Cost(part(self.seconds), part(self.light_s))

    def lit(self, light: bool) -> Cost:
        """The same; without its light where that is not asked for, as every sum with it is then."""
        return self if light else Cost(self.seconds, 0.0)


NOTHING = Cost(0.0, 0.0)


def soft_max(a: Real, b: Real, serial: Real) -> Real:
    """The larger of two times that overlap all but a share `serial`: max at 0, sum at 1.

    ``(a + b + sqrt((a - b)^2 + 4 serial a b)) / 2``, between the maximum and the sum of its
    arguments and increasing in each, so no fit of `serial` in [0, 1] can break the roofline.

    >>> float(soft_max(3.0, 4.0, 0.0)), float(soft_max(3.0, 4.0, 1.0))
    (4.0, 7.0)
    """
    gap = a - b
    return 0.5 * (a + b + np.sqrt(gap * gap + (4.0 * serial) * (a * b)))
