"""A replay while it runs: what there is to see of it so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import FloatArray
from planner.replay.over_time import windows
from planner.replay.result import PERCENTILES, spread
from planner.replay.run import Replay

PARTS = 60  # windows that the requests' time is cut into
SHOWN = tuple(PERCENTILES.index(p) for p in (50, 95, 99))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Glance:
    """What became of the requests so far; arrays of shape ``(parts,)``, nan where the replay is not yet."""

    at_s: FloatArray  # middle of each window
    waiting: FloatArray  # requests without a first token, mean
    decoding: FloatArray  # requests that make tokens, mean
    ftl_s: FloatArray  # P50, P95 and P99 of those that came in the window, shape ``(3, parts)``
    ttl_s: FloatArray
    requests: int
    ended: int
    now_s: float  # simulated
    ftl: dict[str, float]  # of all that have one: mean, p50 ... p99, seconds
    ttl: dict[str, float]
    good: float  # of those that ended, within both limits

    @property
    def share(self) -> float:
        """Of the requests that have ended."""
        return self.ended / max(self.requests, 1)


def glance(replay: Replay, parts: int = PARTS) -> Glance:
    """A replay as it stands, between two of its events."""
    result = replay.result()
    edges = np.linspace(0.0, max(replay.requests.seconds, 1e-9), parts + 1)
    with np.errstate(invalid="ignore"):
        seen = windows(result, edges)
    there = edges[:-1] < replay.now
    ended = int(result.finished.sum())
    return Glance(
        at_s=0.5 * (edges[:-1] + edges[1:]),
        waiting=np.where(there, seen.waiting, np.nan),
        decoding=np.where(there, seen.decoding, np.nan),
        ftl_s=np.where(there, seen.ftl_s[:, SHOWN].T, np.nan),
        ttl_s=np.where(there, seen.ttl_s[:, SHOWN].T, np.nan),
        requests=len(result),
        ended=replay.done,
        now_s=replay.now,
        ftl=spread(result.ftl_s),
        ttl=spread(result.ttl_s),
        good=float(result.good.sum()) / max(ended, 1),
    )
