"""What a replay found: of each request, of each instance, and of all together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.arrays import BoolArray, FloatArray, IntArray
from planner.replay.fleet import Options
from planner.words import Phase

PERCENTILES = (50, 90, 95, 99)
REFUSED = -2  # in place of an instance: no instance has room for it


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceUse:
    """What an instance did."""

    number: int
    pool: int
    phase: Phase
    label: str
    gpus: int
    start_s: float  # its GPUs were taken
    end_s: float  # and given back, or the end of the replay
    busy_s: float
    decode_s: float  # time in which sequences decoded
    sequence_s: float  # sequences times that time
    prompts: int
    tokens: int
    loaded: int  # prompt tokens that came from the host's memory
    alive: bool  # at the end

    @property
    def up_s(self) -> float:
        """Time it had its GPUs."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderUse:
    """What an encoder of images did."""

    gpus: int
    busy_s: float
    up_s: float
    passes: int
    requests: int  # whose images it encoded
    alive: bool  # at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a replay is."""

    requests: int
    ended: int
    at_s: float  # simulated
    requests_per_s: float  # of this machine
    left_s: float  # as long as that rate holds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """Arrays of shape ``(requests,)``, in the order of arrival; nan and -1 where there is none."""

    arrival_s: FloatArray
    first_s: FloatArray  # the first token reaches the client
    end_s: FloatArray  # the last one; nan where the request did not end, or was refused
    isl: IntArray
    osl: IntArray
    entry: npt.NDArray[np.int32]  # instance that worked on the prompt, the last of them; or `REFUSED`
    decode: npt.NDArray[np.int32]  # and that made the tokens after the first
    found: IntArray  # tokens of the prompt that were in a cache
    computed: IntArray  # prompt tokens that went through passes, more than ISL where it was done again
    refused: int  # longer than any instance has room for
    restarts: int  # of requests, as instances failed
    evictions: int  # of requests, as caches were full
    instances: tuple[InstanceUse, ...]
    simulated_s: float
    seconds: float  # it took
    events: int
    options: Options
    encoders: tuple[EncoderUse, ...] = ()

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def finished(self) -> BoolArray:
        """Which requests ended."""
        return np.isfinite(self.end_s)

    @property
    def ftl_s(self) -> FloatArray:
        """First token latency."""
        return np.asarray(self.first_s - self.arrival_s)

    @property
    def ttl_s(self) -> FloatArray:
        """Mean token-to-token latency of each request; nan where one token was asked for."""
        steps = np.where(self.osl > 1, self.osl - 1, np.nan)
        return np.asarray((self.end_s - self.first_s) / steps)

    @property
    def e2e_s(self) -> FloatArray:
        """From arrival to the last token."""
        return np.asarray(self.end_s - self.arrival_s)

    @property
    def span_s(self) -> float:
        """From the first arrival to the last end."""
        ended = self.finished
        if not ended.any():
            return 0.0
        return float(np.nanmax(self.end_s[ended]) - np.nanmin(self.arrival_s))

    @property
    def good(self) -> BoolArray:
        """Which requests ended within both limits."""
        options = self.options
        with np.errstate(invalid="ignore"):
            slow = (self.ftl_s > options.ftl_limit_s) | (self.ttl_s > options.ttl_limit_s)
        return np.asarray(self.finished & ~slow)


def spread(values: FloatArray) -> dict[str, float]:
    """mean, p50, p90, p95 and p99 of what is known; nan where nothing is.

    >>> spread(np.array([1.0, 2.0, 3.0, np.nan]))["p50"]
    2.0
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return dict.fromkeys(("mean", *(f"p{p}" for p in PERCENTILES)), float("nan"))
    at = np.percentile(known, PERCENTILES)
    return {"mean": float(known.mean()), **{f"p{p}": float(v) for p, v in zip(PERCENTILES, at, strict=True)}}
