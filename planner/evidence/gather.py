"""Many measured runs as arrays: simulated deployment by deployment, predicted all at once."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from planner.arrays import BoolArray, FloatArray
from planner.errors import InputError
from planner.evidence import recipes
from planner.evidence.deployment import deployment, engine_profile, setup
from planner.evidence.runs import Row
from planner.inputs.catalog import Catalog
from planner.inputs.engine import EngineProfile
from planner.simulate import service, waiting
from planner.simulate.operators.setup import Setup
from planner.simulate.service import Service
from planner.simulate.waiting import Arrivals, Burst, Client, Scheduler, Server, Waits

WAVES = 10.0  # public benchmark runs send this many requests for each one in flight
MOST_BURST = 4096.0  # and a burst's
MOST_OPEN = 512.0  # sequences per rank up to which an open loop's decode steps are evaluated


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What `waiting` needs of every row that can be predicted, and where each row's engine is."""

    rows: tuple[Row, ...]
    missing: tuple[tuple[Row, str], ...]  # rows that cannot be predicted, and why
    engines: tuple[EngineProfile, ...]
    client: Client  # of an open row, its numbers mean nothing
    arrivals: Arrivals  # nan where requests do not come at a rate
    burst: Burst  # nan where they do not all come at once
    poll_steps: FloatArray
    server: Server

    @property
    def open(self) -> BoolArray:
        """Which rows have their requests come at a rate."""
        return np.isfinite(self.arrivals.decode_per_s)

    @property
    def at_once(self) -> BoolArray:
        """Which rows have all their requests come at once."""
        return np.isfinite(self.burst.decode_requests)


def gather(rows: Iterable[Row], catalog: Catalog, engines: Mapping[str, EngineProfile] | None = None) -> Runs:
    """Simulate every row's deployment.

    Parameters
    ----------
    engines
        Profiles to use instead of the catalog's, by name: calibration tries them.
    """
    profiles = functools.cache(functools.partial(engine_profile, catalog))
    setups: dict[tuple[object, ...], Setup] = {}
    groups: dict[tuple[object, ...], list[tuple[Row, EngineProfile, Setup]]] = {}
    missing: list[tuple[Row, str]] = []
    for row in rows:
        try:
            engine = profiles(row.engine, row.version)
            engine = recipes.launched(row, (engines or {}).get(engine.name, engine), catalog)
            rest = (str(row.memory_fraction), row.burst, *row.drafting, recipes.cache(row, catalog))
            key = (row.model, row.system, engine.name, row.gemm, row.moe, *rest)
            if key not in setups:
                setups[key] = setup(row, catalog, engine)
        except (InputError, LookupError) as error:
            missing.append((row, str(error)))
            continue
        groups.setdefault((*key, *row.shape), []).append((row, engine, setups[key]))
    kept: list[tuple[Row, EngineProfile, Service]] = []
    for members in groups.values():
        one, _, ready = members[0]
        most = max(_most(row) for row, _, _ in members)
        try:
            served = service.service(ready, ready, deployment(one, ready), most)
        except LookupError as error:
            missing += [(row, str(error)) for row, _, _ in members]
            continue
        kept += [(row, engine, served) for row, engine, _ in members]
    return _stack(kept, missing, catalog)


def _most(row: Row) -> float:
    """Requests in flight per decoding rank, or more than an open loop will have."""
    if np.isfinite(row.requests_per_s):
        return MOST_OPEN
    if row.burst:  # many of its requests wait for a place: a step is never of more than have one
        return min(max(row.concurrency / (row.decode_workers * row.decode.attention_dp), 1.0), MOST_BURST)
    return max(row.concurrency / (row.decode_workers * row.decode.attention_dp), 1.0)


def _stack(
    kept: Sequence[tuple[Row, EngineProfile, Service]],
    missing: Sequence[tuple[Row, str]],
    catalog: Catalog,
) -> Runs:
    rows = [row for row, _, _ in kept]

    def column(values: Iterable[float]) -> FloatArray:
        return np.array(list(values), dtype=float)

    scale = column(r.length_mean for r in rows)
    decode_ranks = column(r.decode_workers * r.decode.attention_dp for r in rows)
    prefill_ranks = column(r.prefill_workers * r.prefill.attention_dp for r in rows)
    in_flight = np.nan_to_num(column(r.concurrency for r in rows), nan=1.0)
    rate = column(r.requests_per_s for r in rows)
    at_once = np.where([r.burst for r in rows], 1.0, np.nan)
    requests = column(r.requests for r in rows) * at_once
    steps = np.maximum(column(r.osl for r in rows) * scale - 1, 1.0)
    waves = column(r.requests for r in rows) / in_flight
    return Runs(
        rows=tuple(rows),
        missing=tuple(missing),
        engines=tuple(engine for _, engine, _ in kept),
        client=Client(
            decode_requests=np.maximum(in_flight / decode_ranks, 1.0),
            prefill_requests=np.maximum(in_flight / prefill_ranks, 1.0),
            steps=steps,
            waves=np.where(np.isfinite(waves), np.maximum(waves, 1.0), WAVES),
            spread=column(r.length_spread for r in rows),
        ),
        arrivals=Arrivals(
            decode_per_s=rate / decode_ranks,
            prefill_per_s=rate / prefill_ranks,
            steps=steps,
            variation=np.ones(len(rows)),
        ),
        burst=Burst(
            decode_requests=np.maximum(requests / decode_ranks, 1.0),
            prefill_requests=np.maximum(requests / prefill_ranks, 1.0),
            places=np.maximum(in_flight / decode_ranks, 1.0) * at_once,
            steps=steps,
        ),
        poll_steps=column(recipes.poll_steps(r, catalog) for r in rows),
        server=service.server([served for _, _, served in kept]),
    )


def outcome(runs: Runs, server: Server, scheduler: Scheduler) -> Waits:
    """What becomes of every row on a server and under a scheduler of its own."""
    found = waiting.closed_loop(runs.client, server, scheduler)
    if runs.open.any():
        found = _where(runs.open, waiting.open_loop(runs.arrivals, server, scheduler), found)
    if runs.at_once.any():
        found = _where(runs.at_once, waiting.burst(runs.burst, server, scheduler), found)
    return found


def _where(inside: BoolArray, one: Waits, other: Waits) -> Waits:
    names = [field.name for field in fields(Waits)]
    return Waits(**{name: np.where(inside, getattr(one, name), getattr(other, name)) for name in names})


def waits(runs: Runs, server: Server, scheduler: Scheduler) -> tuple[FloatArray, FloatArray]:
    """(TTFT, TPOT) of every row on a server and under a scheduler of its own, seconds."""
    found = outcome(runs, server, scheduler)
    return found.ttft_s, found.tpot_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What is predicted of rows, by what a file may have measured: arrays (rows,), seconds or tokens/s."""

    ttft: FloatArray
    tpot: FloatArray
    ttft_p90: FloatArray
    ttft_p99: FloatArray
    e2e: FloatArray
    output_tokens_per_s: FloatArray


def predict_all(runs: Runs) -> Predicted:
    """Every figure of every row of `runs`; nan where it is not known."""
    if not runs.rows:
        return Predicted(**{f.name: np.empty(0) for f in fields(Predicted)})
    found = outcome(runs, runs.server, service.scheduler(runs.engines, runs.poll_steps))
    ranks = np.array([r.decode_workers * r.decode.attention_dp for r in runs.rows], dtype=float)
    in_flight = np.array([r.concurrency for r in runs.rows], dtype=float)
    ranks = np.fmin(ranks, in_flight)  # with fewer in flight, ranks are idle
    return Predicted(
        ttft=found.ttft_s,
        tpot=found.tpot_s,
        ttft_p90=found.ttft_p90_s,
        ttft_p99=found.ttft_p99_s,
        e2e=found.ttft_s + runs.client.steps * found.tpot_s,
        output_tokens_per_s=found.decode_per_s * ranks * (runs.client.steps + 1.0),
    )


def predict(runs: Runs) -> tuple[FloatArray, FloatArray]:
    """(TTFT, TPOT) of every row of `runs`, seconds."""
    found = predict_all(runs)
    return found.ttft, found.tpot


FULL = (
    5.0  # passes' worth of prompts in a prefill rank, waiting or in work, from which it counts as saturated
)
UNCAPPED = (
    0.9  # of the decode batch limit: with more decoding, prompts may wait for places and not for prefill
)


def prefill_ratio(runs: Runs) -> FloatArray:
    """Predicted over measured rate of the prefill pools that were saturated; nan of all others.

    By Little's law a rank holds ``L = rate TTFT / ranks`` prompts, transfer and hand-over apart. With L
    passes' worth of them its load is rho, ``L = rho + rho^2 / (2 (1 - rho))`` (Pollaczek and Khinchine's for
    equal service times), and it can serve ``rate / rho``. Rows of mature builds count that name their decode
    batch limit, hold fewer sequences than that, and have `FULL` passes and more in prefill.
    """
    rows, client, server = runs.rows, runs.client, runs.server

    def column(values: Iterable[float]) -> FloatArray:
        return np.array(list(values), dtype=float)

    in_flight = column(r.concurrency for r in rows)
    ttft, tpot = column(r.ttft_s for r in rows), column(r.tpot_s for r in rows)
    per_s = in_flight / (ttft + client.steps * tpot)
    ranks = column(r.prefill_workers * r.prefill.attention_dp for r in rows)
    decoding = per_s * client.steps * tpot / column(r.decode_workers * r.decode.attention_dp for r in rows)
    beside = server.transfer_s + column(e.handover_s + e.prefill_request_s for e in runs.engines)
    held = per_s * (ttft - beside) / ranks / server.prompts_per_pass
    load = 1.0 + held - np.sqrt((1.0 + held) ** 2 - 2.0 * np.maximum(held, 0.0))
    predicted = ranks / waiting.served_s(server, service.scheduler(runs.engines, runs.poll_steps))
    limit = column(r.max_batch for r in rows)
    mature = np.array([not r.immature for r in rows], dtype=bool)
    counts = mature & (server.colocated == 0) & (held >= FULL) & (decoding < UNCAPPED * limit)
    return np.where(counts, predicted * load / per_s, np.nan)
