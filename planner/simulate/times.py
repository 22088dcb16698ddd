"""The times of one deployment as tables: what a request by request replay looks up instead of simulating.

`planner.simulate.service` has the times of a deployment at one pair of lengths. Here the same operators are
evaluated once over batch and context, and over the new and the cached tokens of a prompt, so that lengths may
vary from request to request. Between the points of a table it is interpolated.
"""

from __future__ import annotations

import math

import numpy as np

from planner.arrays import FloatArray
from planner.simulate import decode, forward, memory, prefill
from planner.simulate.colocated import PASS_TOKENS
from planner.simulate.decode import tokens_per_step
from planner.simulate.lockstep import fullest
from planner.simulate.operators.setup import Setup
from planner.simulate.service import GRID, Deployment
from planner.simulate.space import Layouts
from planner.values import dataclass

CONTEXTS = 20  # contexts at which a step is evaluated
SHORTEST = 16.0  # tokens: the first of them
TOKENS = 28  # points of a table over the tokens of a pass
PASTS = 7  # points of a table over the cached tokens before a prompt: nearly linear, within 1 % of each pass
NEAREST = 256.0  # tokens: the second of them, after 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PassTable:
    """Time that passes over prompts occupy a pipeline stage of an instance; tokens are a rank's.

    A pass over prompts i of n_i new tokens behind c_i cached ones takes
    ``rest_s(sum n_i) + sum attention_s(n_i, c_i)``, one over a single prompt ``alone_s(n, c)``.
    """

    tokens: FloatArray  # (TOKENS,), ascending
    rest_s: FloatArray  # (TOKENS,): a pass without its prompts' attention
    new: FloatArray  # (TOKENS,)
    past: FloatArray  # (PASTS,), begins with 0
    alone_s: FloatArray  # (TOKENS, PASTS)
    attention_s: FloatArray  # (TOKENS, PASTS): what each prompt adds to a pass that is full of such
    token_s: float  # of `rest_s`, per token of a full pass
    stages: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTable:
    """Seconds per token of a sequence, through every stage, by sequences of a rank and mean context."""

    batch: FloatArray  # (GRID,), ascending
    context: FloatArray  # (CONTEXTS,), ascending
    step_s: FloatArray  # (GRID, CONTEXTS)
    stages: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRoom:
    """What of the cache fits on the GPUs of one attention rank, in tokens of a long context.

    A sequence takes its tokens and `sequence_tokens` beside: states of fixed size, and windows that are full.
    """

    tokens: float
    sequence_tokens: float
    bytes_per_token: float  # on each GPU of the rank


def pass_table(
    setup: Setup, at: Layouts, *, most_tokens: float, full_tokens: float, longest: float
) -> PassTable:
    """Passes of up to `most_tokens` tokens of a rank over prompts of up to `longest` tokens.

    `full_tokens` is what a pass holds where many prompts wait. Layouts hold one layout, shape ``(1, 1, 1)``.
    Raises LookupError where a kernel that it needs was never measured.
    """
    stages = float(at.pp.ravel()[0])
    new = np.geomspace(1.0, max(min(most_tokens * stages, longest), 2.0), TOKENS)
    tokens = np.geomspace(1.0, max(2.0 * most_tokens, 4.0), TOKENS)
    past = np.concatenate([[0.0], np.geomspace(NEAREST, max(longest, 2 * NEAREST), PASTS - 1)])
    rows, columns = new.reshape(1, -1, 1), past.reshape(1, 1, -1)
    companions = np.maximum(full_tokens / rows, 1.0)
    rest_s = _rest_s(setup, at, tokens.reshape(1, -1, 1)).ravel()
    together = _pass_s(setup, at, companions, rows, columns)
    beside = _rest_s(setup, at, companions * rows)
    # of its own: the table may end before, where prompts are cut into short chunks
    full_s = _rest_s(setup, at, np.array([[[full_tokens]]])).ravel()[0]
    shape = (TOKENS, PASTS)
    return PassTable(
        tokens=tokens,
        rest_s=rest_s,
        new=new,
        past=past,
        alone_s=np.broadcast_to(_pass_s(setup, at, np.ones_like(rows), rows, columns), (1, *shape))[0],
        attention_s=np.broadcast_to(np.maximum(together - beside, 0.0) / companions, (1, *shape))[0],
        token_s=float(full_s / full_tokens),
        stages=stages,
    )


def _pass_s(setup: Setup, at: Layouts, prompts: FloatArray, new: FloatArray, past: FloatArray) -> FloatArray:
    """`planner.simulate.service` at one pair of lengths, here over arrays."""
    work = prefill.pass_over(setup, at, at.exchange_of(), prompts, new, past)
    stretch = setup.machine.engine.prefill_stretch
    return np.asarray(
        forward.pace(setup, at, work.layers(), work.head, prompts * new, prompts, stretch).seconds
    )


def _rest_s(setup: Setup, at: Layouts, tokens: FloatArray) -> FloatArray:
    """A pass over so many tokens in which none attends to another."""
    exchange = at.exchange_of()
    work = forward.shared(setup, at.tp, tokens, 1.0, graph=False) + forward.experts(
        setup, at, exchange, tokens
    )
    work = forward.hide_exchange(setup, at, exchange, work)
    stretch = setup.machine.engine.prefill_stretch
    pace = forward.pace(setup, at, work.layers(), work.head, tokens, 1.0, stretch)
    return np.broadcast_to(pace.seconds, tokens.shape)


def step_table(setup: Setup, of: Deployment, *, most_batch: float, most_context: float) -> StepTable:
    """Decode steps of up to `most_batch` sequences per rank, at contexts of up to `most_context` tokens.

    Raises LookupError where a kernel that it needs was never measured.
    """
    at, engine = of.decode, setup.machine.engine
    ranks, stages = float(at.attention_dp.ravel()[0]), float(at.pp.ravel()[0])
    upto = most_batch + engine.sequence_imbalance * float(fullest(ranks, max(most_batch, 1.0)))
    batch = np.geomspace(1.0, max(upto, 1.0 + 1e-6), GRID)
    grid = np.maximum(batch / stages, 1.0).reshape(1, -1, 1)
    context = np.geomspace(SHORTEST, max(most_context, 2 * SHORTEST), CONTEXTS)
    exchange = at.exchange_of()
    gained = tokens_per_step(of.mtp, of.acceptance, decode.later_drafts(setup.model))
    columns = []
    for tokens in context:
        ledger = decode.step(setup, at, exchange, grid, isl=tokens, osl=0, mtp=of.mtp)
        pace = forward.pace(setup, at, ledger.layers(), ledger.head, grid * (of.mtp + 1), grid)
        columns.append(np.broadcast_to(at.pp * pace.seconds / gained, grid.shape).ravel())
    return StepTable(batch=batch, context=context, step_s=np.array(columns).T, stages=stages)


def cache_room(
    setup: Setup, at: Layouts, *, mtp: int = 0, live_tokens: float = 0.0, lengths: tuple[float, float]
) -> CacheRoom:
    """The cache that fits beside weights and the activations of a pass of `live_tokens` tokens.

    A sequence's cache is taken as linear between the two `lengths`, which it is where every layer attends to
    all tokens.
    """
    machine, model, precision = setup.machine, setup.model, setup.precision
    at_most = memory.room(machine, model)
    live = float(np.ravel(memory.token_bytes(model, at))[0]) * live_tokens
    weights = float(np.ravel(memory.weight_bytes(model, precision, at, mtp))[0])
    free = at_most.cache_bytes(weights, live)
    short, long = min(lengths), max(max(lengths), min(lengths) + 1.0)
    drafter = memory.drafter(model, mtp)
    low, high = (
        float(np.ravel(memory.kv_bytes(model, precision, at, length))[0]) * drafter
        for length in (short, long)
    )
    per_token = (high - low) / (long - short)
    if per_token <= 0:  # states alone: as if all of it came with the first token
        return CacheRoom(
            tokens=free / max(high, 1.0) * long, sequence_tokens=0.0, bytes_per_token=high / long
        )
    return CacheRoom(
        tokens=free / per_token,
        sequence_tokens=max(low / per_token - short, 0.0),
        bytes_per_token=per_token,
    )


def full_tokens(of: Deployment) -> float:
    """Prompt tokens of a pass where many wait: what `planner.simulate.service` prices them at."""
    return PASS_TOKENS if of.colocated else of.pass_tokens


def tokens_at_once(of: Deployment) -> float:
    """Most prompt tokens of a rank's pass."""
    return max(math.ceil(of.pass_tokens), 1.0)
