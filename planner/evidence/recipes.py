"""What the public recipes of measured runs set where their rows do not say: presets/recipes.toml."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from planner.evidence.runs import Row
from planner.inputs.catalog import Catalog


def poll_steps(row: Row, catalog: Catalog) -> float:
    """Decode steps between two looks for new requests: of the row, else of its recipe, else every one (0).

    Only co-located runs at a benchmark's lengths are taken to have followed a recipe.
    """
    if math.isfinite(row.poll_steps):
        return row.poll_steps
    if not (row.colocated and row.drawn and math.isfinite(row.concurrency)):
        return 0.0
    found = _of(row, catalog.recipes())
    reached = [steps for requests, steps in found.get("poll_steps", ()) if row.concurrency >= requests]
    return float(reached[-1]) if reached else 0.0


def _of(row: Row, recipes: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    for one in recipes:
        same = one["engine"] == row.engine and row.system in one["systems"] and row.model in one["models"]
        if same and row.gemm in one["formats"] and one.get("tp", row.decode.tp) == row.decode.tp:
            return one
    return {}
