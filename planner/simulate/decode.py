"""Decode instances: token-to-token latency and request rate of every layout and batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from planner.arrays import FloatArray, IntArray, Real
from planner.inputs.engine import EngineProfile
from planner.inputs.model import ModelSpec
from planner.simulate import forward, memory
from planner.simulate.forward import Ledger
from planner.simulate.lockstep import fullest
from planner.simulate.operators.roofline import Cost
from planner.simulate.operators.setup import Setup
from planner.simulate.points import Collected, Points, Table, blocks, widths
from planner.simulate.space import BATCH_RATIO, Layouts, batches
from planner.words import Exchange

# How often a drafted token is taken where those before it were, over how often the first is: later drafts of
# DeepSeek-style prediction heads are taken less often (.85, .75 and .64: 1.85, 2.49 and 2.90 tokens a step).
LATER_DRAFTS = (1.0, 0.886, 0.753)
ACCEPTANCE = 0.85  # of a first drafted token; reported .78 to .93


def later_drafts(model: ModelSpec) -> tuple[float, ...]:
    """`LATER_DRAFTS` of a model: as measured of it, as far as that goes."""
    taken = model.mtp_acceptance
    known = tuple(share / taken[0] for share in taken) if taken and taken[0] else ()
    return (*known, *LATER_DRAFTS[len(known) :])


def tokens_per_step(mtp: int, acceptance: float = ACCEPTANCE, later: Sequence[float] = LATER_DRAFTS) -> float:
    """Tokens that a step yields with `mtp` drafted ones, the first of which is taken with `acceptance`.

    >>> [round(tokens_per_step(mtp), 2) for mtp in range(4)]
    [1.0, 1.85, 2.49, 2.9]
    """
    total = taken = 1.0
    for share in later[:mtp]:
        taken *= min(acceptance * share, 1.0)
        total += taken
    return total


def mean_context(isl: float, osl: float) -> float:
    """Cached tokens of a sequence halfway through its output."""
    return isl + osl / 2


def attention_side(setup: Setup, tp: Real, batch: Real, *, isl: int, osl: int, mtp: int = 0) -> Ledger:
    """What a step of `batch` sequences per attention rank costs outside the experts.

    With `mtp` drafted tokens the step verifies ``mtp + 1`` tokens per sequence, and what drafts runs
    `mtp` times: a prediction head, about one more layer and output head, or a draft model.
    """
    queries = mtp + 1
    tokens = batch * queries
    ledger = forward.shared(setup, tp, tokens, tokens, graph=True) + forward.decode_core(
        setup, tp, batch, mean_context(isl, osl), queries
    )
    if mtp:
        draft(setup, ledger, tp, batch, mtp, mean_context(isl, osl))
    return ledger


def draft(setup: Setup, ledger: Ledger, tp: Real, batch: Real, mtp: int, context: float) -> None:
    """Enter what drafting `mtp` tokens for each of `batch` sequences costs outside the experts.

    A draft model takes its share of a step that drafts nothing, host overhead included.
    """
    one = forward.shared(setup, tp, batch, batch, graph=True)
    if setup.model.mtp_layers:
        ledger.add("drafting", one.layers() * (1.0 / setup.model.layers) + one.head, float(mtp))
    elif setup.model.draft_share:
        one = one + forward.decode_core(setup, tp, batch, context, 1)
        engine = setup.machine.engine
        host = Cost(engine.step_s + engine.request_s * batch, 0.0)
        ledger.add("drafting", one.layers() + one.head + host, setup.model.draft_share * mtp)


def at_fullest(engine: EngineProfile, attention_dp: IntArray, batch: FloatArray, seconds: Real) -> Real:
    """Step times of mean batches, shape (layouts, batches, 1), made those of the fullest rank's batch.

    ``t(B + sequence_imbalance sqrt(2 ln d B))``, see `planner.simulate.waiting`, between batches of the grid.
    """
    if not engine.sequence_imbalance or batch.size < 2 or np.all(attention_dp == 1):
        return seconds
    grid = batch.ravel()
    at = grid + engine.sequence_imbalance * fullest(np.asarray(attention_dp, dtype=float)[..., 0], grid)
    upper = np.clip(np.searchsorted(grid, at), 1, grid.size - 1)
    share = (at - grid[upper - 1]) / (grid[upper] - grid[upper - 1])
    low, high = (
        np.take_along_axis(np.asarray(seconds)[..., 0], index, axis=1) for index in (upper - 1, upper)
    )
    return np.asarray(low + share * (high - low))[..., np.newaxis]


def reach(engine: EngineProfile, at: Layouts) -> Callable[[float], float]:
    """How far a grid must go for the fullest rank of its largest mean batch, and one point beyond."""
    ranks = float(at.attention_dp.max(initial=1))

    def beyond(batch: float) -> float:
        extra = engine.sequence_imbalance * float(fullest(ranks, batch))
        return (batch + extra) * BATCH_RATIO if extra else batch

    return beyond


def expert_side(
    setup: Setup, stage: Layouts, exchange: Exchange, batch: Real, mtp: int = 0, beside: Real = 0.0
) -> Ledger:
    """What the same step costs at the routed experts, with `beside` prompt tokens in the same pass."""
    too_many = ~forward.fits_dispatch(setup.machine.engine, batch, mtp + 1)
    ledger = forward.experts(setup, stage, exchange, batch * (mtp + 1) + beside, too_many)
    share = 1.0 / setup.model.layers if setup.model.mtp_layers else setup.model.draft_share
    if mtp and share and ledger.parts:
        one = forward.experts(setup, stage, exchange, batch).layers()
        ledger.add("drafting", one * share, float(mtp))
    return ledger


def step(
    setup: Setup, at: Layouts, exchange: Exchange, batch: Real, *, isl: int, osl: int, mtp: int = 0
) -> Ledger:
    """The whole step, by part, of given layouts."""
    whole = attention_side(setup, at.tp, batch, isl=isl, osl=osl, mtp=mtp)
    whole = whole + expert_side(setup, at, exchange, batch, mtp)
    too_many = ~forward.fits_dispatch(setup.machine.engine, batch, mtp + 1)
    return forward.hide_exchange(setup, at, exchange, whole, too_many)


def cache_bytes(setup: Setup, at: Layouts, batch: Real, *, isl: int, osl: int, mtp: int = 0) -> Real:
    """Cache of `batch` sequences per rank and stage on the fullest GPU, a draft model's too."""
    whole = setup.machine.engine.whole_lengths
    cached = memory.decode_tokens(batch * at.pp, isl, osl, whole=whole)
    # windows and states make the cache of a sequence less than linear: price it per sequence
    mean = cached / (batch * at.pp)
    one = memory.kv_bytes(setup.model, setup.precision, at, mean) * memory.drafter(setup.model, mtp)
    return batch * at.pp * one


def simulate(
    setup: Setup,
    at: Layouts,
    isl: int,
    osl: int,
    *,
    mtp: int = 0,
    acceptance: float = ACCEPTANCE,
    should_stop: Callable[[], bool] | None = None,
) -> Points:
    """Every layout at every batch that fits.

    A pipeline of p stages keeps p batches in flight, so TTL is p stage times and the instance
    makes ``p batch attention_dp`` tokens in one TTL. A request costs ``osl - 1`` tokens, its first
    one coming from prefill.
    """
    machine, model, precision = setup.machine, setup.model, setup.precision
    largest = memory.largest_batch(machine, model, precision, at, isl=isl, osl=osl, mtp=mtp)
    largest = np.floor(largest / at.pp)  # of each batch in the pipeline
    grid = batches(int(largest.max(initial=1)))
    gained = tokens_per_step(mtp, acceptance, later_drafts(model))
    mixing = attention_side(setup, widths(at), grid.reshape(1, -1, 1), isl=isl, osl=osl, mtp=mtp)
    mixing_layers, head = mixing.layers().lit(machine.light), mixing.head.lit(machine.light)
    weights, live = memory.weight_bytes(model, precision, at, mtp), memory.token_bytes(model, at)
    room = memory.room(machine, model)
    table = Table(at, len(grid))
    for block in blocks(at, largest, grid, 1, should_stop, reach(machine.engine, at)):
        batch, spread = block.batch, block.at
        tokens = batch * (mtp + 1)
        held = room.held(block.own(weights), cache_bytes(setup, spread, batch, isl=isl, osl=osl, mtp=mtp))
        exists = room.fits(held, tokens * block.own(live)) & block.allowed
        if not exists.any():
            continue
        routed = expert_side(setup, block.stage, block.exchange, batch, mtp)
        too_many = ~forward.fits_dispatch(machine.engine, batch, mtp + 1)
        layers = block.join(setup, mixing_layers, routed, too_many)
        pace = forward.pace(setup, spread, layers, block.spread(head), tokens, batch)
        seconds = at_fullest(machine.engine, spread.attention_dp, batch, pace.seconds)
        ttl = spread.pp * seconds / gained
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
                light_s=spread.pp * pace.light_s / gained if machine.light else 0.0,
                prompt_share=0.0,
            )
        )
    return table.points("decode")
