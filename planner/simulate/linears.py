"""Weight matrices of the feed-forward layers and of the head, as one GPU holds them.

Those of attention stand with its kinds. They are the GEMM shapes of a pass and the weight bytes in
memory alike, with n and k as numbers or arrays of the layouts' shape; summed at TP 1 they are the
model's parameters.
"""

from __future__ import annotations

from planner.arrays import Real
from planner.inputs.model import Ffn, ModelSpec
from planner.simulate.operators.attention import kinds
from planner.simulate.operators.attention.layer import Layer
from planner.simulate.operators.gemm import Linear


def feed_forward(f: Ffn, hidden: int, tp: Real) -> list[Linear]:
    """What every token passes in a feed-forward layer, sharded over `tp` GPUs by columns.

    The whole of a dense layer; of an expert layer its router, shared experts and latent projections.
    """
    if f.kind == "dense":
        return [
            Linear("up", (f.matrices - 1) * f.width / tp, hidden, bias=f.bias),
            Linear("down", hidden, f.width / tp, bias=f.bias),
        ]
    if f.kind == "none":
        return []
    found = [Linear("router", float(f.experts), hidden, always_bf16=True, bias=f.bias)]
    if f.shared_width:
        shared = (f.shared_matrices or f.matrices) - 1
        found += [
            Linear("shared_up", shared * f.shared_width / tp, hidden),
            Linear("shared_down", hidden, f.shared_width / tp),
        ]
    if f.latent:
        found += [Linear("latent_in", f.latent, hidden), Linear("latent_out", hidden, f.latent)]
    return found


def expert(f: Ffn, hidden: int) -> list[Linear]:
    """ONE routed expert, whole; nothing in a layer without experts."""
    if f.kind != "moe":
        return []
    outer = f.latent or hidden
    return [
        Linear("expert_up", (f.matrices - 1) * f.width, outer, bias=f.bias),
        Linear("expert_down", outer, f.width, bias=f.bias),
    ]


def prediction_head(model: ModelSpec) -> tuple[list[Layer], list[Ffn]]:
    """What a multi-token-prediction head is made of beside `joining`: a layer of the model's last kinds.

    A list with the attention (the last that keeps a cache) and one with the feed-forward layer. The
    embedding and the output projection are the model's own.
    """
    mixing = [layer for layer in kinds.layers(model) if layer.kv_heads]
    return mixing[-1:], [f for f in model.ffn if f.kind != "none"][-1:]


def joining(model: ModelSpec, tp: Real) -> Linear:
    """The projection of a prediction head: the last hidden state and the next token's embedding to one."""
    return Linear("mtp_join", model.hidden / tp, 2 * model.hidden)


def head(model: ModelSpec, tp: Real) -> Linear:
    """The output projection, sharded over `tp` GPUs by vocabulary."""
    return Linear("lm_head", model.vocab / tp, model.hidden, always_bf16=True)
