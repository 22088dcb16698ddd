"""The deployment that a measured run stands for: its engine profile, formats and layouts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.errors import InputError
from planner.evidence import recipes
from planner.evidence.runs import Row, Widths
from planner.inputs.catalog import Catalog
from planner.inputs.engine import EngineProfile
from planner.inputs.kernels import deployed
from planner.inputs.model import ModelSpec
from planner.inputs.precision import FORMATS, Format, Precision, run_on
from planner.planning import resolve
from planner.simulate.colocated import PASS_TOKENS
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.setup import Setup
from planner.simulate.operators.sources import Lookups
from planner.simulate.service import Deployment
from planner.simulate.space import Layouts

# of a GPU's memory, in measured deployments that do not say: their weights fill up to 0.88 of it alone
TUNED_MEMORY = 0.96


def engine_profile(catalog: Catalog, engine: str, version: str) -> EngineProfile:
    """The profile of an engine: that of an older build where the version says so."""
    current = catalog.engine(engine)
    family = current.family
    for name in catalog.names("engine"):
        other = catalog.engine(name)
        if other.family == family and any(version.startswith(v) for v in other.versions):
            return other
    return current


def setup(row: Row, catalog: Catalog, engine: EngineProfile) -> Setup:
    """The simulator's setup of a row.

    A checkpoint published in block-scaled fp8 is what a row that says fp8 ran.
    """
    model, system = catalog.model(row.model), catalog.system(row.system)
    model, _ = resolve.drafting(model, row.mtp, None, known_or_none(row.draft_cost))
    engine = replace(engine, memory_fraction=_memory_fraction(row, engine))

    def known(name: str) -> Format:
        fmt = next((fmt for fmt in FORMATS.values() if fmt.name == name), None)
        if fmt is None:
            raise InputError("dtype", name, f"one of {', '.join(FORMATS)}")
        published = (model.checkpoint, model.checkpoint_beside, *model.releases)
        return run_on("fp8_block" if name == "fp8" and "fp8_block" in published else fmt.name, system.gpu)

    return Setup(
        machine=Machine(
            gpu=system.gpu,
            fabric=system.fabric,
            kernels=Lookups(source=deployed(catalog.kernels(system, engine.name), engine)),
            engine=engine,
            vendor=system.vendor,
        ),
        model=model,
        precision=Precision(
            gemm=known(row.gemm),
            moe=known(row.moe),
            kv=recipes.cache(row, catalog),
        ),
    )


def _memory_fraction(row: Row, engine: EngineProfile) -> float:
    """Of the row, else the engine's own in a burst, which offline tables run with its defaults."""
    if np.isfinite(row.memory_fraction):
        return row.memory_fraction
    return engine.memory_fraction if row.burst else max(engine.memory_fraction, TUNED_MEMORY)


def deployment(row: Row, ready: Setup) -> Deployment:
    """The layouts and lengths of a row, of a model that `ready` has."""
    moe = ready.model.is_moe
    scale = row.length_mean
    isl = round(row.isl * scale)
    return Deployment(
        prefill=layout(row.prefill, row.prefill_pp, moe),
        decode=layout(row.decode, row.decode_pp, moe),
        colocated=row.colocated,
        isl=isl,
        osl=max(round(row.osl * scale), 2),
        cached=min(int(row.shared_prefix), isl - 1),
        mtp=row.mtp,
        acceptance=_acceptance(row, ready.model),
        pass_tokens=row.max_batched_tokens if np.isfinite(row.max_batched_tokens) else PASS_TOKENS,
        max_batch=row.max_batch if np.isfinite(row.max_batch) else None,
        default_settings=row.burst,
    )


def _acceptance(row: Row, model: ModelSpec) -> float:
    """Of the first drafted token of a row."""
    given, cost = known_or_none(row.mtp_acceptance), known_or_none(row.draft_cost)
    return resolve.drafting(model, row.mtp, given, cost)[1]


def known_or_none(figure: float) -> float | None:
    """A figure of a row; None where the file does not say."""
    return figure if np.isfinite(figure) else None


def layout(widths: Widths, pp: float, moe: bool) -> Layouts:
    """One layout, arrays of shape ``(1, 1, 1)``. A dense model has its attention's width everywhere."""
    if not moe:
        widths = Widths(tp=widths.tp, attention_dp=1.0, moe_tp=widths.tp, moe_ep=1.0)
    shape = (1, 1, 1)
    return Layouts(
        tp=np.full(shape, widths.tp, dtype=np.int64),
        pp=np.full(shape, pp, dtype=np.int64),
        attention_dp=np.full(shape, widths.attention_dp, dtype=np.int64),
        moe_tp=np.full(shape, widths.moe_tp, dtype=np.int64),
        moe_ep=np.full(shape, widths.moe_ep, dtype=np.int64),
    )
