"""What the public recipes of measured runs set where their rows do not say: presets/recipes.toml."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from planner.evidence.runs import Row
from planner.inputs.catalog import Catalog
from planner.inputs.engine import EngineProfile
from planner.words import CacheFormat


def poll_steps(row: Row, catalog: Catalog) -> float:
    """Decode steps between two looks for new requests: of the row, else of its recipe, else every one (0)."""
    if math.isfinite(row.poll_steps):
        return row.poll_steps
    reached = [
        steps for requests, steps in _of(row, catalog).get("poll_steps", ()) if row.concurrency >= requests
    ]
    return float(reached[-1]) if reached else 0.0


def cache(row: Row, catalog: Catalog) -> CacheFormat:
    """Format of the KV cache: its recipe's, else fp8, or bf16 where the matrices are."""
    found: CacheFormat = _of(row, catalog).get("kv", "bf16" if row.gemm == "bf16" else "fp8")
    return found


def launched(row: Row, engine: EngineProfile, catalog: Catalog) -> EngineProfile:
    """The engine as its recipe launches it: prompts that ride along with decode steps do not go first."""
    mixed = engine.prefill_priority and _of(row, catalog).get("mixed", False)
    return replace(engine, prefill_priority=0.0) if mixed else engine


def _of(row: Row, catalog: Catalog) -> Mapping[str, Any]:
    """The recipe of a row. Only co-located runs of the lengths that it was run with are taken to have one."""
    if not (row.colocated and math.isfinite(row.concurrency)):
        return {}
    for one in catalog.recipes():
        same = one["engine"] == row.engine and one.get("tp", row.decode.tp) == row.decode.tp
        same = same and row.drawn == (one.get("lengths", "drawn") == "drawn")
        stated = (
            ("systems", row.system),
            ("models", row.model),
            ("formats", row.gemm),
            ("versions", row.version),
        )
        if same and all(key not in one or value in one[key] for key, value in stated):
            return one
    return {}
