"""Fp8 is no slower than bf16 on any model, GPU and engine that has both; where it is, plans say why."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from planner.errors import InputError
from planner.inputs import precision
from planner.inputs.catalog import Catalog, load
from planner.inputs.kernels import deployed
from planner.inputs.model import ModelSpec
from planner.simulate import decode, forward, prefill
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.setup import Setup
from planner.simulate.operators.sources import Lookups
from planner.simulate.points import Prompt
from planner.simulate.space import Layouts

ONE = np.ones((1, 1, 1), dtype=np.int64)
AT = Layouts(tp=ONE, pp=ONE, attention_dp=ONE, moe_tp=ONE, moe_ep=ONE)  # one GPU, whatever its memory
BATCH = np.array([16.0, 128.0]).reshape(1, -1, 1)
QUANTISING = 1.04  # the most that it costs where a step is all launches: 8B models on GPUs of the next years
EACH = int(os.environ.get("FORMATS", "2"))  # one model in so many of each GPU and engine; 1: all


def machines(catalog: Catalog) -> Iterator[tuple[str, Machine, str, str]]:
    for name in catalog.names("system"):
        system = catalog.system(name)
        for engine in map(catalog.engine, catalog.names("engine")):
            if system.vendor in engine.can.vendors:
                kernels = deployed(catalog.kernels(system, engine.name), engine)
                machine = Machine(gpu=system.gpu, fabric=system.fabric, kernels=kernels, engine=engine)
                yield f"{name} {engine.name}", machine, system.vendor, system.family


def times(
    machine: Machine, model: ModelSpec, weights: str, vendor: str, family: str
) -> tuple[np.ndarray, bool] | None:
    """Two decode steps and a pass of prompts, and whether a plan says that a table is slow; None: has not."""
    try:
        formats = precision.resolve(weights, "auto", model, machine.gpu, vendor)  # type: ignore[arg-type]
    except InputError:
        return None
    used = (formats.gemm, *((formats.moe,) if model.is_moe else ()))
    lacks = machine.engine.can.lacks
    # weights alone: it computes in 16 bits, and turning them into those costs a pass of prompts
    if any(of.name.endswith("_wo") or family in lacks.get(of.name, ()) for of in used):
        return None
    known = Lookups(source=machine.kernels)
    setup = Setup(machine=machine, model=model, precision=formats).on_kernels(known)
    step = decode.step(setup, AT, AT.exchange_of(), BATCH, isl=4096, osl=512, mtp=0)
    steps = forward.pace(setup, AT, step.layers(), step.head, BATCH, BATCH).seconds.ravel()
    chunks = np.array([1.0])
    prompts = prefill.mean_pass(setup, AT, AT.exchange_of(), 1.0, chunks, Prompt(new=4096))
    pass_s = sum(float(np.ravel(part.seconds)[0]) for part in prompts.parts.values())
    return np.array([*steps, pass_s]), any(source.why for source in known.used())


@pytest.mark.slow
def test_fp8_is_no_slower_than_bf16_or_a_note_says_why() -> None:
    catalog, seen, slower = load(), 0, []
    models = [catalog.model(name) for name in catalog.names("model")]
    for number, (where, machine, vendor, family) in enumerate(machines(catalog)):
        for model in models[number % EACH :: EACH]:
            wide = times(machine, model, "bf16", vendor, family)
            narrow = times(machine, model, "fp8", vendor, family)
            if wide is None or narrow is None:
                continue
            seen += 1
            ratio = float((narrow[0] / wide[0]).max())
            if ratio > QUANTISING and not narrow[1]:
                slower.append(f"{model.name} on {where}: {ratio:.2f} times")
    assert seen > 3500 / EACH and not slower, slower
