"""What the simulator says of one deployment: the times from which waiting under load follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import FloatArray
from planner.evidence.deployment import layout
from planner.evidence.runs import Row
from planner.simulate import colocated, decode, forward, kv_transfer, memory
from planner.simulate.operators.setup import Setup

PASS_TOKENS = 8192  # prompt tokens an engine puts into one pass when many prompts wait
GRID = 24  # batches at which a decode step is evaluated; between them it is interpolated


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTimes:
    """One deployment's times at one pair of lengths: shared by the runs that differ in concurrency."""

    batch: FloatArray  # sequences per decoding rank, shape (GRID,)
    step_s: FloatArray  # a decode step at each batch
    prompt_s: float  # a prompt alone, through every pipeline stage
    marginal_s: float  # one prompt more where a pass is full of them
    largest_batch: float  # sequences per decoding rank that memory holds
    transfer_s: float  # moving the cache of a prompt from prefill to decode; 0 where co-located


def simulate(s: Setup, row: Row, most: float) -> ServiceTimes:
    """The times of a run's deployment, decode steps up to `most` sequences per rank."""
    isl, osl = round(row.isl * row.length_mean), max(round(row.osl * row.length_mean), 2)
    at = layout(row.decode, row.pp, s.model.is_moe)
    first = layout(row.prefill, row.pp, s.model.is_moe)
    exchange, first_exchange = (x.exchange_of() for x in (at, first))
    batch = np.geomspace(1.0, max(most, 1.0 + 1e-6), GRID)
    grid = batch.reshape(1, -1, 1)
    ledger = decode.step(s, at, exchange, grid, isl=isl, osl=osl)
    step = at.pp * forward.pace(s, at, ledger.layers(), ledger.head, grid, grid).seconds
    prompts = np.array([1.0, max(1.0, PASS_TOKENS / isl)]).reshape(1, 1, -1)
    work = colocated.prompt_side(s, first.tp, prompts, isl) + forward.experts(
        s, first, first_exchange, prompts * isl
    )
    work = forward.hide_exchange(s, first, first_exchange, work)
    stretch = s.machine.engine.prefill_stretch
    pace = forward.pace(s, first, work.layers(), work.head, prompts * isl, prompts, stretch)
    alone, many = np.broadcast_to(pace.seconds, prompts.shape).ravel()
    moved = 0.0
    if not row.colocated:
        link = s.machine.fabric.scale_out_bytes_per_s
        added = kv_transfer.added_ftl_s(s.model, s.precision, first, isl, float(alone), link)
        moved = float(np.ravel(added)[0])
    room = memory.largest_batch(s.machine, s.model, s.precision, at, isl=isl, osl=osl)
    return ServiceTimes(
        batch=batch,
        step_s=np.broadcast_to(step, grid.shape).ravel(),
        prompt_s=float(row.pp * alone),
        marginal_s=float(many / prompts.ravel()[1]),
        largest_batch=max(float(np.ravel(room)[0]), 1.0),
        transfer_s=moved,
    )
