"""The policies that are compared: what each knows, and the instances it wants in each window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Literal, TypeAlias

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.elastic import program
from planner.elastic.costs import Costs
from planner.elastic.kinds import NEVER, Pools
from planner.elastic.program import Solved
from planner.elastic.schedule import Schedule, bill
from planner.elastic.windows import Windows

Policy: TypeAlias = Literal[
    "static-peak",
    "static-mean",
    "fixed-ratio",
    "dynamic-ratio",
    "elastic",
    "seasonal-naive",
    "smoothing",
    "reactive",
]
POLICIES: dict[Policy, str] = {
    "static-peak": "as many as the busiest window needs, all along",
    "static-mean": "as many as the mean load needs, all along",
    "fixed-ratio": "total follows the load, ctx:gen ratio stays that of the mean load (foresight)",
    "dynamic-ratio": "total stays, ctx:gen ratio follows the load (foresight)",
    "elastic": "total and ratio follow the load, with the whole horizon in view",
    "seasonal-naive": "rolling, forecast: as a day before; the last window where there is none",
    "smoothing": "rolling, forecast: exponential smoothing with a trend",
    "reactive": "sees the last window: load over what an instance serves, scales down after a cooldown",
}
SPLIT_ONLY: tuple[Policy, ...] = ("fixed-ratio", "dynamic-ratio")
COOLDOWN_S = 300.0  # before scaling down: the default of Kubernetes' autoscaler
DAY_S = 86_400.0
LEVEL, TREND = 0.5, 0.1  # shares of news in Holt's level and trend
MOST_HELD = 288  # windows that an idle instance is kept at most for what a forecast wants later


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """One way of serving, what it costs and is asked for."""

    pools: Pools
    costs: Costs
    windows: Windows


def static_peak(asked: Asked) -> Schedule:
    """The most that any window that can be served needs."""
    return _constant(asked, _main(asked, _useful(asked.pools.balanced).max(axis=0)))


def static_mean(asked: Asked) -> Schedule:
    """What the mean load needs."""
    return _constant(asked, _main(asked, _mean_need(asked)))


def fixed_ratio(asked: Asked) -> Schedule:
    """The smallest fleet of the mean's ratio that serves each window; kept where a start costs more."""
    need, mean = _useful(asked.pools.balanced), _mean_need(asked)
    prefill, decode = (asked.pools.main(phase) for phase in asked.pools.phases)
    ratio = mean[prefill] / max(mean[decode], 1)
    level = np.maximum(need[:, decode], np.ceil(need[:, prefill] / max(ratio, 1e-9) - 1e-9))
    level = _held(level.astype(np.int64), _break_even(asked, decode))
    table = np.zeros_like(need)
    table[:, decode] = level
    table[:, prefill] = np.ceil(ratio * level - 1e-9)
    return _plain(asked, _in_budget(asked, table), ahead=True)


def dynamic_ratio(asked: Asked, time_limit_s: float, should_stop: Callable[[], bool] | None) -> Solved:
    """The smallest total that serves every window, and its ratio over time."""
    return program.solve(
        asked.pools, asked.costs, fixed=True, time_limit_s=time_limit_s, should_stop=should_stop
    )


def elastic(
    asked: Asked, others: list[Schedule], time_limit_s: float, should_stop: Callable[[], bool] | None
) -> Solved:
    """The program's schedule, or one of the others that is better where it ran out of time."""
    found = program.solve(asked.pools, asked.costs, time_limit_s=time_limit_s, should_stop=should_stop)
    best, least = found.schedule, bill(asked.pools, found.schedule, asked.costs).objective
    for other in others:
        worth = bill(asked.pools, other, asked.costs).objective
        if worth < least:
            best, least = other, worth
    return Solved(schedule=best, gap=max(least - found.bound, 0.0) / max(least, 1e-9), bound=found.bound)


def reactive(asked: Asked) -> Schedule:
    """The rule of autoscalers: ``ceil(load of the last window / rate of an instance)``, then a cooldown."""
    pools, windows = asked.pools, asked.windows
    table = np.zeros_like(pools.need)
    for phase in pools.phases:
        kind = pools.main(phase)
        load = windows.asked(pools.kinds[kind].prompt_share)
        wanted = np.maximum(np.ceil(load / pools.kinds[kind].each_per_s - 1e-9), 1).astype(np.int64)
        seen = np.concatenate([wanted[:1], wanted[:-1]])  # the first window's is known: it is deployed
        table[:, kind] = _highest(seen, ceil(COOLDOWN_S / windows.window_s), back=True)
    return _plain(asked, _in_budget(asked, table), ahead=False)


def rolling(asked: Asked, forecast: Callable[[FloatArray, Windows, int], FloatArray]) -> Schedule:
    """What a forecast says is needed once an instance that starts now is ready.

    `forecast` gives the load `steps` windows ahead of what each window knows, the loads before it. An
    instance is kept while the forecast needs it again sooner than a drain and a start pay.
    """
    pools, windows = asked.pools, asked.windows
    table = np.zeros_like(pools.need)
    for phase in pools.phases:
        kind = pools.main(phase)
        of, ahead = pools.kinds[kind], asked.costs.ahead(kind)
        load = windows.asked(of.prompt_share)
        keep = max(_break_even(asked, kind), ahead)
        wanted = [_useful(of.need(forecast(load, windows, step))) for step in range(min(keep, ahead + 8) + 1)]
        up = np.max(wanted[: ahead + 1], axis=0)
        hold = np.max(wanted, axis=0)
        up[0] = pools.need[0, kind] if pools.need[0, kind] < NEVER else up[0]
        for window in range(len(up)):
            before = table[window - 1, kind] if window else 0
            table[window, kind] = max(up[window], min(before, hold[window]), 1)
    table = pools.balance(table)
    return _plain(asked, _in_budget(asked, table), ahead=False)


def seasonal_naive(load: FloatArray, windows: Windows, steps: int) -> FloatArray:
    """The load a day before; the last one known in the first day."""
    season = max(round(DAY_S / windows.window_s), 1)
    last = np.concatenate([load[:1], load[:-1]])
    before = np.roll(load, season - steps) if season > steps else load
    return np.where(np.arange(len(load)) + steps >= season, before, last)


def smoothing(load: FloatArray, windows: Windows, steps: int) -> FloatArray:
    """Holt's level and trend (exponential smoothing), each share of news a constant.

    A loop of a few products: packages of statistics bring pandas, and scipy's filters a second of imports.
    """
    level, trend = float(load[0]), 0.0
    made = np.empty(len(load))
    for window, known in enumerate([level, *load[:-1].tolist()]):
        before = level + trend
        level = before + LEVEL * (known - before)
        trend += LEVEL * TREND * (known - before)
        made[window] = level + (steps + 1) * trend
    return np.asarray(np.maximum(made, 0.0))


def _useful(need: IntArray) -> IntArray:
    """Needs, of windows that nothing serves those of the window before nothing does: 0."""
    return np.where(need >= NEVER, 0, need)


def _main(asked: Asked, need: IntArray) -> IntArray:
    """Of each pool its main kind alone."""
    mains = [asked.pools.main(phase) for phase in asked.pools.phases]
    return np.array([max(int(n), 1) if kind in mains else 0 for kind, n in enumerate(need)], dtype=np.int64)


def _mean_need(asked: Asked) -> IntArray:
    need = [
        int(_useful(kind.need(np.array([asked.windows.asked(kind.prompt_share).mean()])))[0])
        for kind in asked.pools.kinds
    ]
    return np.asarray(asked.pools.balance(np.array([need], dtype=np.int64))[0])


def _constant(asked: Asked, counts: IntArray) -> Schedule:
    table = np.broadcast_to(counts, asked.pools.need.shape).copy()
    return _plain(asked, _in_budget(asked, table), ahead=True)


def _plain(asked: Asked, table: IntArray, *, ahead: bool) -> Schedule:
    swaps = np.zeros((len(table), len(asked.pools.swaps)), dtype=np.int64)
    return Schedule(instances=table, swaps=swaps, ahead=ahead)


def _in_budget(asked: Asked, table: IntArray) -> IntArray:
    """As many as the budget holds, all kinds cut by the same share."""
    budget, gpus = asked.costs.budget, asked.pools.gpus
    if budget is None:
        return table
    table = table.copy()
    for window in np.flatnonzero(table @ gpus > budget):
        row = np.maximum(np.floor(table[window] * budget / (table[window] @ gpus)), table[window] > 0)
        while row @ gpus > budget and row.max() > 1:
            row[np.argmax(row * gpus)] -= 1
        table[window] = row
    return table


def _break_even(asked: Asked, kind: int) -> int:
    """Windows that an instance can idle for what a drain and a start cost."""
    costs = asked.costs
    return min(int((costs.start_s[kind] + costs.drain_s[kind]) / costs.window_s), MOST_HELD)


def _held(level: IntArray, keep: int) -> IntArray:
    """Valleys of up to `keep` windows filled: the higher side is needed again soon enough."""
    if keep < 1:
        return level
    behind, before = _highest(level, keep, back=False), _highest(level, keep, back=True)
    return np.asarray(np.minimum(behind, before))


def _highest(values: IntArray, count: int, *, back: bool) -> IntArray:
    """The highest of each value and the `count` before it, or after it."""
    high: IntArray = values.copy()
    for step in range(1, min(count, len(values) - 1) + 1):
        if back:
            high[step:] = np.maximum(high[step:], values[:-step])
        else:
            high[:-step] = np.maximum(high[:-step], values[step:])
    return high
