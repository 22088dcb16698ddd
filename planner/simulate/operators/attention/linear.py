"""Linear attention (gated delta net, Mamba-2): a causal convolution, then a recurrence over a state.

The state of a head is ``k_dim x v_dim``, of one size whatever the context, so decode costs the
same at any length. Projections and gates are GEMMs of the caller.
"""

from __future__ import annotations

import numpy as np

from planner.arrays import Real
from planner.inputs.model import Attention
from planner.inputs.precision import BF16_BYTES, LEAST_STATE_BYTES, STATE_BYTES, Precision
from planner.simulate.operators.attention.layer import ATTENTION, Layer, Parts
from planner.simulate.operators.constants import bounded, seconds, serial, share
from planner.simulate.operators.gemm import Linear, peak_flops
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost, soft_max
from planner.simulate.operators.setup import Setup
from planner.values import dataclass

CONV, SCAN = "linear_conv", "linear_scan"
CONV_STEP, STEP = "linear_conv_step", "linear_step"
FORMAT = "bf16"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StateHeads:
    """One GPU's heads around a recurrent state; scalars, or arrays that broadcast."""

    key: Real
    key_dim: Real
    value: Real
    value_dim: Real

    @property
    def channels(self) -> Real:
        """Width of the convolution: queries, keys and values side by side."""
        return 2.0 * self.key * self.key_dim + self.value * self.value_dim

    @property
    def state(self) -> Real:
        """Elements of the state, a matrix for each value head."""
        return self.value * self.key_dim * self.value_dim


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaNet(Layer):
    """Gated delta nets and Mamba-2, `heads` being those of values: a state of fixed size, no cache."""

    key_heads: int
    key_dim: int
    value_dim: int
    conv_width: int
    in_width: int  # output width of the joint input projection

    @classmethod
    def of(cls, row: Attention) -> DeltaNet:
        """From a preset's row."""
        # a delta net projects queries, keys, values and their gate, and two scalars per value head
        width = 2 * row.k_heads * row.k_dim + 2 * row.v_heads * row.value_dim + 2 * row.v_heads
        return cls(
            layers=row.layers,
            heads=row.v_heads,
            kv_heads=0,
            key_heads=row.k_heads,
            key_dim=row.k_dim,
            value_dim=row.value_dim,
            conv_width=row.conv_width,
            in_width=row.in_width or width,
        )

    @property
    def kv_elements(self) -> float:
        """Nothing grows with the context."""
        return 0.0

    @property
    def state_elements(self) -> int:
        """The state, and the last inputs of the convolution."""
        conv = (self.conv_width - 1) * (2 * self.key_heads * self.key_dim + self.heads * self.value_dim)
        return self.heads * self.key_dim * self.value_dim + max(conv, 0)

    def matrices(self, hidden: int, tp: Real) -> list[Linear]:
        """One joint input projection, one output projection."""
        return [
            Linear("in_proj", self.in_width / tp, hidden),
            Linear("out_proj", hidden, self.heads * self.value_dim / tp),
        ]

    def cache_bytes(self, precision: Precision, tp: Real, tokens: Real) -> Real:
        """The state of the shard's heads, of one size at any length."""
        return STATE_BYTES * self.state_elements / tp

    def shard(self, tp: Real) -> StateHeads:
        """One GPU's heads."""
        return StateHeads(
            key=self.key_heads / tp, key_dim=self.key_dim, value=self.heads / tp, value_dim=self.value_dim
        )

    def prefill(self, setup: Setup, tp: Real, sequences: Real, new: Real, past: Real) -> Parts:
        """Convolution and recurrence of the new tokens alone: the state stands for those before."""
        return {ATTENTION: prefill(setup.machine, self.shard(tp), sequences, new)}

    def decode(self, setup: Setup, tp: Real, batch: Real, context: Real, queries: int) -> Parts:
        """A step for each new token, one after the other."""
        cost = decode(setup.machine, self.shard(tp), batch, self.conv_width)
        return {ATTENTION: cost * queries if queries > 1 else cost}


def _stream(machine: Machine, operator: str, bytes_: Real) -> Cost:
    """``soft_max(floor, bytes / (memory bandwidth))``."""
    c = machine.kernels.constants(operator, FORMAT, StreamConstants)
    light_s = bytes_ * (1.0 / machine.gpu.hbm_bytes_per_s)
    return Cost(soft_max(light_s / c.memory, c.floor_s, c.serial), light_s)


def conv(machine: Machine, heads: StateHeads, sequences: Real, new: Real) -> Cost:
    """The causal convolution of prefill: ``4 tokens (2 k_heads k_dim + v_heads v_dim)`` bytes streamed."""
    return _stream(machine, CONV, sequences * new * (2.0 * BF16_BYTES * heads.channels))


def conv_step(machine: Machine, heads: StateHeads, batch: Real, width: Real) -> Cost:
    """The convolution of one token: the last ``width - 1`` inputs of a channel are read and written."""
    return _stream(machine, CONV_STEP, batch * (2.0 * BF16_BYTES * heads.channels * width))


def step(machine: Machine, heads: StateHeads, batch: Real) -> Cost:
    """The recurrence of one token: ``batch v_heads k_dim v_dim`` elements of state, read and written."""
    return _stream(machine, STEP, batch * (2.0 * LEAST_STATE_BYTES * heads.state))


def scan(machine: Machine, heads: StateHeads, sequences: Real, new: Real) -> Cost:
    """The chunked recurrence of prefill.

    t_c = 4 tokens v_heads k_dim v_dim / (compute peak)        update the state and read it
    t   = floor_s + soft_max(t_c, token_s new) + sequence_s sequences v_heads
    """
    c = machine.kernels.constants(SCAN, FORMAT, ScanConstants)
    tokens = sequences * new
    light_compute = tokens * (heads.state * (4.0 / peak_flops(machine, FORMAT)))
    vectors = 2.0 * BF16_BYTES * (heads.key * heads.key_dim + heads.value * heads.value_dim)
    light_memory = (tokens * vectors + sequences * (2.0 * LEAST_STATE_BYTES * heads.state)) * (
        1.0 / machine.gpu.hbm_bytes_per_s
    )
    work = np.maximum(light_compute / c.compute, light_memory)
    taken = soft_max(work, c.token_s * new, c.serial) + sequences * (c.sequence_s * heads.value) + c.floor_s
    return Cost(taken, np.maximum(light_compute, light_memory))


def prefill(machine: Machine, heads: StateHeads, sequences: Real, new: Real) -> Cost:
    """Convolution and recurrence of `new` tokens in each of `sequences` sequences: `conv` + `scan`.

    Parameters
    ----------
    machine
        Where it runs.
    heads
        Of this GPU's shard. The taps of the convolution are read once per channel and do not show.
    sequences, new
        Sequences in the batch and tokens of each; any broadcastable shapes.

    Returns
    -------
    Cost
        Seconds, of the broadcast shape.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(linear_conv=dict(memory=0.5, serial=1.0, floor_s=4e-6),
    ...     linear_scan=dict(compute=0.05, serial=0.0, floor_s=2e-5, token_s=0.0, sequence_s=0.0))
    >>> cost = prefill(machine, StateHeads(key=16, key_dim=128, value=32, value_dim=128), 1, 8192)
    >>> round(float(cost.seconds) * 1e6), round(float(cost.light_s) * 1e6)
    (483, 98)
    """
    return conv(machine, heads, sequences, new) + scan(machine, heads, sequences, new)


def decode(machine: Machine, heads: StateHeads, batch: Real, conv_width: Real) -> Cost:
    """One token of each of `batch` sequences, at any context: `conv_step` + `step`.

    Result as in `prefill`; `conv_width` are the taps of the convolution.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(linear_conv_step=dict(memory=0.5, serial=1.0, floor_s=2e-6),
    ...     linear_step=dict(memory=0.8, serial=0.0, floor_s=4e-6))
    >>> cost = decode(machine, StateHeads(key=16, key_dim=128, value=32, value_dim=128), 256, 4)
    >>> round(float(cost.seconds) * 1e6), round(float(cost.light_s) * 1e6)
    (156, 119)
    """
    return step(machine, heads, batch) + conv_step(machine, heads, batch, conv_width)
