"""Prefill instances: first token latency and request rate of every layout, batch and chunk."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from planner.simulate import forward, memory
from planner.simulate.forward import Setup
from planner.simulate.points import Collected, Points, blocks, gather
from planner.simulate.roofline import Cost, FloatArray, Real
from planner.space import Layouts, batches, chunk_counts

MAX_PASS_TOKENS = 131072.0  # prompt tokens per attention rank and pass; no engine schedules more
MAX_BATCH = 64  # prompts per attention rank and pass


def passes(
    setup: Setup, at: Layouts, exchange: str, batch: Real, chunks: Real, isl: int
) -> tuple[Cost, Cost, forward.Ledger]:
    """The mean and the last of the `chunks` passes over `batch` prompts, on the slowest stage.

    Chunk j attends to the j - 1 before it, so its time grows along the prompt; attention is close
    to linear in the tokens before it, so the pass at the mean prefix is the mean pass.
    """
    new = isl / chunks
    tokens = batch * new
    # logits are needed once per prompt, after its last chunk
    rest = forward.body(setup, at, exchange, tokens, batch / chunks, graph=False)
    mean = rest + forward.prefill_core(setup, at, batch, new, 0.5 * (isl - new))
    last = rest + forward.prefill_core(setup, at, batch, new, isl - new)
    return (
        forward.pace(setup, at, mean, tokens, batch),
        forward.pace(setup, at, last, tokens, batch),
        mean,
    )


def fits(setup: Setup, at: Layouts, batch: Real, chunks: Real, isl: int) -> FloatArray:
    """Whether the prompts in the pipeline fit: those being worked on and those still draining."""
    draining = np.ceil((at.pp - 1) / chunks)
    used = (
        memory.weight_bytes(setup.model, setup.precision, at)
        + batch * (1 + draining) * memory.kv_bytes(setup.model, setup.precision, at, float(isl))
        + memory.activation_bytes(setup.model, at, batch * isl / chunks)
    )
    return np.asarray(used <= memory.budget_bytes(setup.machine))


def simulate(
    setup: Setup, at: Layouts, isl: int, *, should_stop: Callable[[], bool] | None = None
) -> Points:
    """Every layout at every batch and chunk that fits.

    m chunks through p stages (chunked pipeline parallelism) are a flow shop with equal stages and
    growing jobs: ``FTL = sum_j t_j + (p - 1) t_m``; a full pipeline serves a batch every
    ``sum_j t_j``. Source: flow-shop recurrence, modelling notes section 5.
    """
    counts = chunk_counts(isl).reshape(1, 1, -1)
    grid = batches(MAX_BATCH, dense=4, ratio=1.35)
    most = np.full(len(at), float(MAX_BATCH))
    parts: list[Collected] = []
    refused = 0
    for rows, spread, exchange, batch in blocks(at, most, grid, counts.size, should_stop):
        exists = fits(setup, spread, batch, counts, isl) & (batch * isl / counts <= MAX_PASS_TOKENS)
        refused += int(exists.size - exists.sum())
        if not exists.any():
            continue
        mean, last, _ = passes(setup, spread, exchange, batch, counts, isl)
        busy = counts * mean.seconds
        in_flight = batch * spread.attention_dp
        parts.append(
            Collected(
                rows=rows,
                exists=exists,
                mode=0,
                batch=in_flight,
                chunk_tokens=np.ceil(isl / counts),
                ftl_s=busy + (spread.pp - 1) * last.seconds + setup.machine.engine.prefill_request_s,
                ttl_s=np.nan,
                requests_per_s=in_flight / busy,
                light_s=counts * mean.light_s + (spread.pp - 1) * last.light_s,
            )
        )
    return gather("prefill", at, parts, refused)
