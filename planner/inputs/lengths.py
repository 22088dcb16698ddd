"""Lengths that vary from request to request, as what the planner asks of them: means and shares.

Moments of a few: prefill is priced at the mean prompt with the attention of all (`Lengths.prefix`), decode at
the constant lengths that load it alike, waiting at the squared coefficient of variation, and a percentile
at equally likely requests.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from planner.arrays import FloatArray
from planner.inputs.traffic import Traffic
from planner.values import dataclass

SHARES = 40  # equally likely kinds of requests that stand for a distribution
FINE = 400  # of which a moment beyond the second is taken, and the longest
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lengths:
    """What lengths of requests come to; arrays of shape ``(kinds,)``, of equally likely requests."""

    isl: int  # input tokens, mean
    osl: int  # output tokens, mean
    new: int  # of the input, tokens that prefill computes, mean
    prefix: float  # tokens that each of them attends to besides (`planner.simulate.points.Prompt`)
    context_isl: int  # with `osl`: constant lengths that load decode as these do
    prompt: FloatArray  # new tokens over their mean, ascending
    fine: FloatArray  # the same of smaller shares, shape ``(fine,)``
    variation: float  # squared coefficient of variation of the new tokens
    output: FloatArray  # output tokens over their mean, ascending

    @property
    def alike(self) -> bool:
        """Whether all requests have the same lengths."""
        return len(self.prompt) == 1 and len(self.output) == 1

    @property
    def output_variation(self) -> float:
        """Squared coefficient of variation of the output tokens, of the shares."""
        return float(self.output.var()) / float(self.output.mean()) ** 2

    def work(self, growth: float = 0.0) -> Work:
        """The times of prompts of which x times the mean takes in proportion to ``x (1 + growth x)``.

        >>> lengths = of_traffic(Traffic(isl=1000, isl_spread=1.0))
        >>> round(lengths.work().variation, 2), round(lengths.work(0.06).variation, 2)
        (1.0, 1.42)
        """
        if len(self.prompt) == 1:
            return Work(kinds=self.prompt, variation=self.variation, tail=self.prompt, weight=np.ones(1))
        fine = self.fine * (1.0 + growth * self.fine)
        kinds = self.prompt * (1.0 + growth * self.prompt)
        kinds = kinds / kinds.mean()
        each = len(fine) // len(kinds)
        spread = [(float(of.var()) / float(of.mean()) ** 2) for of in (fine, self.fine)]
        longest = fine[len(fine) - each :]  # of the last share, and as long in the mean
        tail = np.concatenate((kinds[:-1], longest / longest.mean() * kinds[-1])) if each > 1 else kinds
        share = np.full(len(kinds) - 1, 1.0 / len(kinds))
        rest = np.full(len(tail) - len(share), (1.0 - share.sum()) / (len(tail) - len(share)))
        return Work(
            kinds=kinds,
            variation=self.variation * spread[0] / spread[1],
            tail=tail,
            weight=np.concatenate((share, rest)),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """Times of prompts over their mean."""

    kinds: FloatArray  # of equally likely ones, ascending
    variation: float  # squared coefficient of variation
    tail: FloatArray  # as `kinds`, with the longest of smaller shares
    weight: FloatArray  # of each of those


def of_traffic(traffic: Traffic) -> Lengths:
    """Constant or lognormal lengths.

    >>> lengths = of_traffic(Traffic(isl=1000, osl=100, isl_spread=1.0))
    >>> lengths.new, round(lengths.prefix), round(lengths.variation, 2)
    (1000, 500, 1.0)
    """
    cached, new = traffic.isl - traffic.new_tokens, traffic.new_tokens
    spread, of_output = traffic.isl_spread**2, traffic.osl_spread**2
    # E[isl] + E[osl^2] / (2 E[osl]) is the mean live context; inputs and outputs know nothing of each other
    context = traffic.isl + 0.5 * traffic.osl * of_output
    return Lengths(
        isl=traffic.isl,
        osl=traffic.osl,
        new=max(new, 1),
        prefix=cached * (1.0 + spread) + 0.5 * new * spread,
        context_isl=round(context),
        prompt=shares(traffic.isl_spread),
        fine=shares(traffic.isl_spread, FINE),
        variation=spread,
        output=shares(traffic.osl_spread),
    )


def of_requests(
    isl: FloatArray, osl: FloatArray, cached_share: float = 0.0, found: FloatArray | None = None
) -> Lengths:
    """The lengths of recorded requests, shapes ``(requests,)``; the same share of each prompt is cached.

    `found` are the tokens of each prompt that are, where that is known of each.

    >>> lengths = of_requests(np.array([500.0, 1500.0]), np.array([100.0, 100.0]))
    >>> lengths.isl, lengths.new, round(lengths.prefix), lengths.context_isl
    (1000, 1000, 125, 1000)
    """
    mean_isl, mean_osl = float(isl.mean()), float(osl.mean())
    cached = isl * cached_share if found is None else np.minimum(found, isl - 1.0)
    new = isl - cached
    mean_new = float(new.mean())
    return Lengths(
        isl=max(round(mean_isl), 1),
        osl=max(round(mean_osl), 2),
        new=max(round(mean_new), 1),
        # what new tokens attend to, E[n c + n^2 / 2] / E[n], less the half of a mean prompt
        prefix=float((new * cached + 0.5 * new**2).mean()) / mean_new - 0.5 * mean_new,
        context_isl=max(round(live_context(isl, osl) - 0.5 * mean_osl), 1),
        prompt=_kinds(new / mean_new),
        fine=_kinds(new / mean_new, FINE),
        variation=float(new.var()) / mean_new**2,
        output=_kinds(osl / mean_osl),
    )


def shares(spread: float, count: int = SHARES) -> FloatArray:
    """Means of equally likely parts of a lognormal with mean 1 and a coefficient of variation, ascending.

    With ``sigma^2 = ln(1 + spread^2)`` the part between two quantiles has the mean of a normal moved by
    sigma: exact, so that the mean of all is 1.

    >>> shares(0.0).tolist(), round(float(shares(1.0).mean()), 6)
    ([1.0], 1.0)
    """
    if not spread:
        return np.ones(1)
    sigma = math.sqrt(math.log1p(spread**2))
    edges = [_NORMAL.inv_cdf(i / count) for i in range(1, count)]
    below = np.array([0.0, *(_NORMAL.cdf(edge - sigma) for edge in edges), 1.0])
    return np.asarray(count * np.diff(below))


def live_context(isl: FloatArray, osl: FloatArray) -> float:
    """Mean tokens that a sequence in decode attends to, of requests with such lengths, shape ``(requests,)``.

    A request is in decode as long as its output is, so long outputs weigh more:
    ``E[isl osl] / E[osl] + E[osl^2] / (2 E[osl])``.
    """
    return float((isl * osl).mean() + (osl**2).mean() / 2) / float(osl.mean())


def equal_shares(lengths: FloatArray, count: int) -> FloatArray:
    """Mean lengths of `count` equal shares of the requests, ascending, shape ``(count,)``.

    >>> equal_shares(np.arange(1.0, 10.0), 3).tolist()
    [2.0, 5.0, 8.0]
    """
    return np.array([part.mean() for part in np.array_split(np.sort(lengths), count)])


def _kinds(values: FloatArray, count: int = SHARES) -> FloatArray:
    """Equal shares of some values, ascending; one where they are all alike."""
    return np.ones(1) if float(np.ptp(values)) == 0.0 else equal_shares(values, min(count, len(values)))
