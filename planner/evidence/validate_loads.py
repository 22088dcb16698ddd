"""Loads predicted in closed form and replayed: mean and percentiles of the first token, the token interval.

In closed form a prompt is as long as what the caches of its instance do not hold, from one pass of stack
distances at the size that is left beside sequences in flight. The replay knows each block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from planner.arrays import FloatArray
from planner.evidence import gather
from planner.evidence.deployment import deployment, setup
from planner.evidence.gather import Runs
from planner.evidence.loads import Load, saturated
from planner.inputs.catalog import Catalog
from planner.inputs.reuse import reuse
from planner.replay import build
from planner.replay.fleet import Fleet, Options
from planner.replay.run import run
from planner.words import PrefixRouting

FIGURES = ("ttft", "ttft_p50", "ttft_p90", "ttft_p99", "tpot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Loads and what was measured, predicted and replayed; arrays of shape ``(loads,)``."""

    loads: tuple[Load, ...]
    below: FloatArray  # 1 where the deployment was not saturated
    measured: dict[str, FloatArray]
    closed: dict[str, FloatArray]
    replayed: dict[str, FloatArray]
    missing: tuple[str, ...]  # ids of loads that cannot be predicted, and why


def predict(loads: Sequence[Load], catalog: Catalog) -> Judged:
    """Every load that can be predicted."""
    kept, missing, closed, replayed = [], [], [], []
    for load in loads:
        found = gather.gather([load.row], catalog)
        if found.missing:
            missing.append(f"{load.row.id}: {found.missing[0][1]}")
            continue
        fleet = _fleet(found, load, catalog)
        kept.append(load)
        closed.append(_closed(load, fleet, catalog))
        replayed.append(_replay(load, fleet))
    return Judged(
        loads=tuple(kept),
        below=1.0 - saturated(kept),
        measured={name: np.array([_measured(load, name) for load in kept], dtype=float) for name in FIGURES},
        closed={name: np.array([one[name] for one in closed], dtype=float) for name in FIGURES},
        replayed={name: np.array([one[name] for one in replayed], dtype=float) for name in FIGURES},
        missing=tuple(missing),
    )


def _measured(load: Load, name: str) -> float:
    return load.ttft_p50_s if name == "ttft_p50" else float(getattr(load.row, f"{name}_s"))


def _fleet(found: Runs, load: Load, catalog: Catalog) -> Fleet:
    row = load.row
    ready = setup(row, catalog, found.engines[0])
    return build.of_deployment(
        ready,
        ready,
        deployment(row, ready),
        prefill_instances=round(row.prefill_workers),
        decode_instances=round(row.decode_workers),
        requests=load.requests,
    )


def _closed(load: Load, fleet: Fleet, catalog: Catalog) -> dict[str, float]:
    row = load.row
    for _ in range(2):
        found = gather.predict_all(gather.gather([row], catalog))
        row = replace(row, shared_prefix=float(_cached(load, fleet, float(found.e2e[0]))))
    found = gather.predict_all(gather.gather([row], catalog))
    return {
        "ttft": float(found.ttft[0]),
        "ttft_p50": float("nan"),
        "ttft_p90": float(found.ttft_p90[0]),
        "ttft_p99": float(found.ttft_p99[0]),
        "tpot": float(found.tpot[0]),
    }


def _cached(load: Load, fleet: Fleet, e2e_s: float) -> int:
    """Prompt tokens that are found, mean, beside sequences in flight for `e2e_s` each."""
    if not load.requests.block_tokens:
        return 0
    pool = fleet.pools[0]
    in_flight = load.row.requests_per_s * min(e2e_s, 60.0) / pool.instances
    live = in_flight * (load.row.isl - load.prefix_tokens + load.row.osl)
    room = max(pool.kind.room.tokens * pool.kind.ranks - live, 0.0)
    routing: PrefixRouting = "prefix-aware" if load.routing == "prefix-aware" else "round-robin"
    seen = reuse(load.requests, instances=pool.instances, routing=routing).found_tokens(room)
    return int(seen[load.warm :].mean())


def _replay(load: Load, fleet: Fleet) -> dict[str, float]:
    found = run(fleet, load.requests, Options(routing=load.routing))
    ttft = found.ftl_s[load.warm :]
    return {
        "ttft": float(np.nanmean(ttft)),
        **{f"ttft_p{p}": float(np.nanpercentile(ttft, p)) for p in (50, 90, 99)},
        "tpot": float(np.nanmean(found.ttl_s[load.warm :])),
    }


def summarise(found: Judged) -> dict[str, Any]:
    """Median size of the errors of both, below saturation and beyond; plain data, no nan."""
    document: dict[str, Any] = {"loads": len(found.loads), "missing": list(found.missing)}
    for name, inside in (("below_saturation", found.below > 0), ("saturated", found.below == 0)):
        document[name] = {}
        for figure in FIGURES:
            both = {}
            for how, values in (("closed", found.closed[figure]), ("replay", found.replayed[figure])):
                ratio = (values / found.measured[figure])[inside]
                ratio = ratio[np.isfinite(ratio)]
                if len(ratio):
                    both[how] = {
                        "n": len(ratio),
                        "median_ape": float(np.median(np.abs(ratio - 1.0))),
                        "median_ratio": float(np.median(ratio)),
                        "beyond_two": int(((ratio > 2.0) | (ratio < 0.5)).sum()),
                    }
            if both:
                document[name][figure] = both
    return document
