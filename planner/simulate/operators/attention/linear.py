"""Linear attention (gated delta net, Mamba-2): a causal convolution, then a recurrence over a state.

The state of a head is ``k_dim x v_dim``, of one size whatever the context, so decode costs the
same at any length. Projections and gates are GEMMs of the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import Real
from planner.inputs.precision import BF16_BYTES
from planner.simulate.operators.constants import bounded, seconds, serial, share
from planner.simulate.operators.gemm import peak_flops
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost, soft_max

CONV, SCAN = "linear_conv", "linear_scan"
CONV_STEP, STEP = "linear_conv_step", "linear_step"
FORMAT = "bf16"
# the least an engine keeps: TensorRT-LLM holds states in bf16, others in float32 at half the share
STATE_BYTES = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConstants:
    """A kernel that only moves memory."""

    memory: float = share(0.6)  # of HBM bandwidth
    serial: float = serial(0.5)  # share of the shorter of floor and streaming that does not hide
    floor_s: float = seconds(3e-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanConstants:
    """The chunked recurrence of prefill."""

    compute: float = share(0.05, low=0.001)  # of the bf16 peak, counting the recurrence's own FLOPs alone
    serial: float = serial(0.5)  # share of the shorter of products and scan that does not hide
    floor_s: float = seconds(2e-5)
    token_s: float = bounded(1e-12, 1e-6, 3e-8)  # per token of one sequence: chunks follow each other
    sequence_s: float = bounded(1e-12, 1e-6, 6e-8)  # per sequence and value head


def _channels(k_heads: Real, k_dim: Real, v_heads: Real, v_dim: Real) -> Real:
    """Width of the convolution: queries, keys and values side by side."""
    return 2.0 * k_heads * k_dim + v_heads * v_dim


def _stream(machine: Machine, operator: str, bytes_: Real) -> Cost:
    """``soft_max(floor, bytes / (memory bandwidth))``."""
    c = machine.kernels.constants(operator, FORMAT, StreamConstants)
    light_s = bytes_ * (1.0 / machine.gpu.hbm_bytes_per_s)
    return Cost(soft_max(light_s / c.memory, c.floor_s, c.serial), light_s)


def conv(
    machine: Machine, sequences: Real, new: Real, k_heads: Real, k_dim: Real, v_heads: Real, v_dim: Real
) -> Cost:
    """The causal convolution of prefill: ``4 tokens (2 k_heads k_dim + v_heads v_dim)`` bytes streamed."""
    channels = _channels(k_heads, k_dim, v_heads, v_dim)
    return _stream(machine, CONV, sequences * new * (2.0 * BF16_BYTES * channels))


def conv_step(
    machine: Machine, batch: Real, k_heads: Real, k_dim: Real, v_heads: Real, v_dim: Real, width: Real
) -> Cost:
    """The convolution of one token: the last ``width - 1`` inputs of a channel are read and written."""
    channels = _channels(k_heads, k_dim, v_heads, v_dim)
    return _stream(machine, CONV_STEP, batch * (2.0 * BF16_BYTES * channels * width))


def step(machine: Machine, batch: Real, k_heads: Real, k_dim: Real, v_heads: Real, v_dim: Real) -> Cost:
    """The recurrence of one token: ``4 batch v_heads k_dim v_dim`` bytes of state, read and written."""
    return _stream(machine, STEP, batch * (2.0 * STATE_BYTES * v_heads * k_dim * v_dim))


def scan(
    machine: Machine, sequences: Real, new: Real, k_heads: Real, k_dim: Real, v_heads: Real, v_dim: Real
) -> Cost:
    """The chunked recurrence of prefill.

    t_c = 4 tokens v_heads k_dim v_dim / (compute peak)        update the state and read it
    t   = floor_s + soft_max(t_c, token_s new) + sequence_s sequences v_heads
    """
    c = machine.kernels.constants(SCAN, FORMAT, ScanConstants)
    tokens = sequences * new
    state = v_heads * k_dim * v_dim
    light_compute = tokens * (state * (4.0 / peak_flops(machine, FORMAT)))
    vectors = 2.0 * BF16_BYTES * (k_heads * k_dim + v_heads * v_dim)
    light_memory = (tokens * vectors + sequences * (2.0 * STATE_BYTES * state)) * (
        1.0 / machine.gpu.hbm_bytes_per_s
    )
    work = np.maximum(light_compute / c.compute, light_memory)
    taken = soft_max(work, c.token_s * new, c.serial) + sequences * (c.sequence_s * v_heads) + c.floor_s
    return Cost(taken, np.maximum(light_compute, light_memory))


def prefill(
    machine: Machine,
    sequences: Real,
    new: Real,
    k_heads: Real,
    k_dim: Real,
    v_heads: Real,
    v_dim: Real,
    conv_width: Real,
) -> Cost:
    """Convolution and recurrence of `new` tokens in each of `sequences` sequences: `conv` + `scan`.

    Parameters
    ----------
    machine
        Where it runs.
    sequences, new
        Sequences in the batch and tokens of each; any broadcastable shapes.
    k_heads, k_dim, v_heads, v_dim, conv_width
        Of this GPU's shard. The taps of the convolution are read once per channel and do not show.

    Returns
    -------
    Cost
        Seconds, of the broadcast shape.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(linear_conv=dict(memory=0.5, serial=1.0, floor_s=4e-6),
    ...     linear_scan=dict(compute=0.05, serial=0.0, floor_s=2e-5, token_s=0.0, sequence_s=0.0))
    >>> cost = prefill(machine, 1, 8192, 16, 128, 32, 128, 4)
    >>> round(float(cost.seconds) * 1e6), round(float(cost.light_s) * 1e6)
    (483, 98)
    """
    shape = (k_heads, k_dim, v_heads, v_dim)
    return conv(machine, sequences, new, *shape) + scan(machine, sequences, new, *shape)


def decode(
    machine: Machine,
    batch: Real,
    k_heads: Real,
    k_dim: Real,
    v_heads: Real,
    v_dim: Real,
    conv_width: Real,
) -> Cost:
    """One token of each of `batch` sequences, at any context: `conv_step` + `step`.

    Parameters and result as in `prefill`.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(linear_conv_step=dict(memory=0.5, serial=1.0, floor_s=2e-6),
    ...     linear_step=dict(memory=0.8, serial=0.0, floor_s=4e-6))
    >>> cost = decode(machine, 256, 16, 128, 32, 128, 4)
    >>> round(float(cost.seconds) * 1e6), round(float(cost.light_s) * 1e6)
    (156, 119)
    """
    shape = (k_heads, k_dim, v_heads, v_dim)
    return step(machine, batch, *shape) + conv_step(machine, batch, *shape, conv_width)
