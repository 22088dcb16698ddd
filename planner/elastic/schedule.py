"""A schedule: instances of each kind from window to window, what it costs and which windows it serves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import BoolArray, FloatArray, IntArray
from planner.elastic.costs import MISS, Costs
from planner.elastic.kinds import NEVER, Pools
from planner.elastic.purchase import Purchase, cheapest

TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """Instances that are wanted in each window; the first window's are there from the start.

    With `ahead` an instance starts early enough to serve from its window on; without, as it is wanted, and
    serves when it is ready.
    """

    instances: IntArray  # shape ``(windows, kinds)``; those that swap belong to the kind they swap to
    swaps: IntArray  # at the beginning of each window, shape ``(windows, pairs)``
    ahead: bool
    held: IntArray | None = None  # GPUs that are paid for whatever is wanted, shape ``(windows,)``


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moves:
    """What changes at the beginning of each window, shape ``(windows, kinds)``, but for swaps."""

    starts: IntArray
    drains: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bill:
    """What a schedule costs."""

    gpu_hours: float
    usd: float
    changes: int  # instances that start, drain or swap
    start_usd_per_s: float  # what a second more of start time costs, over the horizon
    ok: BoolArray  # windows in which every pool has what keeps the limits, as predicted or replayed
    missing: FloatArray  # of the load that is planned for, see `missing`
    gpus: IntArray  # held in each window, shape ``(windows,)``, what starts and drains included
    objective: float  # USD, and what windows out of limits are weighed with
    bought: Purchase | None = None  # as is cheapest, where GPUs are for sale in more than one way


def moves(pools: Pools, schedule: Schedule) -> Moves:
    """Starts and drains: what of the changes of the counts is no swap."""
    change = np.diff(schedule.instances, axis=0, prepend=schedule.instances[:1])
    for at, (here, there) in enumerate(pools.swaps):
        change[:, here] += schedule.swaps[:, at]
        change[:, there] -= schedule.swaps[:, at]
    return Moves(starts=np.maximum(change, 0), drains=np.maximum(-change, 0))


def ready(pools: Pools, schedule: Schedule, costs: Costs) -> IntArray:
    """Instances that take requests over the whole of each window."""
    here = schedule.instances.copy()
    for at, (away, there) in enumerate(pools.swaps):
        for later in range(min(costs.turning(away), len(here))):
            here[later:, there] -= schedule.swaps[: len(here) - later, at]
    if not schedule.ahead:
        for kind in range(here.shape[1]):
            before = here[:, kind].copy()
            for later in range(1, min(costs.ahead(kind), len(here) - 1) + 1):
                here[later:, kind] = np.minimum(here[later:, kind], before[: len(before) - later])
    return np.asarray(np.maximum(here, 0))


def missing(pools: Pools, instances: IntArray) -> FloatArray:
    """Share of the load that so many instances are not expected to serve, shape ``(windows, columns)``.

    Of each pool alone, ``1 - sum n / need``; a third column of a split whose rates may be off has the most
    that is missing where some scenarios have the one pool as the slower, the others the other
    (`planner.match.robust.Errors.mixes`).
    """
    shares = served(pools, pools.need, instances)
    lacks = [1.0 - share for share in shares]
    if len(shares) == 2 and not pools.errors.none:
        prefill, decode = (factors[1:-1] for factors in pools.errors.mixes)
        expected = (prefill * shares[0][:, None] + decode * shares[1][:, None]).min(axis=1)
        lacks.append(1.0 - expected)
    return np.asarray(np.maximum(np.stack(lacks, axis=1), 0.0))


def served(pools: Pools, need: IntArray, instances: IntArray) -> list[FloatArray]:
    """Share of the load of each pool that so many instances serve, infinite of no load; (windows,) each."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(need > 0, instances / np.maximum(need, 1), np.inf)
    share = np.where(need >= NEVER, 0.0, share)
    return [share[:, pools.pool == pool].sum(axis=1) for pool in range(len(pools.phases))]


def short(pools: Pools, instances: IntArray) -> FloatArray:
    """Share of the load of each pool that is not served within the limits as predicted, (windows, pools)."""
    lacks = [1.0 - share for share in served(pools, pools.keeps, instances)]
    return np.asarray(np.maximum(np.stack(lacks, axis=1), 0.0))


def gpus_held(pools: Pools, schedule: Schedule, costs: Costs) -> IntArray:
    """GPUs taken in each window; one that starts or drains in a part of it is counted for the whole."""
    count = len(schedule.instances)
    held = (schedule.instances * pools.gpus).sum(axis=1)
    found = moves(pools, schedule)
    for kind, gpus in enumerate(pools.gpus):
        for earlier in range(1, min(costs.ahead(kind), count - 1) + 1) if schedule.ahead else ():
            held[: count - earlier] += gpus * found.starts[earlier:, kind]
        for later in range(min(costs.after(kind), count)):
            held[later:] += gpus * found.drains[: count - later, kind]
    return np.asarray(held)


def bill(pools: Pools, schedule: Schedule, costs: Costs) -> Bill:
    """What a schedule costs and serves."""
    found, gpus = moves(pools, schedule), pools.gpus.astype(np.float64)
    hold = costs.hold_usd(gpus)
    held = gpus_held(pools, schedule, costs)
    starts = found.starts if schedule.ahead else np.zeros_like(found.starts)
    if schedule.held is not None:
        held = np.maximum(schedule.held, held)
        hours = float(held.sum()) * costs.window_s / 3600.0
        usd, per_s = float(held @ (hold / gpus).mean(axis=1)), 0.0
    else:
        seconds = schedule.instances * costs.window_s + starts * costs.start_s + found.drains * costs.drain_s
        hours = float((seconds * gpus).sum()) / 3600.0
        usd = float(
            (schedule.instances * hold).sum()
            + (starts * costs.start_usd(gpus)).sum()
            + (found.drains * costs.drain_usd(gpus)).sum()
        )
        per_s = float((starts * gpus * costs.usd_per_gpu_hour).sum()) / 3600.0
    bought = None
    if costs.tariffs.told:  # a GPU is bought for whole windows then
        price = costs.usd_per_gpu_hour[:, 0]  # of one system: of every kind
        bought = cheapest(held, price, costs.window_s, float(costs.start_s.max()), costs.tariffs)
        usd = bought.usd
    there = ready(pools, schedule, costs)
    lacks = missing(pools, there)
    return Bill(
        gpu_hours=hours,
        usd=usd,
        changes=int(found.starts.sum() + found.drains.sum() + schedule.swaps.sum()),
        start_usd_per_s=per_s,
        ok=np.all(short(pools, there) <= TOLERANCE, axis=1),
        missing=lacks,
        gpus=held,
        objective=usd + float((lacks * miss_usd(pools, costs)).sum()),
        bought=bought,
    )


def miss_usd(pools: Pools, costs: Costs) -> float:
    """What a pool that serves nothing for a window is weighed with."""
    need = np.where(pools.need >= NEVER, 0, pools.need)
    peak = float((need.max(axis=0) * pools.gpus).sum())
    seconds = costs.window_s + float(costs.start_s.max() + costs.drain_s.max())
    return MISS * max(peak, 1.0) * seconds * float(costs.usd_per_gpu_hour.max()) / 3600.0
