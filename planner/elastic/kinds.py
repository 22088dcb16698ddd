"""The few layouts that a fleet is built of over time, and how many instances of each a window needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from planner.arrays import FloatArray, IndexArray, IntArray
from planner.elastic.windows import Windows
from planner.match.robust import KNOWN, Errors
from planner.planning import in_time, options
from planner.planning.placed import Placed
from planner.planning.servings import Pick, count
from planner.simulate.points import Points
from planner.words import Phase

WORTH = 0.99  # of the GPU time of one layout, which two must stay below to be worth their trouble
SHARED = 1.05  # of the least GPU time, up to which both pools take one form, so that instances can swap
NEVER = 1 << 30  # instances, where no number is enough


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """Instances of one design point; what so many of them sustain together within the limits."""

    points: Points
    row: int
    gpus: int  # of one instance
    label: str
    form: tuple[int, ...]  # how its weights are cut; instances of one form can swap roles
    usd_per_gpu_hour: float
    counts: IntArray  # ascending, shape ``(tried,)``
    sustained_per_s: FloatArray  # by so many, as is expected of them (`planner.planning.expected`)
    predicted_per_s: FloatArray | None = None  # as is predicted; None: the same

    @property
    def phase(self) -> Phase:
        """What it does."""
        return self.points.phase

    @property
    def prompt_share(self) -> float:
        """Share of its work that is prompts."""
        return float(self.points.prompt_share[self.row])

    @property
    def each_per_s(self) -> float:
        """What one of many sustains."""
        return float(self.sustained_per_s[-1] / self.counts[-1])

    def pick(self, instances: int) -> Pick:
        """So many of them."""
        return Pick(self.points, self.row, instances)

    def need(self, requests_per_s: FloatArray, *, predicted: bool = False) -> IntArray:
        """The fewest instances that are expected to sustain each rate, `NEVER` where none are.

        Between two counts that were tried the lower one's rate per instance holds: more share their queue.
        """
        asked = np.asarray(requests_per_s, dtype=np.float64)
        known = self.predicted_per_s if predicted else None
        each = np.maximum.accumulate((self.sustained_per_s if known is None else known) / self.counts)
        upto = np.append(self.counts[1:], self.counts[-1])  # the next count does as well
        fewest = np.full(asked.shape, NEVER, dtype=np.int64)
        for k in range(len(self.counts)):
            with np.errstate(divide="ignore", invalid="ignore"):  # so few sustain nothing within the limits
                n = np.maximum(np.ceil(asked / each[k] - 1e-9), self.counts[k])
            fewest = np.minimum(fewest, np.where(n <= upto[k], n, NEVER).astype(np.int64))
        return np.where(asked <= 0, 0, fewest)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pools:
    """One way of serving: kinds by pool, and the instances that each window needs of each alone.

    `NEVER` is a need where none are enough; shapes ``(windows, kinds)``.
    """

    kinds: tuple[Kind, ...]
    need: IntArray  # to plan for
    predicted: IntArray | None = None  # with which its limits are kept as predicted; None: the same
    errors: Errors = KNOWN  # of the rates of the pools of a split

    @property
    def keeps(self) -> IntArray:
        """With how many of each kind a window's limits are kept, as predicted or replayed."""
        return self.need if self.predicted is None else self.predicted

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Of the pools, in the order of the kinds."""
        return tuple(dict.fromkeys(kind.phase for kind in self.kinds))

    @property
    def pool(self) -> IntArray:
        """Which of the phases each kind serves."""
        return np.array([self.phases.index(kind.phase) for kind in self.kinds], dtype=np.int64)

    @property
    def gpus(self) -> IntArray:
        """Of one instance of each kind."""
        return np.array([kind.gpus for kind in self.kinds], dtype=np.int64)

    def fits(self, budget: int | None) -> bool:
        """Whether so many GPUs hold the main kinds that each window needs."""
        mains = [self.main(phase) for phase in self.phases]
        need = self.balanced[:, mains]
        return bool((need < NEVER).all() and (budget is None or (need @ self.gpus[mains]).max() <= budget))

    @property
    def balanced(self) -> IntArray:
        """`need` with as many more of either main kind as its pools' errors ask for."""
        return self.balance(self.need)

    @property
    def settled(self) -> Pools:
        """The same with rates taken as known, and `balanced` needs in their place."""
        if len(self.phases) < 2 or self.errors.none:
            return self
        need, told = np.array(self.need), self.balanced
        for phase in self.phases:
            main = self.main(phase)
            more = told[:, main] / np.maximum(self.need[:, main], 1)
            for kind in np.flatnonzero(self.pool == self.pool[main]):
                count = self.need[:, kind]
                some = (count > 0) & (count < NEVER)
                need[some, kind] = np.ceil(count[some] * more[some] - 1e-9)
        return replace(self, need=need, errors=KNOWN)

    def balance(self, need: IntArray) -> IntArray:
        """Counts that are expected to serve what some needs serve, with the fewest GPUs, (windows, kinds).

        Each window's rates are one demand of ``n / need`` of it; of the main kinds alone.
        """
        if len(self.phases) < 2 or self.errors.none:
            return need
        first, then = (self.main(phase) for phase in self.phases)
        best, out = np.full(len(need), np.inf), np.array(need)
        some = np.all((need[:, [first, then]] > 0) & (need[:, [first, then]] < NEVER), axis=1)
        prefill, decode = need[some, first], need[some, then]
        most = int(np.ceil(prefill.max(initial=0) * (self.errors.surplus - 1.0))) + 1
        for more in range(most + 1):
            ratio = 1.0 + more / prefill
            beside = self.errors.decode_for(ratio, 1.0) * decode
            count = np.where(np.isfinite(beside), np.ceil(np.minimum(beside, NEVER) - 1e-9), NEVER)
            gpus = (prefill + more) * self.gpus[first] + count * self.gpus[then]
            better = gpus < best[some]
            at = np.flatnonzero(some)[better]
            best[at] = gpus[better]
            out[at, first], out[at, then] = (prefill + more)[better], count[better]
        return out

    @property
    def swaps(self) -> tuple[tuple[int, int], ...]:
        """Kinds of different phases with one form, from and to."""
        pairs = [(i, j) for i in range(len(self.kinds)) for j in range(len(self.kinds)) if i != j]
        return tuple(
            (i, j)
            for i, j in pairs
            if self.kinds[i].form == self.kinds[j].form and self.kinds[i].phase != self.kinds[j].phase
        )

    def take(self, some: list[int]) -> Pools:
        """Some of the kinds."""
        return replace(
            self,
            kinds=tuple(self.kinds[i] for i in some),
            need=self.need[:, some],
            predicted=None if self.predicted is None else self.predicted[:, some],
        )

    def main(self, phase: Phase) -> int:
        """The kind of a phase that serves it alone with the least GPU time."""
        return next(i for i, kind in enumerate(self.kinds) if kind.phase == phase)

    def singles(self) -> Pools:
        """The main kind of each pool alone."""
        return self.take([self.main(phase) for phase in self.phases])


def split_pools(placed: Placed, windows: Windows, layouts: int) -> Pools:
    """Up to `layouts` prefill and decode kinds; no kind where a pool cannot be built.

    Both are chosen by what is expected of them, if plans are (`planner.planning.expected`).
    """
    sweep, kept = placed.sweep, in_time.candidates(placed, mix=False)
    prompts = _tables(placed, sweep.prefill, np.unique(kept.prefill.row), sweep.split_ftl_s)
    tokens = _tables(placed, sweep.decode, np.unique(kept.decode.row), None)
    first, then = _few(prompts, windows, layouts), _few(tokens, windows, layouts)
    if not first or not then:
        return Pools(kinds=(), need=np.zeros((len(windows), 0), dtype=np.int64))
    shared = _shared(prompts, tokens, first[0], then[0], windows)
    for pool, one in zip((first, then), shared, strict=False):
        if all(kind is not one for kind in pool):
            pool[:] = [*pool[: max(layouts - 1, 0)], one]
    return replace(_pools([*first, *then], windows), errors=placed.question.errors)


def colocated_pools(placed: Placed, windows: Windows, layouts: int) -> Pools:
    """Up to `layouts` co-located kinds, chosen as those of `split_pools`."""
    points = placed.sweep.colocated
    useful = in_time.colocated(placed.question, placed.sweep, placed.expected)
    useful = options.worth_matching(useful, np.zeros(len(useful)))
    return _pools(_few(_tables(placed, points, np.unique(useful.row), None), windows, layouts), windows)


def _pools(kinds: list[Kind], windows: Windows) -> Pools:
    def table(*, predicted: bool) -> IntArray:
        need = [kind.need(windows.asked(kind.prompt_share), predicted=predicted) for kind in kinds]
        return np.stack(need, axis=1) if need else np.zeros((len(windows), 0), dtype=np.int64)

    return Pools(kinds=tuple(kinds), need=table(predicted=False), predicted=table(predicted=True))


def _tables(placed: Placed, points: Points, rows: IndexArray, first_token_s: FloatArray | None) -> list[Kind]:
    """Kinds of some rows, with what each number of instances sustains."""
    question, early = placed.question, None if first_token_s is None else first_token_s[rows]
    found = options.of(question, points, rows, early, placed.expected)
    share = 1.0 - question.scenario.headroom
    kinds = []
    for row in np.unique(found.row):
        at = np.flatnonzero(found.row == row)
        at = at[np.argsort(found.instances[at])]
        kind = Kind(
            points=points,
            row=int(row),
            gpus=int(points.gpus[row]),
            label="",
            form=(),
            usd_per_gpu_hour=question.pools[points.phase].usd_per_gpu_hour,
            counts=found.instances[at],
            sustained_per_s=share * found.weighed_per_s[at],
            predicted_per_s=share * found.requests_per_s[at],
        )
        layout = count(kind.pick(1)).layout
        form = (layout.tp, layout.pp, layout.attention_dp, layout.moe_tp, layout.ep)
        kinds.append(replace(kind, label=layout.label, form=form))
    return kinds


def _hours(kind: Kind, windows: Windows) -> FloatArray:
    """GPUs that each window takes of one kind alone."""
    return np.asarray(kind.need(windows.asked(kind.prompt_share)) * float(kind.gpus), dtype=np.float64)


def _few(kinds: list[Kind], windows: Windows, layouts: int) -> list[Kind]:
    """The kind with the least GPU time, then those that would save most beside what is taken."""
    if not kinds:
        return []
    hours = np.stack([_hours(kind, windows) for kind in kinds])
    taken = [int(np.argmin(hours.sum(axis=1)))]
    least = hours[taken[0]]
    while len(taken) < layouts:
        beside = np.minimum(least, hours)
        best = int(np.argmin(beside.sum(axis=1)))
        if beside[best].sum() >= WORTH * least.sum():
            break
        taken.append(best)
        least = beside[best]
    return [kinds[i] for i in taken]


def _shared(
    prompts: list[Kind], tokens: list[Kind], first: Kind, then: Kind, windows: Windows
) -> tuple[Kind, ...]:
    """A prefill and a decode kind of one form that are nearly as good as the best; nothing where none are."""

    def best(kinds: list[Kind]) -> dict[tuple[int, ...], tuple[float, Kind]]:
        of: dict[tuple[int, ...], tuple[float, Kind]] = {}
        for kind in kinds:
            hours = float(_hours(kind, windows).sum())
            if kind.form not in of or hours < of[kind.form][0]:
                of[kind.form] = hours, kind
        return of

    ours, theirs = best(prompts), best(tokens)
    forms = [form for form in ours if form in theirs]
    if not forms:
        return ()
    form = min(forms, key=lambda form: ours[form][0] + theirs[form][0])
    least = float(_hours(first, windows).sum() + _hours(then, windows).sum())
    if ours[form][0] + theirs[form][0] > SHARED * least:
        return ()
    return ours[form][1], theirs[form][1]
