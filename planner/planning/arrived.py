"""What requests see that come at their own time: percentiles of a serving at the rate that it runs at.

The stations are those that `planner.planning.options` takes rates from: the queue of the pool that takes
prompts, and the slots of the pool that decodes, each a wait that is nothing or exponential, independent of
each other. Sequences in flight are as many as a Poisson law of their mean has (an M/G/inf queue), dealt
evenly to the instances, and the token interval is that of the batch they make.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from planner.arrays import FloatArray, quantiles
from planner.inputs.lengths import Lengths
from planner.planning import at_rate, first_token, options, prompt_work
from planner.planning.resolve import Question
from planner.planning.result import Load, Percentiles, Queued, Serving
from planner.planning.sweep import Sweep
from planner.simulate import erlang, queueing
from planner.simulate.queueing import Delay, Station
from planner.values import dataclass

AT = (0.5, 0.9, 0.95, 0.99)
STEPS = 60  # halvings that find a percentile
GRID = 200  # equally likely values that stand for a distribution, where two are added
ROUNDS = 30  # of the fixed point of batch and token interval; it contracts, since more in flight are slower
SUREST, SUREST_LOCKSTEP, SUREST_STAGES, FEW = 0.85, 0.6, 0.4, 4  # utilisation, thrice; instances
SUREST_BURSTS = 4.0  # squared coefficient of variation of the gaps between arrivals
REFUSED = 0.01  # share of the requests that find no room, from which on percentiles are not those of all
MISSED = 1.5  # factor that a first token may be later by than closed forms say where they are not sure
GROUPS, PER_E = 64, 24  # windows without a backlog; of like waits, to a factor of e
REST = np.array([0.2, 0.6, 1.0, 1.4, 1.8])  # equally likely values of a uniform rest over its mean
NEVER = 1e-9  # probability of a wait that no percentile sees


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Way:
    """A request's way through a serving, as its rate has it."""

    kinds: FloatArray  # first tokens of prompts of each length, without a wait but for passes of other ranks
    weight: FloatArray  # share of the requests
    prompts: _Queue
    slot: Delay
    batch: FloatArray  # of an instance that decodes, ascending, and the token interval of each
    ttl_s: FloatArray
    mean: float  # sequences in flight
    places: float
    alone_s: float  # first token without any wait, mean

    @property
    def ftl(self) -> Percentiles:
        """First tokens."""
        return _first_token(self.kinds, self.weight, self.prompts, self.slot)


def _binding(question: Question) -> Literal["mean", "p50", "p90", "p95", "p99"]:
    """What of first tokens their limit binds."""
    at = question.scenario.limits.ftl_at
    return "p95" if at == "auto" else at


def _way(question: Question, sweep: Sweep, serving: Serving) -> _Way | None:
    """The way through a serving; None through a mix."""
    if len(serving.pools) > 2:
        return None
    first, then = serving.pools[0], serving.pools[-1]
    if len(serving.pools) == 2 and first.phase != "prefill":
        return None
    split = first is not then
    rate = serving.requests_per_s
    points = sweep.prefill if split else sweep.colocated
    steps = question.lengths.osl - 1.0
    ttl_s, batch = at_rate.decoding(sweep.decode if split else points, then)
    mean = _in_flight(rate * steps, then.instances, ttl_s, batch)
    if split:
        busy, passes = 1.0, at_rate.passes(question, points, first, rate / first.instances)
    else:
        busy, passes = (
            at_rate.prompt_share(points, first),
            at_rate.mixed(question, points, first, mean / first.instances),
        )
    each = first.requests_per_s / first.instances
    work = prompt_work.of(question, first.phase)
    station = Station(
        servers=np.array([float(first.instances)]),
        service_s=np.array([passes.stretch * busy / each]),
        service_variation=work.variation,
        arrival_variation=question.arrival_variation,
        routing=question.scenario.traffic.routing,
        gathers=float(options.gathers(first.phase, first.batch / first.layout.attention_dp)),
    )
    load = busy * rate / first.requests_per_s * (1.0 if split else passes.stretch)
    prompts = _queue(question, station, min(load, queueing.FULLEST))
    interval = float(np.interp(mean / then.instances, batch, ttl_s))
    places = float(then.instances * then.batch)
    alone_s, chunk = np.array([serving.ftl_s - passes.saved_s]), np.array([float(first.chunk_tokens)])
    fixed, own = first_token.own_s(question, first.phase, alone_s, chunk, first.layout.pp)
    rest_s = passes.waited_s * REST if passes.waited_s else np.zeros(1)
    kinds = (float(fixed[0]) + float(own[0]) * work.tail + rest_s[:, None]).ravel()
    weight = np.tile(work.weight, len(rest_s)) / len(rest_s)
    alone = float(weight @ kinds)
    if passes.first_s is not None and passes.weight is not None:
        # all waits are in these but for backlogs of a load that changes
        kinds = serving.ftl_s - first.ftl_s + first_token.alone_once_s(question) + passes.first_s
        weight = passes.weight
        none = np.zeros_like(prompts.weight)
        prompts = replace(prompts, beside=Delay(probability=none, mean_s=none))
    worked_on = 0.0 if split else rate * float(own[0])  # prompts have a place, too
    full = min((mean + worked_on) / places, queueing.FULLEST)
    slot = _slot(question, places, full, interval * steps + worked_on / rate)
    return _Way(
        kinds=kinds,
        weight=weight,
        prompts=prompts,
        slot=slot,
        batch=batch,
        ttl_s=ttl_s,
        mean=mean,
        places=places,
        alone_s=alone,
    )


def queued(question: Question, sweep: Sweep, serving: Serving | None) -> Serving | None:
    """The serving with what its requests see at its rate, and the first token that its limit binds."""
    way = None if serving is None else _way(question, sweep, serving)
    if serving is None or way is None:
        return serving
    ftl, rate, steps = way.ftl, serving.requests_per_s, question.lengths.osl - 1.0
    held = np.minimum(erlang.poisson(_uniform(), way.mean), way.places) / serving.pools[-1].instances
    tokens = np.interp(held, way.batch, way.ttl_s)
    firsts = _quantiles(_uniform(GRID // 4), way.kinds, way.weight, way.prompts, way.slot)
    whole = _added(firsts, tokens, question.lengths)
    ttl = _of(tokens, float(np.mean(tokens)))
    binding = _binding(question)
    return replace(
        serving,
        ftl_s=float(getattr(ftl, binding)),
        load=Load(
            requests_in_flight=rate * (ftl.mean + steps * ttl.mean),
            requests_per_s=rate,
            alone_ftl_s=way.alone_s,
            ftl_s=ftl.mean,
            ttl_s=ttl.mean,
            queued=Queued(
                arrivals=question.scenario.traffic.arriving,
                routing=question.scenario.traffic.routing,
                ftl_at=binding,
                ftl=ftl,
                ttl=ttl,
                e2e=_of(whole, float(np.mean(whole))),
                utilisation=max(pool.utilisation for pool in serving.pools),
                breaks_at=_breaks_at(serving),
                sure=_sure(question, serving),
            ),
        ),
    )


def first_token_s(question: Question, sweep: Sweep, serving: Serving) -> float:
    """The first token of a serving that its limit binds, as `queued` has it; without waits of a mix."""
    way = _way(question, sweep, serving)
    return serving.ftl_s if way is None else float(getattr(way.ftl, _binding(question)))


def _sure(question: Question, serving: Serving) -> bool:
    """Whether waits are as near a replay as docs/accuracy-waits.md asks: 10 % in the mean, 20 % at P99.

    They are not for lengths that vary on few instances, whose longest prompts many wait behind, nor where
    they share the GPUs, nor beyond its loads, nor for a load that changes over time. Of the cases of that
    page all that this calls near are. A pass of ranks in lockstep is as long as its longest prompt, so there
    they hold for equal lengths at moderate loads, and not where decode steps go in lockstep, too. Of bursts
    they hold in a split, where those are mild: elsewhere a first token was up to 150 times as late. Prompts
    that gather in a pass do so in each stage of a pipeline of prefill: there they hold at low loads. Requests
    that no instance has room for are refused, which closed forms know nothing of.
    """
    first = serving.pools[0]
    lockstep, alike = first.layout.attention_dp > 1, question.lengths.alike
    if question.prompt_windows is not None or (lockstep and len(serving.pools) == 1):
        return False
    if _refused(question, serving) > REFUSED:
        return False
    staged = first.layout.pp > 1 and len(serving.pools) > 1 and not lockstep
    bursts = question.arrival_variation
    if bursts > SUREST_BURSTS or (bursts > 1.0 and (staged or len(serving.pools) == 1)):
        return False
    few = first.instances <= FEW or len(serving.pools) == 1 or lockstep or staged
    most = SUREST_STAGES if staged else SUREST_LOCKSTEP if lockstep else SUREST
    full = max(pool.utilisation for pool in serving.pools) > most + 1e-9
    return not full and (alike or not few)


def _refused(question: Question, serving: Serving) -> float:
    """Share of the requests whose cache no instance of some pool has room for, by the lengths of prompts."""
    lengths = question.lengths
    share = 0.0
    for pool in serving.pools:
        made = 0.0 if pool.phase == "prefill" else float(lengths.osl)
        sequences = pool.batch / pool.layout.attention_dp
        # a sequence that decodes has half of its output in the cache, on average
        each_bytes = pool.memory.kv_bytes / sequences / (lengths.isl + 0.5 * made)
        longest = pool.memory.pool_bytes / each_bytes - made
        share = max(share, float(np.mean(lengths.isl * lengths.fine > longest)))
    return share


def _breaks_at(serving: Serving) -> float:
    """Utilisation of the busiest pool at the most that the serving sustains within its limits."""
    least = min(pool.requests_per_s for pool in serving.pools)
    return serving.capacity_requests_per_s / least


def _in_flight(tokens_per_s: float, instances: int, ttl_s: FloatArray, batch: FloatArray) -> float:
    """Sequences in flight over all instances whose tokens come at a rate: ``N = rate ttl(N / instances)``."""
    mean = tokens_per_s * float(ttl_s[0])
    for _ in range(ROUNDS):
        mean = tokens_per_s * float(np.interp(mean / instances, batch, ttl_s))
    return mean


@dataclass(frozen=True, slots=True, kw_only=True)
class _Queue:
    """Waits for the pool that takes prompts, of windows of like load; arrays (groups,)."""

    weight: FloatArray  # share of the requests
    backlog_s: FloatArray
    beside: Delay

    @property
    def wait_s(self) -> float:
        """Mean over all requests."""
        return float(self.weight @ (self.backlog_s + self.beside.wait_s))


def _queue(question: Question, station: Station, load: float) -> _Queue:
    windows = question.prompt_windows
    if windows is None:
        one = np.ones(1)
        return _Queue(weight=one, backlog_s=0.0 * one, beside=queueing.delay(station, np.array([load])))
    backlog, own = (row[0] for row in windows.found(np.array([load])))
    share, backlog, own = _alike(windows.share, backlog, own)
    wide = replace(
        station,
        servers=np.full(len(own), station.servers[0]),
        service_s=np.full(len(own), station.service_s[0]),
    )
    beside = queueing.delay(wide, np.maximum(own, 1e-9))
    return _Queue(weight=share, backlog_s=backlog, beside=beside)


def _alike(
    share: FloatArray, backlog_s: FloatArray, load: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Windows without a backlog whose waits are alike as one, at their mean load; shapes (windows,).

    Waits go with ``1 / (1 - load)``, of which a group holds a few per cent.
    """
    quiet = backlog_s <= 0
    if np.count_nonzero(quiet) <= GROUPS:
        return share, backlog_s, load
    kind = np.where(quiet, np.floor(-np.log1p(-load) * PER_E), -1.0)
    # each that has a backlog stays one of its own
    kind = np.where(quiet, kind, -1.0 - np.cumsum(~quiet))
    _, which = np.unique(kind, return_inverse=True)
    total = np.bincount(which, weights=share)
    held = np.where(total > 0, total, 1.0)

    def mean(of: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(which, weights=share * of) / held, dtype=np.float64)

    return np.asarray(total, dtype=np.float64), mean(backlog_s), mean(load)


def _slot(question: Question, places: float, full: float, stay_s: float) -> Delay:
    """The wait for one of the places of a decode pool that requests fill to some share."""
    windows, chance = question.decode_windows, erlang.erlang_c(places, full)
    if windows is not None:
        waits, own = (row[0] for row in windows.found(np.array([full])))
        each = np.where(waits > 0, 1.0, erlang.erlang_c(places, own))
        chance = np.asarray(windows.share @ each)
        stay_s += float(windows.share @ waits) * places / max(float(chance), 1e-9)
    return Delay(probability=np.atleast_1d(chance), mean_s=np.array([stay_s / (places * (1.0 - full))]))


def _first_token(kinds: FloatArray, weight: FloatArray, prompts: _Queue, slot: Delay) -> Percentiles:
    """Percentiles of ``kind + wait for the pass + wait for a slot``, kinds being so many of the requests."""
    mean = float(weight @ kinds + prompts.wait_s + slot.wait_s[0])
    return Percentiles(mean, *(float(v) for v in _quantiles(np.array(AT), kinds, weight, prompts, slot)))


def _quantiles(
    shares: FloatArray, kinds: FloatArray, weight: FloatArray, prompts: _Queue, slot: Delay
) -> FloatArray:
    """First tokens that these shares of the requests do not pass, by halving all their intervals at once."""
    p, h = prompts.beside.probability[:, None], np.maximum(prompts.beside.mean_s[:, None], 1e-9)
    q, k = float(slot.probability[0]), float(slot.mean_s[0])
    # a queue that nobody meets may have any length: it must not set the bounds of the search
    p, h = np.where(p < NEVER, 0.0, p), np.where(p < NEVER, 1e-9, h)
    # of groups x kinds: who waits for a pass, of which some is sure, or not, and then for a slot
    sure = np.broadcast_to(prompts.beside.sure_s, prompts.beside.mean_s.shape)[:, None]
    h = np.maximum(h - sure, 1e-9)
    h = np.where(np.abs(h - k) < 1e-6 * k, k * (1.0 + 1e-5), h)
    begins = kinds[None, :] + prompts.backlog_s[:, None]
    waits = p[:, 0] > 0
    p, h, sure, queued = p[waits], h[waits], sure[waits], begins[waits]
    straight = _Begun.of(begins[~waits], prompts.weight[~waits, None] * weight, q, k)

    def later(seconds: FloatArray) -> FloatArray:
        left = seconds[:, None, None] - queued
        t, behind = np.maximum(left, 0.0), np.maximum(left - sure, 0.0)
        one, other = np.exp(-behind / h), np.exp(-t / k)
        both = np.where(left < sure, 1.0, (h * one - k * np.exp(-behind / k)) / (h - k))
        beyond = p * ((1 - q) * one + q * both) + q * (1 - p) * other
        found = np.where(left < 0, 1.0, beyond) @ weight @ prompts.weight[waits]
        return np.asarray(found + straight.later(seconds))

    low = np.full(len(shares), float(kinds[0]))
    high = (
        float(kinds[-1])
        + float(prompts.backlog_s.max())
        + 60.0 * (float(h.max(initial=1e-9)) + k)
        + 0.0 * low
    )
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        late = later(middle) > 1.0 - shares
        low, high = np.where(late, middle, low), np.where(late, high, middle)
    return high


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """First tokens of requests that wait for no pass beyond what stands before them, and then for a slot."""

    begins_s: FloatArray  # ascending, shape (n,)
    weight: FloatArray  # of those up to each; from none on, shape (n + 1,)
    slots: FloatArray  # log of what waits of them for a slot, as if all had begun at 0, shape (n + 1,)
    probability: float  # of a wait for a slot
    mean_s: float

    @classmethod
    def of(cls, begins_s: FloatArray, share: FloatArray, probability: float, mean_s: float) -> _Begun:
        """Of begins and shares of shape (groups, kinds)."""
        each = share.ravel()
        order = np.argsort(begins_s.ravel(), kind="stable")
        begins, each = begins_s.ravel()[order], each[order]
        with np.errstate(divide="ignore"):
            grown = np.logaddexp.accumulate(np.log(each) + begins / mean_s) if len(each) else each
        return cls(
            begins_s=begins,
            weight=np.concatenate([[0.0], np.cumsum(each)]),
            slots=np.concatenate([[-np.inf], grown]),
            probability=probability,
            mean_s=mean_s,
        )

    def later(self, seconds: FloatArray) -> FloatArray:
        """Share of all requests that these are later than: ``1 - begun + q sum exp(-(s - begin) / mean)``."""
        at = np.searchsorted(self.begins_s, seconds, side="right")
        slot = self.probability * np.exp(self.slots[at] - seconds / self.mean_s)
        return np.asarray(self.weight[-1] - self.weight[at] + slot)


def _uniform(count: int = GRID) -> FloatArray:
    return np.asarray((np.arange(count) + 0.5) / count)


def _of(values: FloatArray, mean: float) -> Percentiles:
    return Percentiles(mean, *quantiles(values, AT))


def _added(first: FloatArray, tokens: FloatArray, lengths: Lengths) -> FloatArray:
    """First token and all others of equally likely requests, shape (first x tokens x outputs,)."""
    steps = np.maximum(lengths.osl * lengths.output - 1.0, 1.0)
    some = tokens[:: max(len(tokens) // 20, 1)]
    return np.asarray((first[:, None, None] + some[None, :, None] * steps[None, None, :]).ravel())
