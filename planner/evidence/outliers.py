"""Runs whose first tokens are out of line with those of their neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from planner.arrays import BoolArray
from planner.evidence.runs import Row

FACTOR = 4.0  # an outlier's TTFT over what its neighbours have
NEAR = 2.0  # of the concurrency and of the GPUs, in a run that counts as a neighbour
NEIGHBOURS = 3  # fewer do not tell


def outliers(rows: Sequence[Row]) -> BoolArray:
    """Rows whose measured TTFT is out of line with their neighbours: shape ``(rows,)``.

    Neighbours are runs of the same model, system, engine, mode and lengths at up to twice or half the
    concurrency on up to twice or half the GPUs; a row is an outlier where its TTFT is at least four times
    what a quarter of them (of three or more) stay below. Says nothing about predictions: it names
    builds that were not ready, and disturbed runs.
    """
    same: dict[tuple[object, ...], list[int]] = {}
    for i, row in enumerate(rows):
        key = (row.model, row.system, row.engine, row.mode, row.isl, row.osl)
        same.setdefault(key, []).append(i)
    found = np.zeros(len(rows), dtype=bool)
    ttft = np.array([row.ttft_s for row in rows], dtype=float)
    traits = np.log([[row.concurrency, row.gpus] for row in rows]).reshape(-1, 2)
    for members in same.values():
        at = np.array(members, dtype=np.intp)
        apart = np.abs(traits[at][:, None, :] - traits[at][None, :, :]).max(axis=2)
        near = (apart <= math.log(NEAR) + 1e-9) & ~np.eye(len(at), dtype=bool) & np.isfinite(ttft[at])
        for i, neighbours in zip(at, near, strict=True):
            if neighbours.sum() >= NEIGHBOURS:
                found[i] = ttft[i] >= FACTOR * float(np.quantile(ttft[at][neighbours], 0.25))
    return found
