"""The kinds of attention: which class simulates a row of a model preset.

A new kind is one file beside this one with a class of `Layer`, one line in `layer`, its name in
`planner.words.AttentionKind` and in `planner.inputs.checks`, and its fields in
`planner.inputs.model.Attention`.
"""

from __future__ import annotations

from planner.inputs.model import Attention, ModelSpec
from planner.simulate.operators.attention.block_sparse import BlockSparse
from planner.simulate.operators.attention.conv import ShortConv
from planner.simulate.operators.attention.cross import Cross
from planner.simulate.operators.attention.gqa import GroupedQuery
from planner.simulate.operators.attention.layer import Layer
from planner.simulate.operators.attention.linear import DeltaNet
from planner.simulate.operators.attention.mla import MultiHeadLatent
from planner.simulate.operators.attention.sparse import SparseLatent


def layer(row: Attention) -> Layer:
    """The layers of one row of a preset.

    Raises ValueError for layers without token mixing, which have nothing to simulate.

    >>> layer(Attention(kind="mla", layers=61, heads=128, kv_lora=512, rope_dim=64)).kv_elements
    576.0
    """
    if row.kind == "gqa":
        return BlockSparse.of(row) if row.index_topk else GroupedQuery.of(row)
    if row.kind == "mla":
        # a window or a fold changes what a query sees as an indexer does
        return (
            SparseLatent.of(row) if row.index_topk or row.window or row.fold > 1 else MultiHeadLatent.of(row)
        )
    if row.kind == "linear":
        return DeltaNet.of(row)
    if row.kind == "conv":
        return ShortConv.of(row)
    if row.kind == "cross":
        return Cross.of(row)
    raise ValueError(f"layers of kind {row.kind} mix no tokens")


def layers(model: ModelSpec) -> list[Layer]:
    """The layers of a model that mix tokens, by kind."""
    return [layer(row) for row in model.attention if row.kind != "none"]
