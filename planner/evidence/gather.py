"""Many measured runs as arrays: simulated deployment by deployment, predicted all at once."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planner.arrays import FloatArray
from planner.errors import InputError
from planner.evidence.deployment import engine_profile, setup
from planner.evidence.runs import Row
from planner.evidence.service_times import GRID, ServiceTimes, simulate
from planner.inputs.catalog import Catalog
from planner.inputs.engine import EngineProfile
from planner.simulate.operators.setup import Setup
from planner.simulate.waiting import Client, Scheduler, Server, serve

WAVES = 10.0  # public benchmark runs send this many requests for each one in flight


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What `serve` needs of every row that can be predicted, and where each row's engine is."""

    rows: tuple[Row, ...]
    missing: tuple[tuple[Row, str], ...]  # rows that cannot be predicted, and why
    engines: tuple[EngineProfile, ...]
    client: Client
    server: Server


def gather(rows: Iterable[Row], catalog: Catalog, engines: Mapping[str, EngineProfile] | None = None) -> Runs:
    """Simulate every row's deployment.

    Parameters
    ----------
    engines
        Profiles to use instead of the catalog's, by name: calibration tries them.
    """
    profiles = functools.cache(functools.partial(engine_profile, catalog))
    setups: dict[tuple[str, ...], Setup] = {}
    groups: dict[tuple[object, ...], list[tuple[Row, EngineProfile, Setup]]] = {}
    missing: list[tuple[Row, str]] = []
    for row in rows:
        try:
            engine = profiles(row.engine, row.version)
            engine = (engines or {}).get(engine.name, engine)
            key = (row.model, row.system, engine.name, row.gemm, row.moe)
            if key not in setups:
                setups[key] = setup(row, catalog, engine)
        except (InputError, LookupError) as error:
            missing.append((row, str(error)))
            continue
        shape = (*key, row.mode, row.isl, row.osl, row.prefill, row.decode, row.pp)
        groups.setdefault(shape, []).append((row, engine, setups[key]))
    kept: list[tuple[Row, EngineProfile, ServiceTimes]] = []
    for members in groups.values():
        one, _, ready = members[0]
        most = max(_per_rank(row) for row, _, _ in members)
        try:
            measured = simulate(ready, one, most)
        except LookupError as error:
            missing += [(row, str(error)) for row, _, _ in members]
            continue
        kept += [(row, engine, measured) for row, engine, _ in members]
    return _stack(kept, missing)


def _per_rank(row: Row) -> float:
    """Requests in flight per decoding rank."""
    return max(row.concurrency / (row.decode_workers * row.decode.attention_dp), 1.0)


def _stack(
    kept: Sequence[tuple[Row, EngineProfile, ServiceTimes]], missing: Sequence[tuple[Row, str]]
) -> Runs:
    def column(values: Iterable[float]) -> FloatArray:
        return np.array(list(values), dtype=float)

    rows = [row for row, _, _ in kept]
    scale = column(r.length_mean for r in rows)
    return Runs(
        rows=tuple(rows),
        missing=tuple(missing),
        engines=tuple(engine for _, engine, _ in kept),
        client=Client(
            decode_requests=column(_per_rank(r) for r in rows),
            prefill_requests=column(
                max(r.concurrency / (r.prefill_workers * r.prefill.attention_dp), 1.0) for r in rows
            ),
            steps=np.maximum(column(r.osl for r in rows) * scale - 1, 1.0),
            waves=np.full(len(rows), WAVES),
            spread=column(r.length_spread for r in rows),
        ),
        server=Server(
            batch=np.array([m.batch for _, _, m in kept]).reshape(-1, GRID),
            step_s=np.array([m.step_s for _, _, m in kept]).reshape(-1, GRID),
            prompt_s=column(m.prompt_s for _, _, m in kept),
            marginal_s=column(m.marginal_s for _, _, m in kept),
            largest_batch=column(m.largest_batch for _, _, m in kept),
            colocated=column(float(r.colocated) for r in rows),
            transfer_s=column(m.transfer_s for _, _, m in kept),
        ),
    )


def predict(runs: Runs) -> tuple[FloatArray, FloatArray]:
    """(TTFT, TPOT) of every row of `runs`, seconds."""

    def column(name: str) -> FloatArray:
        return np.array([getattr(engine, name) for engine in runs.engines], dtype=float)

    if not runs.rows:
        return np.empty(0), np.empty(0)
    scheduler = Scheduler(
        exposure=column("exposure"),
        prefill_priority=column("prefill_priority"),
        admission_passes=column("admission_passes"),
        arrival_s=column("arrival_s"),
        handover_s=column("handover_s"),
        request_s=column("prefill_request_s"),
    )
    return serve(runs.client, runs.server, scheduler)
