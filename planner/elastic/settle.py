"""How many instances keep the limits of each window, asked of a replay of all its requests.

Closed forms know a window by its rates; one of few requests breaks by its own bursts, which a replay has. So
the counts that they give are replayed as a schedule without starts, and

    more    where a window breaks it gets a step more (`STEP` of what it has, one at least): decode where the
            tokens are slow, prefill where first tokens are late, both where that did not mend it
    less    then, pool by pool, every window that keeps its limits gets one less, and what breaks gets it back

until nothing changes or `EVENTS` were replayed. What more found is a plan's; what less found says which
windows a schedule with fewer instances still keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from planner.arrays import BoolArray, IntArray
from planner.elastic import fleets
from planner.elastic.costs import Costs
from planner.elastic.kinds import NEVER, Pools
from planner.elastic.schedule import Schedule
from planner.inputs.requests import Requests
from planner.inputs.scenario import Scenario
from planner.output.spelling import percent
from planner.planning.resolve import Question
from planner.replay.fleet import Fleet
from planner.replay.over_time import windows as seen
from planner.replay.result import Progress
from planner.replay.run import run

STEP = 0.08
MORE = 8  # times those where it is asked for
EVENTS = 450_000  # of the replays of one way of serving, after which no other is begun: seconds
MOST = 20_000  # requests, beyond which closed forms have the last word unless it is asked for
MOST_ON = 200_000
FIRST = 2.0 / 3.0  # of the events, for windows that break


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settled:
    """Instances of each kind alone that keep each window, shape ``(windows, kinds)``."""

    enough: IntArray  # those of closed forms, and more where the replay misses a limit
    least: IntArray  # the fewest that the replay was seen to keep it with; one more where it never was
    replays: int
    kept: float  # share of the windows that the last replay of `enough` kept


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    kept: BoolArray
    slow: BoolArray  # by tokens
    late: BoolArray  # by first tokens
    events: int


def settled(
    question: Question,
    scenario: Scenario,
    pools: Pools,
    costs: Costs,
    requests: Requests,
    *,
    events: int = EVENTS,
    should_stop: Callable[[], bool] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Settled | None:
    """What a replay makes of the needs of some pools; None where it cannot be replayed.

    The scenario's limits are those that are asked for; the question's may be stricter. `tell` hears which
    replay runs, and how far it is.

    Raises `planner.simulate.points.Stopped` when told to stop.
    """
    try:
        one = fleets.kinds_of(question, pools, requests)
    except LookupError:  # a kernel at a batch or context that was never measured
        return None
    mains = [pools.main(phase) for phase in pools.phases]
    closed = np.where(pools.need >= NEVER, 0, pools.need)[:, mains]

    def look(counts: IntArray) -> _Seen:
        def far(at: Progress) -> None:
            tell(f"replay {replays + 1}, {percent(at.ended / at.requests)}")

        tell(f"replay {replays + 1}")
        return _look(scenario, one, pools, costs, requests, mains, counts, should_stop, far)

    replays = 0
    found = look(counts := closed.copy())
    spent, replays = found.events, 1
    best, good = counts, found.kept
    broke = np.zeros(len(counts), dtype=np.int64)  # how often
    while not found.kept.all() and spent < FIRST * events:
        broke += ~found.kept
        counts = _more(counts, found, broke)
        found = look(counts)
        spent, replays = spent + found.events, replays + 1
        if found.kept.mean() >= good.mean():
            best, good = counts, found.kept
    least, turn, idle = best.copy(), 0, 0
    floor = np.zeros_like(least, dtype=bool)
    every = np.arange(len(least)) % 2  # other window, so that those between stay as they are
    while spent < events and idle < 2 * len(mains):
        pool, part = turn % len(mains), turn // len(mains) % 2
        less = good & (every == part) & (least[:, pool] > 1) & ~floor[:, pool]
        turn, idle = turn + 1, idle + 1
        if not less.any():
            continue
        tried = least.copy()
        tried[less, pool] -= 1
        found = look(tried)
        spent, replays, idle = spent + found.events, replays + 1, 0
        broken = ~found.kept & good
        back = less & (broken | np.append(broken[1:], False))  # what a window leaves breaks the next
        floor[:, pool] |= back
        least[:, pool] = np.where(back, least[:, pool], tried[:, pool])
    least[~good] = best[~good] + 1  # more than were seen to miss the limits
    return Settled(
        enough=_of_kinds(pools, mains, closed, best),
        least=_of_kinds(pools, mains, closed, least),
        replays=replays,
        kept=float(good.mean()),
    )


def _more(counts: IntArray, found: _Seen, broke: IntArray) -> IntArray:
    """A step more where windows broke; of those in a row that broke for the first time the first alone."""
    counts = counts.copy()
    broken = ~found.kept
    behind = np.concatenate([[False], broken[:-1]])
    now = broken & (~behind | (broke > 1))
    step = np.maximum(np.ceil(STEP * counts), 1).astype(np.int64)
    both = broke > 2
    last = counts.shape[1] - 1
    for pool in range(last + 1):
        why = (found.slow if pool == last else found.late) | both if last else now
        mine = now & why & (counts[:, pool] > 0)
        counts[mine, pool] += step[mine, pool]
        # tokens are made in the windows behind, too
        after = np.concatenate([[False], (mine & (broke > 1))[:-1]]) & (pool == last)
        counts[after & ~mine, pool] += step[after & ~mine, pool]
    return counts


def _of_kinds(pools: Pools, mains: list[int], closed: IntArray, counts: IntArray) -> IntArray:
    """The needs of all kinds, moved as those of the main one of their pool."""
    need = np.array(pools.need)
    for pool, main in enumerate(mains):
        moved = counts[:, pool] / np.maximum(closed[:, pool], 1)
        for kind in np.flatnonzero(pools.pool == pools.pool[main]):
            old = pools.need[:, kind]
            new = counts[:, pool] if kind == main else np.ceil(old * moved - 1e-9).astype(np.int64)
            need[:, kind] = np.where((old >= NEVER) | (old <= 0), old, np.maximum(new, 1))
    return need


def _look(
    scenario: Scenario,
    one: Fleet,
    pools: Pools,
    costs: Costs,
    requests: Requests,
    mains: list[int],
    counts: IntArray,
    should_stop: Callable[[], bool] | None,
    progress: Callable[[Progress], None],
) -> _Seen:
    """A replay of so many instances of the main kinds in each window, there at once."""
    table = np.zeros((len(counts), len(pools.kinds)), dtype=np.int64)
    table[:, mains] = counts
    swaps = np.zeros((len(counts), len(pools.swaps)), dtype=np.int64)
    at_once = replace(costs, start_s=np.zeros_like(costs.start_s))
    fleet = fleets.following(one, pools, at_once, Schedule(instances=table, swaps=swaps, ahead=True))
    result = run(fleet, requests, fleets.options(scenario), should_stop=should_stop, progress=progress)
    edges = np.arange(len(counts) + 1, dtype=np.float64) * costs.window_s
    each = seen(result, edges)
    slow = np.nan_to_num(result.ttl_s, nan=0.0) > scenario.limits.ttl_s
    late = ~(result.ftl_s <= scenario.limits.ftl_s)
    place = np.clip((result.arrival_s / costs.window_s).astype(np.int64), 0, len(counts) - 1)
    many = [np.bincount(place[some], minlength=len(counts)) for some in (slow, late)]
    return _Seen(
        kept=fleets.kept(each, scenario),
        slow=many[0] >= many[1],
        late=many[1] >= many[0],
        events=result.events,
    )
