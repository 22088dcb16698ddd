"""Chunks of prompts that ride along with decode steps, in a list: of a grid two fifths would not keep up."""

from __future__ import annotations

from typing import Any

import numpy as np

from planner.arrays import FloatArray, IndexArray
from planner.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rides:
    """Chunks of prompts that ride along with decode steps, wherever prompts are worked off as they come.

    A row for each batch of a grid and chunk, batches ascending; arrays (rides,) or (1, rides, 1).
    """

    of: IndexArray  # the batch of each
    batch: FloatArray
    chunk: FloatArray  # tokens
    share: FloatArray  # of the passes that carry one

    def upto(self, batches: int) -> Rides:
        """Those of the first batches alone."""
        rows = int(np.searchsorted(self.of, batches))
        return Rides(
            of=self.of[:rows],
            batch=self.batch[:, :rows],
            chunk=self.chunk[:, :rows],
            share=self.share[:, :rows],
        )

    def spread(self, values: Any) -> Any:
        """Values of each batch, along the second axis, for each ride of it; one for all as it is."""
        many = np.ndim(values) > 1 and np.shape(values)[1] > 1
        return np.take(values, self.of, axis=1) if many else values


def rides(grid: FloatArray, tokens: FloatArray, chunks: FloatArray) -> Rides:
    """The rides of a grid of batches, to each of which so many `tokens` of prompts come per step.

    Each batch with the chunk that every pass carries, and with those of `chunks` that are no smaller.

    >>> found = rides(np.array([1.0, 8.0]), np.array([8.0, 64.0]), np.array([16.0, 64.0]))
    >>> found.of.tolist(), found.chunk.ravel().tolist(), found.share.ravel().tolist()
    ([0, 0, 0, 1, 1], [8.0, 16.0, 64.0, 64.0, 64.0], [1.0, 0.5, 0.125, 1.0, 1.0])
    """
    of, which = np.nonzero(tokens[:, np.newaxis] <= chunks * (1.0 + 1e-9))
    of = np.concatenate((np.arange(len(grid)), of))
    chunk = np.concatenate((tokens, chunks[which]))
    order = np.argsort(of, kind="stable")
    of, chunk = of[order], chunk[order]
    batch, chunk, share = (v.reshape(1, -1, 1) for v in (grid[of], chunk, tokens[of] / chunk))
    return Rides(of=of, batch=batch, chunk=chunk, share=share)
