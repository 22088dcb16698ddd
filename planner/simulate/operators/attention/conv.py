"""A gated short convolution (LFM2): each channel is mixed over its last few tokens, without a recurrence."""

from __future__ import annotations

from planner.arrays import Real
from planner.inputs.model import Attention
from planner.inputs.precision import BF16_BYTES, Precision
from planner.simulate.operators.attention import linear
from planner.simulate.operators.attention.layer import ATTENTION, Layer, Parts
from planner.simulate.operators.attention.linear import StateHeads
from planner.simulate.operators.gemm import Linear
from planner.simulate.operators.setup import Setup
from planner.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortConv(Layer):
    """`heads` groups of `dim` channels, each with `width` taps; two gates stand beside the input."""

    dim: int
    width: int
    in_width: int

    @classmethod
    def of(cls, row: Attention) -> ShortConv:
        """From a preset's row."""
        channels = row.v_heads * row.value_dim
        return cls(
            layers=row.layers,
            heads=row.v_heads,
            kv_heads=0,
            dim=row.value_dim,
            width=row.conv_width,
            in_width=row.in_width or 3 * channels,
        )

    @property
    def kv_elements(self) -> float:
        """Nothing grows with the context."""
        return 0.0

    @property
    def state_elements(self) -> int:
        """The last inputs of each channel."""
        return max(self.width - 1, 0) * self.heads * self.dim

    def matrices(self, hidden: int, tp: Real) -> list[Linear]:
        """Gates and input in one; output."""
        return [
            Linear("in_proj", self.in_width / tp, hidden),
            Linear("out_proj", hidden, self.heads * self.dim / tp),
        ]

    def cache_bytes(self, precision: Precision, tp: Real, tokens: Real) -> Real:
        """The last inputs, of one size at any length; activations are kept as they are."""
        return BF16_BYTES * self.state_elements / tp

    def _channels(self, tp: Real) -> StateHeads:
        """One GPU's channels as the kernels of a convolution count them."""
        return StateHeads(key=0.0, key_dim=0.0, value=self.heads / tp, value_dim=self.dim)

    def prefill(self, setup: Setup, tp: Real, sequences: Real, new: Real, past: Real) -> Parts:
        """The convolution over the new tokens alone."""
        return {ATTENTION: linear.conv(setup.machine, self._channels(tp), sequences, new)}

    def decode(self, setup: Setup, tp: Real, batch: Real, context: Real, queries: int) -> Parts:
        """A step for each new token, one after the other."""
        cost = linear.conv_step(setup.machine, self._channels(tp), batch, self.width)
        return {ATTENTION: cost * queries if queries > 1 else cost}
