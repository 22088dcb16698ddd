"""Serving engines: host overheads and the limits of their schedulers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProfile:
    """What the serving software adds to the kernels, in seconds, and what it allows."""

    name: str
    label: str
    step_s: float  # host time per forward pass that does not hide behind the GPU
    layer_s: float  # launch and small-kernel time per layer outside the modelled operators
    request_s: float  # host time per sequence in the batch and pass (sampling, detokenising)
    prefill_request_s: float  # once per request: tokenising, admission, first response
    max_batch: int  # sequences per instance's attention rank
    memory_fraction: float  # share of GPU memory that weights, activations and cache may fill
    reserve_bytes: float  # CUDA context, graphs, communication buffers
    sources: tuple[str, ...] = ()
