"""The same answer as of all pairs of pools, from a few of them: those that may be the best by a bound.

Prefill pools are taken kind by kind, the kind first that may be worth most. What a pair spends is at least

    with a demand    s_p(demand) + least s_d(demand) of the decode pools that are fast enough beside it
    without          (e_p(l_p) + e_d(l_d)) r(x) / q for each request it is expected to serve

where e(l) is the least that instances of a kind spend on a request at loads up to l. The loads follow from
the balance x of the predicted rates, decode over prefill: they are shares ``min(1, x)`` and ``min(1 / x, 1)``
of those at which either pool runs alone. The one rises with x and the other falls, so that in a cell of
balances each is at most what it is at one end. Of what runs, at most a share q is expected of either pool,
and ``f(x) = expected(1, x)`` of that where errors are: ``r(x) = min(1, x) / f(x)``, which rises up to 1 and
falls from there, so that in a cell it is least at an end. The least of all cells bounds the pair.

A kind whose bound is beaten by a pair that was weighed is not weighed, nor are decode pools beside it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.arrays import FloatArray, IndexArray, IntArray
from planner.match import pareto
from planner.match.rate_match import TIE
from planner.match.spending import Pairs, Spending
from planner.values import dataclass

CELLS = 64  # of balances
PART = 2**20  # pairs weighed at once
FIRST = 64  # prefill kinds of which one pair is weighed before all of any
At = tuple[int, int]  # a prefill row and one of decode


def searched(pairs: Pairs, slack: float) -> tuple[At, At] | None:
    """The pair to build, within the slack, and the best one: those of `planner.match.spent.least`."""
    kinds = _with_demand(pairs) if pairs.demand is not None else _per_request(pairs)
    top = -np.inf
    order = np.argsort(-kinds.bound, kind="stable")
    for at in order[:FIRST]:
        top = max(top, _most(pairs, *kinds.first(at)))
    for at in order:
        if kinds.bound[at] < top - abs(top) * TIE or kinds.bound[at] == -np.inf:
            break
        top = max(top, _most(pairs, *kinds.worth_weighing(at, top)))
    best = None if top == -np.inf else _first(pairs, kinds, order, top - abs(top) * TIE)
    if best is None or not slack:
        return best and (best, best)
    least, late_s = top - abs(top) * (slack + TIE), kinds.late_s
    for late in np.unique(late_s[kinds.bound >= least]):
        found = _first(pairs, kinds, np.flatnonzero(late_s == late), least)
        if found is not None:
            return found, best
    return best, best


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Kinds:
    """Prefill pools by kind, and decode pools beside them; arrays (kinds,)."""

    rows: tuple[IndexArray, ...]
    late_s: FloatArray
    bound: FloatArray  # the most that a pair of it may be worth
    decode: IndexArray  # rows, shape (decode,)
    group: IntArray  # of each of those
    beside: FloatArray  # the same with any of a group of them, shape (kinds, groups)

    def worth_weighing(self, at: int, least: float) -> tuple[IndexArray, IndexArray]:
        """Prefill and decode rows of a kind whose pairs may be worth so much."""
        beside = self.beside[at]
        enough = beside >= least - abs(least) * TIE if least > -np.inf else beside > least
        return self.rows[at], self.decode[enough[self.group]]

    def first(self, at: int) -> tuple[IndexArray, IndexArray]:
        """The same with those decode rows alone that may be worth most."""
        return self.worth_weighing(at, float(self.bound[at]))


def _weighed(
    pairs: Pairs, i: IndexArray, j: IndexArray
) -> Iterator[tuple[IndexArray, IndexArray, FloatArray]]:
    """The worth of all pairs of some rows, not too many at once."""
    step = max(PART // max(len(i), 1), 1)
    for start in range(0, len(j), step):
        part = j[start : start + step]
        yield i, part, pairs.worth(i, part)


def _most(pairs: Pairs, i: IndexArray, j: IndexArray) -> float:
    return max((float(worth.max(initial=-np.inf)) for *_, worth in _weighed(pairs, i, j)), default=-np.inf)


def _first(pairs: Pairs, kinds: _Kinds, some: IndexArray, least: float) -> At | None:
    """Of the pairs of some kinds that are worth so much that of the fewest GPUs, then of the most worth."""
    found: list[tuple[int, float, int, int]] = []
    for at in some[kinds.bound[some] >= least]:
        for i, j, worth in _weighed(pairs, *kinds.worth_weighing(int(at), least)):
            y, x = np.nonzero(worth >= least)
            if len(x):
                gpus, of = pairs.prefill.gpus[i[x]] + pairs.decode.gpus[j[y]], worth[y, x]
                one = np.lexsort((-of, gpus))[0]
                found.append((int(gpus[one]), -float(of[one]), int(i[x[one]]), int(j[y[one]])))
    return min(found)[2:] if found else None


def _by_kind(of: Spending) -> tuple[IntArray, tuple[IndexArray, ...]]:
    """The kind of each row, and the rows of each kind."""
    kind = np.arange(len(of)) if of.kind is None else np.unique(of.kind, return_inverse=True)[1]
    order = np.argsort(kind, kind="stable")
    return kind, tuple(np.split(order, np.cumsum(np.bincount(kind))[:-1]))


def _with_demand(pairs: Pairs) -> _Kinds:
    """Decode pools beside a kind are bounded by what its thriftiest pool spends."""
    prefill, decode, errors, demand = pairs.prefill, pairs.decode, pairs.errors, pairs.demand
    assert demand is not None
    alone, beside = prefill.each(demand), decode.each(demand)
    used = np.minimum(decode.rate, demand * errors.surplus * (1 + TIE))  # more of a rate serves no more
    kept = pareto.prune(beside, decode.gpus, used, packed=False)
    kept = kept[np.argsort(used[kept], kind="stable")]
    least = np.append(np.minimum.accumulate(beside[kept][::-1])[::-1], np.inf)
    enough = demand * (1 - TIE)
    needed = np.where(prefill.rate >= enough, errors.decode_for(prefill.rate, enough), np.inf)
    spends = alone + least[np.searchsorted(used[kept], needed * (1 - TIE))]
    _, rows = _by_kind(prefill)
    rows = tuple(some[np.isfinite(spends[some])] for some in rows)
    rows = tuple(some for some in rows if len(some))
    thrifty = np.array([alone[some].min() for some in rows])
    return _Kinds(
        rows=rows,
        late_s=np.array([prefill.late_s[some[0]] for some in rows]),
        bound=np.array([-spends[some].min() for some in rows]),
        decode=kept,
        group=np.arange(len(kept)),
        beside=-(thrifty[:, None] + beside[kept]),
    )


def _per_request(pairs: Pairs) -> _Kinds:
    """Pairs of two kinds are bounded by the least that they spend on a request at any balance."""
    prefill, decode, errors = pairs.prefill, pairs.decode, pairs.errors
    (_, rows), (then, others) = _by_kind(prefill), _by_kind(decode)
    balances = errors.balances
    at = np.geomspace(balances[0], balances[-1], CELLS - 1)
    share = np.minimum(1.0, at)
    of_prefill = _per_request_at(prefill, rows, np.append(share, 1.0), two_ends=True)
    of_decode = _per_request_at(decode, others, np.append(1.0, share / at), two_ends=False)
    ends = np.concatenate(([1.0], share / errors.expected(1.0, at), [1.0]))
    more = np.minimum(ends[:-1], ends[1:])
    least = np.full((len(rows), len(others)), np.inf)
    for cell in range(CELLS):
        np.minimum(least, (of_prefill[:, cell, None] + of_decode[:, cell]) * more[cell], out=least)
    least /= np.maximum(_expected_share(prefill, rows)[:, None], _expected_share(decode, others))
    smallest = [
        np.array([of.gpus[some].min() for some in by]) for of, by in ((prefill, rows), (decode, others))
    ]
    worth = np.where(pairs.fits(smallest[0][:, None], smallest[1]), (1 + TIE) / least, -np.inf)
    return _Kinds(
        rows=rows,
        late_s=np.array([prefill.late_s[some[0]] for some in rows]),
        bound=worth.max(axis=1),
        decode=np.arange(len(decode)),
        group=then,
        beside=worth,
    )


def _expected_share(of: Spending, rows: tuple[IndexArray, ...]) -> FloatArray:
    """The largest share of what each kind is predicted to serve that is expected, shape (kinds,)."""
    return np.array([(of.rate[some] / of.runs[some]).max() for some in rows])


def _per_request_at(
    of: Spending, rows: tuple[IndexArray, ...], share: FloatArray, *, two_ends: bool
) -> FloatArray:
    """The least that each kind spends on a request at loads up to a share of that which it runs at.

    Of shape (kinds, shares).
    """
    one = np.array([some[0] for some in rows])
    ends = [0, -1] if two_ends else slice(None)
    curve = Spending(
        gpus=of.gpus[one],
        rate=of.rate[one],
        runs=of.runs[one],
        capacity=of.capacity[one],
        late_s=of.late_s[one],
        loads=of.loads[one][:, ends],
        spends=of.spends[one][:, ends],
    )
    most = np.array([(of.runs[some] / of.capacity[some]).max() for some in rows])
    load = most[:, None] * share
    rate = load * curve.capacity[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = curve.at(np.arange(len(one))[:, None], rate) / rate
        for k in range(curve.loads.shape[1]):  # between two of its loads it has no least
            low = curve.loads[:, k, None]
            knot = curve.spends[:, k, None] / (low * curve.capacity[:, None])
            found = np.where((low > 0) & (low <= load), np.minimum(found, knot), found)
    return np.where(rate > 0, found, np.inf)
