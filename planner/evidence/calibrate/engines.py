"""Engine profiles from end-to-end measurements: what the kernels alone do not explain.

Least squares on the logarithm of TPOT and TTFT over the constants below: one set for all rows together,
then a set per profile, pulled towards the common one. Residuals count as in a Cauchy distribution, so
that rows of immature builds (first tokens after ten seconds of compiling) decide nothing. Step times
are linear in all but the scheduling constants, so two simulations of each deployment (with and without
the kernels' fixed latencies) serve every trial.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from planner.arrays import BoolArray, FloatArray, IndexArray
from planner.evidence import gather
from planner.evidence.gather import Runs
from planner.evidence.runs import Row
from planner.inputs import files
from planner.inputs.catalog import Catalog
from planner.inputs.engine import EngineProfile
from planner.simulate import service
from planner.simulate.service import SCHEDULING
from planner.simulate.waiting import Scheduler

TTFT_WEIGHT = 0.35  # TTFT scatters about three times as much as TPOT
TPOT_SCALE = 0.08  # log error beyond which a row stops counting in full
TTFT_SCALE = 0.2
PRIOR = 1.0  # pull towards the start, in TPOT_SCALE per width of the plausible range
# The pull of the constants of waiting, ten times that of the others: it weighs as a hundred rows, not as
# one. Runs of one deployment share options that no column tells (how often new requests are polled, how
# many tokens go into one message), and an engine's hundreds of rows are of a handful of deployments. At
# 1, 5, 10 and 20 the median of TTFT is 18.1, 18.4, 18.8 and 21.2 % of the fit, 29.3, 28.0, 26.7 and
# 27.2 % with the GPU left out.
WAITING_PRIOR = 10.0
AT_ONCE = 2048  # predictions of one call
TOLERANCE = 1e-5  # share of the loss below which a trial no longer counts as better
ALIKE = TPOT_SCALE**2 / 2  # loss of one run that is off by the scale: valleys nearer than that are alike


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant of `EngineProfile` that is fitted, its plausible range and where it starts."""

    name: str
    low: float
    high: float
    start: float
    prior: float = PRIOR


CONSTANTS = (
    # Launching dependent kernels early hides part of each prologue. No single engine's rows tell that
    # from `layer_s`, nor `step_s` from it, so both are held in a narrow range: floor_share at the
    # best of 0.6, 0.7, 0.8 and 0.9 for models left out of the fit.
    Constant("floor_share", 0.5, 0.7, 0.65),
    Constant("step_s", 5e-5, 2e-4, 1e-4),  # schedulers that overlap the GPU and replay graphs
    Constant("layer_s", 2e-6, 4e-5, 1e-5),  # published fits: 4 to 32 us
    Constant("qk_norm_s", 0.0, 2.5e-5, 1.2e-5),  # two small kernels, with copies where heads are cut out
    Constant("request_s", 1e-6, 4e-5, 5e-6),  # published fit: 4.4 us
    Constant("exposure", 0.4, 1.3, 0.95),
    Constant("admission_passes", 0.5, 4.0, 1.5, WAITING_PRIOR),
    Constant("arrival_s", 0.0, 2e-2, 2e-3, WAITING_PRIOR),  # published fit: 15.6 ms of API time per request
    Constant("handover_s", 0.0, 0.5, 0.05, WAITING_PRIOR),
    Constant("prefill_request_s", 2e-3, 0.3, 0.03, WAITING_PRIOR),  # published fit: 15.6 ms of API time
    # A pass over the sum of its kernels. These rows hardly tell it from `exposure` and `admission_passes`:
    # bounds of 1.1 and 1.5 meet them alike (TTFT 18.8 % in the median with both, 26.7 and 27.4 % with the
    # GPU left out); the lower one meets the published deployments of the tests better.
    Constant("prefill_stretch", 1.0, 1.1, 1.05),
    # Few runs have attention DP, fewer still with its pools full: all engines share what those give. Those
    # where prefill shares the GPUs are 8 of two models, and hardly tell `lockstep` from the exchange.
    Constant("lockstep", 0.0, 1.0, 0.4, 3.0 * WAITING_PRIOR),
    Constant("prompt_imbalance", 0.0, 0.8, 0.25, WAITING_PRIOR),
    Constant("sequence_imbalance", 0.0, 1.0, 0.25, WAITING_PRIOR),
)


@dataclass(frozen=True, slots=True)
class Trials:
    """Runs simulated with and without fixed latencies, and what each constant multiplies."""

    full: Runs
    bare: Runs
    profile: IndexArray  # index into `names` of each run
    names: tuple[str, ...]
    layers: FloatArray
    qk_normed: FloatArray  # layers that normalise queries and keys
    ttft_s: FloatArray
    tpot_s: FloatArray
    scheduler: Scheduler  # of each run's engine as it stands: what is not fitted stays

    def take(self, rows: BoolArray | IndexArray) -> Trials:
        """Only some of the runs, or some of them several times."""
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        full, bare = _part(self.full, rows), _part(self.bare, rows)
        return replace(self, full=full, bare=bare, scheduler=_cut(self.scheduler, rows), **columns)


_COLUMNS = ("profile", "layers", "qk_normed", "ttft_s", "tpot_s")


def _part(runs: Runs, rows: BoolArray | IndexArray) -> Runs:
    """Some of the runs; what `waiting` does not need stays whole."""
    parts = {name: _cut(getattr(runs, name), rows) for name in ("client", "arrivals", "burst", "server")}
    return replace(runs, poll_steps=runs.poll_steps[rows], **parts)


def _cut(table: Any, rows: BoolArray | IndexArray) -> Any:
    return replace(table, **{f.name: getattr(table, f.name)[rows] for f in fields(table)})


def prepare(rows: Sequence[Row], catalog: Catalog) -> Trials:
    """Simulate the rows that can be predicted, once for every trial, without those of immature builds."""
    rows = [row for row in rows if not row.immature]
    plain = {name: catalog.engine(name).bare() for name in catalog.names("engine")}
    full = gather.gather(rows, catalog, plain)
    bare = gather.gather(rows, catalog, {k: replace(v, floor_share=0.0) for k, v in plain.items()})
    names = tuple(sorted({e.name for e in full.engines}))
    layers: list[float] = []
    qk_normed: list[float] = []
    for row in full.rows:
        model = catalog.model(row.model)
        halves = sum(a.layers for a in model.attention if a.kind != "none")
        layers.append((halves + sum(f.layers for f in model.ffn if f.kind != "none")) / 2)
        qk_normed.append(sum(a.layers for a in model.attention if a.qk_norm))
    as_they_are = [replace(catalog.engine(e.name), prefill_priority=e.prefill_priority) for e in full.engines]
    return Trials(
        full=full,
        bare=bare,
        profile=np.array([names.index(e.name) for e in full.engines]),
        names=names,
        layers=np.array(layers, dtype=float),
        qk_normed=np.array(qk_normed, dtype=float),
        scheduler=service.scheduler(as_they_are, full.poll_steps),
        ttft_s=np.array([r.ttft_s for r in full.rows]),
        tpot_s=np.array([r.tpot_s for r in full.rows]),
    )


def predict(trials: Trials, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(TTFT, TPOT), seconds, with constants `values` of shape (rows, constants)."""
    c = {constant.name: values[:, i] for i, constant in enumerate(CONSTANTS)}
    full, bare = trials.full.server, trials.bare.server
    share = c["floor_share"]
    host = c["step_s"] + c["layer_s"] * trials.layers + c["qk_norm_s"] * trials.qk_normed

    def mixed(with_floors: FloatArray, without: FloatArray) -> FloatArray:
        return np.asarray(
            without + share.reshape((-1,) + (1,) * (without.ndim - 1)) * (with_floors - without)
        )

    stretch = c["prefill_stretch"]
    server = replace(
        full,
        step_s=mixed(full.step_s, bare.step_s) + host[:, None] + c["request_s"][:, None] * full.batch,
        prompt_s=(mixed(full.prompt_s, bare.prompt_s) + host) * stretch,
        marginal_s=(mixed(full.marginal_s, bare.marginal_s)) * stretch,
    )
    kept = {name: c[name] for name in SCHEDULING if name in c}
    scheduler = replace(trials.scheduler, request_s=c["prefill_request_s"], **kept)
    return gather.waits(trials.full, server, scheduler)


def predict_sets(trials: Trials, sets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(TTFT, TPOT), seconds, shape (sets, runs), of all runs under each row of `sets` (sets, constants).

    Few runs are a call's overhead and little else: as many sets as fit go into one.
    """
    runs = len(trials.layers)
    at_once = max(AT_ONCE // max(runs, 1), 1)
    found = []
    for first in range(0, len(sets), at_once):
        some = sets[first : first + at_once]
        repeated = trials.take(np.tile(np.arange(runs), len(some))) if len(some) > 1 else trials
        found.append(np.reshape(predict(repeated, np.repeat(some, runs, axis=0)), (2, len(some), runs)))
    ttft, tpot = np.concatenate(found, axis=1)
    return ttft, tpot


def _squashed(residuals: FloatArray, scale: float) -> FloatArray:
    """Residuals whose squares are the Cauchy loss: far ones hardly count."""
    return np.asarray(np.sign(residuals) * scale * np.sqrt(np.log1p((residuals / scale) ** 2)))


def _solve_one(
    trials: Trials, centre: FloatArray, near: FloatArray | None = None, stands: FloatArray | None = None
) -> FloatArray:
    """Constants, shape (constants,), of the rows, pulled towards `centre`, searched from `near`.

    Without `near` from two starts, and from what `stands`: its valley stays unless another is better by more
    than one run tells, so that constants do not jump between valleys that the rows cannot tell apart.
    """
    from scipy.optimize import least_squares

    low, high = (np.array([getattr(c, k) for c in CONSTANTS]) for k in ("low", "high"))
    width = high - low
    timed, firsts = np.isfinite(trials.tpot_s), np.isfinite(trials.ttft_s)
    towards = (centre - low) / width
    pull = TPOT_SCALE * np.array([c.prior for c in CONSTANTS])

    def residuals_of(sets: FloatArray) -> FloatArray:
        """Of each row of `sets`, in widths; shape (sets, residuals)."""
        ttft, tpot = predict_sets(trials, low + sets * width)
        return np.concatenate(
            (
                _squashed(np.log(tpot / trials.tpot_s)[:, timed], TPOT_SCALE),
                TTFT_WEIGHT * _squashed(np.log(ttft / trials.ttft_s)[:, firsts], TTFT_SCALE),
                pull * (sets - towards),
            ),
            axis=1,
        )

    def residuals(x: FloatArray) -> FloatArray:
        return np.asarray(residuals_of(x[None, :])[0])

    def slopes(x: FloatArray) -> FloatArray:
        """Forward differences as scipy takes them, all at once; shape (residuals, constants)."""
        step = np.sqrt(np.finfo(float).eps) * np.where(x >= 0, 1.0, -1.0) * np.maximum(1.0, np.abs(x))
        step = np.where(x + step > 1.0, -step, step)
        sets = np.concatenate((x[None, :], x + np.diag(step)))
        found = residuals_of(sets)
        return np.asarray(((found[1:] - found[0]) / (sets[1:] - x).diagonal()[:, None]).T)

    # the loss has more than one valley: start where the pull ends, and with a pass as long as its kernels,
    # or in the valley that most of the rows are known to lead to
    plain = np.where([c.name == "prefill_stretch" for c in CONSTANTS], 0.0, towards)
    starts = [towards, plain] if near is None else [(near - low) / width]
    if stands is not None:
        starts.append((stands - low) / width)
    found = [
        least_squares(
            residuals, np.clip(start, 1e-3, 1 - 1e-3), slopes, bounds=(0.0, 1.0), max_nfev=60, ftol=TOLERANCE
        )
        for start in starts
    ]
    best = min(found, key=lambda f: f.cost)
    if stands is not None and found[-1].cost < best.cost + ALIKE:
        best = found[-1]
    return np.asarray(low + best.x * width)


Near = Mapping[str, FloatArray]  # constants of each profile, and under "" of all rows together


def common(trials: Trials, near: FloatArray | None = None) -> FloatArray:
    """Constants, shape (constants,), that all rows together give, whatever their engine."""
    return _solve_one(trials, np.array([c.start for c in CONSTANTS]), near)


def known(trials: Trials, catalog: Catalog) -> Near:
    """What a fit to most of the rows of `trials` ends near to: the profiles as they stand."""
    return {"": common(trials), **{name: _standing(catalog.engine(name)) for name in trials.names}}


def _standing(profile: EngineProfile) -> FloatArray:
    """The constants of a profile as it stands, shape (constants,)."""
    return np.array([getattr(profile, c.name) for c in CONSTANTS])


def fit(rows: Sequence[Row], catalog: Catalog) -> dict[str, EngineProfile]:
    """Profiles with fitted constants, by name, for the engines that occur in `rows`."""
    trials = prepare(rows, catalog)
    return fitted(trials, catalog, trials.names)


def fitted(
    trials: Trials, catalog: Catalog, names: Iterable[str], near: Near | None = None
) -> dict[str, EngineProfile]:
    """The profiles `names` with constants fitted to `trials`, searched from `near` where it is known.

    One without runs among them is taken for what all of them together give.
    """
    near = near or {}
    centre = common(trials, near.get(""))
    found = {}
    for name in names:
        of_profile = np.array([trials.names[i] == name for i in trials.profile], dtype=bool)
        stands = None if name in near else _standing(catalog.engine(name))
        part = trials.take(of_profile)
        values = _solve_one(part, centre, near.get(name), stands) if of_profile.any() else centre
        found[name] = replace(catalog.engine(name), **_named(values))  # type: ignore[arg-type]
    return found


def _named(values: FloatArray) -> dict[str, float]:
    return {c.name: rounded(v) for c, v in zip(CONSTANTS, values, strict=True)}


def rounded(value: float) -> float:
    """Three digits; what is nothing beside a nanosecond is nothing."""
    return float(f"{value:.3g}") if value > 1e-10 else 0.0


def write(profiles: Mapping[str, EngineProfile], folder: Path) -> list[Path]:
    """Put the fitted constants into the engines' files, line by line: comments and the rest stay."""
    written = []
    for name, profile in profiles.items():
        path = folder / f"{name}.toml"
        text = files.read_text(path)
        for constant in CONSTANTS:
            line = f"{constant.name} = {getattr(profile, constant.name)!r}"
            text, found = re.subn(rf"(?m)^{constant.name} = .*$", line, text)
            if not found:
                text = re.sub(r"(?m)^(max_batch = .*)$", rf"{line}\n\1", text, count=1)
        files.write_atomically(path, text)
        written.append(path)
    return written
