"""What first tokens take in each window under a schedule, in closed form.

The station is the one that `planner.planning.options` takes counts from, at the load of the window; work that
a window leaves over waits in the next, ``V_end = max(0, V + (load - 1) T)`` (`planner.simulate.backlog`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import BoolArray, FloatArray, IntArray
from planner.elastic.kinds import Pools
from planner.elastic.windows import Windows
from planner.planning import first_token, options, prompt_work
from planner.planning.resolve import Question
from planner.planning.sweep import Sweep
from planner.simulate import queueing
from planner.simulate.backlog import held_at_zero
from planner.simulate.queueing import Delay, Station

STEADY = 0.97  # load of a window above which the backlog says what is waited
LITTLE = 0.1  # of the limit
STEPS = 50  # halvings that find a percentile


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FirstTokens:
    """Of a schedule; arrays of shape ``(windows,)``."""

    p95_s: float  # over all requests
    within: FloatArray  # share of each window's requests within the limit
    settled: BoolArray  # little of the limit goes for what waits from windows before
    requests: IntArray

    @property
    def within_limits(self) -> float:
        """Share of all requests."""
        return float(self.within @ self.requests / max(int(self.requests.sum()), 1))


def first_tokens(
    question: Question, sweep: Sweep, pools: Pools, ready: IntArray, windows: Windows
) -> FirstTokens:
    """First tokens of a schedule whose instances `ready` are, shape ``(windows, kinds)``."""
    limit = question.scenario.limits.ftl_s
    phases = pools.phases
    backlog_s = np.zeros(len(windows))
    for pool in range(len(phases)):
        backlog_s += _backlog_s(_load(pools, ready, windows, pool), windows.window_s)
    load = _load(pools, ready, windows, 0)
    kind = pools.kinds[pools.main(phases[0])]
    busy = kind.prompt_share
    prefill = kind.phase == "prefill"
    row = np.array([kind.row])
    own = float((sweep.split_ftl_s if prefill else kind.points.ftl_s)[kind.row])
    own -= 0.0 if prefill else float(first_token.sooner_s(question, kind.points, row)[0])
    ranks = kind.points.layouts.attention_dp[kind.points.layout[row]]
    fixed, grows = first_token.own_of(question, kind.points, row, np.array([own]))
    work = prompt_work.of(question, kind.phase)
    alone = float(fixed[0]) + float(grows[0]) * work.kinds
    servers = np.maximum(ready[:, pools.pool == 0].sum(axis=1), 1).astype(np.float64)
    station = Station(
        servers=servers,
        service_s=np.full(len(windows), busy / float(kind.points.requests_per_s[kind.row])),
        service_variation=work.variation,
        arrival_variation=question.arrival_variation,
        routing=question.scenario.traffic.routing,
        gathers=float(options.gathers(kind.phase, kind.points.batch[row] / ranks)[0]),
    )
    wait = queueing.delay(station, np.clip(load * busy, 1e-6, STEADY))
    sure_s = np.broadcast_to(wait.sure_s, wait.mean_s.shape)[:, None]
    wide = Delay(probability=wait.probability[:, None], mean_s=wait.mean_s[:, None], sure_s=sure_s)

    def late(seconds: float) -> FloatArray:
        left = seconds - alone[None, :] - backlog_s[:, None]
        return np.asarray(wide.beyond(left).mean(axis=1))

    total = max(float(windows.requests.sum()), 1.0)
    low, high = 0.0, float(alone.max() + backlog_s.max() + 60.0 * wait.mean_s.max() + 1.0)
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        above = late(middle) @ windows.requests / total > 0.05
        low, high = (middle, high) if above else (low, middle)
    return FirstTokens(
        p95_s=high,
        within=1.0 - late(limit),
        settled=backlog_s <= LITTLE * limit,
        requests=windows.requests,
    )


def _load(pools: Pools, ready: IntArray, windows: Windows, pool: int) -> FloatArray:
    """Load of a pool at its full rate; a pool without instances that is asked has a load of 1000."""
    members = np.flatnonzero(pools.pool == pool)
    full = np.array([k.points.requests_per_s[k.row] for k in pools.kinds])
    kind = pools.kinds[members[0]]
    asked = windows.asked(kind.prompt_share)
    rate = ready[:, members] @ full[members]
    return np.where(rate > 0, asked / np.maximum(rate, 1e-12), np.where(asked > 0, 1e3, 0.0))


def _backlog_s(load: FloatArray, window_s: float) -> FloatArray:
    """Mean seconds of work that wait in each window."""
    held = held_at_zero((np.minimum(load, 1e3) - 1.0) * window_s)
    return np.asarray(0.5 * (held[:-1] + held[1:]))
