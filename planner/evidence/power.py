"""Predicted against published watts, and the fit of the constants of `planner.simulate.power`.

Two files. Serving runs have the columns of `planner.evidence.runs` (mean sequences in flight as concurrency)
and `watts_per_gpu`, or `joules_per_token` of all GPUs per output token. GEMMs timed one by one have `system`,
`engine`, `dtype`, `of_memory` and `of_peak` (shares of the memory's bandwidth and of the format's peak that
the kernel reaches, middle of a bin) and `watts_per_gpu`.

A run is predicted at the pace that its deployment is predicted at, as a plan would say it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.arrays import BoolArray, FloatArray
from planner.evidence import csv_files, deployment, runs
from planner.evidence.csv_files import Range
from planner.evidence.figures import spread
from planner.evidence.runs import Row
from planner.inputs.catalog import Catalog
from planner.inputs.precision import FORMATS
from planner.inputs.system import Gpu
from planner.planning.bands import SHARE
from planner.simulate import power
from planner.simulate.operators.gemm import OPERATOR, GemmConstants
from planner.simulate.operators.setup import Setup
from planner.simulate.power import Use
from planner.simulate.service import Deployment

WATTS = Range(low=1.0, high=1e5, blank=math.nan)
JOULES = Range(low=1e-6, high=1e6, blank=math.nan)
SHARES = Range(low=0.0, high=1.0)
START = (0.6, 0.8)  # of the fit: busy, compute
SCALE = 0.1  # relative error from which a row counts less than its square
# fields of a Use, as the constants are ordered
PARTS = ("busy", "compute")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What was measured and what each row uses; arrays (rows,), and (rows, 2, 2) for the uses.

    Watts of a row are ``sum of weight w`` over its two uses (decode steps and prompts), where a use weighs
    what share of the GPUs' time it has, and idle the rest.
    """

    system: tuple[str, ...]
    group: tuple[str, ...]  # model of a run, format of a kernel
    serving: BoolArray
    full_watts: FloatArray
    limit_watts: FloatArray
    idle_watts: FloatArray
    uses: FloatArray  # of decode steps and of prompts: busy, compute
    weight: FloatArray  # (rows, 2)
    watts: FloatArray  # measured

    def predicted(self, constants: Sequence[float] | FloatArray) -> FloatArray:
        """Watts of a GPU with these constants, shape (rows,)."""
        each = np.minimum(self._unbounded(constants), self.limit_watts[:, None])
        return self._sum(each)

    def _unbounded(self, constants: Sequence[float] | FloatArray) -> FloatArray:
        added = self.uses @ np.asarray(constants, dtype=np.float64)
        return np.asarray(self.idle_watts[:, None] + self.full_watts[:, None] * added)

    def _sum(self, each: FloatArray) -> FloatArray:
        resting = 1.0 - self.weight.sum(axis=1)
        return np.asarray((self.weight * each).sum(axis=1) + resting * self.idle_watts)

    def fit(self, inside: BoolArray) -> FloatArray:
        """The constants that predict some rows best: robust least squares of relative errors."""
        from scipy.optimize import least_squares

        limit = self.limit_watts[:, None]

        def off(constants: FloatArray) -> FloatArray:
            free = self._unbounded(constants)  # beyond the limit a little slope is left to the fit
            each = np.minimum(free, limit + 0.02 * (free - limit))
            return np.asarray((self._sum(each) / self.watts - 1.0)[inside] / SCALE)

        found = least_squares(off, START, bounds=([0.0] * 2, [3.0] * 2), loss="soft_l1")
        return np.asarray(found.x)


def constants() -> tuple[float, ...]:
    """Those in use, in the order of `PARTS`."""
    return power.BUSY, power.COMPUTE


def read(serving: Path, kernels: Path | None, catalog: Catalog) -> Rows:
    """Both files. Raises InputError naming file, line and column of what cannot be read or predicted."""
    table = runs.table(serving, "watts_per_gpu", "joules_per_token")
    rows = runs.rows(table)
    watts, joules = table.numbers("watts_per_gpu", WATTS), table.numbers("joules_per_token", JOULES)
    parts = [_serving(rows, watts, joules, catalog)]
    if kernels is not None:
        parts.append(_kernels(kernels, catalog))
    first, *others = parts
    if not others:
        return first
    return Rows(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("serving", "full_watts", "limit_watts", "idle_watts", "uses", "weight", "watts")
        },
        system=tuple(name for part in parts for name in part.system),
        group=tuple(name for part in parts for name in part.group),
    )


def _rows(
    gpus: Sequence[Gpu],
    systems: Sequence[str],
    groups: Sequence[str],
    *,
    serving: bool,
    uses: FloatArray,
    weight: FloatArray,
    watts: FloatArray,
) -> Rows:
    return Rows(
        system=tuple(systems),
        group=tuple(groups),
        serving=np.full(len(systems), serving),
        full_watts=np.array([gpu.full_watts or gpu.watts for gpu in gpus]),
        limit_watts=np.array([gpu.watts for gpu in gpus]),
        idle_watts=np.array([power.idle_watts(gpu) for gpu in gpus]),
        uses=uses,
        weight=weight,
        watts=watts,
    )


def _serving(rows: Sequence[Row], watts: FloatArray, joules: FloatArray, catalog: Catalog) -> Rows:
    uses, weight, measured = np.zeros((len(rows), 2, 2)), np.zeros((len(rows), 2)), watts.copy()
    for members in _alike(rows).values():
        some = [rows[i] for i in members]
        profile = deployment.engine_profile(catalog, some[0].engine, some[0].version)
        ready = deployment.setup(some[0], catalog, profile)
        of = deployment.deployment(some[0], ready)
        in_flight = np.array([row.concurrency for row in some])
        osl = float(np.mean([row.osl for row in some]))
        steps, prompts, weights, tokens_per_s = _closed_loop(ready, of, in_flight, osl)
        for k, use in enumerate((steps, prompts)):
            for p, part in enumerate(PARTS):
                uses[members, k, p] = np.broadcast_to(getattr(use, part), (1, len(some), 1)).ravel()
        weight[members] = weights
        gpus = np.array([row.gpus for row in some])
        told = joules[members] * tokens_per_s / gpus
        measured[members] = np.where(np.isfinite(watts[members]), watts[members], told)
    systems = [row.system for row in rows]
    gpus_of = [catalog.system(name).gpu for name in systems]
    names = [row.model for row in rows]
    return _rows(gpus_of, systems, names, serving=True, uses=uses, weight=weight, watts=measured)


def _alike(rows: Sequence[Row]) -> Mapping[tuple[object, ...], list[int]]:
    """Rows of one deployment and task, which differ in how many are in flight."""
    found: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        key = (row.model, row.system, row.engine, row.gemm, row.moe, row.mode, row.isl)
        found[key, row.decode, row.prefill, row.decode_workers].append(i)
    return found


def _closed_loop(
    ready: Setup, of: Deployment, in_flight: FloatArray, osl: float
) -> tuple[Use, Use, FloatArray, FloatArray]:
    """Decode steps, prompts, the share of the GPUs' time that each has, and output tokens/s of the whole.

    B sequences of a rank make a token each per step of t seconds and a prompt takes p of the GPUs:
    ``B / (osl t + B p)`` requests/s where both share them, and ``min(1 / p, B / (osl t + p))`` apart.
    """
    ranks = float(of.decode.attention_dp.ravel()[0])
    batch = np.maximum(in_flight / ranks, 1.0)
    steps = power.steps(ready, of.decode, batch.reshape(1, -1, 1), isl=of.isl, osl=round(osl))
    new = float(of.isl - of.cached)
    # as many prompts in a pass as come together, up to a full one
    together = 1.0 if not of.colocated else max(min(of.pass_tokens / new, float(batch.min())), 1.0)
    one = np.full((1, 1, 1), together)
    prompts = power.prompts(ready, of.prefill, one, np.full((1, 1, 1), new), float(of.cached))
    step_s = np.broadcast_to(steps.seconds, (1, len(batch), 1)).ravel()
    prompt_s = float(np.ravel(prompts.seconds)[0]) / together
    if of.colocated:
        rate = batch / (osl * step_s + batch * prompt_s)
        share = rate * prompt_s
        weights = np.stack((1.0 - share, share), axis=1)
        return steps, prompts, weights, rate * ranks * osl
    prefill, decode = (float(at.gpus.ravel()[0]) for at in (of.prefill, of.decode))
    rate = np.minimum(1.0 / prompt_s, batch / (osl * step_s + prompt_s))
    both = prefill + decode
    weights = np.stack((np.full(len(batch), decode / both), prefill / both * rate * prompt_s), axis=1)
    return steps, prompts, weights, rate * ranks * osl


def _kernels(path: Path, catalog: Catalog) -> Rows:
    """GEMMs one by one: busy for the share of their time that their kernel needs at its best."""
    table = csv_files.read(path, ("system", "engine", "dtype", "of_memory", "of_peak", "watts_per_gpu"))
    memory, compute = (table.numbers(name, SHARES) for name in ("of_memory", "of_peak"))
    watts = table.numbers("watts_per_gpu", Range(low=1.0, high=1e5))
    systems = [row["system"] for row in table.rows]
    uses = np.zeros((len(systems), 2, 2))
    for i, row in enumerate(table.rows):
        system = catalog.system(row["system"])
        if row["dtype"] not in FORMATS:
            raise table.wrong(i, "dtype", f"one of {', '.join(FORMATS)}")
        known = catalog.kernels(system, row["engine"]).constants(OPERATOR, row["dtype"], GemmConstants)
        busy = min(memory[i] / known.memory + compute[i] / known.compute, 1.0)
        uses[i, 0] = busy, compute[i]
    gpus = [catalog.system(name).gpu for name in systems]
    formats = [row["dtype"] for row in table.rows]
    weight = np.tile([1.0, 0.0], (len(systems), 1))
    return _rows(gpus, systems, formats, serving=False, uses=uses, weight=weight, watts=watts)


def report(rows: Rows, again: bool = True) -> dict[str, Any]:
    """Errors by GPU (serving runs and kernels apart) and by model, in use and left out; plain data.

    `left_out_model` and `left_out_gpu` are medians by constants fitted without the row's group (a kernel's
    format), or without its GPU; None where not `again`. `band` is what measured over predicted watts of
    serving runs is in 4 of 5 cases, by constants fitted without their GPU; None where not `again`, or of one.
    """
    everything = np.ones(len(rows.watts), dtype=bool)
    ratio = rows.predicted(constants()) / rows.watts
    systems, groups = np.array(rows.system), np.array(rows.group)
    left = {
        name: _left_out(rows, keys) if again else np.full(len(ratio), np.nan)
        for name, keys in (("left_out_model", groups), ("left_out_gpu", systems))
    }

    def of(name: str, inside: BoolArray) -> dict[str, Any]:
        medians = {key: spread(values[inside])["median_ape"] for key, values in left.items()}
        return {"name": name, **spread(ratio[inside]), **medians}

    fitted = rows.fit(everything) if again else np.array(constants())
    band = None
    if again and len(set(systems[rows.serving].tolist())) > 1:
        over = 1.0 / left["left_out_gpu"][rows.serving]
        band = np.quantile(over, [(1 - SHARE) / 2, (1 + SHARE) / 2]).tolist()
    return {
        "band": band,
        "constants": {"idle": power.IDLE, **dict(zip(PARTS, constants(), strict=True))},
        "fitted": dict(zip(PARTS, fitted.tolist(), strict=True)),
        "systems": [
            of(f"{name}, {'serving' if kind else 'kernels'}", (systems == name) & (rows.serving == kind))
            for kind in (True, False)
            for name in sorted(set(systems[rows.serving == kind].tolist()))
        ],
        "models": [
            of(name, rows.serving & (groups == name)) for name in sorted(set(groups[rows.serving].tolist()))
        ],
    }


def _left_out(rows: Rows, keys: npt.NDArray[np.str_]) -> FloatArray:
    """Predicted over measured, each row by constants fitted without its key."""
    ratio = np.full(len(rows.watts), np.nan)
    for key in sorted(set(keys.tolist())):
        inside = np.asarray(keys == key)
        ratio[inside] = (rows.predicted(rows.fit(~inside)) / rows.watts)[inside]
    return ratio
