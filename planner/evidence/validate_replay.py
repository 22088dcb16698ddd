"""Measured runs replayed: the same rows, deployments and times as the closed forms, the waits simulated.

Each run is replayed as it was made: so many requests in flight, or at its rate, lengths drawn as the
benchmark draws them. What is compared is the mean first token and the mean token interval.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.arrays import FloatArray
from planner.evidence import gather
from planner.evidence.deployment import deployment, setup
from planner.evidence.figures import spread
from planner.evidence.gather import Runs
from planner.evidence.runs import Row
from planner.inputs.catalog import Catalog
from planner.inputs.requests import Requests, plain
from planner.replay import build
from planner.replay.fleet import Options
from planner.replay.run import run

OPEN_REQUESTS = 2000  # of an open loop whose length is not stated
MOST_REQUESTS = 20_000  # of one run: longer ones are cut
FIGURES = ("ttft", "tpot", "ttft_p90", "ttft_p99", "e2e", "output_tokens_per_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """Rows and what was measured, predicted in closed form, and replayed; arrays of shape ``(rows,)``."""

    rows: tuple[Row, ...]
    missing: int  # rows that cannot be predicted
    measured: dict[str, FloatArray]
    closed: dict[str, FloatArray]
    replayed: dict[str, FloatArray]
    requests: int
    seconds: float


def lengths(row: Row, count: int, seed: int) -> Requests:
    """Requests of a run, all at the start: of its lengths, or between 80 and 100 % of them where drawn."""
    random = np.random.default_rng(seed)
    sides = []
    for nominal in (row.isl, max(row.osl, 2)):
        if row.drawn:
            sides.append(random.integers(round(0.8 * nominal), nominal, count, endpoint=True))
        else:
            sides.append(np.full(count, nominal))
    gaps = np.zeros(count)
    if np.isfinite(row.requests_per_s):
        gaps = random.exponential(1.0 / row.requests_per_s, count)
    return plain(np.cumsum(gaps), *sides)


def replay_row(runs: Runs, index: int, catalog: Catalog, seed: int = 0) -> dict[str, float]:
    """What a replay says of one row. Raises LookupError where a kernel was never measured."""
    row = runs.rows[index]
    at_rate = bool(np.isfinite(row.requests_per_s))
    in_flight = None if at_rate else max(round(row.concurrency), 1)
    usual = OPEN_REQUESTS if at_rate else gather.WAVES * (in_flight or 1)
    count = int(min(row.requests if np.isfinite(row.requests) else usual, MOST_REQUESTS))
    ready = setup(row, catalog, runs.engines[index])
    of = deployment(row, ready)
    requests = lengths(row, max(count, 1), seed)
    fleet = build.of_deployment(
        ready,
        ready,
        of,
        prefill_instances=round(row.prefill_workers),
        decode_instances=round(row.decode_workers),
        requests=requests,
        poll_steps=float(runs.poll_steps[index]),
    )
    found = run(fleet, requests, Options(in_flight=in_flight, seed=seed))
    ttft, served = found.ftl_s, found.finished
    return {
        "ttft": float(np.nanmean(ttft)),
        "tpot": float(np.nanmean(found.ttl_s)),
        "ttft_p90": float(np.nanpercentile(ttft, 90)),
        "ttft_p99": float(np.nanpercentile(ttft, 99)),
        "e2e": float(np.nanmean(found.e2e_s)),
        "output_tokens_per_s": float(found.osl[served].sum()) / max(found.span_s, 1e-9),
        "requests": float(count),
    }


def predict(
    rows: Sequence[Row], catalog: Catalog, on_row: Callable[[int, int], None] | None = None
) -> Replayed:
    """Every row that can be predicted, in closed form and replayed; `on_row` is told how many of how many."""
    begin = time.perf_counter()
    runs = gather.gather(rows, catalog)
    closed = gather.predict_all(runs)
    found = []
    for index in range(len(runs.rows)):
        found.append(replay_row(runs, index, catalog))
        if on_row is not None:
            on_row(index + 1, len(runs.rows))
    return Replayed(
        rows=runs.rows,
        missing=len(runs.missing),
        measured={
            name: np.array([getattr(row, _measured(name)) for row in runs.rows], dtype=float)
            for name in FIGURES
        },
        closed={name: getattr(closed, name) for name in FIGURES},
        replayed={name: np.array([one[name] for one in found], dtype=float) for name in FIGURES},
        requests=int(sum(one["requests"] for one in found)),
        seconds=time.perf_counter() - begin,
    )


def _measured(name: str) -> str:
    return name if name == "output_tokens_per_s" else f"{name}_s"


def summarise(found: Replayed) -> dict[str, Any]:
    """Errors of both, by figure, over all rows and by the way of serving; plain data, no nan."""
    ways = {"all": np.ones(len(found.rows), dtype=bool)}
    for way in ("colocated", "disaggregated"):
        ways[way] = np.array([row.mode == way for row in found.rows], dtype=bool)
    document: dict[str, Any] = {
        "rows": len(found.rows) + found.missing,
        "covered": len(found.rows),
        "requests": found.requests,
        "seconds": found.seconds,
    }
    for way, inside in ways.items():
        if inside.any():
            document[way] = {
                name: {
                    how: spread((values[name] / found.measured[name])[inside])
                    for how, values in (("closed", found.closed), ("replay", found.replayed))
                }
                for name in FIGURES
                if np.isfinite(found.measured[name][inside]).any()
            }
    return document
