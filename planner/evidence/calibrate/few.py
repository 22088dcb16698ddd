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

from planner.arrays import FloatArray
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


def _misses(trials: Trials, values: FloatArray, measured: tuple[FloatArray, FloatArray]) -> FloatArray:
    """Logarithms of predicted over measured, over their noise; shape (2 runs,), 0 where not measured."""
    spread = np.broadcast_to(values, (len(trials.layers), len(values)))
    parts = []
    for predicted, known, noise in zip(engines.predict(trials, spread), measured, NOISE, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            miss = np.log(predicted / known) / noise
        parts.append(np.where(np.isfinite(miss), miss, 0.0))
    return np.concatenate(parts)


def _slopes(trials: Trials, values: FloatArray, measured: tuple[FloatArray, FloatArray]) -> FloatArray:
    """Derivatives of `_misses` by each constant, in widths of its range; shape (2 runs, constants)."""
    low, width = _range()
    here = _misses(trials, values, measured)
    columns = []
    for i in range(len(values)):
        step = 1e-3 if values[i] + 1e-3 * width[i] <= low[i] + width[i] else -1e-3
        moved = values.copy()
        moved[i] += step * width[i]
        columns.append((_misses(trials, moved, measured) - here) / step)
    return np.stack(columns, axis=1)


def _range() -> tuple[FloatArray, FloatArray]:
    low = np.array([c.low for c in CONSTANTS])
    return low, np.array([c.high for c in CONSTANTS]) - low


def _most_likely(
    trials: Trials, start: FloatArray, measured: tuple[FloatArray, FloatArray], free: Sequence[int]
) -> tuple[FloatArray, float]:
    """Constants with those of `free` moved, and their misfit with the pull towards `start`: Gauss-Newton."""
    low, width = _range()
    pull = 1 / PRIOR_SHARE
    at = start.copy()

    def cost(values: FloatArray) -> float:
        away = (values - start) / width * pull
        return float(np.sum(_misses(trials, values, measured) ** 2) + np.sum(away**2))

    best = cost(at)
    for _ in range(STEPS):
        slopes = _slopes(trials, at, measured)[:, free]
        away = ((at - start) / width)[free]
        normal = slopes.T @ slopes + pull**2 * np.eye(len(free))
        gradient = slopes.T @ _misses(trials, at, measured) + pull**2 * away
        step = np.linalg.solve(normal, -gradient)
        for shorter in (1.0, 0.5, 0.1):
            trial = at.copy()
            trial[free] = np.clip(at[free] + shorter * step * width[free], low[free], (low + width)[free])
            if (now := cost(trial)) < best - 1e-9:
                break
        else:
            break
        done = best - now < 1e-4
        at, best = trial, now
        if done:
            break
    return at, best


def _one(trials: Trials, rows: Sequence[Row], name: str, catalog: Catalog) -> Few:
    profile = catalog.engine(name)
    start, (_, width) = _values(profile), _range()
    measured = trials.ttft_s, trials.tpot_s
    every = list(range(len(CONSTANTS)))
    now, misfit = _most_likely(trials, start, measured, every)
    before = float(np.sum(_misses(trials, start, measured) ** 2))
    slopes = _slopes(trials, now, measured)
    covariance = _covariance(slopes)
    sd = np.sqrt(np.diag(covariance)) * width
    alone, costs, narrowed = [], [before], [1.0]
    for i in every:
        values, cost = _most_likely(trials, start, measured, [i])
        alone.append(float(values[i]))
        costs.append(cost)
        slope = _slopes(trials, values, measured)[:, i]  # Occam: a range that the runs narrow costs its share
        narrowed.append(1 / np.sqrt(1 + PRIOR_SHARE**2 * float(slope @ slope)))
    before_runs = np.array([AS_IT_WAS, *[(1 - AS_IT_WAS) / len(every)] * len(every)])
    weights = before_runs * np.exp(-0.5 * (np.array(costs) - min(costs))) * np.array(narrowed)
    weights /= weights.sum()
    told = tuple(
        Told(
            name=constant.name,
            before=float(start[i]),
            now=float(now[i]),
            sd=float(sd[i]),
            prior_sd=float(PRIOR_SHARE * width[i]),
            alone=alone[i],
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
