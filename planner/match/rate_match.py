"""Rate matching: how many prefill instances for how many decode instances.

The method is that of "Beyond the Buzz: A Pragmatic Take on Inference Disaggregation"
(arXiv 2506.05508), appendix B. Rates are requests/s of one instance unless a name says per GPU; a
request costs `osl - 1` decode tokens, since its first token comes from prefill; throughput counts
output tokens over the GPUs of both pools.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planner.arrays import FloatArray, IntArray, Real, distinct
from planner.errors import InputError
from planner.match.room import Room
from planner.values import dataclass

TIE = 1e-9  # rates this close (relative) are equal: what rounding error can make of one number
TOLERANCE = 0.03  # mismatch of the two pools that algorithm 2 accepts for a smaller deployment
_MANY = 2**40  # more instances than this is "does not fit"; keeps products within an int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The matched deployment of each decode candidate with one prefill configuration; arrays (n,)."""

    ctx_gen_ratio: FloatArray  # r*: prefill GPUs per decode GPU at perfect balance
    ideal_tokens_per_s_per_gpu: FloatArray  # at that ratio
    n_prefill: IntArray  # instances, the fewest within the tolerance; 0 where the candidate is unusable
    n_decode: IntArray
    gpus: IntArray
    requests_per_s: FloatArray
    tokens_per_s_per_gpu: FloatArray  # with those instances


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The best deployment of each decode candidate within a GPU budget; arrays (n,)."""

    prefill: IntArray  # index of the prefill candidate; -1 where no deployment fits, the rest then 0
    n_prefill: IntArray  # instances
    n_decode: IntArray
    gpus: IntArray  # in use, over both pools
    requests_per_s: FloatArray  # of the deployment


def best_prefill(
    ftl_s: npt.ArrayLike, gpus: npt.ArrayLike, requests_per_s: npt.ArrayLike, ftl_limit_s: float
) -> int:
    """Algorithm 1: the prefill candidate with the most requests/s per GPU within the FTL limit.

    Ties go to fewer GPUs. The choice does not depend on TTL: it holds for a whole frontier.

    Parameters
    ----------
    ftl_s, gpus, requests_per_s
        Of one instance, shape (n,).
    ftl_limit_s
        Seconds; a candidate exactly at the limit meets it.

    Returns
    -------
    Its index, or -1 when no candidate meets the limit.

    >>> best_prefill([0.5, 2.0, 20.0], [4, 8, 8], [2.0, 6.0, 9.0], 10.0)
    1
    """
    in_time = np.flatnonzero(np.asarray(ftl_s, dtype=np.float64) <= ftl_limit_s)
    best = most_per_size(np.asarray(gpus)[in_time], np.asarray(requests_per_s)[in_time])
    return int(in_time[best]) if best >= 0 else -1


def most_per_size(size: npt.ArrayLike, requests_per_s: npt.ArrayLike) -> int:
    """Index of the instance with the most requests/s per GPU (or per cost), -1 if none serves.

    Shapes (n,); ties go to the smaller one.

    >>> most_per_size([4, 8, 16], [2.0, 6.0, 12.0])
    1
    """
    size = np.asarray(size, dtype=np.float64)
    rate = np.asarray(requests_per_s, dtype=np.float64)
    index = np.flatnonzero(np.isfinite(rate) & (rate > 0))
    if not len(index):
        return -1
    worth = rate[index] / size[index]
    index = index[worth >= worth.max() * (1 - TIE)]
    return int(index[np.argmin(size[index])])


def match_unbounded(
    prefill_gpus: int,
    prefill_rate: float,
    decode_gpus: npt.ArrayLike,
    decode_rate: npt.ArrayLike,
    *,
    osl: int,
    headroom: float = 0.0,
    tolerance: float = TOLERANCE,
) -> Ratio:
    """Algorithm 2: match every decode candidate to the prefill configuration, GPUs without limit.

    With request rates R per GPU, balance asks for ``r* = R_dec / R_pre`` prefill GPUs per decode GPU,
    which serve ``(osl - 1) * R_dec / (1 + r*)`` output tokens/s per GPU. (The printed listing inverts
    alpha and pairs it with 1/(1 + alpha), which does not balance; this is the form that does, and the
    one of TensorRT-LLM's tech blog 5.) Instances are whole: taken are the fewest GPUs with

        |n_pre * rate_pre / (n_dec * rate_dec) - 1| <= tolerance

    and the throughput of the slower pool. Both counts are those of the simplest fraction in an
    interval, which has the least numerator and the least denominator at once, so they minimise GPUs
    whatever the instance sizes; the smaller count never exceeds ``ceil(1 / (2 * tolerance))``.

    Parameters
    ----------
    prefill_gpus, prefill_rate
        Of one prefill instance: GPUs, requests/s.
    decode_gpus, decode_rate
        Of one decode instance, shape (n,).
    osl
        Output tokens per request, at least 2.
    headroom
        Share of each pool's capacity kept free, in [0, 1).
    tolerance
        In (0, 1).

    Raises
    ------
    InputError
        For `osl`, `headroom`, `tolerance` or the prefill instance out of range.

    >>> plan = match_unbounded(4, 2.0, [8], [6.0], osl=101)  # 0.5 and 0.75 requests/s per GPU
    >>> plan.ctx_gen_ratio.item(), plan.ideal_tokens_per_s_per_gpu.item()
    (1.5, 30.0)
    >>> plan.n_prefill.item(), plan.n_decode.item(), plan.gpus.item(), plan.tokens_per_s_per_gpu.item()
    (3, 1, 20, 30.0)
    """
    _check_headroom(headroom)
    if osl < 2:
        raise InputError("osl", osl, "a decode pool needs an output of at least 2 tokens")
    if not 0 < tolerance < 1:
        raise InputError("tolerance", tolerance, "a share between 0 and 1, such as 0.03")
    if not (prefill_gpus >= 1 and np.isfinite(prefill_rate) and prefill_rate > 0):
        raise InputError("prefill_rate", prefill_rate, "a positive rate on at least one GPU")
    sizes = np.asarray(decode_gpus, dtype=np.int64)
    rates = np.asarray(decode_rate, dtype=np.float64)
    usable = np.isfinite(rates) & (rates > 0)
    gpus, rate = sizes[usable], rates[usable]

    n_prefill, n_decode = _simplest_counts(rate / prefill_rate, tolerance)
    total = n_prefill * prefill_gpus + n_decode * gpus
    served = (1 - headroom) * np.minimum(n_prefill * prefill_rate, n_decode * rate)
    ratio = (rate / gpus) / (prefill_rate / prefill_gpus)
    ideal = (1 - headroom) * (osl - 1) * (rate / gpus) / (1 + ratio)

    def spread(values: FloatArray | IntArray, empty: float) -> FloatArray:
        out = np.full(len(rates), empty)
        out[usable] = values
        return out

    return Ratio(
        ctx_gen_ratio=spread(ratio, np.nan),
        ideal_tokens_per_s_per_gpu=spread(ideal, 0.0),
        n_prefill=spread(n_prefill, 0).astype(np.int64),
        n_decode=spread(n_decode, 0).astype(np.int64),
        gpus=spread(total, 0).astype(np.int64),
        requests_per_s=spread(served, 0.0),
        tokens_per_s_per_gpu=spread(served * (osl - 1) / total, 0.0),
    )


def _simplest_counts(balance: FloatArray, tolerance: float) -> tuple[IntArray, IntArray]:
    """Least n_pre, n_dec with ``|n_pre / (n_dec * balance) - 1| <= tolerance``, shape of `balance`."""
    # Search over the smaller of the two counts. The larger must then be a whole number in an interval
    # that grows with the smaller one and is at least 1 wide after 1 / (2 tolerance) steps.
    flip = balance < 1
    wide = np.where(flip, 1 / balance, balance)
    low = np.where(flip, wide / (1 + tolerance), wide * (1 - tolerance)) * (1 - TIE)
    high = np.where(flip, wide / (1 - tolerance), wide * (1 + tolerance)) * (1 + TIE)
    small = np.zeros(len(balance), dtype=np.int64)
    large = np.zeros(len(balance), dtype=np.int64)
    open_ = np.arange(len(balance))
    for k in range(1, int(np.ceil(0.5 / tolerance)) + 1):
        candidate = np.maximum(np.minimum(np.ceil(k * low[open_]), _MANY), 1)
        done = candidate <= k * high[open_]
        small[open_[done]] = k
        large[open_[done]] = candidate[done].astype(np.int64)
        open_ = open_[~done]
        if not len(open_):
            break
    return np.where(flip, small, large), np.where(flip, large, small)


def throughput_at_ratio(ratio: Real, prefill_rate_per_gpu: Real, decode_rate_per_gpu: Real, osl: int) -> Real:
    """Output tokens/s per GPU at a fixed ctx:gen ratio r, any common shape.

    ``(osl - 1) * min(r * R_pre, R_dec) / (1 + r)``, rates in requests/s per GPU.

    >>> float(throughput_at_ratio(1.5, 0.5, 0.75, 101))
    30.0
    """
    ratio = np.asarray(ratio, dtype=np.float64)
    served: Real = np.minimum(ratio * prefill_rate_per_gpu, decode_rate_per_gpu)
    return (osl - 1) * served / (1 + ratio)


def fixed_ratio(ratio: Real, best_ratio: Real) -> Real:
    """Share of the matched throughput that is left at a fixed ctx:gen ratio, any common shape.

    With r the ratio held and r* the ratio of balance: prefill limits below r*, decode above,

        r < r*:  [r / (1 + r)] / [r* / (1 + r*)]        r >= r*:  (1 + r*) / (1 + r)

    >>> round(float(fixed_ratio(0.5, 3.6)), 2), float(fixed_ratio(2.0, 2.0))
    (0.43, 1.0)
    """
    r = np.asarray(ratio, dtype=np.float64)
    best = np.asarray(best_ratio, dtype=np.float64)
    share: Real = np.minimum(r / best, 1.0) * (1 + best) / (1 + r)
    return share


def pool_table(
    gpus: npt.ArrayLike, requests_per_s: npt.ArrayLike, budget: int
) -> tuple[FloatArray, IntArray]:
    """Best rate of a pool of one layout for every number of GPUs.

    Parameters
    ----------
    gpus, requests_per_s
        Of one instance of each candidate, shape (n,).
    budget
        GPUs, at least 1.

    Returns
    -------
    ``rate[x] = max_i floor(x / gpus_i) * rate_i`` requests/s for x = 0 .. budget, and the index i that
    reaches it (-1 where nothing fits). Where `rate` rises at x, x is a multiple of gpus_i.

    >>> rate, which = pool_table([1, 4], [1.0, 5.5], 5)
    >>> rate.tolist(), which.tolist()
    ([0.0, 1.0, 2.0, 3.0, 5.5, 5.5], [-1, 0, 0, 0, 1, 1])
    """
    gpus = np.asarray(gpus, dtype=np.int64)
    rate = np.asarray(requests_per_s, dtype=np.float64)
    x = np.arange(budget + 1)
    best = np.zeros(budget + 1)
    which = np.full(budget + 1, -1, dtype=np.int64)
    for i in _worth_packing(gpus, rate):  # at most one per instance size
        pool = x // gpus[i] * rate[i]
        better = pool > best
        best[better] = pool[better]
        which[better] = i
    return best, which


def _worth_packing(gpus: IntArray, rate: FloatArray) -> IntArray:
    """What `planner.match.pareto.prune` keeps where latency is no matter: at most one of each size."""
    some = np.flatnonzero(np.isfinite(rate) & (rate > 0))
    some = some[
        np.lexsort((-rate[some], gpus[some]))
    ]  # of each size the best is first, and of those the first
    some = some[np.diff(gpus[some], prepend=-1) > 0]
    # what a size is worth packed with any other; the larger ones do not fit
    packed = gpus[some][:, None] // gpus[some] * rate[some]
    beaten = (packed >= rate[some][:, None]) & (gpus[some] < gpus[some][:, None])
    return np.sort(some[~beaten.any(axis=1)])


def match_budget(
    prefill_gpus: npt.ArrayLike,
    prefill_rate: npt.ArrayLike,
    decode_gpus: npt.ArrayLike,
    decode_rate: npt.ArrayLike,
    *,
    budget: int,
    headroom: float = 0.0,
    room: Room | None = None,
) -> Match:
    """The best split of a GPU budget for every decode candidate: one layout per pool, exact.

    For a decode candidate d with n instances the prefill pool gets the remaining GPUs:

        rate(n) = (1 - headroom) * min(n * rate_d, F[budget - n * gpus_d]),   F from `pool_table`

    or, where the pools are on systems of their own, what a `planner.match.room.Room` has beside them.

    The first term rises with n and the second falls, so the best n is one of the two around their
    crossing, found by bisection: O(n log budget) over all candidates at once. Of deployments with the
    same rate (within `TIE`) the one with the fewest GPUs is returned.

    Parameters
    ----------
    prefill_gpus, prefill_rate
        Of one instance of each prefill candidate that meets the FTL limit, shape (m,).
    decode_gpus, decode_rate
        Of one instance of each decode candidate, shape (n,); filtering by TTL is the caller's.
    budget
        GPUs over both pools, at least 1.
    headroom
        Share of each pool's capacity kept free, in [0, 1).
    room
        That of the pools, which decides then; None: `budget` for both.

    Raises
    ------
    InputError
        For `budget` or `headroom` out of range.

    >>> plan = match_budget([2], [1.0], [4], [3.0], budget=16)
    >>> plan.n_prefill.item(), plan.n_decode.item(), plan.requests_per_s.item(), plan.gpus.item()
    (4, 2, 4.0, 16)
    """
    _check_budget(budget)
    _check_headroom(headroom)
    p_gpus = np.asarray(prefill_gpus, dtype=np.int64)
    p_rate = np.asarray(prefill_rate, dtype=np.float64)
    d_gpus = np.asarray(decode_gpus, dtype=np.int64)
    d_rate = np.asarray(decode_rate, dtype=np.float64)
    room = Room.shared(budget) if room is None else room
    most, beside = room.decode, room.prefill_beside
    table, which = pool_table(p_gpus, p_rate, room.prefill)
    usable = np.flatnonzero(np.isfinite(d_rate) & (d_rate > 0) & (d_gpus <= most))
    size, rate = d_gpus[usable], d_rate[usable]

    low = np.zeros(len(usable), dtype=np.int64)  # decode is the slower pool with this many instances
    high = most // size + 1  # with this many it is not, or they do not fit
    for _ in range(int(most + 1).bit_length()):
        middle = (low + high) // 2
        slower = middle * rate <= table[beside[middle * size]]
        low = np.where(slower, middle, low)
        high = np.where(slower, high, middle)
    beyond = high * size
    best = np.maximum(low * rate, np.where(beyond <= most, table[beside[np.minimum(beyond, most)]], 0.0))

    served = best > 0
    usable, size, rate, best = usable[served], size[served], rate[served], best[served]
    enough = best * (1 - TIE)
    x = np.searchsorted(table, enough)  # fewest prefill GPUs: exactly those of whole instances
    n_decode = instances_for(enough, rate)
    match = Match(
        prefill=np.full(len(d_gpus), -1, dtype=np.int64),
        n_prefill=np.zeros(len(d_gpus), dtype=np.int64),
        n_decode=np.zeros(len(d_gpus), dtype=np.int64),
        gpus=np.zeros(len(d_gpus), dtype=np.int64),
        requests_per_s=np.zeros(len(d_gpus)),
    )
    match.prefill[usable] = which[x]
    match.n_prefill[usable] = x // p_gpus[which[x]]
    match.n_decode[usable] = n_decode
    match.gpus[usable] = x + n_decode * size
    match.requests_per_s[usable] = (1 - headroom) * np.minimum(table[x], n_decode * rate)
    return match


def rate_steps(
    prefill_gpus: npt.ArrayLike,
    prefill_rate: npt.ArrayLike,
    decode_gpus: npt.ArrayLike,
    decode_rate: npt.ArrayLike,
    *,
    budget: int,
) -> tuple[FloatArray, IntArray]:
    """What more GPUs buy: every rate that one layout per pool can serve, and the fewest GPUs for it.

    A best deployment serves exactly a whole number of instances of its slower pool, so the rates are
    steps of one of the two `pool_table`s, and each pool alone takes the fewest GPUs that reach them.

    Returns
    -------
    Requests/s strictly ascending, and GPUs ascending and within the budget; shape (k,). The last entry
    is the most requests/s in the budget, the largest ``rate / gpus`` the cheapest request.

    >>> rate, gpus = rate_steps([2], [1.0], [4], [3.0], budget=16)
    >>> rate.tolist(), gpus.tolist()
    ([1.0, 2.0, 3.0, 4.0], [6, 8, 10, 16])
    """
    _check_budget(budget)
    prefill, _ = pool_table(prefill_gpus, prefill_rate, budget)
    decode, _ = pool_table(decode_gpus, decode_rate, budget)
    rate = distinct(np.concatenate((prefill, decode)))[1:]
    rate = rate[rate <= min(prefill[-1], decode[-1])]
    enough = rate * (1 - TIE)
    gpus = np.searchsorted(prefill, enough) + np.searchsorted(decode, enough)
    return rate[gpus <= budget], gpus[gpus <= budget]


def instances_for(demand: Real, requests_per_s: FloatArray) -> IntArray:
    """Least whole n with ``n * rate >= demand``, as those products round; positive rates.

    >>> instances_for(0.3, np.array([0.1, 0.29])).tolist()
    [3, 2]
    """
    n = np.minimum(np.ceil(demand / requests_per_s), _MANY).astype(np.int64)
    n -= (n - 1) * requests_per_s >= demand  # the quotient may round up past a whole number
    n += n * requests_per_s < demand  # or down
    return n


def _check_budget(budget: int) -> None:
    if budget < 1:
        raise InputError("gpus", budget, "at least one GPU")


def _check_headroom(headroom: float) -> None:
    if not 0 <= headroom < 1:
        raise InputError("headroom", headroom, "a share from 0 to below 1, such as 0.1")
