"""Decode instances: token-to-token latency and request rate of every layout and batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from planner.arrays import Real
from planner.simulate import forward, memory
from planner.simulate.forward import Ledger
from planner.simulate.operators.setup import Setup
from planner.simulate.points import Collected, Points, Table, blocks, widths
from planner.simulate.space import Layouts, batches
from planner.words import Exchange

# Tokens that a step yields with 0..3 drafted tokens from DeepSeek-style prediction heads: the
# first draft is taken 85 % of the time (reported .78 to .93), each later one less often.
TOKENS_PER_STEP = (1.0, 1.85, 2.49, 2.90)


def mean_context(isl: float, osl: float) -> float:
    """Cached tokens of a sequence halfway through its output."""
    return isl + osl / 2


def attention_side(setup: Setup, tp: Real, batch: Real, *, isl: int, osl: int, mtp: int = 0) -> Ledger:
    """What a step of `batch` sequences per attention rank costs outside the experts.

    With `mtp` drafted tokens the step verifies ``mtp + 1`` tokens per sequence, and a prediction
    head, about one more layer and output head, runs `mtp` times.
    """
    queries = mtp + 1
    tokens = batch * queries
    ledger = forward.shared(setup, tp, tokens, tokens, graph=True) + forward.decode_core(
        setup, tp, batch, mean_context(isl, osl), queries
    )
    if mtp:
        one = forward.shared(setup, tp, batch, batch, graph=True)
        ledger.add("drafting", one.layers() * (1.0 / setup.model.layers) + one.head, float(mtp))
    return ledger


def expert_side(setup: Setup, stage: Layouts, exchange: Exchange, batch: Real, mtp: int = 0) -> Ledger:
    """What the same step costs at the routed experts."""
    ledger = forward.experts(setup, stage, exchange, batch * (mtp + 1))
    if mtp and ledger.parts:
        one = forward.experts(setup, stage, exchange, batch).layers()
        ledger.add("drafting", one * (1.0 / setup.model.layers), float(mtp))
    return ledger


def step(
    setup: Setup, at: Layouts, exchange: Exchange, batch: Real, *, isl: int, osl: int, mtp: int = 0
) -> Ledger:
    """The whole step, by part, of given layouts."""
    whole = attention_side(setup, at.tp, batch, isl=isl, osl=osl, mtp=mtp)
    whole = whole + expert_side(setup, at, exchange, batch, mtp)
    return forward.hide_exchange(setup, at, exchange, whole)


def cache_bytes(setup: Setup, at: Layouts, batch: Real, *, isl: int, osl: int) -> Real:
    """Cache of `batch` sequences per rank and stage on the fullest GPU."""
    cached = memory.decode_tokens(batch * at.pp, isl, osl)
    # windows and states make the cache of a sequence less than linear: price it per sequence
    mean = cached / (batch * at.pp)
    return batch * at.pp * memory.kv_bytes(setup.model, setup.precision, at, mean)


def simulate(
    setup: Setup,
    at: Layouts,
    isl: int,
    osl: int,
    *,
    mtp: int = 0,
    should_stop: Callable[[], bool] | None = None,
) -> Points:
    """Every layout at every batch that fits.

    A pipeline of p stages keeps p batches in flight, so TTL is p stage times and the instance
    makes ``p batch attention_dp`` tokens in one TTL. A request costs ``osl - 1`` tokens, its first
    one coming from prefill.
    """
    machine, model, precision = setup.machine, setup.model, setup.precision
    largest = memory.largest_batch(machine, model, precision, at, isl=isl, osl=osl, mtp=mtp)
    largest = np.minimum(np.floor(largest / at.pp), machine.engine.max_batch)
    grid = batches(int(largest.max(initial=1)))
    gained = TOKENS_PER_STEP[mtp]
    mixing = attention_side(setup, widths(at), grid.reshape(1, -1, 1), isl=isl, osl=osl, mtp=mtp)
    mixing_layers, head = mixing.layers(), mixing.head
    weights, live = memory.weight_bytes(model, precision, at, mtp), memory.token_bytes(model, at)
    room = memory.room(machine, model)
    table = Table(at, len(grid))
    for block in blocks(at, largest, grid, 1, should_stop):
        batch, spread = block.batch, block.at
        tokens = batch * (mtp + 1)
        held = room.held(block.own(weights), cache_bytes(setup, spread, batch, isl=isl, osl=osl))
        exists = room.fits(held, tokens * block.own(live))
        if not exists.any():
            continue
        routed = expert_side(setup, block.stage, block.exchange, batch, mtp)
        layers = block.join(setup, mixing_layers, routed)
        pace = forward.pace(setup, spread, layers, block.spread(head), tokens, batch)
        ttl = spread.pp * pace.seconds / gained
        in_flight = batch * spread.pp * spread.attention_dp
        table.add(
            Collected(
                rows=block.rows,
                exists=exists,
                mode=0,
                batch=in_flight,
                chunk_tokens=0.0,
                ftl_s=np.nan,
                ttl_s=ttl,
                requests_per_s=in_flight / ttl / (osl - 1),
                light_s=spread.pp * pace.light_s / gained,
            )
        )
    return table.points("decode")
