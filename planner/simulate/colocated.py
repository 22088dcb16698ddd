"""Co-located instances: prefill and decode on the same GPUs, in the two ways engines do it.

In-flight batching: prefills run as passes of their own and every decode waits for them.
Piggybacking: each pass carries the decode tokens and a chunk of some prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from planner.arrays import BoolArray, FloatArray, Real
from planner.simulate import decode, forward, memory
from planner.simulate.forward import Ledger
from planner.simulate.lockstep import held_s, serial_s, stopping
from planner.simulate.operators.roofline import Cost
from planner.simulate.operators.setup import Setup
from planner.simulate.points import MODES, Block, Collected, Points, Prompt, Table, blocks, widths
from planner.simulate.rides import Rides, rides
from planner.simulate.space import Layouts, batches
from planner.simulate.waiting import single_s
from planner.values import dataclass
from planner.words import Batching, Exchange

PASS_TOKENS = 8192.0  # prompt tokens an engine puts into one pass when many prompts wait
PROMPTS_PER_PASS = np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 1, -1)
CHUNK_TOKENS = np.array([64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384], dtype=float)


def prompt_side(setup: Setup, tp: Real, prompts: Real, prompt: Prompt) -> Ledger:
    """What a pass over whole prompts, as in-flight batching runs it, costs outside the experts."""
    new = float(prompt.new)
    return forward.shared(setup, tp, prompts * new, prompts, graph=False) + forward.prefill_core(
        setup, tp, prompts, new, prompt.prefix
    )


def mixed_side(
    setup: Setup,
    tp: Real,
    *,
    batch: Real,
    chunk: Real,
    prompt: Prompt,
    context: float,
    mtp: int = 0,
    stretch: float = 1.0,
) -> Ledger:
    """What a pass with `batch` decode and `chunk` prompt tokens, at a prompt's mean prefix, costs there.

    Prompt tokens count `stretch` times: scaling work, not what it adds to a pass, keeps the pass from
    getting slower on better hardware, where the decode step gains and the prompt does not.
    """
    prompts = np.maximum(chunk / prompt.new, 1.0)
    new = np.minimum(chunk, float(prompt.new))
    queries = mtp + 1
    verified = batch * queries
    whole = forward.shared(setup, tp, verified + stretch * chunk, verified + prompts, graph=False)
    whole = whole + forward.decode_core(setup, tp, batch, context, queries)
    if mtp:
        decode.draft(setup, whole, tp, batch, mtp, context)
    core = forward.prefill_core(setup, tp, prompts, new, prompt.prefix + 0.5 * (prompt.new - new))
    for part, cost in core.parts.items():
        whole.add(part, cost, stretch)
    return whole


def alone_side(setup: Setup, tp: Real, *, chunk: Real, prompt: Prompt) -> Ledger:
    """What a pass with `chunk` prompt tokens and no decode costs there, at a prompt's mean prefix."""
    prompts, new = np.maximum(chunk / prompt.new, 1.0), np.minimum(chunk, float(prompt.new))
    whole = forward.shared(setup, tp, chunk, prompts, graph=False)
    return whole + forward.prefill_core(setup, tp, prompts, new, prompt.prefix + 0.5 * (prompt.new - new))


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Instances as an engine is launched for them, and what their passes cost at the routed experts."""

    setup: Setup  # with one exchange for decode steps and prompts: `Setup.gathers`
    steps: Ledger  # of the decode steps
    full: Ledger  # of a pass of `PASS_TOKENS` of prompts


def launched_as(
    setup: Setup, at: Layouts, exchange: Exchange, *, batch: Real, mtp: int, gathers: bool
) -> Launch:
    """As `launched`, of whose arguments these are, with the exchange that is told."""
    one = replace(setup, gathers=gathers)
    return Launch(
        setup=one,
        steps=decode.expert_side(one, at, exchange, batch, mtp),
        full=forward.experts(one, at, exchange, PASS_TOKENS),
    )


def launched(
    setup: Setup, at: Layouts, exchange: Exchange, *, batch: Real, prompt_tokens: Real, mtp: int = 0
) -> Launch:
    """Instances of layouts `at`, which have one exchange for decode steps and prompts.

    The one with which a step and the prompts that come during it take less time together, of the broadcast
    shape of layouts and batches.

    Parameters
    ----------
    batch
        Sequences per attention rank in a decode step.
    prompt_tokens
        Tokens of prompts that such a rank computes per step.
    mtp
        Drafted tokens per sequence.
    """
    engine = setup.machine.engine

    def spent(one: Launch) -> Real:
        share = prompt_tokens * (engine.prefill_stretch / PASS_TOKENS)
        return one.steps.layers().seconds + share * one.full.layers().seconds

    sent = launched_as(setup, at, exchange, batch=batch, mtp=mtp, gathers=False)
    if exchange != "all-to-all":
        return sent
    gathered = launched_as(setup, at, exchange, batch=batch, mtp=mtp, gathers=True)
    lacks = ~forward.reached(setup, at) | ~forward.fits_dispatch(engine, batch, mtp + 1)
    first = np.asarray(lacks | (spent(gathered) < spent(sent)))
    return Launch(
        setup=replace(setup, gathers=first),
        steps=forward.either(first, gathered.steps, sent.steps),
        full=forward.either(first, gathered.full, sent.full),
    )


def mixed_pass(
    setup: Setup,
    at: Layouts,
    exchange: Exchange,
    *,
    batch: Real,
    chunk: Real,
    prompt: Prompt,
    context: float,
    mtp: int = 0,
) -> Ledger:
    """The mixed pass, by part, of given layouts."""
    whole = mixed_side(setup, at.tp, batch=batch, chunk=chunk, prompt=prompt, context=context, mtp=mtp)
    whole = whole + decode.expert_side(setup, at, exchange, batch, mtp, beside=chunk)
    return forward.hide_exchange(setup, at, exchange, whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What a pass costs outside the experts: all layers, and the output head."""

    layers: Cost
    head: Cost

    @classmethod
    def of(cls, setup: Setup, ledger: Ledger) -> Side:
        """That of a ledger; with its light where a setup asks for it."""
        light = setup.machine.light
        return cls(layers=ledger.layers().lit(light), head=ledger.head.lit(light))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the instances of a sweep are to do, and what it costs outside the experts."""

    setup: Setup
    prompt: Prompt
    tokens: int  # that a request decodes after its first
    gained: float  # tokens that a decode step yields of a sequence
    mtp: int
    prompts: Side  # passes of `PROMPTS_PER_PASS`
    full: Side  # a pass of `PASS_TOKENS` of prompts alone
    decode: Side  # steps of the grid's batches
    mixed: Side  # passes of the grid's rides

    @property
    def steps(self) -> float:
        """Decode steps of a request."""
        return self.tokens / self.gained


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Decode steps of a block, and what prompts meet that come meanwhile; arrays (layouts, batches, 1)."""

    work: Work
    block: Block
    here: Setup  # as the instances are launched
    full: Ledger  # experts of a pass of `PASS_TOKENS` of prompts
    step_s: Real  # of the fullest rank
    light_s: Real
    in_flight: FloatArray  # sequences of an instance
    host_s: FloatArray  # that a pass waits for the host's work on prompts
    least_s: FloatArray  # that this work takes of one thread

    def across(self, ride: Rides) -> Steps:
        """The same for each ride of the block's batches, of the passes that carry none."""
        spread = ride.spread
        return replace(
            self,
            block=replace(self.block, batch=ride.batch),
            here=replace(self.here, gathers=spread(self.here.gathers)),
            step_s=spread(self.step_s),
            light_s=spread(self.light_s),
            in_flight=spread(self.in_flight),
            host_s=spread(self.host_s),
            least_s=spread(self.least_s),
        )

    def points(
        self,
        mode: Batching,
        exists: BoolArray,
        *,
        chunk: Real,
        pass_s: Real,
        first_s: Real,
        busy_s: Real,
        light_s: Real,
    ) -> Collected:
        """What comes of passes that take `pass_s` in the mean, `busy_s` of it for prompts."""
        pp, gained = self.block.at.pp, self.work.gained
        ttl = pp * pass_s / gained
        return Collected(
            rows=self.block.rows,
            exists=exists,
            mode=MODES.index(mode),
            batch=self.in_flight,
            chunk_tokens=chunk,
            ftl_s=first_s,
            ttl_s=ttl,
            requests_per_s=self.in_flight / ttl / self.work.tokens,
            light_s=pp * light_s / gained if self.here.machine.light else 0.0,
            prompt_share=busy_s / pass_s,
        )


def _pass(
    here: Setup, block: Block, side: Side, routed: Ledger, tokens: Real, sequences: Real, slower: float = 1.0
) -> Cost:
    """Passes of a block whose experts cost `routed`; tokens and sequences of a rank."""
    joint = block.join(here, side.layers, routed)
    return forward.pace(here, block.at, joint, block.spread(side.head), tokens, sequences, slower)


def _steps(work: Work, block: Block) -> Steps:
    """The decode steps of a block."""
    engine, at, batch = work.setup.machine.engine, block.at, block.batch
    came = batch / work.steps  # prompts of a rank per pass
    launch = launched(
        work.setup,
        block.stage,
        block.exchange,
        batch=batch,
        prompt_tokens=came * float(work.prompt.new),
        mtp=work.mtp,
    )
    alone = _pass(launch.setup, block, work.decode, launch.steps, batch * (work.mtp + 1), batch)
    return Steps(
        work=work,
        block=block,
        here=launch.setup,
        full=launch.full,
        step_s=decode.at_fullest(engine, at.attention_dp, batch, alone.seconds),
        light_s=alone.light_s,
        in_flight=batch * at.pp * at.attention_dp,
        host_s=came * held_s(at.attention_dp, engine.arrival_s, engine.serial_share),
        least_s=came * serial_s(at.attention_dp, engine.arrival_s, engine.serial_share),
    )


def _inflight(steps: Steps, exists: BoolArray) -> Collected:
    """In-flight batching: prompts in passes of their own, shape (layouts, batches, prompts of a pass)."""
    work, block, here = steps.work, steps.block, steps.here
    engine, at, new = here.machine.engine, block.at, float(work.prompt.new)
    tokens = PROMPTS_PER_PASS * new
    routed = forward.experts(here, block.stage, block.exchange, tokens)
    prompts = _pass(here, block, work.prompts, routed, tokens, PROMPTS_PER_PASS, engine.prefill_stretch)
    waiting = block.batch / (PROMPTS_PER_PASS * work.steps)
    stops = stopping(waiting, at.attention_dp, engine.lockstep)
    stopped = engine.exposure * stops * prompts.seconds
    a_pass = np.maximum(steps.step_s + stopped + steps.host_s, steps.least_s)
    companions = 0.5 * (PROMPTS_PER_PASS - 1) * (a_pass / work.gained) * work.tokens / block.batch
    return steps.points(
        "inflight",
        exists,
        chunk=new,
        pass_s=a_pass,
        first_s=at.pp * prompts.seconds
        + engine.admission_passes * a_pass
        + companions
        + single_s(engine.prefill_request_s),
        busy_s=stopped,
        light_s=steps.light_s + waiting * prompts.light_s,
    )


def _piggybacked(steps: Steps, ride: Rides, exists: BoolArray) -> Collected:
    """Chunks that ride along with decode steps, shape (layouts, rides, 1)."""
    work, block = steps.work, steps.block
    engine, at, stage = steps.here.machine.engine, block.at, block.stage
    new, stretch = float(work.prompt.new), engine.prefill_stretch
    sequences = max(PASS_TOKENS / new, 1.0)
    full = _pass(steps.here, block, work.full, steps.full, PASS_TOKENS, sequences, stretch)
    token_s = ride.spread(full.seconds) / PASS_TOKENS  # of a prompt, where a pass is full of them

    chunk, share = ride.chunk, ride.share
    alone = steps.across(ride)
    routed = decode.expert_side(
        alone.here, stage, block.exchange, ride.batch, work.mtp, beside=stretch * chunk
    )
    tokens = ride.batch * (work.mtp + 1) + stretch * chunk
    mixed = _pass(alone.here, alone.block, work.mixed, routed, tokens, ride.batch)
    # engines hide less of a chunk behind the step than the operators of one pass together would
    beside = engine.exposure * chunk * token_s
    ridden = alone.step_s + beside - engine.overlap * np.minimum(alone.step_s, beside)
    mixed_s = np.maximum(mixed.seconds, ridden)
    carrying = stopping(share, at.attention_dp, engine.lockstep)  # a chunk, on any rank
    a_pass = carrying * mixed_s + (1 - carrying) * alone.step_s + alone.host_s
    passes = np.ceil(new / chunk) + engine.admission_passes + (at.pp - 1)  # to the first token
    # light knows no stretch: at most that of the tokens that there are
    light_s = np.maximum(mixed.light_s / stretch, alone.light_s)
    return alone.points(
        "piggyback",
        exists,
        chunk=chunk,
        pass_s=np.maximum(a_pass, alone.least_s),
        first_s=passes * mixed_s + single_s(engine.prefill_request_s),
        busy_s=share * mixed_s,
        light_s=share * light_s + (1 - share) * alone.light_s,
    )


def simulate(
    setup: Setup,
    at: Layouts,
    isl: int,
    osl: int,
    *,
    prompt: Prompt | None = None,
    mtp: int = 0,
    acceptance: float = decode.ACCEPTANCE,
    balanced: bool = False,
    should_stop: Callable[[], bool] | None = None,
) -> Points:
    """Every layout at every batch, both ways: of prompts of `isl` tokens, all new if not told.

    In steady state a batch of B needs B prefills per ``osl - 1`` tokens of each, of which a step yields
    more than one where some are drafted (`mtp`).
    In-flight: ``TTL = t_dec + (B / s) t_pre(s) / (osl - 1)`` with s prompts per prefill pass, t_pre as
    exposed, overlapped and multiplied by other ranks' as in `planner.simulate.waiting`.
    Piggyback: a share ``phi = B isl / ((osl - 1) c)`` of the passes carries a chunk of c tokens and
    ``TTL = phi t_mixed + (1 - phi) t_dec``; beyond phi = 1 prefill cannot keep up and there is no
    such steady state. FTL counts the passes until a prompt is admitted, the wait for companions of the
    same pass, and the passes themselves.

    Among the chunks is the one that keeps phi at 1, for which ranks in lockstep never wait for each other.
    `balanced` leaves only that: every pass is the same and no token waits longer than another, which
    bounds the worst token where the rest bound the mean.
    """
    machine, model, precision = setup.machine, setup.model, setup.precision
    engine = machine.engine
    largest = memory.largest_batch(machine, model, precision, at, isl=isl, osl=osl, mtp=mtp)
    largest = np.floor(largest / at.pp)  # of each batch in the pipeline
    grid = batches(int(largest.max(initial=1)))
    prompt = Prompt(new=isl) if prompt is None else prompt
    new, context = float(prompt.new), decode.mean_context(isl, osl)
    gained = decode.tokens_per_step(mtp, acceptance, decode.later_drafts(model))
    chunks = CHUNK_TOKENS[: 0 if balanced else np.searchsorted(CHUNK_TOKENS, max(new, 64), side="right")]
    tp, every = widths(at), grid.reshape(1, -1, 1)
    riding = rides(grid, grid * (new * gained / (osl - 1)), chunks)
    mixed = mixed_side(
        setup,
        tp,
        batch=riding.batch,
        chunk=riding.chunk,
        prompt=prompt,
        context=context,
        mtp=mtp,
        stretch=engine.prefill_stretch,
    )
    work = Work(
        setup=setup,
        prompt=prompt,
        tokens=osl - 1,
        gained=gained,
        mtp=mtp,
        prompts=Side.of(setup, prompt_side(setup, tp, PROMPTS_PER_PASS, prompt)),
        full=Side.of(setup, alone_side(setup, tp, chunk=PASS_TOKENS, prompt=prompt)),
        decode=Side.of(setup, decode.attention_side(setup, tp, every, isl=isl, osl=osl, mtp=mtp)),
        mixed=Side.of(setup, mixed),
    )
    enough = np.maximum(every, 1.0) >= PROMPTS_PER_PASS  # sequences in flight to fill such a pass
    enough = enough & (not balanced)
    table = Table(at, len(riding.of) + int(enough.sum()))
    weights, live = memory.weight_bytes(model, precision, at, mtp), memory.token_bytes(model, at)
    room = memory.room(machine, model)
    inner = -(-len(riding.of) // len(grid))
    for block in blocks(at, largest, grid, inner, should_stop, decode.reach(engine, at)):
        batch, a_token = block.batch, block.own(live)
        steps = _steps(work, block)
        cache = decode.cache_bytes(setup, block.at, batch, isl=isl, osl=osl, mtp=mtp)
        held = room.held(block.own(weights), cache)
        verified = batch * (mtp + 1)
        exists = room.fits(held, (verified + PROMPTS_PER_PASS * new) * a_token)
        exists = exists & (enough[:, : batch.size] & block.allowed)
        if exists.any():
            table.add(_inflight(steps, exists))
        ride = riding.upto(batch.size)
        exists = room.fits(ride.spread(held), (ride.spread(verified) + ride.chunk) * a_token)
        exists = exists & ride.spread(block.allowed)
        if exists.any():
            table.add(_piggybacked(steps, ride, exists))
    return table.points("colocated")
