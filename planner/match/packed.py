"""The best mix of layouts in a budget of GPUs of one price: by dynamic programming, exact and fast.

However many layouts a pool mixes, only its GPUs and its rate matter to the rest of a deployment, so that the
best pool of every size is enough (the unbounded knapsack problem, as in Kellerer, Pferschy and Pisinger,
"Knapsack Problems", 2004):

    F[x] = max( F[x - 1], max over i of F[x - g_i] + R_i )

and what a budget serves at most is the best way to share it, for the expected rate of a split rises with
either pool's (`planner.match.robust.Errors.expected`):

    max over x + y + z <= budget of  expected(F_prefill[x], F_decode[y]) + F_colocated[z]
"""

from __future__ import annotations

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.match.buildable import COLOCATED, DECODE, PREFILL, Buildable
from planner.match.deployment import Deployment
from planner.match.pareto import prune
from planner.match.rate_match import TIE

MOST_CELLS = 2**22  # of pairs of pool sizes, times scenarios of errors


def small(budget: int, scenarios: int) -> bool:
    """Whether a budget is small enough for its mix to be weighed pair by pair.

    >>> small(72, 32), small(2048, 32)
    (True, False)
    """
    return (budget + 1) ** 2 * scenarios <= MOST_CELLS


def solvable(buildable: Buildable, budget: int) -> bool:
    """Whether the mix is of one price and small enough to be weighed pair by pair."""
    fits = small(budget, len(buildable.errors.prefill))
    return buildable.mix and buildable.one_price and fits


def most(buildable: Buildable, budget: int) -> Deployment | None:
    """The most expected requests/s in a budget, then the fewest GPUs; None where nothing serves."""
    prefill, decode, colocated = (_Pool(buildable, pool, budget) for pool in (PREFILL, DECODE, COLOCATED))
    sizes = np.arange(budget + 1)
    # the best split of every size: its prefill GPUs
    pair = np.where(
        sizes[:, None] + sizes <= budget,
        buildable.errors.expected(prefill.rate[:, None], decode.rate),
        -1.0,
    )
    split = np.zeros(budget + 1)
    with_prefill = np.zeros(budget + 1, dtype=np.int64)
    for x in range(budget + 1):
        row = pair[x, : budget + 1 - x]
        better = row > split[x:] * (1 + TIE)
        split[x:][better] = row[better]
        with_prefill[x:][better] = x
    rest = colocated.rate
    total = np.where(sizes[:, None] + sizes <= budget, split[:, None] + rest, -1.0)
    best = float(total.max())
    if best <= 0:
        return None
    used = np.where(total >= best * (1 - TIE), sizes[:, None] + sizes, budget + 1)
    g, z = divmod(int(np.argmin(used)), budget + 1)
    counts = [
        prefill.counts(int(with_prefill[g])),
        decode.counts(g - int(with_prefill[g])) if split[g] > 0 else decode.counts(0),
        colocated.counts(z),
    ]
    return buildable.plan(counts)


class _Pool:
    """The best mixes of one pool: requests/s for every number of GPUs, and what they are made of."""

    def __init__(self, buildable: Buildable, pool: int, budget: int) -> None:
        gpus, rate = buildable.gpus[pool], buildable.rate[pool]
        self._all = len(gpus)
        kept = prune(np.zeros(len(gpus)), gpus, rate)
        self._kept, self._gpus = kept, gpus[kept]
        self.rate: FloatArray = np.zeros(budget + 1)
        self._last: IntArray = np.full(budget + 1, -1, dtype=np.int64)  # the instance added; -1: a GPU idles
        sizes, rates = self._gpus.tolist(), rate[kept].tolist()
        table = self.rate.tolist()
        for x in range(1, budget + 1):
            value, last = table[x - 1], -1
            for i, size in enumerate(sizes):
                if size <= x and (more := table[x - size] + rates[i]) > value * (1 + TIE):
                    value, last = more, i
            table[x] = value
            self._last[x] = last
        self.rate = np.asarray(table)

    def counts(self, gpus: int) -> IntArray:
        """Instances of every candidate in the best mix of a number of GPUs."""
        counts = np.zeros(self._all, dtype=np.int64)
        while gpus > 0:
            i = int(self._last[gpus])
            if i < 0:
                gpus -= 1
                continue
            counts[self._kept[i]] += 1
            gpus -= int(self._gpus[i])
        return counts
