"""Cross-attention of a text model to what its other parts saw (Mllama), where text is all there is.

Without images a layer has nothing to attend: its weights are held and its projections counted, as engines
that keep such a layer in their graph run it; no cache grows.
"""

from __future__ import annotations

from planner.arrays import Real
from planner.inputs.precision import Precision
from planner.simulate.operators.attention.gqa import GroupedQuery
from planner.simulate.operators.attention.layer import Parts
from planner.simulate.operators.setup import Setup
from planner.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cross(GroupedQuery):
    """Layers whose keys and values would come from images."""

    @property
    def kv_elements(self) -> float:
        """Nothing grows with the text."""
        return 0.0

    def cache_bytes(self, precision: Precision, tp: Real, tokens: Real) -> Real:
        """None without images."""
        return 0.0 * tp

    def prefill(self, setup: Setup, tp: Real, sequences: Real, new: Real, past: Real) -> Parts:
        """Nothing to attend."""
        return {}

    def decode(self, setup: Setup, tp: Real, batch: Real, context: Real, queries: int) -> Parts:
        """Nothing to attend."""
        return {}
