"""What pools can be built of: instances of one design point, and what they serve together within the limits.

Where requests come at their own time, what n instances of a layout serve within a percentile grows faster
than n: they share their queue. So the match does not take instances with a rate each, but options: so many
instances of a point, and the rate that they sustain. Two options of one point never serve more than one of as
many instances, so that the match may add options as it adds instances, and finds the best of all.

First token of a request under load, with the instances of a pool as servers (`planner.simulate.queueing`):

    queue of the pool that takes prompts + pass, moving the cache, hand-over + wait for a decode slot

A prompt takes ``prompt_share / requests_per_s`` of an instance from the next. A decode (or co-located) pool
has a slot for each sequence of its batch; at most `SLOT_SHARE` of the requests that may be late wait for one,
so that the token interval is at most that of a full batch. Where each limit binds the mean, a hundredth
waits for a slot.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np

from planner.arrays import BoolArray, FloatArray, IndexArray, IntArray, Real, distinct
from planner.inputs import failures
from planner.inputs.lengths import Work
from planner.match import fed, pareto
from planner.planning import first_token, prompt_work, survive, uneven_passes
from planner.planning.expected import Expected
from planner.planning.resolve import Question, Whole
from planner.planning.servings import Pick
from planner.simulate import encode, lockstep, queueing
from planner.simulate.points import MODES, Points
from planner.simulate.queueing import Station
from planner.simulate.space import Layouts
from planner.values import dataclass
from planner.words import Phase

SLOT_SHARE = 0.2
MEAN_SLOT_SHARE = 0.01  # of all requests, where a limit binds the mean
DENSE, RATIO = 16, 1.15  # every number of instances to the one, then steps of the other
STANDING_BY = 64  # every number to this one where some are for a loss: one too many is what they cost
DENSE_FED = 256  # every number to this one where encoders feed them
MOST_ENCODERS = 64  # and instances that they feed, where neither GPUs nor a demand limit them
FULLER = 0.4  # of passes over as many prompts as came by chance, times the root of the ranks
EARLY = (0.1, 0.25, 0.45, 0.65, 0.85, 1.0)  # of the FTL limit
BEYOND = 4  # times the instances that a demand takes at full load; a queue takes more of few alone


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Options:
    """Some instances of some design points; arrays of shape ``(options,)``."""

    points: Points
    row: IndexArray  # of the points
    instances: IntArray
    requests_per_s: FloatArray  # that they sustain together; 0 where they keep no limit
    share: FloatArray | None = None  # of those, what is expected (`planner.planning.expected`); None: all
    weighed: bool = True  # whether they are chosen by what is expected
    packed: bool = True  # any number of them may be built; False where it is given
    encoders: IntArray | None = None  # instances of an encoder pool that feed them; None: none do

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def none(cls, points: Points) -> Options:
        """No option: of a phase that is not to be used."""
        empty = np.empty(0, dtype=np.int64)
        return cls(points=points, row=empty, instances=empty, requests_per_s=np.empty(0))

    @classmethod
    def of_rows(
        cls, points: Points, rows: IndexArray, expected: Expected | None, *, packed: bool = True
    ) -> Options:
        """One instance of each of some rows, at its full rate."""
        return cls(
            points=points,
            row=rows,
            instances=np.ones(len(rows), dtype=np.int64),
            requests_per_s=points.requests_per_s[rows],
            share=None if expected is None else expected.of(points, rows),
            weighed=expected is None or expected.weighs,
            packed=packed,
        )

    @property
    def weighed_per_s(self) -> FloatArray:
        """Requests/s that they are chosen by."""
        if self.share is None or not self.weighed:
            return self.requests_per_s
        return self.requests_per_s * self.share

    @property
    def gpus(self) -> IntArray:
        """GPUs of the instances, and of what feeds them."""
        gpus = np.asarray(self.points.gpus[self.row] * self.instances)
        return gpus if self.encoders is None else gpus + encode.GPUS * self.encoders

    def pick(self, at: int, copies: int) -> Pick:
        """So many of one of the options."""
        return Pick(
            self.points,
            int(self.row[at]),
            copies * int(self.instances[at]),
            copies * float(self.requests_per_s[at]),
            share=1.0 if self.share is None else float(self.share[at]),
            encoders=0 if self.encoders is None else copies * int(self.encoders[at]),
        )

    def take(self, some: IndexArray) -> Options:
        """Some of the options."""
        return Options(
            points=self.points,
            row=self.row[some],
            instances=self.instances[some],
            requests_per_s=self.requests_per_s[some],
            share=None if self.share is None else self.share[some],
            weighed=self.weighed,
            packed=self.packed,
            encoders=None if self.encoders is None else self.encoders[some],
        )


def of(
    question: Question,
    points: Points,
    rows: IndexArray,
    first_token_s: FloatArray | None = None,
    expected: Expected | None = None,
) -> Options:
    """The options of some rows of points.

    `first_token_s` is what a first token takes without a queue, shape (rows,); the points' own, if not given.
    `expected` says what of a rate is expected, and whether that is what options are chosen by.
    """
    first_token_s = points.ftl_s[rows] if first_token_s is None else first_token_s
    if question.queues and points.phase == "colocated":
        first_token_s = first_token_s - first_token.sooner_s(question, points, rows)
    rate, packed = points.requests_per_s[rows], given(question, points.phase) is None
    one = Options.of_rows(points, rows, expected, packed=packed)
    if not question.counted_in(points.phase):
        return one
    lost = _lost(question, points, rows)
    at, n = _counts(question, points.phase, points.gpus[rows], rate, lost)
    each, row = rate[at], rows[at]
    left = n - lost[at]  # after the worst loss: these must do
    some = left > 0
    at, n, each, row, left = at[some], n[some], each[some], row[some], left[some]
    load = np.ones(len(at))
    if question.queues and points.phase != "prefill":
        load = slots(question, left * points.batch[row])
    if question.queues and points.phase == "colocated":
        load = load * first_token.decoding(question, points, row, first_token_s[at])
    if question.queues and points.phase != "decode":
        work = prompt_work.of(question, points.phase)
        busy, ranks = points.prompt_share[row], points.layouts.attention_dp[points.layout[row]]
        with np.errstate(divide="ignore", invalid="ignore"):
            station = Station(
                servers=left.astype(np.float64),
                service_s=busy / each,
                service_variation=work.variation,
                arrival_variation=question.arrival_variation,
                routing=question.scenario.traffic.routing,
                gathers=gathers(points.phase, points.batch[row] / ranks),
            )
            fixed, own = first_token.own_of(question, points, row, first_token_s[at])
            if points.phase == "prefill":
                fixed = fixed + in_lockstep_s(ranks, each, points.batch[row] / ranks)
            most = _in_time(question, station, fixed, own, work)
            most = _uneven(question, points, row, left, first_token_s[at], most)
            load = np.minimum(load, most / busy)
    served = left * each * np.where(np.isfinite(load), np.maximum(load, 0.0), 0.0)
    useful = np.flatnonzero(served > 0)
    many = replace(one.take(at[useful]), instances=n[useful], requests_per_s=served[useful])
    return many if question.encoder is None or points.phase == "decode" else _fed(question, many)


def _fed(question: Question, of: Options) -> Options:
    """Instances that compute prompts, with every number of encoders that makes a difference to them."""
    budget = question.gpus_of(of.points.phase)
    encoder = question.encoder
    assert encoder is not None
    wanted = float(of.requests_per_s.max(initial=0.0)) / encoder.requests_per_s
    most = int(min(BEYOND * wanted + STANDING_BY, MOST_ENCODERS if budget is None else budget))
    at, number, served = fed.fed(of.row, of.requests_per_s, _encoded(question, most))
    found = replace(of.take(at), encoders=number, requests_per_s=served)
    usable = served > 0
    return found.take(np.flatnonzero(usable if budget is None else usable & (found.gpus <= budget)))


def _encoded(question: Question, most: int) -> FloatArray:
    """Requests/s that 0 to `most` encoders bring, one lost where one is to be survived.

    Where requests come at any time, no more than a few wait for longer than a pass (`Question.encoding_s`).
    """
    encoder = question.encoder
    assert encoder is not None
    lost = survive.lost_of_one_gpu(question.scenario.fleet.survive, question.pools["prefill"].system)
    left = np.maximum(np.arange(most + 1) - lost, 0).astype(np.float64)
    load = np.ones(most + 1)
    if question.queues:
        some = np.maximum(left, 1.0)
        none = np.zeros(most + 1)
        station = Station(
            servers=some,
            service_s=np.full(most + 1, encoder.pass_s / encoder.batch),
            service_variation=0.0,
            arrival_variation=question.arrival_variation,
            routing=question.scenario.traffic.routing,
            gathers=0.0,
        )
        share, windows = question.late_share("ftl"), question.prompt_windows
        if share is None:
            load = queueing.sustained_mean(station, none, none, encoder.pass_s, windows)
        else:
            late = SLOT_SHARE * share
            load = queueing.sustained(station, none, none, np.ones(1), encoder.pass_s, late, windows)
    brings = left * encoder.requests_per_s * np.where(np.isfinite(load), np.maximum(load, 0.0), 0.0)
    return np.maximum.accumulate(brings)


def given(question: Question, phase: Phase) -> int | None:
    """How many options of a phase are to be built: its instances if they are given, which queues make one."""
    instances = question.scenario.deployment.instances(phase)
    return instances if instances is None or not question.counted_in(phase) else 1


def unbeaten(question: Question, points: Points, rows: IndexArray, latency_s: FloatArray) -> IndexArray:
    """Of some rows, those worth counting instances of, where a loss alone is why they are counted.

    As many instances of another row of their layout and mode lose as many, at no more latency.
    """
    if question.queues or question.encoder is not None or not question.counted_in(points.phase):
        return rows
    group = points.layout[rows].astype(np.int64) * len(MODES) + points.mode[rows]
    return rows[pareto.unbeaten(group, latency_s, points.requests_per_s[rows])]


def worth_matching(of: Options, latency_s: FloatArray) -> Options:
    """Those that matching under some limit on their latency and some budget could take."""
    return of.take(pareto.prune(latency_s, of.gpus, of.weighed_per_s, packed=of.packed))


def standing(question: Question, points: Points, rows: IndexArray) -> BoolArray:
    """Which of some rows a plan may have by the places of their instances; all where the layout is given.

    None that a scale-up domain has the GPUs for but not the hosts (`planner.planning.survive.within_domain`);
    where the loss of a host is to be survived, or hosts are to be filled, those alone that fill them.
    """
    system, given_layout = (
        question.pools[points.phase].system,
        question.scenario.deployment.layout(points.phase),
    )
    whole: Filled = question.whole
    if whole == "no" and question.scenario.fleet.survive in ("node", "rack"):
        whole = "lost"
    wide = system.fabric.scale_up_gpus > failures.MOST_GPUS_PER_HOST
    if given_layout is not None or not (whole != "no" or wide):
        return np.ones(len(rows), dtype=bool)
    shapes = np.stack([getattr(points.layouts, name) for name in _SHAPE])
    fits = _standing(shapes.tobytes(), failures.nodes(system), wide, whole)
    return np.ones(len(rows), dtype=bool) if fits.all() else np.asarray(fits[points.layout[rows]])


Filled: TypeAlias = Whole | Literal["lost"]  # or a host, that it is lost with

_SHAPE = tuple(f.name for f in fields(Layouts))


@lru_cache(maxsize=64)
def _standing(shapes: bytes, nodes: failures.Nodes, wide: bool, whole: Filled) -> BoolArray:
    """Which layouts a plan may have: asked a dozen times of those of one plan, which are told by value."""
    rows = np.frombuffer(shapes, dtype=np.int64).reshape(len(_SHAPE), -1)
    layouts = Layouts(**dict(zip(_SHAPE, rows, strict=True)))
    fits = survive.within_domain(layouts, nodes) if wide else np.ones(len(layouts), dtype=bool)
    if whole == "lost":
        fits = fits & survive.fills_hosts(layouts, nodes)
    elif whole != "no":
        fits = fits & survive.packs_hosts(layouts, nodes, domains=whole == "domains")
    fits.flags.writeable = False
    return np.asarray(fits)


def usable(
    question: Question,
    points: Points,
    rows: IndexArray,
    first_token_s: FloatArray,
    expected: Expected | None = None,
) -> IndexArray:
    """Of some co-located or prefill rows, those whose options are worth making; all where nothing queues.

    A row with a lower rate and an earlier first token leaves more of its limit for a queue, so the best are
    kept of those whose first token, of the longest prompt that has to keep the limit, is within each of a few
    shares of it; of co-located rows within all of it, also those that serve most beside the prompts in work.
    """
    kept = standing(question, points, rows)
    if not kept.all():
        rows, first_token_s = rows[kept], first_token_s[kept]
    if not question.queues and question.encoder is None:
        return rows
    limit = question.scenario.limits.ftl_s
    fixed, own = first_token.own_of(question, points, rows, first_token_s)
    last_s = fixed + own * _longest(question, points.phase)
    latency = points.ttl_s[rows] if points.phase == "colocated" else np.zeros(len(rows))
    packed, best = given(question, points.phase) is None, []
    shares = np.ones(len(rows)) if expected is None or not expected.weighs else expected.of(points, rows)
    rate = points.requests_per_s[rows] * shares

    def keep(some: IndexArray, rate: FloatArray) -> None:
        best.append(rows[some[pareto.prune(latency[some], points.gpus[rows[some]], rate, packed=packed)]])

    for share in EARLY:
        early = np.flatnonzero(last_s <= share * limit)
        keep(early, rate[early])
    if question.queues and points.phase == "colocated":
        first_s = (first_token_s - first_token.sooner_s(question, points, rows))[early]
        keep(early, rate[early] * first_token.decoding(question, points, rows[early], first_s))
    return distinct(np.concatenate(best))


def _longest(question: Question, phase: Phase) -> float:
    """What the longest prompt takes that may not be late, over the mean one; at least 1."""
    share, kinds = question.late_share("ftl"), prompt_work.of(question, phase).kinds
    if share is None:
        return 1.0
    late = int(len(kinds) * share * (1.0 - SLOT_SHARE) + 1e-9)
    return max(float(kinds[len(kinds) - 1 - late]), 1.0)


def gathers(phase: Phase, prompts: FloatArray | float) -> FloatArray:
    """What of a full pass of so many prompts of a rank came during the one before: all but the first.

    Co-located instances work chunk by chunk, which ends for one prompt at a time.
    """
    return np.asarray(1.0 - 1.0 / np.maximum(prompts, 1.0)) * (phase == "prefill")


def in_lockstep_s(ranks: Real, each_per_s: Real, prompts: Real) -> FloatArray:
    """What a first token takes beside a pass, mean, where ranks of prefill in lockstep are busy.

    The rest of the pass that others run, and what a pass over those that came has above one of a prompt for
    each rank: of n a Poisson law of mean d, ``E[max(n / d, 1)]``, about ``1 + 0.4 / sqrt(d)``. Full passes of
    several prompts of a rank, `prompts`, have that already.
    """
    fuller = FULLER / np.sqrt(ranks)
    share = 0.5 * lockstep.in_passes(ranks) * (1.0 + fuller) + fuller / np.maximum(prompts, 1.0)
    return np.asarray(share * ranks / each_per_s * (np.asarray(ranks) > 1))


def slots(question: Question, batch: FloatArray) -> FloatArray:
    """The load of a decode pool with so many slots."""
    share = question.late_share("ftl")
    few = MEAN_SLOT_SHARE if share is None else SLOT_SHARE * share
    return queueing.filled(batch, few, question.decode_windows)


def _late(question: Question) -> float | None:
    """Share of the requests whose first tokens may be late for want of prefill; None where the mean binds."""
    share = question.late_share("ftl")
    return None if share is None else share * (1.0 - SLOT_SHARE)


def _in_time(
    question: Question, station: Station, fixed: FloatArray, own: FloatArray, work: Work
) -> FloatArray:
    """The load of prompts at which first tokens keep their limit."""
    limit, share = question.scenario.limits.ftl_s, _late(question)
    if share is None:
        return queueing.sustained_mean(station, fixed, own, limit, question.prompt_windows)
    return queueing.sustained(station, fixed, own, work.kinds, limit, share, question.prompt_windows)


def _uneven(
    question: Question,
    points: Points,
    rows: IndexArray,
    servers: IntArray,
    first_token_s: FloatArray,
    most: FloatArray,
) -> FloatArray:
    """The same where ranks in lockstep have prompts that vary; `most` of all others."""
    share = _late(question)
    before_s = first_token_s - points.ftl_s[rows] + first_token.alone_once_s(question)
    return uneven_passes.most_in_time(question, points, rows, servers, before_s, share, most)


def _lost(question: Question, points: Points, rows: IndexArray) -> IntArray:
    """Instances of a pool of each row that the worst loss takes, of those that a plan is to survive."""
    loss = question.scenario.fleet.survive
    if loss == "none":
        return np.zeros(len(rows), dtype=np.int64)
    nodes = failures.nodes(question.pools[points.phase].system)
    return survive.lost_of_layouts(loss, points.layouts, nodes)[points.layout[rows]]


def _counts(
    question: Question, phase: Phase, gpus: IntArray, rate: FloatArray, lost: IntArray
) -> tuple[IndexArray, IntArray]:
    """Numbers of instances to try: all that fit the fleet, or a demand could take, and the row of each.

    A demand in a budget of which most throughput is asked for may have all of it.
    """
    if (instances := question.scenario.deployment.instances(phase)) is not None:
        return np.arange(len(gpus)), np.full(len(gpus), instances, dtype=np.int64)
    budget, demand = question.gpus_of(phase), question.scenario.traffic.requests_per_s
    most = np.full(len(gpus), 1 << 40) if budget is None else budget // gpus
    if demand is not None and (budget is None or question.scenario.goal != "throughput"):
        with np.errstate(divide="ignore", invalid="ignore"):
            enough = np.ceil(np.nan_to_num(BEYOND * demand / rate, posinf=1e9)) + DENSE + lost
        most = np.minimum(most, enough)
    dense = DENSE if question.scenario.fleet.survive == "none" else STANDING_BY
    if question.encoder is not None:  # every number, as it would be without encoders
        dense = DENSE_FED
        most = np.minimum(most, MOST_ENCODERS) if budget is None and demand is None else most
    grid = [*range(1, dense + 1)]
    top = int(most.max(initial=1))
    while grid[-1] < top:
        grid.append(int(np.ceil(grid[-1] * RATIO)))
    steps = np.array(grid, dtype=np.int64)
    most = most.astype(np.int64)
    ends = np.searchsorted(steps, most, side="right")
    number = ends + ((ends > 0) & (steps[ends - 1] < most))  # the most itself as well
    at = np.repeat(np.arange(len(most)), number)
    nth = np.arange(len(at)) - np.repeat(np.cumsum(number) - number, number)
    return at, np.where(nth < ends[at], steps[np.minimum(nth, len(steps) - 1)], most[at])
