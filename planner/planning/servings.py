"""From chosen rows of points to the objects of a plan: pools with memory, breakdown and rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from planner.arrays import BoolArray, FloatArray, Real
from planner.planning import evidence
from planner.planning.resolve import Question
from planner.planning.result import (
    Count,
    EncoderPlan,
    Knee,
    LayoutChoice,
    MemoryUse,
    OperatorTime,
    PoolPlan,
    Serving,
    SolverReport,
)
from planner.simulate import colocated, decode, encode, forward, kv_transfer, memory, prefill, space
from planner.simulate.forward import BF16, Ledger
from planner.simulate.lockstep import fullest
from planner.simulate.operators.roofline import Cost
from planner.simulate.operators.setup import Setup
from planner.simulate.points import MODES, Points
from planner.simulate.space import Layouts
from planner.values import dataclass
from planner.words import Exchange, Phase

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Pick:
    """Some instances of one design point."""

    points: Points
    row: int
    instances: int
    sustained_per_s: float | None = None  # within the limits, with a queue; None: their capacity
    asked: Question | None = None  # on their own system, in a mix on several; None: the plan's
    share: float = 1.0  # of what they serve, what is expected (`planner.planning.expected`)
    encoders: int = 0  # instances of an encoder pool that feed these
    first_token_s: float | None = None  # of a prefill pool in such a mix, moving the cache included

    @property
    def served_per_s(self) -> float:
        """Requests/s that these instances serve within the limits."""
        return self.requests_per_s if self.sustained_per_s is None else self.sustained_per_s

    @property
    def phase(self) -> Phase:
        """What they do."""
        return self.points.phase

    @property
    def requests_per_s(self) -> float:
        """Capacity of these instances."""
        return self.instances * float(self.points.requests_per_s[self.row])

    @property
    def gpus(self) -> int:
        """GPUs of these instances, and of what feeds them."""
        return self.own_gpus + encode.GPUS * self.encoders

    @property
    def own_gpus(self) -> int:
        """GPUs of these instances."""
        return self.instances * int(self.points.gpus[self.row])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What some pools can serve, requests/s, headroom kept."""

    split: float  # of the prefill and decode pools, as predicted
    total: float  # as predicted
    expected: float  # with the errors of the pools and of their layouts considered

    @classmethod
    def known(cls, requests_per_s: float) -> Rates:
        """Of what is expected as it is predicted."""
        return cls(split=requests_per_s, total=requests_per_s, expected=requests_per_s)


def rates(question: Question, picks: Sequence[Sequence[Pick]]) -> Rates:
    """Of prefill, decode and co-located instances."""
    prefill, decode, together = (sum(pick.served_per_s for pick in pool) for pool in picks)
    first, then, others = (sum(pick.share * pick.served_per_s for pick in pool) for pool in picks)
    kept = 1.0 - question.scenario.headroom
    split = kept * min(prefill, decode)
    return Rates(
        split=split,
        total=split + kept * together,
        # of one pool alone: what its rate is off by has a mean of nothing
        expected=kept * (float(question.errors.expected(first, then)) + others),
    )


def tokens_per_request(osl: int) -> int:
    """Tokens that decode makes for a request; the first of its `osl` comes from prefill."""
    return osl - 1


def prompt_tokens(question: Question, setup: Setup, batch: Real) -> Real:
    """Tokens of prompts that come during a decode step of `batch` sequences, of one rank and stage."""
    later = decode.later_drafts(setup.model)
    gained = decode.tokens_per_step(question.scenario.mtp, question.acceptance, later)
    return batch * (question.prompt.new * gained / tokens_per_request(question.lengths.osl))


def count(pick: Pick) -> Count:
    """Layout and number of some instances."""
    return Count(phase=pick.points.phase, layout=_layout(pick)[2], instances=pick.instances)


def _layout(pick: Pick) -> tuple[Layouts, Exchange, LayoutChoice]:
    points = pick.points
    index = np.array([points.layout[pick.row]], dtype=np.intp)
    one = points.layouts.take(index)
    chunked = points.phase == "prefill"
    return one, one.exchange_of(), one.choice(0, chunked)


def _breakdown(ledger: forward.Ledger) -> tuple[OperatorTime, ...]:
    def line(name: str, cost: Cost) -> OperatorTime:
        return OperatorTime(
            name=name,
            seconds=float(np.ravel(cost.seconds)[0]),
            light_s=float(np.ravel(cost.light_s)[0]),
        )

    lines = [line(name, cost) for name, cost in ledger.parts.items()]
    lines.append(line("output head", ledger.head))
    return tuple(sorted((li for li in lines if li.seconds > 0), key=lambda li: -li.seconds))


def pool(question: Question, pick: Pick, used_per_s: float) -> PoolPlan:
    """A pool with everything a user asks of it: memory of the fullest GPU, where a pass's time goes.

    `used_per_s` is the request rate that the plan sends to these instances.
    """
    question = pick.asked or question
    points, row, at_pool = pick.points, pick.row, question.pools[pick.points.phase]
    setup = at_pool.setup
    lengths, prompt = question.lengths, question.prompt
    at, exchange, layout = _layout(pick)
    per_rank = float(points.batch[row]) / layout.attention_dp
    chunk = float(points.chunk_tokens[row])
    mode = MODES[int(points.mode[row])]
    mtp = 0 if points.phase == "prefill" else question.scenario.mtp
    if points.phase == "prefill":
        chunks = np.round(lengths.new / chunk)

        def a_pass(on: Setup) -> Ledger:
            return prefill.mean_pass(on, at, exchange, per_rank, chunks, prompt)

        held = per_rank * (1 + math.ceil((layout.pp - 1) / chunks))
        cache = held * memory.kv_bytes(setup.model, setup.precision, at, float(lengths.isl))
        tokens = passing = per_rank * lengths.new / chunks
        too_many: BoolArray | bool = False
    else:
        batch = per_rank / layout.pp
        if points.phase == "colocated":
            came = prompt_tokens(question, setup, batch)
            launch = colocated.launched(setup, at, exchange, batch=batch, prompt_tokens=came, mtp=mtp)
            setup = launch.setup
        uneven = setup.machine.engine.sequence_imbalance
        full = batch + uneven * float(fullest(float(layout.attention_dp), batch))  # it sets the pace

        def a_pass(on: Setup) -> Ledger:
            if mode != "piggyback":
                return decode.step(on, at, exchange, full, isl=lengths.context_isl, osl=lengths.osl, mtp=mtp)
            return colocated.mixed_pass(
                on,
                at,
                exchange,
                batch=full,
                chunk=chunk,
                prompt=prompt,
                context=decode.mean_context(lengths.context_isl, lengths.osl),
                mtp=mtp,
            )

        whole = setup.machine.engine.whole_lengths
        mean = memory.decode_tokens(per_rank, lengths.context_isl, lengths.osl, whole=whole) / per_rank
        one = memory.kv_bytes(setup.model, setup.precision, at, mean) * memory.drafter(setup.model, mtp)
        cache = per_rank * one
        tokens = batch + chunk
        passing = batch * (1 + mtp) + chunk
        too_many = ~forward.fits_dispatch(setup.machine.engine, batch, 1 + mtp)
    live = float(np.ravel(tokens * memory.token_bytes(setup.model, at))[0])
    weights = float(memory.weight_bytes(setup.model, setup.precision, at, mtp)[0])
    return PoolPlan(
        phase=points.phase,
        layout=layout,
        instances=pick.instances,
        batch=round(float(points.batch[row])),
        chunk_tokens=round(chunk),
        mode=mode,
        ftl_s=float(points.ftl_s[row]),
        ttl_s=float(points.ttl_s[row]),
        requests_per_s=pick.requests_per_s,
        sustained_per_s=pick.sustained_per_s,
        utilisation=used_per_s / pick.requests_per_s if pick.requests_per_s else 0.0,
        memory=MemoryUse(
            weights_bytes=weights,
            kv_bytes=float(np.ravel(cache)[0]),
            activation_bytes=live,
            reserve_bytes=memory.reserve_bytes(setup.machine, setup.model),
            pool_bytes=memory.room(setup.machine, setup.model).cache_bytes(weights, live),
            capacity_bytes=setup.machine.gpu.memory_bytes,
        ),
        breakdown=(),
        timing=partial(
            _timing, setup, a_pass, partial(forward.taken, setup, at, exchange, passing, too_many)
        ),
        system=at_pool.system.name,
        max_batch=math.ceil(per_rank),
        max_batched_tokens=math.ceil(float(np.ravel(passing)[0])),
        memory_fraction=setup.machine.engine.memory_fraction,
        link_bytes_per_s=at_pool.link_bytes_per_s,
        expert_slots=space.expert_slots(setup.model, layout.ep, setup.machine.engine.can),
        domain_gpus=setup.machine.fabric.scale_up_gpus,
        rack_gpus=at_pool.system.rack_gpus,
        evidence=evidence.of(question, points.phase, layout),
    )


def timed(serving: Serving, *, chosen: bool) -> Serving:
    """A serving with what is told of it but not weighed: where the time of its pools' passes goes, how
    tokens reach their experts in them and whether those run in halves.

    Of the `chosen` one also what they take over the same passes in bf16.
    """

    def told(pool: PoolPlan) -> PoolPlan:
        if pool.timing is None:
            return pool
        breakdown, over_bf16, exchange, halved = pool.timing(chosen)
        return replace(
            pool, breakdown=breakdown, over_bf16=over_bf16, exchange=exchange, two_batches=halved, timing=None
        )

    return replace(serving, pools=tuple(told(pool) for pool in serving.pools))


def _timing(
    setup: Setup, a_pass: Callable[[Setup], Ledger], exchange: Callable[[], Exchange], chosen: bool
) -> tuple[tuple[OperatorTime, ...], float, Exchange, bool]:
    ledger = a_pass(setup)
    over_bf16 = _over_bf16(setup, ledger, a_pass) if chosen else 1.0
    return _breakdown(ledger), over_bf16, exchange(), ledger.halved


def _over_bf16(setup: Setup, ledger: Ledger, a_pass: Callable[[Setup], Ledger]) -> float:
    """Time of a pass over that of the same pass with weights and activations in bf16."""
    narrow = setup.precision
    if narrow.gemm.name == narrow.moe.name == BF16.name:
        return 1.0
    wide = replace(setup, precision=replace(narrow, gemm=BF16, moe=BF16))
    one, other = (float(np.ravel((part.layers() + part.head).seconds)[0]) for part in (ledger, a_pass(wide)))
    return one / other


def at_demand(question: Question, capacity_per_s: float) -> float:
    """The rate that a plan of some capacity runs at: what is asked for, or all of it where nothing is."""
    demand = question.scenario.traffic.requests_per_s
    return capacity_per_s if demand is None else min(demand, capacity_per_s)


def _encoder(question: Question, picks: Sequence[Pick], rate: float) -> EncoderPlan | None:
    """What encodes the images of requests that some pools compute the prompts of at a rate."""
    images, pool = question.images, question.pools[picks[0].phase]
    if images is None:
        return None
    hidden = pool.setup.model.hidden
    one, instances, batch = question.encoder, sum(pick.encoders for pick in picks), 0
    if one is None:
        tp = float(picks[0].points.layouts.tp[picks[0].points.layout[picks[0].row]])
        cost = encode.in_place(pool.setup.machine, images, hidden, images.each, tp)
        seconds, light_s, capacity = float(cost.seconds), float(cost.light_s), math.nan
    else:
        seconds, light_s, batch = one.pass_s, one.light_s, one.batch
        capacity = instances * one.requests_per_s
    return EncoderPlan(
        system=pool.system.name,
        instances=instances,
        images=images.each,
        image_tokens=images.tokens,
        batch=batch,
        pass_s=seconds,
        light_s=light_s,
        added_ftl_s=question.encoding_s,
        requests_per_s=capacity,
        utilisation=rate / capacity if capacity else math.nan,
        weights_bytes=encode.weight_bytes(images, hidden),
    )


def _spend(
    question: Question, picks: Sequence[Pick], requests_per_s: float
) -> tuple[int, float, float, float]:
    """(GPUs, output tokens/s/GPU, $ per million output tokens, watts) of all pools."""
    tokens = requests_per_s * tokens_per_request(question.lengths.osl)
    gpus = sum(pick.gpus for pick in picks)
    each = [(pick.gpus, (pick.asked or question).pools[pick.phase]) for pick in picks]
    usd_per_hour = sum(number * pool.usd_per_gpu_hour for number, pool in each)
    watts = sum(number * pool.watts_per_gpu for number, pool in each)
    per_million = 1e6 * usd_per_hour / SECONDS_PER_HOUR / tokens if tokens > 0 else math.nan
    return gpus, (tokens / gpus if gpus else math.nan), per_million, watts


def bare(question: Question, picks: Sequence[Pick], rates: Rates, ftl_s: float) -> Serving:
    """A serving without its pools: what is needed to weigh it, at a fraction of the time."""
    rate = at_demand(question, rates.total)
    gpus, per_gpu, per_million, watts = _spend(question, picks, rate)
    return Serving(
        pools=(),
        gpus=gpus,
        requests_per_s=rate,
        tokens_per_s_per_gpu=per_gpu,
        ftl_s=ftl_s,
        ttl_s=max(float(p.points.ttl_s[p.row]) for p in picks if p.phase != "prefill"),
        usd_per_million_tokens=per_million,
        watts=watts,
        encoder=None if question.encoder is None else _encoder(question, picks, rate),
        solver=SolverReport(status="feasible", gap=math.nan, seconds=0.0),
        capacity_requests_per_s=rates.total,
        expected_requests_per_s=rates.expected,
    )


def colocated_serving(
    question: Question, picks: Sequence[Pick], rates: Rates, solver: SolverReport, knee: Knee | None = None
) -> Serving:
    """Co-located pools that can serve a total request rate, at the rate that is asked for."""
    rate = at_demand(question, rates.total)
    capacity = sum(p.requests_per_s for p in picks)
    pools = tuple(pool(question, p, rate * p.requests_per_s / capacity) for p in picks)
    gpus, per_gpu, per_million, watts = _spend(question, picks, rate)
    ttl = max(p.ttl_s for p in pools)
    return Serving(
        pools=pools,
        gpus=gpus,
        requests_per_s=rate,
        tokens_per_s_per_gpu=per_gpu,
        ftl_s=max(p.ftl_s for p in pools),
        ttl_s=ttl,
        usd_per_million_tokens=per_million,
        watts=watts,
        solver=solver,
        capacity_requests_per_s=rates.total,
        expected_requests_per_s=rates.expected,
        knee=knee,
        encoder=_encoder(question, picks, rate),
    )


def split_serving(
    question: Question,
    *,
    prefills: Sequence[Pick],
    decodes: Sequence[Pick],
    colocated: Sequence[Pick],
    split_ftl_s: FloatArray,
    rates: Rates,
    solver: SolverReport,
    knee: Knee | None = None,
) -> Serving:
    """Prefill pools, decode pools and (in a mix) co-located instances beside them.

    `split_ftl_s` is that of every prefill point, moving the cache included. Users of each prefill pool
    wait for their own cache alone: the latest first token is what the serving promises. `rates` are what
    the pools can serve: they run at the rate that is asked for.
    """
    total_rate = at_demand(question, rates.total)
    split_rate = rates.split * (total_rate / rates.total if rates.total else 1.0)
    setup, isl = question.pools["prefill"].setup, question.lengths.isl
    shares = []
    for picks, rate in ((prefills, split_rate), (decodes, split_rate), (colocated, total_rate - split_rate)):
        capacity = sum(p.requests_per_s for p in picks)
        shares.append([pool(question, p, rate * p.requests_per_s / capacity) for p in picks])
    pools = tuple(p for share in shares for p in share)
    gpus, per_gpu, per_million, watts = _spend(question, [*prefills, *decodes, *colocated], total_rate)

    def flow(picks: Sequence[Pick]) -> float:
        """Cache per second and GPU that holds distinct cache, over all of a side's instances."""
        held = sum(p.instances * float(kv_transfer.holders(setup.model, _layout(p)[0])[0]) for p in picks)
        moved = memory.distinct_kv_bytes(setup.model, setup.precision, isl)
        return split_rate * moved / held if held else math.nan

    first_token_s = [
        float(split_ftl_s[p.row]) if p.first_token_s is None else p.first_token_s for p in prefills
    ]
    added = [ftl_s - float(p.points.ftl_s[p.row]) for p, ftl_s in zip(prefills, first_token_s, strict=True)]
    first_token_s += [float(p.points.ftl_s[p.row]) for p in colocated]
    prefill_gpus = sum(p.own_gpus for p in prefills)
    decode_gpus = sum(p.gpus for p in decodes)
    ttl = max(p.ttl_s for p in pools if p.phase != "prefill")
    return Serving(
        pools=pools,
        gpus=gpus,
        requests_per_s=total_rate,
        tokens_per_s_per_gpu=per_gpu,
        ftl_s=max(first_token_s),
        ttl_s=ttl,
        usd_per_million_tokens=per_million,
        watts=watts,
        solver=solver,
        capacity_requests_per_s=rates.total,
        expected_requests_per_s=rates.expected,
        knee=knee,
        ctx_gen_ratio=prefill_gpus / decode_gpus if decode_gpus else math.nan,
        kv_egress_bytes_per_s_per_gpu=flow(prefills),
        kv_ingress_bytes_per_s_per_gpu=flow(decodes),
        kv_transfer_s=max(added, default=question.encoding_s) - question.encoding_s,
        encoder=_encoder(question, [*prefills, *colocated], total_rate),
    )
