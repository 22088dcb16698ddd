"""Engine profiles from end-to-end measurements: what the kernels alone do not explain.

Least squares on the logarithm of TPOT and TTFT, with a loss that forgives single bad rows, over the
constants below, a set per profile. Step times are linear in all but the scheduling constants, so two
simulations of each deployment (with and without the kernels' fixed latencies) serve every trial.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from planner import silicon
from planner.catalog import Catalog
from planner.engine import EngineProfile
from planner.silicon import Row, Runs
from planner.simulate.load import Scheduler, serve
from planner.simulate.roofline import FloatArray

TTFT_WEIGHT = 0.35  # TTFT scatters about three times as much as TPOT
LOSS_SCALE = 0.08  # a residual beyond this share counts linearly, not squared
PRIOR = 0.5  # pull towards the start, in residuals per width of the plausible range


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant of `EngineProfile` that is fitted, its plausible range and where it starts."""

    name: str
    low: float
    high: float
    start: float


CONSTANTS = (
    Constant("floor_share", 0.2, 1.0, 0.6),  # programmatic launches hide part of a kernel's prologue
    Constant("step_s", 1e-4, 3e-3, 4e-4),  # published fits: 0.1 to 2 ms
    Constant("layer_s", 2e-6, 4e-5, 1e-5),  # published fits: 4 to 32 us
    Constant("request_s", 1e-6, 4e-5, 5e-6),  # published fit: 4.4 us
    Constant("exposure", 0.4, 1.3, 0.95),
    Constant("bunching", 0.0, 1.0, 0.2),
    Constant("turns", 0.5, 4.0, 1.5),
    Constant("arrival_s", 0.0, 2e-2, 2e-3),  # published fit: 15.6 ms of API time per request
    Constant("handover_s", 0.0, 0.5, 0.05),
    Constant("prefill_request_s", 2e-3, 0.3, 0.03),  # published fit: 15.6 ms of API time
    Constant("prefill_stretch", 1.0, 1.5, 1.15),
)


@dataclass(frozen=True, slots=True)
class _Trials:
    """Runs simulated with and without fixed latencies, and what each constant multiplies."""

    full: Runs
    bare: Runs
    profile: FloatArray  # index into `names` of each run
    names: tuple[str, ...]
    layers: FloatArray
    ttft_s: FloatArray
    tpot_s: FloatArray


def _prepare(rows: Sequence[Row], catalog: Catalog) -> _Trials:
    plain = {name: catalog.engine(name).bare() for name in catalog.names("engine")}
    full = silicon.gather(rows, catalog, plain)
    bare = silicon.gather(rows, catalog, {k: replace(v, floor_share=0.0) for k, v in plain.items()})
    names = tuple(sorted({e.name for e in full.engines}))
    layers = []
    for row in full.rows:
        model = catalog.model(row.model)
        halves = sum(a.layers for a in model.attention if a.kind != "none")
        layers.append((halves + sum(f.layers for f in model.ffn if f.kind != "none")) / 2)
    return _Trials(
        full=full,
        bare=bare,
        profile=np.array([names.index(e.name) for e in full.engines]),
        names=names,
        layers=np.array(layers, dtype=float),
        ttft_s=np.array([r.ttft_s for r in full.rows]),
        tpot_s=np.array([r.tpot_s for r in full.rows]),
    )


def _predict(trials: _Trials, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(TTFT, TPOT) with constants `values` of shape (profiles, constants)."""
    c = {constant.name: values[:, i][trials.profile.astype(int)] for i, constant in enumerate(CONSTANTS)}
    full, bare = trials.full.server, trials.bare.server
    share = c["floor_share"]
    host = c["step_s"] + c["layer_s"] * trials.layers

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
    scheduler = Scheduler(
        exposure=c["exposure"],
        bunching=c["bunching"],
        turns=c["turns"],
        arrival_s=c["arrival_s"],
        handover_s=c["handover_s"],
        request_s=c["prefill_request_s"],
    )
    return serve(trials.full.client, server, scheduler)


def _solve(trials: _Trials, used: FloatArray) -> FloatArray:
    """Constants of every profile, shape (profiles, constants), from the rows where `used`."""
    from scipy.optimize import least_squares

    low, high, start = (np.array([getattr(c, k) for c in CONSTANTS]) for k in ("low", "high", "start"))
    width = high - low
    shape = (len(trials.names), len(CONSTANTS))
    timed = used & np.isfinite(trials.tpot_s)
    firsts = used & np.isfinite(trials.ttft_s)

    def residuals(x: FloatArray) -> FloatArray:
        ttft, tpot = _predict(trials, low + x.reshape(shape) * width)
        return np.concatenate(
            (
                np.log(tpot / trials.tpot_s)[timed],
                TTFT_WEIGHT * np.log(ttft / trials.ttft_s)[firsts],
                LOSS_SCALE * PRIOR * (x - np.tile((start - low) / width, shape[0])),
            )
        )

    begin = np.tile((start - low) / width, shape[0])
    found = least_squares(residuals, begin, bounds=(0.0, 1.0), loss="soft_l1", f_scale=LOSS_SCALE)
    return np.asarray(low + found.x.reshape(shape) * width)


def fit(rows: Sequence[Row], catalog: Catalog) -> dict[str, EngineProfile]:
    """Profiles with fitted constants, by name, for the engines that occur in `rows`."""
    trials = _prepare(rows, catalog)
    values = _solve(trials, np.ones(len(trials.layers), dtype=bool))
    return {
        name: replace(
            catalog.engine(name),
            **{c.name: _rounded(v) for c, v in zip(CONSTANTS, values[i], strict=True)},  # type: ignore[arg-type]
        )
        for i, name in enumerate(trials.names)
    }


def left_out(
    rows: Sequence[Row], catalog: Catalog, key: Callable[[Row], str]
) -> tuple[tuple[Row, ...], FloatArray, FloatArray]:
    """Predict every row with constants fitted without all rows of its own `key` (a model, a GPU).

    Returns the rows and their (TTFT, TPOT), seconds. A profile whose rows are all left out keeps the
    starting constants.
    """
    trials = _prepare(rows, catalog)
    groups = np.array([key(row) for row in trials.full.rows])
    ttft, tpot = np.zeros(len(groups)), np.zeros(len(groups))
    for group in sorted(set(groups)):
        inside = groups == group
        first, step = _predict(trials, _solve(trials, ~inside))
        ttft[inside], tpot[inside] = first[inside], step[inside]
    return trials.full.rows, ttft, tpot


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def write(profiles: Mapping[str, EngineProfile], folder: Path) -> list[Path]:
    """Put the fitted constants into the engines' files, line by line: comments and the rest stay."""
    written = []
    for name, profile in profiles.items():
        path = folder / f"{name}.toml"
        text = path.read_text(encoding="utf-8")
        for constant in CONSTANTS:
            line = f"{constant.name} = {getattr(profile, constant.name)!r}"
            text, found = re.subn(rf"(?m)^{constant.name} = .*$", line, text)
            if not found:
                text = re.sub(r"(?m)^(max_batch = .*)$", rf"{line}\n\1", text, count=1)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
