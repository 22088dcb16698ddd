"""Co-located instances: prefill and decode on the same GPUs, in the two ways engines do it.

In-flight batching: prefills run as passes of their own and every decode waits for them.
Piggybacking: each pass carries the decode tokens and a chunk of some prompt.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from planner.arrays import Real
from planner.simulate import decode, forward, memory
from planner.simulate.forward import Ledger
from planner.simulate.operators.roofline import Cost
from planner.simulate.operators.setup import Setup
from planner.simulate.points import MODES, Block, Collected, Points, Table, blocks, widths
from planner.simulate.space import Layouts, batches
from planner.words import Exchange

PROMPTS_PER_PASS = np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 1, -1)
CHUNK_TOKENS = np.array([64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384], dtype=float).reshape(1, 1, -1)


def prompt_side(setup: Setup, tp: Real, prompts: Real, isl: int) -> Ledger:
    """What a pass over whole prompts, as in-flight batching runs it, costs outside the experts."""
    return forward.shared(setup, tp, prompts * float(isl), prompts, graph=False) + forward.prefill_core(
        setup, tp, prompts, float(isl), 0.0
    )


def mixed_side(
    setup: Setup, tp: Real, *, batch: Real, chunk: Real, isl: int, osl: int, stretch: float = 1.0
) -> Ledger:
    """What a pass with `batch` decode and `chunk` prompt tokens, at a prompt's mean prefix, costs there.

    Prompt tokens count `stretch` times: scaling work, not what it adds to a pass, keeps the pass from
    getting slower on better hardware, where the decode step gains and the prompt does not.
    """
    prompts = np.maximum(chunk / isl, 1.0)
    new = np.minimum(chunk, float(isl))
    whole = forward.shared(setup, tp, batch + stretch * chunk, batch + prompts, graph=False)
    whole = whole + forward.decode_core(setup, tp, batch, decode.mean_context(isl, osl))
    core = forward.prefill_core(setup, tp, prompts, new, 0.5 * (isl - new))
    for part, cost in core.parts.items():
        whole.add(part, cost, stretch)
    return whole


def mixed_pass(
    setup: Setup, at: Layouts, exchange: Exchange, *, batch: Real, chunk: Real, isl: int, osl: int
) -> Ledger:
    """The mixed pass, by part, of given layouts."""
    whole = mixed_side(setup, at.tp, batch=batch, chunk=chunk, isl=isl, osl=osl)
    whole = whole + forward.experts(setup, at, exchange, batch + chunk)
    return forward.hide_exchange(setup, at, exchange, whole)


def simulate(
    setup: Setup,
    at: Layouts,
    isl: int,
    osl: int,
    *,
    balanced: bool = False,
    should_stop: Callable[[], bool] | None = None,
) -> Points:
    """Every layout at every batch, both ways.

    In steady state a batch of B needs B prefills per ``osl - 1`` steps (tokens counted once).
    In-flight: ``TTL = t_dec + (B / s) t_pre(s) / (osl - 1)`` with s prompts per prefill pass.
    Piggyback: a share ``phi = B isl / ((osl - 1) c)`` of the passes carries a chunk of c tokens and
    ``TTL = phi t_mixed + (1 - phi) t_dec``; beyond phi = 1 prefill cannot keep up and there is no
    such steady state. FTL counts the wait for the running pass, for companions of the same pass,
    and the passes themselves.

    `balanced` leaves only piggybacking, and its one chunk that keeps phi at 1: every pass is the same
    and no token waits longer than another, which bounds the worst token where the rest bound the mean.
    """
    machine, model, precision = setup.machine, setup.model, setup.precision
    largest = memory.largest_batch(machine, model, precision, at, isl=isl, osl=osl)
    largest = np.minimum(np.floor(largest / at.pp), machine.engine.max_batch)
    grid = batches(int(largest.max(initial=1)))
    engine = machine.engine
    once = engine.prefill_request_s
    chunks = CHUNK_TOKENS[max(isl, 64) >= CHUNK_TOKENS].reshape(1, 1, -1)
    tp, every = widths(at), grid.reshape(1, -1, 1)
    enough = np.maximum(every, 1.0) >= PROMPTS_PER_PASS  # sequences in flight to fill such a pass
    if balanced:
        chunks = every * (isl / (osl - 1))
    shares = every * isl / ((osl - 1) * chunks)
    keeps_up = shares <= 1.0 + 1e-9
    decode_side = decode.attention_side(setup, tp, every, isl=isl, osl=osl)
    prompts_side = prompt_side(setup, tp, PROMPTS_PER_PASS, isl)
    stretch = engine.prefill_stretch
    both_side = mixed_side(setup, tp, batch=every, chunk=chunks, isl=isl, osl=osl, stretch=stretch)
    sides = [(side.layers(), side.head) for side in (decode_side, prompts_side, both_side)]
    tried = int(keeps_up.sum()) + (0 if balanced else int(enough.sum()))
    table = Table(at, tried)
    weights, live = memory.weight_bytes(model, precision, at), memory.token_bytes(model, at)
    room = memory.room(machine, model)
    for block in blocks(at, largest, grid, chunks.size, should_stop):
        batch, spread = block.batch, block.at

        def pass_of(
            side: int, tokens: Real, sequences: Real, slower: float = 1.0, block: Block = block
        ) -> Cost:
            layers, head = sides[side]
            routed = forward.experts(setup, block.stage, block.exchange, tokens)
            joint = block.join(setup, layers, routed)
            return forward.pace(setup, block.at, joint, block.spread(head), tokens, sequences, slower)

        decode_only = pass_of(0, batch, batch)
        in_flight = batch * spread.pp * spread.attention_dp

        cache = decode.cache_bytes(setup, spread, batch, isl=isl, osl=osl)
        held = room.held(block.own(weights), cache)
        exists = room.fits(held, (batch + PROMPTS_PER_PASS * isl) * block.own(live))
        exists = exists & enough[:, : batch.size]
        if exists.any() and not balanced:
            prompts = pass_of(1, PROMPTS_PER_PASS * float(isl), PROMPTS_PER_PASS, stretch)
            waiting = batch / (PROMPTS_PER_PASS * (osl - 1))
            ttl = spread.pp * (decode_only.seconds + waiting * prompts.seconds)
            companions = 0.5 * (PROMPTS_PER_PASS - 1) * ttl * (osl - 1) / (batch * spread.pp)
            table.add(
                Collected(
                    rows=block.rows,
                    exists=exists,
                    mode=MODES.index("inflight"),
                    batch=in_flight,
                    chunk_tokens=float(isl),
                    ftl_s=spread.pp * prompts.seconds + decode_only.seconds + companions + once,
                    ttl_s=ttl,
                    requests_per_s=in_flight / ttl / (osl - 1),
                    light_s=spread.pp * (decode_only.light_s + waiting * prompts.light_s),
                )
            )

        chunk = chunks[:, : batch.size]
        share = shares[:, : batch.size]
        exists = room.fits(held, (batch + chunk) * block.own(live))
        exists = exists & keeps_up[:, : batch.size]
        if exists.any():
            mixed = pass_of(2, batch + stretch * chunk, batch)
            # light knows no stretch: at most that of the tokens that there are
            light_s = np.maximum(mixed.light_s / stretch, decode_only.light_s)
            ttl = spread.pp * (share * mixed.seconds + (1 - share) * decode_only.seconds)
            passes_to_first_token = np.ceil(isl / chunk) + 0.5 + (spread.pp - 1)
            table.add(
                Collected(
                    rows=block.rows,
                    exists=exists,
                    mode=MODES.index("piggyback"),
                    batch=in_flight,
                    chunk_tokens=chunk,
                    ftl_s=passes_to_first_token * mixed.seconds + once,
                    ttl_s=ttl,
                    requests_per_s=in_flight / ttl / (osl - 1),
                    light_s=spread.pp * (share * light_s + (1 - share) * decode_only.light_s),
                )
            )
    return table.points("colocated")
