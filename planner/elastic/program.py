"""The integer program over the horizon: instances of each kind in each window at the least cost.

Whole instances n of kinds k in windows w, of which s start, d drain and x swap from one kind to another at
the beginning of w; m is the share of a pool's load that goes without, T the length of a window, g GPUs, c
their price, C the weight of a miss:

    minimise  sum c_w g (n T + s start + d drain) + C m
    n_w = n_(w-1) + s - d + x_in - x_out                                 (balance)
    sum_k (n - those that are swapping) / need_kw + m >= 1               (served, for each pool)
    sum_k f (n - those that are swapping) / need_kw + m >= 1             (balanced, for each mix of scenarios)
    sum_k g (n + those that start for a later w + those that drain) <= budget
    s of the last `dwell` windows <= n                                   (stays)
    x_out <= n_(w-1)                                                     (there to swap)

Where GPUs are for sale in more than one way the first sum is ``R r sum(c T) + sum c_w T b o_w`` instead, with
R reserved GPUs at a factor r, b that of those held beyond them (`planner.elastic.purchase`), and

    sum_k g (n + those that start for a later w + those that drain) <= R + o_w           (bought)


The rates of the pools of a split may be off, each by an error of its own (`planner.match.robust`). What is
expected to be served is the mean over scenarios of the slower pool; of each mix, the scenarios that have
prefill as the slower and those that have decode, f is the sum of the factors of that pool. The least mix is
that mean, so that rows are as exact as a variable for each scenario.

`need` is the number of instances of a kind that serve the window alone within the limits: queues make it
grow slower than the load, and it is whole, so that a pool of one kind has an exact program. Layouts in one
pool share the load as they share its queue, each as much as it could serve of the whole. HiGHS solves it
through `scipy.optimize.milp`. Long horizons roll: a part is planned with the windows behind it in view, then
the next from where that ends; the bound is then that of the whole horizon's linear program.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.elastic.costs import Costs
from planner.elastic.kinds import NEVER, Pools
from planner.elastic.schedule import Schedule, bill, miss_usd
from planner.match.solver_output import c_stdout_muted
from planner.simulate.points import Stopped

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

GAP = 0.0005  # at which the solver may stop
SWAPS = 0.001  # of holding an instance for a window, so that none swaps for nothing
JOINT = 100  # windows up to which the errors of both pools are weighed in the program itself
PART, VIEW = 288, 48  # windows planned at a time, and those behind them in view
At = TypeVar("At", int, IntArray)  # a window, or several
Run: TypeAlias = tuple[IntArray, float]  # columns, and the value that they have


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solved:
    """A schedule with foresight, and how far from the best it may be."""

    schedule: Schedule
    gap: float  # (objective - bound) / objective
    bound: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """Some windows in a row of a horizon, and the instances before them; None at its beginning."""

    pools: Pools
    costs: Costs
    before: IntArray | None
    fixed: bool  # the total is paid for all along
    reserved: float | None = None  # GPUs, where that is settled


class _Columns:
    """Where the variables of a part are: those of a window stand together."""

    def __init__(self, part: _Part) -> None:
        self.windows = len(part.pools.need)
        self.kinds, self.pools = len(part.pools.kinds), len(part.pools.phases)
        self.pairs = len(part.pools.swaps)
        self.misses = self.pools + (self.pools == 2 and not part.pools.errors.none)
        self.width = 3 * self.kinds + self.pairs + self.misses
        self.total = self.windows * self.width  # the column of the GPUs paid for all along
        self.buys = part.costs.tariffs.told and not part.fixed
        self.count = self.total + 1 + (self.windows if self.buys else 0)

    def n(self, window: int, kind: int) -> int:
        return window * self.width + kind

    def s(self, window: At, kind: int) -> At:
        return window * self.width + self.kinds + kind

    def d(self, window: At, kind: int) -> At:
        return window * self.width + 2 * self.kinds + kind

    def x(self, window: int, pair: int) -> int:
        return window * self.width + 3 * self.kinds + pair

    def m(self, window: int, pool: int) -> int:
        return window * self.width + 3 * self.kinds + self.pairs + pool

    def o(self, window: int) -> int:
        return self.total + 1 + window


class _Rows:
    """Rows ``low <= a @ x <= high`` of a sparse matrix."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int, float]] = []
        self.runs: list[tuple[int, IntArray, float]] = []  # the same of many columns with one value
        self.low: list[float] = []
        self.high: list[float] = []

    def add(self, terms: list[tuple[int, float]], low: float, high: float, runs: Sequence[Run] = ()) -> None:
        row = len(self.low)
        self.entries += [(row, column, value) for column, value in terms]
        self.runs += [(row, columns, value) for columns, value in runs]
        self.low.append(low)
        self.high.append(high)

    def matrix(self, columns: int) -> csr_matrix:
        from scipy.sparse import coo_matrix

        row, column, value = (np.array(part) for part in zip(*self.entries, strict=True))
        if self.runs:
            rows, runs, values = zip(*self.runs, strict=True)
            long = [len(run) for run in runs]
            row = np.concatenate((row, np.repeat(rows, long)))
            column, value = np.concatenate((column, *runs)), np.concatenate((value, np.repeat(values, long)))
        return coo_matrix((value, (row, column)), shape=(len(self.low), columns)).tocsr()


def solve(
    pools: Pools,
    costs: Costs,
    *,
    fixed: bool = False,
    time_limit_s: float = 60.0,
    should_stop: Callable[[], bool] | None = None,
) -> Solved:
    """The schedule of least cost with the whole horizon in view.

    With `fixed` the GPUs that any window takes are paid for in all of them.

    Raises `planner.simulate.points.Stopped` between programs when told to.
    """
    count = len(pools.need)
    if count > JOINT:  # what errors ask for is settled window by window, with the fewest GPUs
        pools = pools.settled
    part = _Part(pools=pools, costs=costs, before=None, fixed=fixed)
    if fixed or count <= PART + VIEW:
        x, bound = _milp(part, time_limit_s)
        found = _schedule(part, x, count)
    else:
        bound, reserved = _relaxed(part)
        found = _rolling(replace(part, reserved=reserved), time_limit_s, should_stop)
    if fixed:
        most = int(bill(pools, found, costs).gpus.max())
        found = replace(found, held=np.full(count, most))
    worth = bill(pools, found, costs).objective
    return Solved(schedule=found, gap=max(worth - bound, 0.0) / max(worth, 1e-9), bound=bound)


def _rolling(whole: _Part, time_limit_s: float, should_stop: Callable[[], bool] | None) -> Schedule:
    count, before = len(whole.pools.need), None
    end = time.perf_counter() + time_limit_s
    instances, swaps = [], []
    for first in range(0, count, PART):
        if should_stop is not None and should_stop():
            raise Stopped
        last = min(first + PART + VIEW, count)
        kept = min(PART, count - first)
        left = (count - first) / PART
        limit = max((end - time.perf_counter()) / max(left, 1.0), 1.0)
        pools = replace(whole.pools, need=whole.pools.need[first:last], predicted=None)
        costs = replace(whole.costs, usd_per_gpu_hour=whole.costs.usd_per_gpu_hour[first:last])
        part = _Part(pools=pools, costs=costs, before=before, fixed=False, reserved=whole.reserved)
        found = _schedule(part, _milp(part, limit)[0], last - first)
        instances.append(found.instances[:kept])
        swaps.append(found.swaps[:kept])
        before = found.instances[kept - 1]
    return Schedule(instances=np.concatenate(instances), swaps=np.concatenate(swaps), ahead=True)


def _schedule(part: _Part, x: FloatArray, count: int) -> Schedule:
    at = _Columns(part)
    table = np.rint(x[: at.total]).astype(np.int64).reshape(count, at.width)
    first = 3 * at.kinds
    swaps = _one_way(part.pools, table[:, first : first + at.pairs])
    return Schedule(instances=table[:, : at.kinds], swaps=swaps, ahead=True)


def _one_way(pools: Pools, swaps: IntArray) -> IntArray:
    """Swaps without those that others of the same window undo, which a gap leaves room for."""
    swaps = swaps.copy()
    for at, (here, there) in enumerate(pools.swaps):
        back = pools.swaps.index((there, here))
        both = np.minimum(swaps[:, at], swaps[:, back])
        swaps[:, [at, back]] -= both[:, None]
    return swaps


def _relaxed(part: _Part) -> tuple[float, float | None]:
    """The bound of the linear program, whole windows of it, and the GPUs that it reserves, rounded."""
    found, at = _solver(part, integral=False, time_limit_s=600.0), _Columns(part)
    if found.x is None:
        return 0.0, None
    return float(found.fun), round(float(found.x[at.total])) if at.buys else None


def _milp(part: _Part, time_limit_s: float) -> tuple[FloatArray, float]:
    found = _solver(part, integral=True, time_limit_s=time_limit_s)
    if found.x is None:  # out of time: what each window needs, of the main kind of each pool
        return _plain(part), 0.0
    return np.asarray(found.x), float(found.get("mip_dual_bound") or found.fun)


def _plain(part: _Part) -> FloatArray:
    at, pools = _Columns(part), part.pools
    x = np.zeros(at.count)
    peak = np.where(pools.need >= NEVER, 0, pools.need).max(axis=0)
    for phase in pools.phases:
        kind = pools.main(phase)
        for window in range(at.windows):
            x[at.n(window, kind)] = peak[kind]
    return x


def _solver(part: _Part, *, integral: bool, time_limit_s: float) -> Any:
    from scipy.optimize import Bounds, LinearConstraint, milp

    pools, costs, at = part.pools, part.costs, _Columns(part)
    rows, gpus = _Rows(), pools.gpus.astype(np.float64)
    balance(part, at, rows)
    served(part, at, rows)
    within_budget(part, at, rows)
    stays(part, at, rows)
    there_to_swap(part, at, rows)
    balanced(part, at, rows)
    cost, upper = np.zeros(at.count), np.full(at.count, np.inf)
    whole = np.ones(at.count)
    hold, start, drain = costs.hold_usd(gpus), costs.start_usd(gpus), costs.drain_usd(gpus)
    tiny = 1e-6 * hold  # of changes where all is paid: fewer are better
    paid = part.fixed or at.buys
    view = cost[: at.total].reshape(at.windows, at.width)
    view[:, : at.kinds] = 0.0 if paid else hold
    view[:, at.kinds : 2 * at.kinds] = tiny if paid else start
    view[:, 2 * at.kinds : 3 * at.kinds] = tiny if paid else drain
    view[:, 3 * at.kinds : 3 * at.kinds + at.pairs] = SWAPS * float(hold.mean())
    view[:, at.width - at.misses :] = miss_usd(pools, costs)
    if part.fixed:
        cost[at.total] = float((hold / gpus).mean(axis=1).sum())
    tops = upper[: at.total].reshape(at.windows, at.width)
    tops[:, at.width - at.misses :] = 1.0
    whole[: at.total].reshape(at.windows, at.width)[:, at.width - at.misses :] = 0.0
    if part.before is None:  # the first are there from the start
        tops[0, at.kinds : 3 * at.kinds + at.pairs] = 0.0
    whole[at.total] = 1.0 if at.buys else 0.0
    lower = np.zeros(at.count)
    if at.buys:
        gpu = (hold / gpus)[:, 0]
        whole[at.total + 1 :] = 0.0
        cost[at.total] = (costs.tariffs.reserved or 0.0) * float(gpu.sum())
        cost[at.total + 1 :] = gpu * costs.tariffs.beyond(costs.again)
        upper[at.total] = 0.0 if costs.tariffs.reserved is None else np.inf
        if part.reserved is not None:
            lower[at.total] = upper[at.total] = part.reserved
    elif not part.fixed:
        upper[at.total] = 0.0
    with c_stdout_muted():
        return milp(
            cost,
            integrality=whole if integral else np.zeros(at.count),
            bounds=Bounds(lower, upper),
            constraints=LinearConstraint(rows.matrix(at.count), np.array(rows.low), np.array(rows.high)),
            options={"mip_rel_gap": GAP, "time_limit": time_limit_s},
        )


def balance(part: _Part, at: _Columns, rows: _Rows) -> None:
    """``n_w - n_(w-1) - s + d - x_in + x_out = 0``."""
    for window in range(at.windows):
        if window == 0 and part.before is None:
            continue
        for kind in range(at.kinds):
            terms = [(at.n(window, kind), 1.0), (at.s(window, kind), -1.0), (at.d(window, kind), 1.0)]
            known = 0.0
            if window:
                terms.append((at.n(window - 1, kind), -1.0))
            elif part.before is not None:
                known = float(part.before[kind])
            for pair, (here, there) in enumerate(part.pools.swaps):
                if kind in (here, there):
                    terms.append((at.x(window, pair), 1.0 if kind == here else -1.0))
            rows.add(terms, known, known)


def served(part: _Part, at: _Columns, rows: _Rows) -> None:
    """``sum_k (n - swapping) / need + m >= 1``; in instances where a pool has one kind."""
    pools = part.pools
    for pool in range(at.pools):
        members = np.flatnonzero(pools.pool == pool)
        for window in range(at.windows):
            need = pools.need[window, members]
            if (need <= 0).all():
                continue
            useful = need[need < NEVER]
            scale = float(useful[0]) if len(useful) == 1 else 1.0
            terms = _share(part, at, pool, window, scale)
            rows.add([*terms, (at.m(window, pool), scale)], scale, np.inf)


def balanced(part: _Part, at: _Columns, rows: _Rows) -> None:
    """``sum f (n - swapping) / need + m >= 1`` for each mix; the pools alone are `served`."""
    pools = part.pools
    if at.misses == at.pools:
        return
    factors = [each[1:-1].tolist() for each in pools.errors.mixes]
    for window in range(at.windows):
        if any((pools.need[window, pools.pool == pool] <= 0).all() for pool in range(2)):
            continue
        for prefill, decode in zip(*factors, strict=True):
            terms = [
                *_share(part, at, 0, window, prefill),
                *_share(part, at, 1, window, decode),
                (at.m(window, at.pools), 1.0),
            ]
            rows.add(terms, 1.0, np.inf)


def _share(part: _Part, at: _Columns, pool: int, window: int, scale: float) -> list[tuple[int, float]]:
    """So many times the share of its load that a pool serves in a window."""
    pools, terms = part.pools, []
    for kind in np.flatnonzero(pools.pool == pool).tolist():
        need = int(pools.need[window, kind])
        if need >= NEVER:
            continue
        terms.append((at.n(window, kind), scale / need))
        for pair, (here, there) in enumerate(pools.swaps):
            if there == kind:
                since = max(window - part.costs.turning(here) + 1, 0)
                terms += [(at.x(w, pair), -scale / need) for w in range(since, window + 1)]
    return terms


def within_budget(part: _Part, at: _Columns, rows: _Rows) -> None:
    """``sum g (n + starting + draining) <= budget``, or what is paid for: all along, reserved or not."""
    pools, costs = part.pools, part.costs
    if costs.budget is None and not part.fixed and not at.buys:
        return
    ahead, after = ([of(kind) for kind in range(at.kinds)] for of in (costs.ahead, costs.after))
    for window in range(at.windows):
        terms, runs = [], []
        for kind, gpus in enumerate(pools.gpus.tolist()):
            terms.append((at.n(window, kind), float(gpus)))
            later = min(window + ahead[kind], at.windows - 1)
            runs.append((at.s(np.arange(window + 1, later + 1), kind), float(gpus)))
            earlier = max(window - after[kind] + 1, 0)
            runs.append((at.d(np.arange(earlier, window + 1), kind), float(gpus)))
        if costs.budget is not None:
            rows.add(terms, -np.inf, float(costs.budget), runs)
        if part.fixed:
            rows.add([*terms, (at.total, -1.0)], -np.inf, 0.0, runs)
        if at.buys:
            rows.add([*terms, (at.total, -1.0), (at.o(window), -1.0)], -np.inf, 0.0, runs)


def stays(part: _Part, at: _Columns, rows: _Rows) -> None:
    """``s of the last windows <= n``: the least up-time of unit commitment (Rajan and Takriti, 2005)."""
    if part.costs.dwell <= 1:
        return
    for window in range(at.windows):
        for kind in range(at.kinds):
            first = max(window - part.costs.dwell + 1, 0)
            run = at.s(np.arange(first, window + 1), kind), 1.0
            rows.add([(at.n(window, kind), -1.0)], -np.inf, 0.0, [run])


def there_to_swap(part: _Part, at: _Columns, rows: _Rows) -> None:
    """``sum x_out <= n_(w-1)``: what has not served yet cannot serve another phase instead."""
    for window in range(at.windows):
        for kind in range(at.kinds):
            terms = [(at.x(window, p), 1.0) for p, (here, _) in enumerate(part.pools.swaps) if here == kind]
            if not terms:
                continue
            if window:
                rows.add([*terms, (at.n(window - 1, kind), -1.0)], -np.inf, 0.0)
            elif part.before is not None:
                rows.add(terms, -np.inf, float(part.before[kind]))
