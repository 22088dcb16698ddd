"""Matrix products of the linear layers, and the small memory-bound kernels between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from planner.arrays import Real
from planner.inputs.precision import BF16_BYTES, Format
from planner.simulate.operators.constants import bounded, seconds, serial, share
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost, soft_max
from planner.values import dataclass

OPERATOR = "gemm"

# Norms, rotary embedding, activations, residuals: device copies reach 79 to 92 % of HBM bandwidth on
# the GPUs measured (Azure AI benchmarking guide: H100 87, H200 84, GB200 92, A100 79, MI300X 78 %).
ELEMENTWISE_SHARE = 0.84
# One dependent kernel after another inside a CUDA graph; the smallest kernels in the measurements
# behind presets/kernels take 2.1 us, launch included.
ELEMENTWISE_FLOOR_S = 1.5e-6

# The per-tensor fp8 kernels of vLLM and SGLang (CUTLASS) work on whole vectors of rows: with 1,025 or
# 257 rows they take up to twice as long as with 1,024 or 256. Engines pad their batches to such multiples.
EVEN_ROWS = 4.0


class Linear(NamedTuple):
    """One weight matrix of one layer on one GPU: ``y[tokens, n] = x[tokens, k] w[k, n]``."""

    name: str
    n: Real
    k: Real
    always_bf16: bool = False  # routers and indexer gates are never quantised
    bias: bool = False  # one more parameter for each output


@dataclass(frozen=True, slots=True, kw_only=True)
class GemmConstants:
    """How near one GEMM kernel comes to the data sheet."""

    compute: float = share(0.7)  # of the tensor-core peak, on large products
    memory: float = share(0.8)  # of HBM bandwidth, streaming weights
    serial: float = serial(0.2)  # share of the shorter of the two that does not hide
    floor_s: float = seconds(5e-6)  # launch, and the quantising kernel where there is one
    depth_s: float = bounded(1e-13, 1e-8, 3e-10)  # per unit of k: one tile's own accumulation
    input_s: float = bounded(1e-17, 1e-11, 1e-13)  # per element of x: quantising, scales
    output_s: float = bounded(1e-17, 1e-11, 1e-13)  # per element of y: epilogue that does not hide
    host_s: float = seconds(3e-6)  # host time of a launch outside a CUDA graph; shorter kernels hide in it
    row_s: float = bounded(1e-13, 1e-7, 1e-9, default=0.0)  # per row of x: quantised by a block of its own
    # of the tensor cores' speed, where tokens are no multiple of `EVEN_ROWS` and the kernel minds
    ragged: float = share(0.9, low=0.2, default=1.0)
    # host time beyond `host_s`: padding such rows first; a kernel for more than a few rows. Calibration only
    host_ragged_s: float = bounded(1e-9, 1e-3, 1e-5, default=0.0)
    host_many_s: float = bounded(1e-9, 1e-3, 1e-5, default=0.0)


def peak_flops(machine: Machine, rate: str) -> float:
    """Dense peak at a tensor-core rate, FLOP/s; the bf16 one where the GPU lacks the rate."""
    peaks = machine.gpu.peak_flops
    return peaks.get(rate, peaks["bf16"])


def gemm(
    machine: Machine, fmt: Format, tokens: Real, n: Real, k: Real, *, graph: bool = False, padded: bool = True
) -> Cost:
    """``y[tokens, n] = x[tokens, k] @ w[k, n]``, weights streamed once.

        t_c = 2 tokens n k / (compute peak) + depth_s k
        t_m = (w_bytes n k + x_bytes tokens k + 2 tokens n) / (memory bandwidth)
        t   = floor_s + soft_max(t_c, t_m) + tokens (input_s k + output_s n)

    and at least `host_s`, unless a CUDA graph replays the launch.

    Parameters
    ----------
    machine, fmt
        Where it runs; format of weights and activations.
    tokens, n, k
        Rows of x, columns and rows of w on this GPU; any broadcastable shapes.
    graph
        Launched from a CUDA graph: the host's time for a launch does not show.
    padded
        Rows come in multiples of 4, as engines batch them, whatever `tokens` says. Otherwise those
        that do not are computed at the share `ragged` of the speed.

    Returns
    -------
    Cost
        Seconds, of the broadcast shape.

    Raises LookupError if no kernels file has a GEMM.

    >>> from planner.inputs.precision import FORMATS
    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(gemm=dict(compute=0.8, memory=0.8, serial=0.0, floor_s=3e-6, depth_s=0.0,
    ...                          input_s=0.0, output_s=0.0, host_s=0.0))
    >>> cost = gemm(machine, FORMATS["bf16"], 4096, 8192, 8192)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (697.8, 555.9)
    """
    c = machine.kernels.constants(OPERATOR, fmt.name, GemmConstants)
    peak = peak_flops(machine, fmt.rate)
    bandwidth = machine.gpu.hbm_bytes_per_s
    weights = n * k  # scalars first: one pass over an array costs more than all of them
    light_compute = tokens * (weights * (2.0 / peak))
    light_memory = weights * (fmt.weight_bytes / bandwidth) + tokens * (
        (fmt.activation_bytes * k + BF16_BYTES * n) / bandwidth
    )
    compute: Real = c.compute
    if not padded:
        compute = np.where(np.mod(tokens, EVEN_ROWS) > 0.0, c.ragged, 1.0) * c.compute
    taken = (
        soft_max(light_compute / compute + c.depth_s * k, light_memory / c.memory, c.serial)
        + tokens * (c.input_s * k + c.output_s * n + c.row_s)
        + c.floor_s
    )
    if not graph:
        taken = np.maximum(taken, c.host_s)
    return Cost(taken, np.maximum(light_compute, light_memory))


def elementwise(machine: Machine, bytes_: Real) -> Cost:
    """A memory-bound kernel that moves `bytes_`, read and written together.

    ``t = 1.5 us + bytes / (0.84 bandwidth)``

    >>> from planner.simulate.operators.example import h200
    >>> cost = elementwise(h200(), 48e6)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (13.4, 10.0)
    """
    light_s = bytes_ * (1.0 / machine.gpu.hbm_bytes_per_s)
    return Cost(light_s * (1.0 / ELEMENTWISE_SHARE) + ELEMENTWISE_FLOOR_S, light_s)
