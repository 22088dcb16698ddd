"""Simulated instances and the curves through them: what figures draw and claims are checked on."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from planner.arrays import BoolArray, FloatArray, IndexArray
from planner.match import pareto, rate_match
from planner.simulate.points import MODES, Points
from planner.simulate.space import Layouts, label

INFLIGHT, PIGGYBACK = MODES.index("inflight"), MODES.index("piggyback")
STEADY = len(MODES)  # piggybacking as the study has it: the same chunk in every pass

# The axis of the study ends where decode batches reach "single digits" (section 5.1 of the text).
SINGLE_DIGITS = 9.0
# Parts of that axis, as shares of its end. The text names loose, medium and tight without bounds;
# these are its quarters, and the plots start near a twentieth.
LOOSE, MEDIUM, TIGHT = (0.05, 0.25), (0.25, 0.75), (0.75, 1.0)
STEPS = np.arange(5, 101) / 100.0
PLOTTED = STEPS >= 0.15 - 1e-9  # figures 9, 10 and 12 start at about 0.15 of their axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Instances of one phase, arrays of one shape ``(n,)``; rates in requests/s of one instance."""

    tp: FloatArray
    pp: FloatArray
    attention_dp: FloatArray
    moe_tp: FloatArray
    moe_ep: FloatArray
    mode: npt.NDArray[np.int8]
    batch: FloatArray
    chunk_tokens: FloatArray
    ftl_s: FloatArray
    ttl_s: FloatArray
    rate: FloatArray

    def __len__(self) -> int:
        return len(self.tp)

    @property
    def gpus(self) -> FloatArray:
        """GPUs of one instance."""
        return self.tp * self.pp * self.attention_dp

    @property
    def layouts(self) -> Layouts:
        """How each is sharded."""
        return Layouts(
            tp=self.tp, pp=self.pp, attention_dp=self.attention_dp, moe_tp=self.moe_tp, moe_ep=self.moe_ep
        )

    def take(self, rows: npt.NDArray[np.integer] | BoolArray) -> Pool:
        """Some of them."""
        return Pool(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def labels(self, chunked: bool = False) -> tuple[str, ...]:
        """Short names of the layouts."""
        sharding = (self.tp, self.pp, self.attention_dp, self.moe_tp, self.moe_ep)
        rows = zip(*(column.astype(int).tolist() for column in sharding), strict=True)
        return tuple(label(tp, pp, dp, moe_tp, ep, chunked) for tp, pp, dp, moe_tp, ep in rows)


def pool(points: Points, rows: IndexArray, ftl_s: FloatArray | None = None) -> Pool:
    """Rows of simulated points; `ftl_s` replaces the points' own (the KV transfer included)."""
    at = points.layouts.take(points.layout[rows])
    return Pool(
        tp=at.tp,
        pp=at.pp,
        attention_dp=at.attention_dp,
        moe_tp=at.moe_tp,
        moe_ep=at.moe_ep,
        mode=points.mode[rows],
        batch=points.batch[rows],
        chunk_tokens=points.chunk_tokens[rows],
        ftl_s=(points.ftl_s if ftl_s is None else ftl_s)[rows],
        ttl_s=points.ttl_s[rows],
        rate=points.requests_per_s[rows],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A frontier: `user` (tokens/s per user) strictly ascending, `per_gpu` (tokens/s) strictly descending."""

    user: FloatArray
    per_gpu: FloatArray
    points: Pool  # decode instances of a split, else co-located ones
    ratio: FloatArray  # prefill GPUs per decode GPU at balance; nan where co-located
    gpus: FloatArray  # of the smallest deployment within the matching tolerance
    prefill: Pool | None = None  # one row: the prefill instance of the whole curve

    def __len__(self) -> int:
        return len(self.user)

    @property
    def end(self) -> float:
        """The fastest interactivity, 0 without points."""
        return float(self.user[-1]) if len(self) else 0.0

    @property
    def axis_end(self) -> float:
        """Interactivity where the batch of an instance first is in single digits; else the fastest."""
        small = np.flatnonzero(self.points.batch <= SINGLE_DIGITS)
        return float(self.user[small[0]]) if len(small) else self.end

    def rows(self, user: FloatArray) -> IndexArray:
        """The point that serves each user at least this fast with the most throughput; -1: none does."""
        at = np.searchsorted(self.user, user * (1 - 1e-12))
        return np.where(at < len(self), at, -1).astype(np.intp)

    def at(self, user: FloatArray) -> FloatArray:
        """Tokens/s per GPU at an interactivity of at least `user`; 0 beyond the end.

        >>> import planner.paper.pool as p
        >>> empty = np.empty(0)
        >>> curve = p.Curve(user=np.array([1.0, 3.0]), per_gpu=np.array([9.0, 4.0]), points=None,
        ...     ratio=empty, gpus=empty)
        >>> curve.at(np.array([0.5, 1.0, 2.0, 4.0])).tolist()
        [9.0, 9.0, 4.0, 0.0]
        """
        return self.column(self.per_gpu, user, 0.0)

    def column(self, values: FloatArray, user: FloatArray, beyond: float = np.nan) -> FloatArray:
        """A column of the curve's points at interactivities; `beyond` the end."""
        if not len(self):
            return np.full(np.shape(user), beyond)
        rows = self.rows(user)
        return np.where(rows < 0, beyond, values[rows])


def join(*pools: Pool) -> Pool:
    """One pool of all."""
    return Pool(**{f.name: np.concatenate([getattr(p, f.name) for p in pools]) for f in fields(Pool)})


def split_curve(prefill: Pool, decode: Pool, osl: int, ftl_limit_s: float) -> Curve:
    """Algorithms 1 and 2: the best prefill instance within the FTL limit, matched to every decode one.

    Throughput is that of perfect balance; `gpus` is the smallest deployment within 3 % of it.
    """
    best = rate_match.best_prefill(prefill.ftl_s, prefill.gpus, prefill.rate, ftl_limit_s)
    if best < 0 or not len(decode):
        return _curve(decode.take(np.empty(0, dtype=np.intp)), np.empty(0))
    matched = rate_match.match_unbounded(
        round(float(prefill.gpus[best])), float(prefill.rate[best]), decode.gpus, decode.rate, osl=osl
    )
    return _curve(
        decode,
        matched.ideal_tokens_per_s_per_gpu,
        matched.ctx_gen_ratio,
        matched.gpus.astype(float),
        prefill.take(np.array([best])),
    )


def colocated_curve(together: Pool, osl: int, ftl_limit_s: float, mode: int | None = None) -> Curve:
    """The frontier of co-located instances: of one way of batching, or of both."""
    kept = together.ftl_s <= ftl_limit_s
    if mode is not None:
        kept &= together.mode == mode
    found = together.take(kept)
    return _curve(found, found.rate * (osl - 1) / found.gpus)


def _curve(
    points: Pool,
    per_gpu: FloatArray,
    ratio: FloatArray | None = None,
    gpus: FloatArray | None = None,
    prefill: Pool | None = None,
) -> Curve:
    user = 1.0 / points.ttl_s
    top = pareto.pareto(user, per_gpu)
    return Curve(
        user=user[top],
        per_gpu=per_gpu[top],
        points=points.take(top),
        ratio=np.full(len(top), np.nan) if ratio is None else ratio[top],
        gpus=(points.gpus if gpus is None else gpus)[top],
        prefill=prefill,
    )


def budget_curve(prefill: Pool, decode: Pool, osl: int, ftl_limit_s: float, budget: int) -> Curve:
    """The best split of a fleet of `budget` GPUs, one layout per pool, whole instances.

    `per_gpu` counts every GPU of the fleet, idle ones too; `gpus` those in use.
    """
    within = prefill.take(prefill.ftl_s <= ftl_limit_s)
    found = rate_match.match_budget(within.gpus, within.rate, decode.gpus, decode.rate, budget=budget)
    used = found.prefill >= 0
    first = within.gpus[found.prefill] * found.n_prefill if len(within) else np.zeros(len(decode))
    ratio = np.where(used, first / np.maximum(found.n_decode * decode.gpus, 1.0), np.nan)
    curve = _curve(decode, found.requests_per_s * (osl - 1) / budget, ratio, found.gpus.astype(float))
    return curve


def axis_end(*curves: Curve) -> float:
    """Where the axis of a comparison ends: where the first curve's does, or any other curve stops."""
    return min([curves[0].axis_end, *(c.end for c in curves[1:])])


def band(of: tuple[float, float]) -> BoolArray:
    """Which of `STEPS` lie in a part of the axis."""
    return np.asarray((of[0] - 1e-9 <= STEPS) & (of[1] + 1e-9 >= STEPS))


def gain(better: Curve, base: Curve) -> FloatArray:
    """Throughput of one curve over another's at `STEPS` of their common axis."""
    if not len(better) or not len(base):
        return np.full(len(STEPS), np.nan)
    user = STEPS * axis_end(better, base)
    return better.at(user) / base.at(user)


def mean(ratios: FloatArray, of: tuple[float, float] | None = None) -> float:
    """Geometric mean of ratios at `STEPS`, over a part of the axis or all of it.

    >>> round(mean(np.full(len(STEPS), 2.0), MEDIUM), 6)
    2.0
    """
    chosen = ratios if of is None else ratios[band(of)]
    return float(np.exp(np.mean(np.log(chosen))))
