"""Co-located instances: prefill and decode on the same GPUs, in the two ways engines do it.

In-flight batching: prefills run as passes of their own and every decode waits for them.
Piggybacking: each pass carries the decode tokens and a chunk of some prompt.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from planner.simulate import decode, forward, memory
from planner.simulate.forward import Setup
from planner.simulate.points import Collected, Points, blocks, gather
from planner.simulate.roofline import Cost, Real
from planner.space import Layouts, batches

PROMPTS_PER_PASS = np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 1, -1)
CHUNK_TOKENS = np.array([64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384], dtype=float).reshape(1, 1, -1)


def prompt_pass(setup: Setup, at: Layouts, exchange: str, prompts: Real, isl: int) -> Cost:
    """One pass over whole prompts, as in-flight batching runs it."""
    tokens = prompts * float(isl)
    ledger = forward.body(setup, at, exchange, tokens, prompts, graph=False)
    ledger = ledger + forward.prefill_core(setup, at, prompts, float(isl), 0.0)
    return forward.pace(setup, at, ledger, tokens, prompts)


def mixed_pass(
    setup: Setup, at: Layouts, exchange: str, batch: Real, chunk: Real, isl: int, osl: int
) -> tuple[Cost, forward.Ledger]:
    """One pass with `batch` decode tokens and `chunk` prompt tokens, at the mean prefix of a prompt."""
    prompts = np.maximum(chunk / isl, 1.0)
    new = np.minimum(chunk, float(isl))
    tokens = batch + chunk
    ledger = (
        forward.body(setup, at, exchange, tokens, batch + prompts, graph=False)
        + forward.decode_core(setup, at, batch, decode.mean_context(isl, osl))
        + forward.prefill_core(setup, at, prompts, new, 0.5 * (isl - new))
    )
    return forward.pace(setup, at, ledger, tokens, batch), ledger


def simulate(
    setup: Setup,
    at: Layouts,
    isl: int,
    osl: int,
    *,
    should_stop: Callable[[], bool] | None = None,
) -> Points:
    """Every layout at every batch, both ways.

    In steady state a batch of B needs B prefills per ``osl - 1`` steps (tokens counted once).
    In-flight: ``TTL = t_dec + (B / s) t_pre(s) / (osl - 1)`` with s prompts per prefill pass.
    Piggyback: a share ``phi = B isl / ((osl - 1) c)`` of the passes carries a chunk of c tokens and
    ``TTL = phi t_mixed + (1 - phi) t_dec``; beyond phi = 1 prefill cannot keep up and there is no
    such steady state. FTL counts the wait for the running pass, for companions of the same pass,
    and the passes themselves.
    """
    machine, model, precision = setup.machine, setup.model, setup.precision
    largest = memory.largest_batch(machine, model, precision, at, isl, osl)
    largest = np.minimum(np.floor(largest / at.pp), machine.engine.max_batch)
    grid = batches(int(largest.max(initial=1)))
    once = machine.engine.prefill_request_s
    parts: list[Collected] = []
    refused = int(np.sum(largest < 1)) * len(grid)
    chunks = CHUNK_TOKENS[CHUNK_TOKENS <= max(isl, 64)].reshape(1, 1, -1)
    for rows, spread, exchange, batch in blocks(at, largest, grid, chunks.size, should_stop):
        alone, _ = decode.step(setup, spread, exchange, batch, isl, osl)
        in_flight = batch * spread.pp * spread.attention_dp

        exists = decode.fits(setup, spread, batch, isl, osl, batch + PROMPTS_PER_PASS * isl)
        exists = exists & (PROMPTS_PER_PASS <= np.maximum(batch, 1.0))
        refused += int(exists.size - exists.sum())
        if exists.any():
            prompts = prompt_pass(setup, spread, exchange, PROMPTS_PER_PASS, isl)
            waiting = batch / (PROMPTS_PER_PASS * (osl - 1))
            ttl = spread.pp * (alone.seconds + waiting * prompts.seconds)
            companions = 0.5 * (PROMPTS_PER_PASS - 1) * ttl * (osl - 1) / (batch * spread.pp)
            parts.append(
                Collected(
                    rows=rows,
                    exists=exists,
                    mode=1,
                    batch=in_flight,
                    chunk_tokens=float(isl),
                    ftl_s=spread.pp * prompts.seconds + alone.seconds + companions + once,
                    ttl_s=ttl,
                    requests_per_s=in_flight / ttl / (osl - 1),
                    light_s=spread.pp * (alone.light_s + waiting * prompts.light_s),
                )
            )

        share = batch * isl / ((osl - 1) * chunks)
        exists = decode.fits(setup, spread, batch, isl, osl, batch + chunks) & (share <= 1.0)
        refused += int(exists.size - exists.sum())
        if exists.any():
            mixed, _ = mixed_pass(setup, spread, exchange, batch, chunks, isl, osl)
            ttl = spread.pp * (share * mixed.seconds + (1 - share) * alone.seconds)
            turns = np.ceil(isl / chunks) + 0.5 + (spread.pp - 1)
            parts.append(
                Collected(
                    rows=rows,
                    exists=exists,
                    mode=2,
                    batch=in_flight,
                    chunk_tokens=chunks,
                    ftl_s=turns * mixed.seconds + once,
                    ttl_s=ttl,
                    requests_per_s=in_flight / ttl / (osl - 1),
                    light_s=spread.pp * (share * mixed.light_s + (1 - share) * alone.light_s),
                )
            )
    return gather("colocated", at, parts, refused)
