"""Moving the KV cache from the prefill pool to the decode pool: bandwidth needed and time added."""

from __future__ import annotations

import numpy as np

from planner.arrays import IntArray, Real
from planner.inputs.model import ModelSpec
from planner.inputs.precision import Precision
from planner.inputs.system import Fabric
from planner.simulate.memory import distinct_kv_bytes
from planner.simulate.operators.attention import kinds
from planner.simulate.space import Layouts


def holders(model: ModelSpec, at: Layouts) -> IntArray:
    """GPUs of an instance that hold distinct cache.

    TP beyond the KV heads (beyond one for MLA, whose latent all heads share) only copies the
    cache. Source: "Beyond the Buzz", section 5.1; docs/method.md section 10.
    """
    kv_heads = max((layer.kv_heads for layer in kinds.layers(model)), default=1)
    return np.minimum(at.tp, max(kv_heads, 1)) * at.attention_dp * at.pp


def link_bytes_per_s(fabric: Fabric, budget: int | None) -> float:
    """Bandwidth of one GPU towards the other pool.

    A fleet within one scale-up domain hands the cache over its fast links; any other must expect
    the pools to be domains apart.
    """
    inside = budget is not None and budget <= fabric.scale_up_gpus
    return fabric.scale_up_bytes_per_s if inside else fabric.scale_out_bytes_per_s


def added_ftl_s(
    model: ModelSpec, precision: Precision, at: Layouts, isl: int, ftl_s: Real, link: float
) -> Real:
    """What the transfer adds to the first token, seconds.

    Layers leave as they are computed; what remains is the last layer, or all that the link cannot
    hide: ``max(t / L, t - ftl (L - 1) / L)`` with t the time of the whole cache of one request over
    the links of the GPUs that hold it.

    Parameters
    ----------
    at
        Layout of each point, arrays of the shape of `ftl_s`.
    link
        Bytes per second of one GPU.
    """
    return left_to_move_s(model, moving_s(model, precision, at, isl, link), ftl_s)


def moving_s(model: ModelSpec, precision: Precision, at: Layouts, isl: int, link: float) -> Real:
    """Time of the whole cache of one request over the links, seconds of each layout; see `added_ftl_s`."""
    of_one_request = holders(model, at) / at.attention_dp
    return distinct_kv_bytes(model, precision, isl) / (link * of_one_request)


def left_to_move_s(model: ModelSpec, moving: Real, ftl_s: Real) -> Real:
    """What the transfer of a cache that takes `moving` seconds adds to the first token; see `added_ftl_s`."""
    layers = model.layers
    return np.maximum(moving / layers, moving - ftl_s * (layers - 1) / layers)


def bytes_per_s_per_gpu(
    model: ModelSpec, precision: Precision, at: Layouts, isl: int, requests_per_s: Real
) -> Real:
    """Cache leaving (prefill) or entering (decode) each GPU that holds distinct cache.

    ``requests_per_s`` is of one instance. Under balance, ingress / egress is the ratio of the
    pools' holders, the ctx:gen ratio where nothing is duplicated.
    """
    return distinct_kv_bytes(model, precision, isl) * requests_per_s / holders(model, at)
