"""Co-located instances: prefill and decode on the same GPUs, in the two ways engines do it.

In-flight batching: prefills run as passes of their own and every decode waits for them.
Piggybacking: each pass carries the decode tokens and a chunk of some prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from planner.arrays import FloatArray, IndexArray, Real
from planner.simulate import decode, forward, memory
from planner.simulate.forward import Ledger
from planner.simulate.operators.roofline import Cost
from planner.simulate.operators.setup import Setup
from planner.simulate.points import MODES, Block, Collected, Points, Prompt, Table, blocks, widths
from planner.simulate.space import Layouts, batches
from planner.simulate.waiting import fullest, held_s, single_s, stopping
from planner.values import dataclass
from planner.words import Exchange

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


def launched(
    setup: Setup, at: Layouts, exchange: Exchange, *, batch: Real, prompt_tokens: Real, mtp: int = 0
) -> Setup:
    """The setup of instances of layouts `at`, which have one exchange for decode steps and prompts.

    The one with which a step and the prompts that come during it take less time together, as an engine is
    launched with one: `Setup.gathers`, of the broadcast shape of layouts and batches.

    Parameters
    ----------
    batch
        Sequences per attention rank in a decode step.
    prompt_tokens
        Tokens of prompts that such a rank computes per step.
    mtp
        Drafted tokens per sequence.
    """
    if exchange != "all-to-all":
        return replace(setup, gathers=False)
    engine = setup.machine.engine

    def spent(gathers: bool) -> Real:
        one = replace(setup, gathers=gathers)
        steps = decode.expert_side(one, at, exchange, batch, mtp).layers().seconds
        full = forward.experts(one, at, exchange, PASS_TOKENS).layers().seconds
        return steps + prompt_tokens * (engine.prefill_stretch / PASS_TOKENS) * full

    lacks = ~forward.reached(setup, at) | ~forward.fits_dispatch(engine, batch, mtp + 1)
    return replace(setup, gathers=np.asarray(lacks | (spent(True) < spent(False))))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rides:
    """Chunks of prompts that ride along with decode steps, wherever prompts are worked off as they come.

    A row for each batch of a grid and chunk, batches ascending; arrays (rides,) or (1, rides, 1).
    """

    of: IndexArray  # the batch of each
    batch: FloatArray
    chunk: FloatArray  # tokens
    share: FloatArray  # of the passes that carry one

    def upto(self, batches: int) -> Rides:
        """Those of the first batches alone."""
        rows = int(np.searchsorted(self.of, batches))
        return Rides(
            of=self.of[:rows],
            batch=self.batch[:, :rows],
            chunk=self.chunk[:, :rows],
            share=self.share[:, :rows],
        )

    def spread(self, values: Any) -> Any:
        """Values of each batch, along the second axis, for each ride of it; one for all as it is."""
        many = np.ndim(values) > 1 and np.shape(values)[1] > 1
        return np.take(values, self.of, axis=1) if many else values


def rides(grid: FloatArray, tokens: FloatArray, chunks: FloatArray) -> Rides:
    """The rides of a grid of batches, to each of which so many `tokens` of prompts come per step.

    Each batch with the chunk that every pass carries, and with those of `chunks` that are no smaller.
    """
    of, which = np.nonzero(tokens[:, np.newaxis] <= chunks * (1.0 + 1e-9))
    of = np.concatenate((np.arange(len(grid)), of))
    chunk = np.concatenate((tokens, chunks[which]))
    order = np.argsort(of, kind="stable")
    of, chunk = of[order], chunk[order]
    batch, chunk, share = (v.reshape(1, -1, 1) for v in (grid[of], chunk, tokens[of] / chunk))
    return Rides(of=of, batch=batch, chunk=chunk, share=share)


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
    largest = memory.largest_batch(machine, model, precision, at, isl=isl, osl=osl, mtp=mtp)
    largest = np.floor(largest / at.pp)  # of each batch in the pipeline
    grid = batches(int(largest.max(initial=1)))
    engine = machine.engine
    once = single_s(engine.prefill_request_s)
    prompt = Prompt(new=isl) if prompt is None else prompt
    new, context = float(prompt.new), decode.mean_context(isl, osl)
    tp, every = widths(at), grid.reshape(1, -1, 1)
    enough = np.maximum(every, 1.0) >= PROMPTS_PER_PASS  # sequences in flight to fill such a pass
    gained = decode.tokens_per_step(mtp, acceptance, decode.later_drafts(model))
    steps = (osl - 1) / gained  # of a request
    stretch = engine.prefill_stretch

    def side(of: Ledger) -> Side:
        return Side(layers=of.layers().lit(machine.light), head=of.head.lit(machine.light))

    prompts_side = side(prompt_side(setup, tp, PROMPTS_PER_PASS, prompt))
    full_side = side(alone_side(setup, tp, chunk=PASS_TOKENS, prompt=prompt))
    decode_side = side(decode.attention_side(setup, tp, every, isl=isl, osl=osl, mtp=mtp))
    chunks = CHUNK_TOKENS[: 0 if balanced else np.searchsorted(CHUNK_TOKENS, max(new, 64), side="right")]
    every_ride = rides(grid, grid * (new / steps), chunks)
    mixed_layers = side(
        mixed_side(
            setup,
            tp,
            batch=every_ride.batch,
            chunk=every_ride.chunk,
            prompt=prompt,
            context=context,
            mtp=mtp,
            stretch=stretch,
        )
    )
    tried = len(every_ride.of) + (0 if balanced else int(enough.sum()))
    table = Table(at, tried)
    weights, live = memory.weight_bytes(model, precision, at, mtp), memory.token_bytes(model, at)
    room = memory.room(machine, model)
    for block in blocks(
        at, largest, grid, -(-len(every_ride.of) // len(grid)), should_stop, decode.reach(engine, at)
    ):
        batch, spread = block.batch, block.at
        stage, exchange = block.stage, block.exchange
        came = batch / steps  # prompts of a rank per pass
        here = launched(setup, stage, exchange, batch=batch, prompt_tokens=came * new, mtp=mtp)

        def pass_of(
            side: Side,
            tokens: Real,
            sequences: Real,
            routed: Ledger,
            slower: float = 1.0,
            block: Block = block,
            here: Setup = here,
        ) -> Cost:
            joint = block.join(here, side.layers, routed)
            return forward.pace(here, block.at, joint, block.spread(side.head), tokens, sequences, slower)

        routed = decode.expert_side(here, stage, exchange, batch, mtp)
        verified = batch * (mtp + 1)
        decode_only = pass_of(decode_side, verified, batch, routed)
        step_s = decode.at_fullest(engine, spread.attention_dp, batch, decode_only.seconds)
        in_flight = batch * spread.pp * spread.attention_dp
        host = came * held_s(spread.attention_dp, engine.arrival_s)
        least = came * spread.attention_dp * engine.arrival_s

        cache = decode.cache_bytes(setup, spread, batch, isl=isl, osl=osl, mtp=mtp)
        held = room.held(block.own(weights), cache)
        allowed = batch <= block.own(largest)
        exists = room.fits(held, (verified + PROMPTS_PER_PASS * new) * block.own(live))
        exists = exists & (enough[:, : batch.size] & allowed)
        if exists.any() and not balanced:
            routed = forward.experts(here, stage, exchange, PROMPTS_PER_PASS * new)
            prompts = pass_of(prompts_side, PROMPTS_PER_PASS * new, PROMPTS_PER_PASS, routed, stretch)
            waiting = batch / (PROMPTS_PER_PASS * steps)
            stops = stopping(waiting, spread.attention_dp, engine.lockstep)
            crowded = 1.0 + engine.prompt_imbalance * fullest(spread.attention_dp, 1.0 / PROMPTS_PER_PASS)
            stopped = engine.exposure * stops * crowded * prompts.seconds
            a_pass = np.maximum(step_s + stopped + host, least)
            ttl = spread.pp * a_pass / gained
            companions = 0.5 * (PROMPTS_PER_PASS - 1) * ttl * (osl - 1) / (batch * spread.pp)
            admission = engine.admission_passes * a_pass
            light_s: Real = decode_only.light_s + waiting * prompts.light_s if machine.light else 0.0
            table.add(
                Collected(
                    rows=block.rows,
                    exists=exists,
                    mode=MODES.index("inflight"),
                    batch=in_flight,
                    chunk_tokens=new,
                    ftl_s=spread.pp * prompts.seconds + admission + companions + once,
                    ttl_s=ttl,
                    requests_per_s=in_flight / ttl / (osl - 1),
                    light_s=spread.pp * light_s / gained if machine.light else 0.0,
                    prompt_share=stopped / a_pass,
                )
            )

        routed = forward.experts(here, stage, exchange, PASS_TOKENS)
        full = pass_of(full_side, PASS_TOKENS, max(PASS_TOKENS / new, 1.0), routed, stretch)
        token_s = full.seconds / PASS_TOKENS  # of a prompt, where a pass is full of them
        uneven = 1.0 + engine.prompt_imbalance * fullest(spread.attention_dp, min(new / PASS_TOKENS, 1.0))
        ride = every_ride.upto(batch.size)
        chunk, share = ride.chunk, ride.share
        exists = room.fits(ride.spread(held), (ride.batch * (mtp + 1) + chunk) * block.own(live))
        exists = exists & ride.spread(allowed)
        if not exists.any():
            continue
        here = replace(here, gathers=ride.spread(here.gathers))
        routed = decode.expert_side(here, stage, exchange, ride.batch, mtp, beside=stretch * chunk)
        tokens = ride.batch * (mtp + 1) + stretch * chunk
        mixed = pass_of(
            mixed_layers, tokens, ride.batch, routed, block=replace(block, batch=ride.batch), here=here
        )
        # engines hide less of a chunk behind the step than the operators of one pass together would
        alone_s = ride.spread(step_s)
        beside = engine.exposure * chunk * ride.spread(token_s * uneven)
        ridden = alone_s + beside - engine.overlap * np.minimum(alone_s, beside)
        mixed_s = np.maximum(mixed.seconds, ridden)
        carrying = stopping(share, spread.attention_dp, engine.lockstep)  # a chunk, on any rank
        a_pass = np.maximum(
            carrying * mixed_s + (1 - carrying) * alone_s + ride.spread(host), ride.spread(least)
        )
        ttl = spread.pp * a_pass / gained
        in_flight = ride.spread(in_flight)
        passes_to_first_token = np.ceil(new / chunk) + engine.admission_passes + (spread.pp - 1)
        light_s = 0.0
        if machine.light:  # which knows no stretch: at most that of the tokens that there are
            light_alone = ride.spread(decode_only.light_s)
            most = np.maximum(mixed.light_s / stretch, light_alone)
            light_s = share * most + (1 - share) * light_alone
        table.add(
            Collected(
                rows=block.rows,
                exists=exists,
                mode=MODES.index("piggyback"),
                batch=in_flight,
                chunk_tokens=chunk,
                ftl_s=passes_to_first_token * mixed_s + once,
                ttl_s=ttl,
                requests_per_s=in_flight / ttl / (osl - 1),
                light_s=spread.pp * light_s / gained if machine.light else 0.0,
                prompt_share=share * mixed_s / a_pass,
            )
        )
    return table.points("colocated")
