"""What a split serves when the rates of its pools are off, each by an error of its own.

A pool's rate is a prediction. Two pools in exact balance are as fast as the slower of two guesses, and
whatever one of them falls short is lost. So the counts are chosen for the expected rate over a few
scenarios s, each with a factor on the rate of either pool:

    expected(P, D) = mean over s of min(e_s P, d_s D)

P and D are the rates of the pools. The mean of either factor is 1, so a single pool (co-located serving)
is expected to serve what is predicted, and a split never more than its slower pool:
``expected(P, D) <= min(P, D)``. With one scenario of factors 1 this is the study's match.

It is stochastic programming with recourse over a fixed sample (Birge and Louveaux, "Introduction to
Stochastic Programming", 1997): linear in the instances, with one variable for each scenario.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from planner.arrays import FloatArray, distinct
from planner.values import dataclass

END_OF_80 = 1.2816  # of a standard normal: where the middle 80 % end
SCENARIOS = 7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Errors:
    """Equally likely factors on the rates of the pools of a split; arrays (k,), the mean of each 1."""

    prefill: FloatArray
    decode: FloatArray

    @property
    def none(self) -> bool:
        """Whether both rates count as known."""
        return len(self.prefill) == 1

    def expected(self, prefill: FloatArray | float, decode: FloatArray | float) -> FloatArray:
        """Expected rate of a split whose pools have these rates, of any common shape.

        >>> off = Errors(prefill=np.array([0.8, 1.2]), decode=np.array([1.0, 1.0]))
        >>> float(off.expected(1.0, 1.0)), float(off.expected(1.25, 1.0))
        (0.9, 1.0)
        """
        shared = np.minimum(
            np.asarray(prefill, dtype=np.float64)[..., None] * self.prefill,
            np.asarray(decode, dtype=np.float64)[..., None] * self.decode,
        )
        return np.asarray(shared.mean(axis=-1))

    @property
    def balances(self) -> FloatArray:
        """Decode over prefill rates at which one more scenario has prefill as its slower pool, ascending.

        Between two of them `expected` is linear, so whatever is best at a cost is best at one of them.
        """
        return distinct(self.prefill / self.decode)

    @property
    def mixes(self) -> tuple[FloatArray, FloatArray]:
        """Factors whose least sum is what is expected: ``expected(P, D) = min over k of p_k P + d_k D``.

        Each scenario takes the slower pool; in the order of their balances the first k take decode. The
        first of the factors is prefill alone, the last decode alone; shape ``(k + 1,)`` each.

        >>> off = Errors(prefill=np.array([0.8, 1.2]), decode=np.array([1.0, 1.0]))
        >>> [each.tolist() for each in off.mixes]
        [[1.0, 0.4, 0.0], [0.0, 0.5, 1.0]]
        """
        order = np.argsort(self.decode / self.prefill)
        prefill, decode = self.prefill[order], self.decode[order]
        count = len(order)
        behind = np.append(np.cumsum(prefill[::-1])[::-1], 0.0) / count
        return behind, np.append(0.0, np.cumsum(decode)) / count

    @property
    def surplus(self) -> float:
        """How many times the other's rate a pool can have before more of it serves nothing."""
        balances = self.balances
        return float(max(balances[-1], 1.0 / balances[0]))

    def decode_for(self, prefill: FloatArray, demand: float) -> FloatArray:
        """Least decode rate with which prefill pools are expected to serve a demand; inf where none is.

        >>> off = Errors(prefill=np.array([0.8, 1.2]), decode=np.array([1.0, 1.0]))
        >>> off.decode_for(np.array([1.0, 1.25, 2.0]), 1.0).tolist()
        [1.2, 1.0, 1.0]
        """
        ratio = np.append(0.0, self.balances)
        served = self.expected(1.0, ratio)  # per unit of prefill rate: linear between the balances
        share = demand / np.asarray(prefill, dtype=np.float64)
        found = np.interp(share, served, ratio)
        return np.where(share <= served[-1] * (1 + 1e-12), found * prefill, np.inf)

    def best(self, prefill_worth: float, decode_worth: float) -> tuple[float, float]:
        """Most expected rate per cost at any sizes of the pools, and the decode over prefill rate there.

        From the rate per cost of either pool; (0, 1) where one has none.
        """
        if not (prefill_worth and decode_worth):
            return 0.0, 1.0
        ratio = self.balances
        worth = self.expected(1.0, ratio) / (1.0 / prefill_worth + ratio / decode_worth)
        top = int(np.argmax(worth))
        return float(worth[top]), float(ratio[top])


KNOWN = Errors(prefill=np.ones(1), decode=np.ones(1))


def errors(prefill_spread: float, decode_spread: float) -> Errors:
    """Equally likely scenarios of independent lognormal errors of the two pools.

    Parameters
    ----------
    prefill_spread, decode_spread
        Standard deviation of the logarithm of each pool's rate, as `spread` gives it.

    Only their ratio decides what a split is expected to serve: with means of 1 it is Margrabe's formula
    for the lesser of two lognormal values ("The value of an option to exchange one asset for another",
    1978), which depends on ``hypot(prefill_spread, decode_spread)`` alone. So the scenarios are steps of
    the ratio, half of each on either pool: the means of a normal's equally likely parts, made to have its
    variance. What errors have in common moves both pools alike and changes no count.

    >>> errors(0.0, 0.0).none
    True
    >>> [round(float(f), 2) for f in errors(0.3, 0.1).prefill / errors(0.3, 0.1).decode]
    [0.6, 0.77, 0.89, 1.0, 1.13, 1.3, 1.68]
    """
    both = math.hypot(prefill_spread, decode_spread)
    if not both:
        return KNOWN
    half = np.exp(0.5 * both * _PARTS)
    return Errors(prefill=half / half.mean(), decode=half[::-1] / half.mean())


def _equal_parts(parts: int) -> FloatArray:
    """Means of a standard normal in equally likely intervals, scaled to variance 1; (parts,), ascending."""
    normal = NormalDist()
    edges = [normal.inv_cdf(i / parts) for i in range(1, parts)]
    density = np.array([0.0, *map(normal.pdf, edges), 0.0])
    means = parts * (density[:-1] - density[1:])
    return np.asarray(means / math.sqrt(np.mean(means**2)))


_PARTS = _equal_parts(SCENARIOS)


def spread(low: float, high: float) -> float:
    """Standard deviation of the logarithm of a factor, 80 % of which lie between two values.

    >>> round(spread(0.8, 1.25), 3)
    0.174
    """
    return (math.log(high) - math.log(low)) / (2 * END_OF_80)
