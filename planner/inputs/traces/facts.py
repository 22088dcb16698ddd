"""What a trace holds: rates and lengths over time, their spread, bursts, and what prompts share."""

from __future__ import annotations

import math

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.inputs.requests import BURSTS, NO_SESSION, Requests
from planner.inputs.reuse import Reuse, reuse
from planner.inputs.traces import window
from planner.values import dataclass

QUANTILES = (0.5, 0.9, 0.95, 0.99)
COUNTED_S = (1.0, 10.0, 60.0, 600.0)  # windows in which requests are counted
LEAST_WINDOWS = 10  # a variance is not seen in fewer
MOST_WINDOWS = 20_000_000  # seven months of seconds
MOST_POINTS = 60  # of a line over time
STEPS_S = (0.01, 0.1, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Of lengths, tokens."""

    mean: float
    cv: float  # standard deviation over mean
    p50: float
    p90: float
    p95: float
    p99: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests counted in windows of one length: a Poisson stream has a variance equal to its mean."""

    window_s: float
    cv: float
    variance_over_mean: float
    busiest_over_mean: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OverTime:
    """Means in windows that follow each other, shape ``(windows,)``; NaN lengths where none came."""

    window_s: float
    requests_per_s: FloatArray
    isl: FloatArray
    osl: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Histogram:
    """Requests by length: ``count[i]`` from ``edges[i]`` up to below ``edges[i + 1]``, powers of two."""

    edges: IntArray
    count: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shared:
    """What prompts share, by the cache of each instance."""

    block_tokens: int
    instances: int
    most: float  # share of prompt tokens that one cache without end finds
    working_set_tokens: int  # the least single cache that finds them
    cache_tokens: FloatArray  # per instance, shape (sizes,)
    prefix_aware: FloatArray  # shares found, shape (sizes,)
    round_robin: FloatArray
    new: Spread  # tokens left to compute with a cache without end


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversations:
    """Of requests that are turns."""

    count: int
    turns_mean: float
    turns_p50: float
    turns_p95: float
    gap_p50_s: float  # from a turn's arrival to the next


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Facts:
    """All of it."""

    requests: int
    seconds: float
    requests_per_s: float
    isl: Spread
    osl: Spread
    log_correlation: float  # of input and output lengths; 0.0 where either is constant
    gap_cv: float  # of the gaps between requests: 1 for a Poisson stream
    counts: tuple[Counts, ...]
    over_time: OverTime
    isl_histogram: Histogram
    osl_histogram: Histogram
    shared: Shared | None  # None where nothing is known of it
    conversations: Conversations | None

    @property
    def bursts(self) -> bool:
        """Whether its load changes so much from minute to minute that a mean load tells nothing of waits."""
        minute = [c for c in self.counts if c.window_s == 60.0]
        return any(c.variance_over_mean > BURSTS for c in minute)


def facts(requests: Requests, *, instances: int = 1) -> Facts:
    """What a trace holds; `instances` caches share its prompts."""
    gaps = np.diff(requests.arrival_s)
    found = reuse(requests)
    return Facts(
        requests=len(requests),
        seconds=requests.seconds,
        requests_per_s=window.rate(requests),
        isl=spread(requests.isl),
        osl=spread(requests.osl),
        log_correlation=_correlation(np.log(requests.isl), np.log(requests.osl)),
        gap_cv=_cv(gaps),
        counts=tuple(c for s in COUNTED_S if (c := counts(requests, s)) is not None),
        over_time=over_time(requests),
        isl_histogram=histogram(requests.isl),
        osl_histogram=histogram(requests.osl),
        shared=_shared(found, instances) if len(found.depth) else None,
        conversations=_conversations(requests),
    )


def spread(lengths: IntArray) -> Spread:
    """Mean, variation and quantiles of lengths, tokens."""
    p50, p90, p95, p99 = (float(q) for q in np.quantile(lengths, QUANTILES))
    mean = float(lengths.mean())
    return Spread(mean=mean, cv=_cv(lengths), p50=p50, p90=p90, p95=p95, p99=p99, most=float(lengths.max()))


def counts(requests: Requests, window_s: float) -> Counts | None:
    """Requests counted in whole windows from the first request on; None for too few windows, or too many."""
    windows = int(requests.seconds / window_s)
    if not LEAST_WINDOWS <= windows <= MOST_WINDOWS:
        return None
    which = (requests.arrival_s / window_s).astype(np.int64)
    count = np.bincount(which, minlength=windows)[:windows]
    mean = float(count.mean())
    if not mean:
        return None
    return Counts(
        window_s=window_s,
        cv=float(count.std()) / mean,
        variance_over_mean=float(count.var()) / mean,
        busiest_over_mean=float(count.max()) / mean,
    )


def over_time(requests: Requests) -> OverTime:
    """Rate and lengths in at most `MOST_POINTS` windows of a round length; the last may be cut short."""
    seconds = max(requests.seconds, STEPS_S[0])
    fits = [s for s in STEPS_S if seconds / s <= MOST_POINTS]
    window_s = float(fits[0] if fits else seconds / MOST_POINTS)
    which = np.minimum((requests.arrival_s / window_s).astype(np.int64), MOST_POINTS)
    size = int(which[-1]) + 1
    count = np.bincount(which, minlength=size)
    lasted = np.full(size, window_s)
    if size > 1:  # the last window ends with the trace
        lasted[-1] = max(requests.seconds - (size - 1) * window_s, window_s / 10)
    with np.errstate(invalid="ignore", divide="ignore"):
        isl = np.bincount(which, weights=requests.isl, minlength=size) / count
        osl = np.bincount(which, weights=requests.osl, minlength=size) / count
    return OverTime(window_s=window_s, requests_per_s=count / lasted, isl=isl, osl=osl)


def histogram(lengths: IntArray) -> Histogram:
    """Requests by length in powers of two.

    >>> found = histogram(np.array([1, 3, 2, 8]))
    >>> found.edges.tolist(), found.count.tolist()
    ([1, 2, 4, 8, 16], [1, 2, 0, 1])
    """
    bits = np.floor(np.log2(lengths)).astype(np.int64)
    low, high = int(bits.min()), int(bits.max())
    return Histogram(
        edges=2 ** np.arange(low, high + 2, dtype=np.int64),
        count=np.bincount(bits - low, minlength=high - low + 1).astype(np.int64),
    )


def _shared(found: Reuse, instances: int) -> Shared:
    """Hit rates at round sizes up to the working set, for one cache or for several."""
    need = found.working_set_tokens()
    least = found.requests.block_tokens
    steps = [m * 10.0**e for e in range(3, 12) for m in (1, 2, 5)]
    sizes = np.array(
        [s for s in steps if max(least, need / 2000) <= s < need] + ([float(need)] if need else [])
    )
    aware = found if instances == 1 else reuse(found.requests, instances=instances)
    turns = found if instances == 1 else reuse(found.requests, instances=instances, routing="round-robin")
    new = found.requests.isl - found.found_tokens(math.inf)
    return Shared(
        block_tokens=least,
        instances=instances,
        most=found.most,
        working_set_tokens=need,
        cache_tokens=sizes,
        prefix_aware=aware.hit_rate(sizes),
        round_robin=turns.hit_rate(sizes),
        new=spread(new),
    )


def _conversations(requests: Requests) -> Conversations | None:
    turns = requests.session != NO_SESSION
    if not turns.any():
        return None
    session, arrival_s = requests.session[turns], requests.arrival_s[turns]
    _, count = np.unique(session, return_counts=True)
    order = np.lexsort((arrival_s, session))
    gaps = np.diff(arrival_s[order])[np.diff(session[order]) == 0]
    p50, p95 = (float(q) for q in np.quantile(count, (0.5, 0.95)))
    return Conversations(
        count=len(count),
        turns_mean=float(count.mean()),
        turns_p50=p50,
        turns_p95=p95,
        gap_p50_s=float(np.median(gaps)) if len(gaps) else 0.0,
    )


def _cv(values: FloatArray | IntArray) -> float:
    mean = float(values.mean()) if len(values) else 0.0
    return float(values.std()) / mean if mean else 0.0


def _correlation(one: FloatArray, two: FloatArray) -> float:
    if len(one) < 2 or not one.std() or not two.std():
        return 0.0
    return float(np.corrcoef(one, two)[0, 1])
