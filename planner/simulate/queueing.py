"""Waiting at stations of many instances in closed form, and the load at which a percentile still holds.

A request waits with probability P, and then for an exponential time of mean h, which heavy traffic makes true
and light traffic makes harmless (Abate, Choudhury and Whitt, "Exponential approximations for tail
probabilities in queues", Oper. Res. 43, 1995). For c servers with mean service S, squared coefficients of
variation s2 of service and a2 of the gaps between arrivals, at load rho, behind one queue:

    x = (1 + (1 - x) a2 / rho)^(-1 / a2)            decay of GI/M/c with gamma gaps; x = rho where a2 = 1
    P = C(x)^w C(rho)^(1 - w),   w = 0.68 + 0.32 / sqrt(c),   C Erlang's of c servers
    h = S / (c (1 - x)) (a2 + s2) / (a2 + 1)

which is Allen and Cunneen's M/G/c where gaps are exponential, and GI/M/1 to the letter for one server. The
load follows from x, ``rho = (1 - x) a2 / (x^-a2 - 1)``, so that x is what the search below runs over.

Routers hand a request over when it comes, which makes c queues of one (`Routing`):

    central       one queue in front of all: the bound that none beats
    least-loaded  the instance with the least work of requests that are not done, whatever is done of them.
                  Who waits does so for that one alone, of all ``P (h + JSQ e^-s2 u S (1 + s2) / 2)``;
                  fewer do, so longer: ``P^(1 + rho^2 (u (SPREAD v log2(c) - EVEN) + EVEN))`` with
                  ``v = 0.55 + 0.45 e^-2s2``. Of equal requests that are dealt in turn the first instance has
                  the least left, which makes it one queue again: ``u = EVEN + (1 - EVEN) w / (w + 0.6)``,
                  ``w = s2 c^2``. The part ``1 - s2`` of what a wait has above h, the rest of a running
                  service, is sure, and what is beyond exponential
    round-robin   each instance sees every c-th arrival: ``a2 / c``, and one server
    random        each sees arrivals of its own: ``1 + (a2 - 1) / c``, and one server

JSQ, SPREAD, EVEN and w were set on simulations of 120,000 requests (gamma service of s2 0 to 3, 2 to 64
servers, load 0.5 to 0.93; tests/planner/simulate/test_queueing.py repeats some of them).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from planner.arrays import FloatArray, IntArray, Real
from planner.simulate.backlog import Windows
from planner.simulate.erlang import erlang_c
from planner.values import dataclass
from planner.words import Routing

JSQ, SPREAD, EVEN = 0.38, 0.14, 0.12
STEPS = 40  # halvings of an interval: to 1e-12 of it
MOST_SERVERS = 16384.0  # of a table; more wait no longer
GROUPS = 16  # of windows with like waits
FULLEST = 0.999  # load beyond which no number is worth its digits
PER_DOUBLING = 5  # numbers of slots that are tried, from one to twice as many
FRAGILE = 0.9  # load above which a little more makes waits many times longer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Station:
    """Some instances that share their arrivals; arrays of one shape."""

    servers: FloatArray  # instances
    service_s: FloatArray  # that one request takes an instance from the next
    service_variation: float  # squared coefficient of variation
    arrival_variation: float  # of the gaps; 1 of Poisson arrivals
    routing: Routing
    gathers: FloatArray | float = 0.0  # share of a pass that is of those that came while the last one ran


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Delay:
    """A wait that is nothing, or exponential beyond a sure part; arrays of the station's shape."""

    probability: FloatArray  # that there is one
    mean_s: FloatArray  # of those that there are
    sure_s: FloatArray | float = 0.0  # of which so much is

    @property
    def wait_s(self) -> FloatArray:
        """Mean over all requests."""
        return self.probability * self.mean_s

    def beyond(self, seconds: Real) -> FloatArray:
        """Share of the requests that wait longer, of any shape that broadcasts; 1 below nothing."""
        left = np.maximum(np.asarray(seconds) - self.sure_s, 0.0)
        least = 1e8 * np.finfo(left.dtype).tiny  # over which no wait is too long for a number
        beyond = self.probability * np.exp(-left / np.maximum(self.mean_s - self.sure_s, least))
        return np.where(np.asarray(seconds) < 0, 1.0, beyond)


def load_of(decay: Real, arrival_variation: float) -> FloatArray:
    """The load whose queue of exponential services decays by x per request: see the module.

    >>> float(load_of(0.6, 1.0)), round(float(load_of(0.9, 4.0)), 3)
    (0.6, 0.763)
    """
    if arrival_variation == 1.0:
        return np.asarray(decay, dtype=np.float64)
    with np.errstate(over="ignore"):  # of arrivals so bursty that no load but 0 is so short a queue
        return np.asarray((1.0 - decay) * arrival_variation / (np.power(decay, -arrival_variation) - 1.0))


def decay_of(load: Real, arrival_variation: float) -> FloatArray:
    """The inverse of `load_of`, by halving.

    >>> round(float(decay_of(0.763, 4.0)), 2)
    0.9
    """
    if arrival_variation == 1.0:
        return np.asarray(load, dtype=np.float64)
    low, high = np.zeros(np.shape(load)), np.ones(np.shape(load))
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        under = load_of(middle, arrival_variation) < load
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return 0.5 * (low + high)


def delay(station: Station, load: FloatArray) -> Delay:
    """The wait of a request at a load below 1, of the station's shape."""
    found = _delay(station, decay_of(load, _gaps(station)))
    more = together(station.gathers, load)
    return replace(found, mean_s=found.mean_s * more, sure_s=found.sure_s * more)


def together(gathers: Real, load: Real) -> FloatArray:
    """How much longer waits are where a pass takes all that came during the last one, and all end with it.

    ``1 + rho / (1 + rho)``, of one server with passes in proportion to what they take the exact mean, of
    several about it. Passes of length b that take what came during the one before have ``E[b^2] / E[b] =
    S (1 + s2) / (1 - rho^2)`` where the first of a busy time takes one prompt; who comes during one waits
    half of it and rho of it again, ``rho (1 / 2 + rho) E[b^2] / E[b]`` in the mean, over the
    ``rho S (1 + s2) / (2 (1 - rho))`` of one after the other. For equal prompts it is Inoue's
    (arXiv 1912.06322, without a fixed part).

    >>> together(1.0, np.array([0.0, 0.5, 1.0])).round(2).tolist()
    [1.0, 1.33, 1.5]
    """
    return np.asarray(1.0 + gathers * np.asarray(load) / (1.0 + np.asarray(load)))


def _gaps(station: Station) -> float:
    """Squared variation of the gaps that x belongs to.

    Of all arrivals where they share a queue; each of many instances sees about Poisson gaps of its own
    where they are dealt at random.
    """
    return station.arrival_variation if station.routing in ("central", "least-loaded") else 1.0


def _delay(station: Station, decay: FloatArray) -> Delay:
    c, service = station.servers, station.service_s
    a2, s2 = station.arrival_variation, station.service_variation
    waits = erlang_c(c, decay)
    if _gaps(station) != 1.0:
        weight = 0.68 + 0.32 / np.sqrt(c)
        waits = waits**weight * erlang_c(c, load_of(decay, a2)) ** (1.0 - weight)
    one = Delay(probability=waits, mean_s=service / (c * (1.0 - decay)) * (a2 + s2) / (a2 + 1.0))
    if station.routing == "central":
        return one
    if station.routing == "least-loaded":
        many = np.log2(np.maximum(c, 1.0))
        uneven = EVEN + (1.0 - EVEN) * s2 * c * c / (s2 * c * c + 0.6)
        known = math.exp(-s2)  # lengths that tell instances apart
        beside = np.where(c > 1.0, JSQ * 0.5 * (1.0 + s2) * known * uneven, 0.0) * service
        load = load_of(decay, a2) if _gaps(station) != 1.0 else decay
        even = np.where(c > 1.0, EVEN, 0.0)
        apart = np.maximum(SPREAD * (0.55 + 0.45 * known * known) * many - even, 0.0)
        fewer = one.probability ** (1.0 + load * load * (uneven * apart + even))
        share = one.probability / np.maximum(fewer, 1e-300)
        sure_s = max(1.0 - s2, 0.0) * share * beside
        return Delay(probability=fewer, mean_s=share * (one.mean_s + beside), sure_s=sure_s)
    # one server each, whose load is the decay, gaps being taken for Poisson
    dealt = a2 / c if station.routing == "round-robin" else 1.0 + (a2 - 1.0) / c
    regular = np.where(
        dealt < 1.0,
        # Kraemer and Langenbach-Belz, for gaps more regular than Poisson's
        np.exp(-2.0 * (1.0 - decay) * (1.0 - dealt) ** 2 / np.maximum(3.0 * decay * (dealt + s2), 1e-9)),
        1.0,
    )
    mean_s = service * (dealt + s2) / (2.0 * (1.0 - decay))
    # never earlier than behind one queue
    wait_s = np.maximum(decay * regular * mean_s, one.wait_s)
    mean_s = np.maximum(mean_s, one.mean_s)
    return Delay(probability=np.minimum(wait_s / mean_s, 1.0), mean_s=mean_s)


def sustained(
    station: Station,
    fixed_s: FloatArray,
    own_s: FloatArray,
    kinds: FloatArray,
    limit_s: float,
    share: float,
    windows: Windows | None = None,
) -> FloatArray:
    """The highest load at which at most a share of the requests is later than a limit; 0 where none is.

    Parameters
    ----------
    fixed_s, own_s
        What every request takes besides its wait, and what grows with its length: ``fixed + own kind``
        of a request of some kind. Of the station's shape, ``(stations,)``, seconds.
    kinds
        Lengths of equally likely requests over their mean, shape ``(kinds,)``.
    limit_s, share
        ``P(wait + fixed + own kind > limit) <= share``.
    windows
        How the load changes over time; None: it does not.

    Delays come from a table (`_Table`), between whose loads the share of late requests is interpolated.
    """
    left = limit_s - fixed_s[:, None] - own_s[:, None] * kinds
    if windows is not None:  # of many groups: as exact as they are
        left = left.astype(np.float32)
    table = _table(station.routing, station.service_variation, station.arrival_variation)
    row = table.row(station.servers)
    loads = load_of(table.decay, _gaps(station))
    waves = _waves(windows, loads)

    def late(column: IntArray) -> FloatArray:
        """Share of late requests at a column's load."""
        total = np.zeros(len(column))
        for group in range(waves.weight.shape[1]):
            at = waves.column[column, group]
            chance = table.probability[row, at]
            longer_s = station.service_s * together(station.gathers, loads[at])
            waited = Delay(
                probability=chance.astype(left.dtype)[:, None],
                mean_s=(table.mean[row, at] * longer_s).astype(left.dtype)[:, None],
                sure_s=(table.sure[row, at] * longer_s).astype(left.dtype)[:, None],
            )
            beyond = waited.beyond(left - waves.backlog_s[column, group].astype(left.dtype)[:, None])
            total += waves.weight[column, group] * beyond.mean(axis=1)
        return total

    at_once = (left < 0).mean(axis=1) <= share
    decay = _highest(table.decay, late, share, len(fixed_s), 1e-12)
    return np.where(at_once, load_of(decay, _gaps(station)), 0.0)


def _highest(
    decay: FloatArray, of: Callable[[IntArray], FloatArray], limit: float, stations: int, least: float
) -> FloatArray:
    """The highest decay at which what grows with it keeps a limit, between the columns of a table.

    Parameters
    ----------
    of
        What it is at a column of each station, shapes ``(stations,)``.
    least
        Difference of two columns that still counts as one.
    """
    low, high = np.zeros(stations, dtype=np.int64), np.full(stations, len(decay) - 1)
    while int((high - low).max(initial=0)) > 1:
        middle = (low + high) // 2
        enough = of(middle) <= limit
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    below, above = of(low), of(high)
    between = np.clip((limit - below) / np.maximum(above - below, least), 0.0, 1.0)
    found = decay[low] + between * (decay[high] - decay[low])
    return np.asarray(np.where(above <= limit, decay[high], found))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Waves:
    """Windows of like waits at the load of each column of a table, shape ``(columns, groups)``."""

    weight: FloatArray  # share of the requests
    backlog_s: FloatArray
    column: IntArray  # of the table, for waits without a backlog


def _waves(windows: Windows | None, loads: FloatArray) -> _Waves:
    """The windows of a trace, in `GROUPS` of like waits; one group at the load itself without them."""
    count = len(loads)
    if windows is None:
        one = np.ones((count, 1))
        return _Waves(weight=one, backlog_s=0.0 * one, column=np.arange(count).reshape(-1, 1))
    waits, own = windows.found(loads)
    order = np.lexsort((own, waits), axis=1)
    share = windows.share[order]
    edges = np.searchsorted(np.linspace(0.0, 1.0, GROUPS + 1)[1:-1], np.cumsum(share, axis=1) - 0.5 * share)
    weight, backlog, load = (np.zeros((count, GROUPS)) for _ in range(3))
    rows = np.broadcast_to(np.arange(count)[:, None], order.shape)
    for total, values in (
        (weight, 1.0),
        (backlog, np.take_along_axis(waits, order, 1)),
        (load, np.take_along_axis(own, order, 1)),
    ):
        np.add.at(total, (rows, edges), share * values)
    held = np.maximum(weight, 1e-12)
    column = np.clip(np.searchsorted(loads, load / held), 0, count - 1)
    return _Waves(weight=weight, backlog_s=backlog / held, column=column)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Table:
    """Delays of stations with a service of a second, shape ``(servers, decays)``."""

    servers: FloatArray  # ascending
    decay: FloatArray  # ascending
    probability: FloatArray
    mean: FloatArray  # of those that wait, in services
    sure: FloatArray  # of that

    def row(self, servers: FloatArray) -> IntArray:
        """That of as many servers, or the next fewer: fewer wait no less."""
        return np.asarray(np.searchsorted(self.servers, servers, side="right") - 1)


@lru_cache(maxsize=32)
def _table(routing: Routing, service_variation: float, arrival_variation: float) -> _Table:
    """The delays at every load: mathematics, kept since Erlang's formula is slow for all who ask."""
    counts = [float(n) for n in range(1, 33)]
    while counts[-1] < MOST_SERVERS:
        counts.append(np.ceil(counts[-1] * 1.06))
    servers = np.array(counts)
    decay = np.concatenate((np.linspace(0.01, 0.79, 40), 1.0 - np.geomspace(0.2, 1.0 - FULLEST, 88)))
    shape = (len(servers), len(decay))
    station = Station(
        servers=np.broadcast_to(servers[:, None], shape),
        service_s=np.ones(shape),
        service_variation=service_variation,
        arrival_variation=arrival_variation,
        routing=routing,
    )
    found = _delay(station, np.broadcast_to(decay, shape))
    return _Table(
        servers=servers,
        decay=decay,
        probability=found.probability,
        mean=found.mean_s,
        sure=np.broadcast_to(found.sure_s, shape),
    )


def sustained_mean(
    station: Station,
    fixed_s: FloatArray,
    own_s: FloatArray,
    limit_s: float,
    windows: Windows | None = None,
) -> FloatArray:
    """The highest load at which the mean over all requests meets a limit; 0 where none does.

    Waits come from a table, as in `sustained`; between its loads the mean wait is interpolated.
    """
    alone_s = fixed_s + own_s
    table = _table(station.routing, station.service_variation, station.arrival_variation)
    row = table.row(station.servers)
    loads = load_of(table.decay, _gaps(station))
    waves = _waves(windows, loads)

    def mean_s(column: IntArray) -> FloatArray:
        """Mean first token at a column's load."""
        at = waves.column[column]
        chance = table.probability[row[:, None], at]
        longer = together(np.reshape(station.gathers, (-1, 1)), loads[at]) * station.service_s[:, None]
        queue_s = waves.backlog_s[column] + chance * table.mean[row[:, None], at] * longer
        return np.asarray(alone_s + (waves.weight[column] * queue_s).sum(axis=1))

    decay = _highest(table.decay, mean_s, limit_s, len(alone_s), 1e-300)
    return np.where(alone_s <= limit_s, load_of(decay, _gaps(station)), 0.0)


def filled(slots: FloatArray, share: float, windows: Windows | None = None) -> FloatArray:
    """The highest load of slots at which at most a share of the requests waits for one.

    Erlang C of as many servers as slots: who holds one for how long changes little (Erlang's formulas do not
    ask for the law of service where no one waits). Of many slots a larger part may be taken:

    >>> filled(np.array([8.0, 512.0]), 0.01).round(2).tolist()
    [0.36, 0.9]
    """
    doublings = max(math.ceil(math.log2(float(np.max(slots, initial=1.0)))), 1)
    grid, low = _filled(2 * math.ceil(doublings / 2), share, windows)
    return np.asarray(np.interp(np.log(np.maximum(slots, 1.0)), np.log(grid), low))


@lru_cache(maxsize=16)
def _filled(doublings: int, share: float, windows: Windows | None) -> tuple[FloatArray, FloatArray]:
    """Numbers of slots from one on, in the same steps whatever the last one, and the load that each takes."""
    grid = 2.0 ** (np.arange(doublings * PER_DOUBLING + 1) / PER_DOUBLING)
    low, high = np.zeros(len(grid)), np.full(len(grid), FULLEST)

    def waiting(load: FloatArray) -> FloatArray:
        if windows is None:
            return erlang_c(grid, load)
        waits, own = windows.found(load)
        return np.asarray(
            (np.where(waits > 0, 1.0, erlang_c(grid[:, None], own)) * windows.share).sum(axis=1)
        )

    for _ in range(STEPS // 2):
        middle = 0.5 * (low + high)
        enough = waiting(middle) <= share
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    return grid, low
