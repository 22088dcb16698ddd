"""What every kind of token mixing tells of itself; a model's passes and its memory loop over these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

from planner.arrays import Real
from planner.inputs.precision import Precision
from planner.simulate.operators.gemm import Linear
from planner.simulate.operators.roofline import Cost
from planner.simulate.operators.setup import Setup
from planner.values import dataclass

Parts: TypeAlias = dict[str, Cost]  # cost by part of the breakdown
ATTENTION = "attention"  # the part that the kernels of token mixing are booked under


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """One GPU's shard of an attention layer; scalars, or arrays that broadcast."""

    query: Real
    kv: Real  # heads of keys and values
    qk_dim: Real  # of one query or key
    v_dim: Real  # of one value
    window: Real = 0  # tokens a query attends at most; 0: all

    @property
    def dims(self) -> Real:
        """Dimensions of a key and its value."""
        return self.qk_dim + self.v_dim


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer(ABC):
    """`layers` layers of one kind. `tp` is the attention TP width throughout: a number or an array."""

    layers: int
    heads: int  # of queries (values, where there is a state): what TP divides
    kv_heads: int  # with a cache of their own, which TP beyond them copies; 0 where none is kept

    @property
    @abstractmethod
    def kv_elements(self) -> float:
        """Cached elements per token and layer, each counted once."""

    @property
    def growing_elements(self) -> float:
        """Of them, what goes on growing in a long context, where windows are full."""
        return self.kv_elements

    @property
    def state_elements(self) -> int:
        """Elements of recurrent state per sequence and layer."""
        return 0

    @abstractmethod
    def matrices(self, hidden: int, tp: Real) -> list[Linear]:
        """Projections as one GPU holds them, in a model of width `hidden`."""

    @abstractmethod
    def cache_bytes(self, precision: Precision, tp: Real, tokens: Real) -> Real:
        """What one layer keeps of ONE sequence of `tokens` tokens on each GPU; at TP 1: of all of it."""

    def beside(self, setup: Setup, tp: Real, tokens: Real) -> Parts:
        """What `tokens` tokens pass beside projections, cache and the small kernels of any layer."""
        return {}

    @abstractmethod
    def prefill(self, setup: Setup, tp: Real, sequences: Real, new: Real, past: Real) -> Parts:
        """One layer over `new` prompt tokens in each of `sequences` sequences with `past` cached ones."""

    @abstractmethod
    def decode(self, setup: Setup, tp: Real, batch: Real, context: Real, queries: int) -> Parts:
        """One layer of one step: `queries` new tokens in each of `batch` sequences of `context` tokens."""
