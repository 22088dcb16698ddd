"""A schedule put to the proof: its instances start, drain and swap while every request goes through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.arrays import BoolArray
from planner.elastic import fleets
from planner.elastic.over_time import Outcome, OverTime
from planner.inputs.requests import Requests
from planner.output.spelling import percent
from planner.replay.fleet import Fleet
from planner.replay.over_time import windows as seen
from planner.replay.run import run

FEW = 20  # requests in a window, below which one late request breaks its percentile: chance, not the plan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replayed:
    """A schedule, replayed; arrays of shape ``(windows,)``."""

    planned: BoolArray  # windows that the schedule was to keep within limits
    kept: BoolArray  # and that were
    ftl_p95_s: float
    within_limits: float  # share of the requests
    gpu_hours: float
    unfinished: int
    why: dict[str, int]  # windows that differ, by reason

    @property
    def agrees(self) -> float:
        """Share of the windows in which plan and replay agree."""
        return float(np.mean(self.planned == self.kept))

    def data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "windows_ok": int(self.kept.sum()),
            "agrees": self.agrees,
            "ftl_p95_s": self.ftl_p95_s,
            "requests_within_limits": self.within_limits,
            "gpu_hours": self.gpu_hours,
            "unfinished": self.unfinished,
            "differ": self.why,
        }

    def sentence(self) -> str:
        """For people."""
        reasons = "; ".join(f"{count} {reason}" for reason, count in self.why.items())
        return (
            f"replayed: {percent(float(np.mean(self.kept)), 1)} of windows and "
            f"{percent(self.within_limits, 1)} of requests ok, TTFT P95 {self.ftl_p95_s:.2f} s, "
            f"{self.gpu_hours:,.1f} GPU h; the plan "
            f"agrees in {percent(self.agrees)} of windows" + (f" ({reasons})" if reasons else "")
        )


def fleet_of(found: OverTime, of: Outcome, requests: Requests) -> Fleet:
    """The fleet whose instances follow a schedule. Raises LookupError as `planner.replay.build`."""
    asked = found.ways[of.way]
    one = fleets.kinds_of(found.question, asked.pools, requests)
    return fleets.following(one, asked.pools, asked.costs, of.schedule)


def prove(
    found: OverTime,
    of: Outcome,
    requests: Requests,
    *,
    seed: int = 0,
    should_stop: Callable[[], bool] | None = None,
) -> Replayed:
    """Replay a schedule on its trace.

    Raises `planner.simulate.points.Stopped` when told to stop.
    """
    limits = found.scenario.limits
    options = fleets.options(found.scenario, seed)
    result = run(fleet_of(found, of, requests), requests, options, should_stop=should_stop)
    edges = np.arange(len(found.windows) + 1, dtype=np.float64) * found.windows.window_s
    each = seen(result, edges)
    kept = fleets.kept(each, found.scenario)
    ftl = result.ftl_s[np.isfinite(result.ftl_s)]
    gpu_s = sum(use.gpus * use.up_s for use in result.instances)
    return Replayed(
        planned=of.ok,
        kept=kept,
        ftl_p95_s=float(np.percentile(ftl, 95)) if len(ftl) else float("nan"),
        within_limits=float(np.mean(result.good)) if len(result) else 1.0,
        gpu_hours=gpu_s / 3600.0,
        unfinished=int(len(result) - result.finished.sum()),
        why=_differences(of.ok, kept, each.arrivals, each.ftl_s[:, 2], each.ttl_s[:, 2], limits),
    )


def _differences(
    planned: BoolArray, kept: BoolArray, came: Any, ftl_s: Any, ttl_s: Any, limits: Any
) -> dict[str, int]:
    """Reasons of windows in which plan and replay differ, counted."""
    spare = ~planned & kept
    broken = planned & ~kept
    after = broken & np.concatenate([[False], ~kept[:-1]])
    few = broken & ~after & (came < FEW)
    slow = broken & ~after & ~few & (ttl_s > limits.ttl_s)
    late = broken & ~after & ~few & ~slow
    reasons = {
        "kept with less than planned for: bursts and limits had room": spare,
        "behind a window that broke": after,
        "with few requests": few,
        "with tokens slower than the mean batch's": slow,
        "with bursts within the window": late,
    }
    return {text: int(mask.sum()) for text, mask in reasons.items() if mask.any()}
