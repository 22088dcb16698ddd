"""The best of a way of serving at each time per token. SI units."""

from __future__ import annotations

from dataclasses import field

import numpy as np

from planner.arrays import FloatArray, IndexArray, IntArray
from planner.values import dataclass


def _no_values() -> FloatArray:
    return np.empty(0)


def _no_rows() -> IndexArray:
    return np.empty(0, dtype=np.intp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """Best throughput at each TTL: arrays of one length, the slowest point first (ttl_s descends).

    Under a GPU budget total throughput descends along it; without one, throughput per GPU. Rows are
    those of the swept points (`planner.planning.sweep.Sweep`) that a point is made of.
    """

    ttl_s: FloatArray
    tokens_per_s_per_gpu: FloatArray
    ctx_gen_ratio: FloatArray  # nan for co-located
    gpus: IntArray
    prefill: tuple[str, ...]  # layout labels ("" for co-located)
    decode: tuple[str, ...]  # layout labels (the co-located layout there)
    ftl_s: FloatArray  # first token, moving the cache included
    prefill_row: IndexArray = field(default_factory=_no_rows)  # -1 for co-located
    decode_row: IndexArray = field(default_factory=_no_rows)  # for co-located, of the co-located points
    # what a caller may leave out: prices of output tokens, and other deployments within the FTL limit,
    # thinned for drawing; tokens/s per GPU in use
    usd_per_million_tokens: FloatArray = field(default_factory=_no_values)
    cloud_ttl_s: FloatArray = field(default_factory=_no_values)
    cloud_tokens_per_s_per_gpu: FloatArray = field(default_factory=_no_values)
    systems: tuple[tuple[str, ...], ...] = ()  # of each point; () where there is only one

    def __len__(self) -> int:
        return len(self.ttl_s)

    @property
    def tokens_per_s_per_user(self) -> FloatArray:
        """Interactivity, 1/TTL; ascends."""
        return 1.0 / self.ttl_s
