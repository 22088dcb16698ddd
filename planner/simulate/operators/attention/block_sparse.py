"""Grouped-query attention over blocks that an indexer picks: MiniMax-M3's sparse attention.

Every index head scores one key per token of the whole context; the best blocks are attended, the last one
among them. The cache is whole, and the index keys stand beside it. No kernel of it was measured: scoring
takes as long as grouped-query attention that reads keys alone, and attending as long as a window of what
is picked. (Source of the structure: `sparse_attention_config` of the published config.json, and the open
engines' readers of it.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from planner.arrays import Real
from planner.inputs.model import Attention
from planner.inputs.precision import BF16_BYTES, Precision
from planner.simulate.operators.attention import gqa
from planner.simulate.operators.attention.gqa import GroupedQuery
from planner.simulate.operators.attention.layer import ATTENTION, Heads, Parts
from planner.simulate.operators.gemm import Linear
from planner.simulate.operators.setup import Setup
from planner.values import dataclass
from planner.words import CacheFormat

INDEX_CACHE: CacheFormat = "bf16"  # of the index keys, whatever the cache's format


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSparse(GroupedQuery):
    """Layers whose queries attend `topk` tokens, in blocks that an indexer picks."""

    topk: int  # tokens in the picked blocks, the last block's among them
    index_heads: int
    index_dim: int  # of the one index key of a token

    @classmethod
    def values(cls, row: Attention) -> dict[str, Any]:
        """Those of grouped-query attention over the whole context, and the index."""
        own = {"topk": row.index_topk, "index_heads": row.index_heads, "index_dim": row.index_dim}
        return {**GroupedQuery.values(row), "window": 0, **own}

    def index(self, tp: Real) -> Heads:
        """One GPU's index heads: at least one, and the key, which is on every GPU."""
        return Heads(query=np.maximum(self.index_heads / tp, 1.0), kv=1.0, qk_dim=self.index_dim, v_dim=0)

    def matrices(self, hidden: int, tp: Real) -> list[Linear]:
        """Those of grouped-query attention; queries and key of the index."""
        width = (self.index(tp).query + 1.0) * self.index_dim
        return [*GroupedQuery.matrices(self, hidden, tp), Linear("index", width, hidden)]

    def cache_bytes(self, precision: Precision, tp: Real, tokens: Real) -> Real:
        """Keys and values of all tokens, and the index keys, on every GPU."""
        kept = GroupedQuery.cache_bytes(self, precision, tp, tokens)
        return kept + self.index_dim * BF16_BYTES * tokens

    def prefill(self, setup: Setup, tp: Real, sequences: Real, new: Real, past: Real) -> Parts:
        """Scores over the whole context, attention over a window as wide as what is picked."""
        machine, heads = setup.machine, self.shard(tp)
        picked = Heads(
            query=heads.query, kv=heads.kv, qk_dim=heads.qk_dim, v_dim=heads.v_dim, window=self.topk
        )
        cost = gqa.prefill(machine, INDEX_CACHE, self.index(tp), sequences, new, past)
        return {ATTENTION: cost + gqa.prefill(machine, setup.precision.kv, picked, sequences, new, past)}

    def decode(self, setup: Setup, tp: Real, batch: Real, context: Real, queries: int) -> Parts:
        """The same of a step."""
        machine, seen = setup.machine, np.minimum(context, self.topk)
        cost = gqa.decode(machine, INDEX_CACHE, self.index(tp), batch, context, queries)
        return {
            ATTENTION: cost + gqa.decode(machine, setup.precision.kv, self.shard(tp), batch, seen, queries)
        }
