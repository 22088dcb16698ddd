"""Prefill instances: first token latency and request rate of every layout, batch and chunk."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from planner.arrays import Real
from planner.simulate import forward, memory
from planner.simulate.forward import Ledger
from planner.simulate.lockstep import fullest, held_s, serial_s
from planner.simulate.operators.setup import Setup
from planner.simulate.points import Collected, Points, Prompt, Table, blocks, widths
from planner.simulate.space import Layouts, batches, chunk_counts
from planner.simulate.waiting import single_s
from planner.words import Exchange

MAX_PASS_TOKENS = 131072.0  # prompt tokens per attention rank and pass; no engine schedules more
MAX_BATCH = 64  # prompts per attention rank and pass


def attention_side(
    setup: Setup, tp: Real, batch: Real, chunks: Real, prompt: Prompt
) -> tuple[Ledger, Ledger]:
    """What the mean and the last of `chunks` passes over `batch` prompts cost outside the experts.

    Chunk j attends to the j - 1 before it, so its time grows along the prompt; attention is close
    to linear in the tokens before it, so the pass at the mean prefix is the mean pass.
    """
    new = prompt.new / chunks
    # logits are needed once per prompt, after its last chunk
    rest = forward.shared(setup, tp, batch * new, batch / chunks, graph=False)
    mean = rest + forward.prefill_core(setup, tp, batch, new, prompt.prefix + 0.5 * (prompt.new - new))
    last = rest + forward.prefill_core(setup, tp, batch, new, prompt.prefix + prompt.new - new)
    return mean, last


def mean_pass(
    setup: Setup, at: Layouts, exchange: Exchange, batch: Real, chunks: Real, prompt: Prompt
) -> Ledger:
    """The mean pass, by part, of given layouts."""
    mean, _ = attention_side(setup, at.tp, batch, chunks, prompt)
    whole = mean + forward.experts(setup, at, exchange, batch * prompt.new / chunks)
    return forward.hide_exchange(setup, at, exchange, whole)


def pass_over(
    setup: Setup, at: Layouts, exchange: Exchange, prompts: Real, new: Real, cached: Real
) -> Ledger:
    """A pass over `prompts` prompts of `new` tokens each, behind `cached` ones of their own, by part."""
    whole = forward.shared(setup, at.tp, prompts * new, prompts, graph=False)
    whole = whole + forward.prefill_core(setup, at.tp, prompts, new, cached)
    whole = whole + forward.experts(setup, at, exchange, prompts * new)
    return forward.hide_exchange(setup, at, exchange, whole)


def simulate(
    setup: Setup,
    at: Layouts,
    isl: int,
    *,
    prompt: Prompt | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Points:
    """Every layout at every batch and chunk that fits: of prompts of `isl` tokens, all new if not told.

    m chunks through p stages (chunked pipeline parallelism) are a flow shop with equal stages and
    growing jobs: ``FTL = sum_j t_j + (p - 1) t_m``; a full pipeline serves a batch every
    ``sum_j t_j``. Source: flow-shop recurrence, docs/method.md section 7. Prompts of a batch come one
    after the other at the rate of the instance: on average each waits for half of its companions. Ranks of
    attention data parallelism go in lockstep, and the fullest sets the rate; each request takes the host of
    the instance `arrival_s`, which such ranks wait for (`planner.simulate.lockstep.held_s`).
    """
    prompt = Prompt(new=isl) if prompt is None else prompt
    new = prompt.new
    counts = chunk_counts(new).reshape(1, 1, -1)
    grid = batches(MAX_BATCH, dense=4, ratio=1.35)
    most = np.full(len(at), float(MAX_BATCH))
    mean, last = attention_side(setup, widths(at), grid.reshape(1, -1, 1), counts, prompt)
    engine = setup.machine.engine
    stretch, once = engine.prefill_stretch, single_s(engine.prefill_request_s)
    light = setup.machine.light
    mean_layers, last_layers, head = (part.lit(light) for part in (mean.layers(), last.layers(), mean.head))
    model, precision = setup.model, setup.precision
    weights, live = memory.weight_bytes(model, precision, at), memory.token_bytes(model, at)
    cache = np.asarray(memory.kv_bytes(model, precision, at, float(isl)))
    room = memory.room(setup.machine, model)
    tried = int(np.sum(grid.reshape(-1, 1) * new / counts.ravel() <= MAX_PASS_TOKENS))
    table = Table(at, tried)
    # without chunked pipelines the next chunk of a prompt waits for the one before to leave the last stage
    lone = None if engine.can.chunked_pipelines else counts == 1
    for block in blocks(at, most, grid, counts.size, should_stop):
        batch, spread = block.batch, block.at
        tokens = batch * new / counts
        # prompts in the pipeline: those being worked on and those still draining
        prompts = (1 + np.ceil((spread.pp - 1) / counts)) * block.own(cache)
        held = room.held(block.own(weights), batch * prompts)
        exists = room.fits(held, tokens * block.own(live)) & (tokens <= MAX_PASS_TOKENS)
        if lone is not None:
            exists &= lone | (spread.pp == 1)
        if not exists.any():
            continue
        routed = forward.experts(setup, block.stage, block.exchange, tokens)
        top = block.spread(head)
        usual, final = (
            forward.pace(setup, spread, block.join(setup, part, routed), top, tokens, batch, stretch)
            for part in (mean_layers, last_layers)
        )
        busy = counts * usual.seconds
        in_flight = batch * spread.attention_dp
        uneven = 1.0 + engine.prompt_imbalance * fullest(spread.attention_dp, 1.0 / batch)
        host = batch * held_s(spread.attention_dp, engine.arrival_s, engine.serial_share)
        serial = batch * serial_s(spread.attention_dp, engine.arrival_s, engine.serial_share)
        companions = 0.5 * (batch - 1.0) / batch * busy
        table.add(
            Collected(
                rows=block.rows,
                exists=exists,
                mode=0,
                batch=in_flight,
                chunk_tokens=np.ceil(new / counts),
                ftl_s=companions + busy + (spread.pp - 1) * final.seconds + once,
                ttl_s=np.nan,
                requests_per_s=in_flight / np.maximum(busy * uneven + host, serial),
                light_s=counts * usual.light_s + (spread.pp - 1) * final.light_s if light else 0.0,
                prompt_share=1.0,
            )
        )
    return table.points("prefill")
