"""The few layouts that a fleet is built of over time, and how many instances of each a window needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from planner.arrays import FloatArray, IndexArray, IntArray
from planner.elastic.windows import Windows
from planner.planning import frontiers, options
from planner.planning.frontiers import Candidates
from planner.planning.resolve import Question
from planner.planning.servings import Pick, count
from planner.planning.sweep import Sweep
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
    sustained_per_s: FloatArray  # by so many

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

    def need(self, requests_per_s: FloatArray) -> IntArray:
        """The fewest instances that sustain each rate, `NEVER` where none does.

        Between two counts that were tried the lower one's rate per instance holds: more share their queue.
        """
        asked = np.asarray(requests_per_s, dtype=np.float64)
        each = np.maximum.accumulate(self.sustained_per_s / self.counts)
        upto = np.append(self.counts[1:], self.counts[-1])  # the next count does as well
        fewest = np.full(asked.shape, NEVER, dtype=np.int64)
        for k in range(len(self.counts)):
            with np.errstate(divide="ignore", invalid="ignore"):  # so few sustain nothing within the limits
                n = np.maximum(np.ceil(asked / each[k] - 1e-9), self.counts[k])
            fewest = np.minimum(fewest, np.where(n <= upto[k], n, NEVER).astype(np.int64))
        return np.where(asked <= 0, 0, fewest)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pools:
    """One way of serving: kinds by pool, and the instances that each window needs of each alone."""

    kinds: tuple[Kind, ...]
    need: IntArray  # shape ``(windows, kinds)``; `NEVER` where none are enough

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
        return Pools(kinds=tuple(self.kinds[i] for i in some), need=self.need[:, some])

    def main(self, phase: Phase) -> int:
        """The kind of a phase that serves it alone with the least GPU time."""
        return next(i for i, kind in enumerate(self.kinds) if kind.phase == phase)

    def singles(self) -> Pools:
        """The main kind of each pool alone."""
        return self.take([self.main(phase) for phase in self.phases])


def split_pools(question: Question, sweep: Sweep, kept: Candidates, windows: Windows, layouts: int) -> Pools:
    """Up to `layouts` prefill and decode kinds; no kind where a pool cannot be built."""
    limit = question.scenario.limits.ttl_s
    prompts = _tables(question, sweep.prefill, np.unique(kept.prefill.row), sweep.split_ftl_s)
    fast = kept.decode.row[kept.decode.points.ttl_s[kept.decode.row] <= limit]
    tokens = _tables(question, sweep.decode, np.unique(fast), None)
    first, then = _few(prompts, windows, layouts), _few(tokens, windows, layouts)
    if not first or not then:
        return Pools(kinds=(), need=np.zeros((len(windows), 0), dtype=np.int64))
    shared = _shared(prompts, tokens, first[0], then[0], windows)
    for pool, one in zip((first, then), shared, strict=False):
        if all(kind is not one for kind in pool):
            pool[:] = [*pool[: max(layouts - 1, 0)], one]
    return _pools([*first, *then], windows)


def colocated_pools(question: Question, sweep: Sweep, windows: Windows, layouts: int) -> Pools:
    """Up to `layouts` co-located kinds."""
    points, limits = sweep.colocated, question.scenario.limits
    rows = np.flatnonzero((points.ftl_s <= limits.ftl_s) & (points.ttl_s <= limits.ttl_s))
    useful = frontiers.colocations(question, sweep, rows)
    useful = options.worth_matching(useful, np.zeros(len(useful)))
    return _pools(_few(_tables(question, points, np.unique(useful.row), None), windows, layouts), windows)


def _pools(kinds: list[Kind], windows: Windows) -> Pools:
    need = [kind.need(windows.asked(kind.prompt_share)) for kind in kinds]
    table = np.stack(need, axis=1) if need else np.zeros((len(windows), 0), dtype=np.int64)
    return Pools(kinds=tuple(kinds), need=table)


def _tables(
    question: Question, points: Points, rows: IndexArray, first_token_s: FloatArray | None
) -> list[Kind]:
    """Kinds of some rows, with what each number of instances sustains."""
    found = options.of(question, points, rows, None if first_token_s is None else first_token_s[rows])
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
            sustained_per_s=share * found.requests_per_s[at],
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
