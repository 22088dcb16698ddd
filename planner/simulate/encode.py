"""The encoder of images: the time of its passes, on GPUs of its own or in place before prefill.

A vision transformer over the patches of images, in bf16, without a cache and without a causal mask: each
patch attends to all of its image (of its tile, of its window), which is twice the causal work:

    attention     4 patches^2 hidden FLOP a layer
    matrices      2 patches (4 hidden^2 + matrices hidden width) FLOP a layer
    projection    2 tokens inner (hidden merge^2 + hidden of the model)

By the kernels that prefill is priced by: none of an encoder was measured.
"""

from __future__ import annotations

import numpy as np

from planner.arrays import Real
from planner.inputs.images import Images
from planner.inputs.precision import BF16_BYTES, FORMATS
from planner.simulate.operators import collectives, gemm
from planner.simulate.operators.attention.causal import causal
from planner.simulate.operators.attention.gqa import PREFILL
from planner.simulate.operators.attention.layer import Heads
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import NOTHING, Cost
from planner.values import dataclass

ENCODER = "image encoder"  # the part of a pass that it is booked under
# Activations that small kernels read and write per patch and layer, in units of the hidden width: two
# norms with their residuals, and the activation between the two matrices.
SMALL_KERNEL_WIDTHS = 10.0
BATCHES = (1, 2, 4, 8, 16)  # requests of a pass
WORTH = 1.02  # what twice the batch has to bring at the least
_BF16 = FORMATS["bf16"]


def forward_pass(machine: Machine, images: Images, hidden: int, count: Real, tp: Real = 1) -> Cost:
    """One pass over `count` images, each GPU of `tp` with a share of every matrix and of the heads.

    `hidden` is the width of the model that reads them; shapes broadcast. Raises LookupError where a kernel
    that it needs was never measured.
    """
    vision = images.vision
    tp = np.minimum(tp, vision.heads)
    rows = count * float(images.patches)
    layer = NOTHING
    width = vision.hidden
    for n, k in (
        (3 * width / tp, width),
        (width, width / tp),
        ((vision.matrices - 1) * vision.width / tp, width),
        (width, vision.width / tp),
    ):
        layer = layer + gemm.gemm(machine, _BF16, rows, n, k)
    residual = BF16_BYTES * width * rows
    layer = layer + gemm.elementwise(machine, SMALL_KERNEL_WIDTHS * residual)
    layer = layer + collectives.all_reduce(machine, residual, tp) * 2.0
    layer = layer + Cost(machine.engine.layer_s, 0.0)
    whole = layer * vision.layers
    heads = vision.heads / tp
    shard = Heads(query=heads, kv=heads, qk_dim=width / vision.heads, v_dim=width / vision.heads)
    windowed = vision.layers - vision.whole_layers if vision.window else 0
    for layers, seen in ((vision.layers - windowed, vision.tile), (windowed, vision.window)):
        if layers:
            seen = min(seen or images.patches, images.patches)
            # every row sees all of them: as if half of them came before
            cost = causal(machine, PREFILL, "bf16", shard, rows / seen, float(seen), 0.5 * seen)
            whole = whole + cost * layers
    whole = whole + gemm.gemm(machine, _BF16, rows, width, 3.0 * vision.patch**2)
    tokens, taken = count * float(images.tokens), width * vision.patches_per_token
    inner = vision.projector or taken
    whole = whole + gemm.gemm(machine, _BF16, tokens, inner / tp, float(taken))
    return whole + gemm.gemm(machine, _BF16, tokens, float(hidden), inner / tp)


def in_place(machine: Machine, images: Images, hidden: int, count: Real, tp: Real) -> Cost:
    """`count` images before a pass on the `tp` GPUs of an attention rank: what is faster of two ways.

    Every image over all of them, or each on one of them, dealt out. Less than one image is a share of passes
    with one.
    """
    share = np.minimum(count, 1.0)
    some = np.maximum(count, 1.0)
    sharded = forward_pass(machine, images, hidden, some, tp)
    dealt = forward_pass(machine, images, hidden, np.maximum(some / tp, 1.0))
    bytes_ = BF16_BYTES * hidden * images.tokens * some
    dealt = dealt + collectives.all_gather(machine, bytes_, tp)
    faster = sharded.seconds < dealt.seconds
    return Cost(
        share * np.where(faster, sharded.seconds, dealt.seconds),
        share * np.minimum(sharded.light_s, dealt.light_s),
    )


def embedding_bytes(images: Images, hidden: int) -> float:
    """What of a request's images crosses the link to the pool that reads them."""
    return BF16_BYTES * hidden * images.tokens * max(images.each, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """An instance of an encoder pool: one GPU that takes the images of `batch` requests in a pass."""

    batch: int
    pass_s: float
    light_s: float
    requests_per_s: float
    latency_s: float  # that it adds to the first token: the pass, its images on their way, the hand-over


GPUS = 1  # of an instance: engines that encode apart take no more


def encoders(machine: Machine, images: Images, hidden: int, link_bytes_per_s: float) -> tuple[Encoder, ...]:
    """The instances worth trying: larger batches where they serve more by more than `WORTH`.

    A request without images waits for none; who has some has at least one.
    """
    found: list[Encoder] = []
    engine = machine.engine
    each = max(images.each, 1.0)
    moved_s = embedding_bytes(images, hidden) / link_bytes_per_s + engine.handover_s
    for batch in BATCHES:
        cost = forward_pass(machine, images, hidden, batch * each)
        pass_s = float(cost.seconds) + engine.step_s
        rate = batch / (pass_s + batch * engine.arrival_s) * each / images.each
        if found and rate < found[-1].requests_per_s * WORTH:
            break
        found.append(
            Encoder(
                batch=batch,
                pass_s=pass_s,
                light_s=float(cost.light_s),
                requests_per_s=rate,
                latency_s=pass_s + moved_s,
            )
        )
    return tuple(found)


def weight_bytes(images: Images, hidden: int) -> float:
    """Of an encoder, in bf16: quantised releases leave it as it is."""
    return BF16_BYTES * images.vision.params(hidden)
