"""An engine's profile from a handful of runs: what they move, how surely, and which run would tell most.

The runs are held against the profile as it is, not against what hundreds of others gave. Each constant may
be off by a quarter of its plausible range, each run by the scatter of the fit; the answer is the most likely
set of constants (Gauss-Newton from the profile) and its covariance (Laplace). Few runs cannot tell every
constant from the others, so each is also changed alone: how much of the misfit one change explains says
which one it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.arrays import FloatArray, IndexArray
from planner.evidence.calibrate import engines
from planner.evidence.calibrate.engines import CONSTANTS, TPOT_SCALE, TTFT_SCALE, Trials
from planner.evidence.runs import Row
from planner.inputs.catalog import Catalog
from planner.inputs.engine import EngineProfile

MOST_RUNS = 30  # of an engine that count as few
PRIOR_SHARE = 0.25  # of its range that a constant may be off by: one standard deviation
NOISE = (
    TTFT_SCALE / 2,
    TPOT_SCALE / 2,
)  # of the logarithm of a run: half of what tells one build from others
MOVED = 2.0  # standard deviations from where it was
TOLD = 0.7  # of the standard deviation before the runs: above, they say nothing of a constant
AS_IT_WAS = 0.5  # probability, before the runs, that no constant changed
SURE = 0.9  # weight of one change above which the others stay
STEPS = 20  # of Gauss-Newton
IN_FLIGHT = (1 / 16, 1 / 4, 4.0)  # next runs to try, times those in flight
LENGTHS = (1 / 4, 4.0)  # and times the prompt
SHORTER = np.array([1.0, 0.5, 0.1])  # of a step, until one is better
LEAST_GAIN = 1e-9  # of a step that is taken
ENOUGH = 1e-4  # a step that gains less is the last

Measured = tuple[FloatArray, FloatArray]  # (TTFT, TPOT) of the runs, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the runs say of one constant."""

    name: str
    before: float
    now: float  # where all may move together
    sd: float  # of `now`
    prior_sd: float
    alone: float  # where this one moves alone
    weight: float  # probability that it is the one that changed, if one did
    moved: bool

    @property
    def says(self) -> str:
        """moved, known (told by the runs, and as it was), or prior (they say nothing of it)."""
        return "moved" if self.moved else "known" if self.sd < TOLD * self.prior_sd else "prior"


@dataclass(frozen=True, slots=True, kw_only=True)
class NextRun:
    """A run that would tell more than any other that was tried."""

    row: Row
    bits: float  # that it adds
    tells: str  # the constant whose uncertainty it cuts most
    left: float  # of that standard deviation


@dataclass(frozen=True, slots=True, kw_only=True)
class Few:
    """What a handful of runs say of one engine."""

    engine: str
    runs: int
    told: tuple[Told, ...]
    unchanged: float  # probability that no constant changed
    misfit_before: float  # sum of squares over their noise, of the profile as it is
    misfit_now: float
    profile: EngineProfile
    next_run: NextRun | None

    @property
    def profile_changed(self) -> bool:
        """Whether the runs move any constant."""
        return any(getattr(self.profile, one.name) != one.before for one in self.told)

    @property
    def at_an_end(self) -> tuple[str, ...]:
        """Constants that the runs move to an end of their plausible range, where the search stops."""
        ends = {one.name: (engines.rounded(one.low), engines.rounded(one.high)) for one in CONSTANTS}
        now = {one.name: getattr(self.profile, one.name) for one in self.told}
        return tuple(
            one.name for one in self.told if now[one.name] != one.before and now[one.name] in ends[one.name]
        )


def fit(rows: Sequence[Row], catalog: Catalog) -> list[Few]:
    """What the runs of each engine in `rows` say."""
    trials = engines.prepare(rows, catalog)
    found = []
    for i, name in enumerate(trials.names):
        own = trials.take(np.asarray(trials.profile == i, dtype=bool))
        of_engine = [row for row, at in zip(trials.full.rows, trials.profile, strict=True) if at == i]
        found.append(_one(own, of_engine, name, catalog))
    return found


def _values(profile: EngineProfile) -> FloatArray:
    return np.array([getattr(profile, c.name) for c in CONSTANTS], dtype=float)


def _misses(trials: Trials, values: FloatArray, measured: Measured) -> FloatArray:
    """Logarithms of predicted over measured, over their noise; 0 where not measured.

    Shape (2 runs,) with `values` of shape (constants,); (sets, 2 runs) of several sets, a row each.
    """
    sets = np.atleast_2d(values)
    parts = []
    for predicted, known, noise in zip(engines.predict_sets(trials, sets), measured, NOISE, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            miss = np.log(predicted / known) / noise
        parts.append(np.where(np.isfinite(miss), miss, 0.0))
    found = np.concatenate(parts, axis=1)
    return np.asarray(found if values.ndim > 1 else found[0])


def _slopes(trials: Trials, values: FloatArray, measured: Measured) -> FloatArray:
    """Derivatives of `_misses` by each constant, in widths of its range; shape (2 runs, constants)."""
    step = _steps(values)
    sets = np.concatenate((values[None], values + np.diag(step * _range()[1])))
    misses = _misses(trials, sets, measured)  # all at once: each alone is a call over a handful of runs
    return np.asarray(((misses[1:] - misses[0]) / step[:, None]).T)


def _steps(values: FloatArray) -> FloatArray:
    """How far to look for a slope, in widths: upwards where there is room."""
    low, width = _range()
    return np.where(values + 1e-3 * width <= low + width, 1e-3, -1e-3)


def _range() -> tuple[FloatArray, FloatArray]:
    low = np.array([c.low for c in CONSTANTS])
    return low, np.array([c.high for c in CONSTANTS]) - low


def _cost(trials: Trials, sets: FloatArray, start: FloatArray, measured: Measured) -> FloatArray:
    """Misfit of each row of `sets` with its pull towards `start`, shape (sets,)."""
    away = (sets - start) / _range()[1] / PRIOR_SHARE
    return np.asarray(np.sum(_misses(trials, sets, measured) ** 2, axis=1) + np.sum(away**2, axis=1))


def _together(trials: Trials, start: FloatArray, measured: Measured) -> tuple[FloatArray, float]:
    """The most likely constants where all may move, and their misfit with the pull: Gauss-Newton."""
    low, width = _range()
    pull = 1 / PRIOR_SHARE
    at = start
    best = float(_cost(trials, at[None], start, measured)[0])
    for _ in range(STEPS):
        slopes = _slopes(trials, at, measured)
        normal = slopes.T @ slopes + pull**2 * np.eye(len(at))
        gradient = slopes.T @ _misses(trials, at, measured) + pull**2 * (at - start) / width
        step = np.linalg.solve(normal, -gradient) * width
        tried = np.clip(at + np.multiply.outer(SHORTER, step), low, low + width)
        costs = _cost(trials, tried, start, measured)
        if not (costs < best - LEAST_GAIN).any():
            break
        first = int(np.argmax(costs < best - LEAST_GAIN))
        done = best - costs[first] < ENOUGH
        at, best = tried[first], float(costs[first])
        if done:
            break
    return at, best


def _alone(
    trials: Trials, start: FloatArray, measured: Measured
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Each constant's most likely value where it moves alone, all searched at once.

    Returns (values, misfits with the pull, squared slopes of the misses there), each of shape (constants,).
    """
    low, width = _range()
    count = len(start)
    values = start.copy()
    best = np.full(count, _cost(trials, start[None], start, measured)[0])
    open_, every = np.ones(count, dtype=bool), np.arange(count)

    def changed(which: IndexArray, to: FloatArray) -> FloatArray:
        """Sets that differ from the start in one constant each, shape (len(which), constants)."""
        sets = np.tile(start, (len(which), 1))
        sets[np.arange(len(which)), which] = to
        return sets

    def sloped(which: IndexArray) -> tuple[FloatArray, FloatArray]:
        step = _steps(values)[which]
        sets = np.concatenate(
            (changed(which, values[which]), changed(which, values[which] + step * width[which]))
        )
        here, moved = np.split(_misses(trials, sets, measured), 2)
        return here, np.asarray((moved - here) / step[:, None])

    for _ in range(STEPS):
        if not open_.any():
            break
        which = every[open_]
        here, slope = sloped(which)
        gradient = np.sum(slope * here, axis=1) + (values - start)[which] / width[which] / PRIOR_SHARE**2
        step = -gradient / (np.sum(slope**2, axis=1) + 1 / PRIOR_SHARE**2) * width[which]
        tried = np.clip(values[which] + np.multiply.outer(SHORTER, step), low[which], (low + width)[which])
        sets = changed(np.tile(which, len(SHORTER)), tried.ravel())
        costs = _cost(trials, sets, start, measured).reshape(tried.shape)
        better = costs < best[which] - LEAST_GAIN
        first, column = np.argmax(better, axis=0), np.arange(len(which))
        won, now, to = better.any(axis=0), costs[first, column], tried[first, column]
        gain = best[which] - now
        best[which[won]], values[which[won]] = now[won], to[won]
        open_[which] = won & (gain >= ENOUGH)
    return values, best, np.sum(sloped(every)[1] ** 2, axis=1)


def _one(trials: Trials, rows: Sequence[Row], name: str, catalog: Catalog) -> Few:
    profile = catalog.engine(name)
    start, (_, width) = _values(profile), _range()
    measured = trials.ttft_s, trials.tpot_s
    now, misfit = _together(trials, start, measured)
    before = float(np.sum(_misses(trials, start, measured) ** 2))
    slopes = _slopes(trials, now, measured)
    covariance = _covariance(slopes)
    sd = np.sqrt(np.diag(covariance)) * width
    alone, costs, bends = _alone(trials, start, measured)
    costs = np.concatenate(([before], costs))
    # Occam: a range that the runs narrow costs its share
    narrowed = np.concatenate(([1.0], 1 / np.sqrt(1 + PRIOR_SHARE**2 * bends)))
    before_runs = np.array([AS_IT_WAS, *[(1 - AS_IT_WAS) / len(CONSTANTS)] * len(CONSTANTS)])
    weights = before_runs * np.exp(-0.5 * (costs - costs.min())) * narrowed
    weights /= weights.sum()
    told = tuple(
        Told(
            name=constant.name,
            before=float(start[i]),
            now=float(now[i]),
            sd=float(sd[i]),
            prior_sd=float(PRIOR_SHARE * width[i]),
            alone=float(alone[i]),
            weight=float(weights[i + 1]),
            moved=bool(weights[i + 1] >= SURE or abs(now[i] - start[i]) > MOVED * sd[i]),
        )
        for i, constant in enumerate(CONSTANTS)
    )
    surest = max(told, key=lambda one: one.weight)
    kept = {surest.name: surest.alone} if surest.weight >= SURE else {one.name: one.now for one in told}
    if weights[0] >= AS_IT_WAS - 0.05:  # the runs say nothing against it
        kept = {}
    fitted = replace(profile, **{key: engines.rounded(value) for key, value in kept.items()})  # type: ignore[arg-type]
    return Few(
        engine=name,
        runs=len(rows),
        told=told,
        unchanged=float(weights[0]),
        misfit_before=before,
        misfit_now=misfit,
        profile=fitted,
        next_run=_next(rows, now, covariance, catalog),
    )


def _covariance(slopes: FloatArray) -> FloatArray:
    """Of the constants, in widths of their ranges."""
    return np.asarray(np.linalg.inv(slopes.T @ slopes + np.eye(slopes.shape[1]) / PRIOR_SHARE**2))


def _next(rows: Sequence[Row], now: FloatArray, covariance: FloatArray, catalog: Catalog) -> NextRun | None:
    """The run that adds most, of the same deployments at other lengths and numbers in flight."""
    seen: dict[tuple[object, ...], Row] = {}
    for row in rows:
        for flight in (1.0, *IN_FLIGHT):
            for length in (1.0, *LENGTHS):
                asked = max(round(row.concurrency * flight), 1) if np.isfinite(row.concurrency) else np.nan
                if (flight, length) == (1.0, 1.0) or not np.isfinite(asked):
                    continue
                isl = max(round(row.isl * length), 64)
                other = replace(row, concurrency=float(asked), isl=isl, ttft_s=1.0, tpot_s=1.0)
                seen.setdefault(
                    (row.shape[0], row.prefill, row.decode, row.system, row.model, asked, isl), other
                )
    if not seen:
        return None
    trials = engines.prepare(list(seen.values()), catalog)
    count = len(trials.full.rows)
    if not count:
        return None
    one = np.ones(count)
    slopes = _slopes(trials, now, (one, one)).reshape(2, count, -1)
    best: NextRun | None = None
    for i, row in enumerate(trials.full.rows):
        two = slopes[:, i]
        bits = 0.5 * float(np.linalg.slogdet(np.eye(2) + two @ covariance @ two.T)[1]) / np.log(2)
        if np.isfinite(bits) and (best is None or bits > best.bits):
            after = np.linalg.inv(np.linalg.inv(covariance) + two.T @ two)
            left = np.sqrt(np.diag(after) / np.diag(covariance))
            at = int(np.argmin(left))
            best = NextRun(row=row, bits=bits, tells=CONSTANTS[at].name, left=float(left[at]))
    return best
