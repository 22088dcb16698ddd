"""A scenario with its names resolved: what the planner works on."""

from __future__ import annotations

from dataclasses import dataclass

from planner.errors import InputError
from planner.inputs import fields, precision
from planner.inputs.catalog import Catalog
from planner.inputs.kernels import deployed
from planner.inputs.scenario import Scenario
from planner.inputs.system import System
from planner.simulate import kv_transfer
from planner.simulate.operators.machine import Machine
from planner.simulate.setup import Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The scenario, its model and system, and what follows from them at once."""

    scenario: Scenario
    system: System
    setup: Setup
    usd_per_gpu_hour: float
    link_bytes_per_s: float  # of one GPU, towards the other pool
    notes: tuple[str, ...]


def prepare(scenario: Scenario, catalog: Catalog) -> Question:
    """Check every field and look up every name.

    Raises InputError for the first that cannot be used.
    """
    fields.check(scenario)
    model = catalog.model(scenario.model)
    system = catalog.system(scenario.system)
    engine = catalog.engine(scenario.engine)
    if scenario.mtp and not model.mtp_layers:
        raise InputError("mtp", scenario.mtp, f"0: {model.name} has no multi-token prediction layers")
    formats = precision.resolve(scenario.weights, scenario.kv, model, system.gpu)
    kernels = deployed(catalog.kernels(system, engine.name), engine)
    machine = Machine(gpu=system.gpu, fabric=system.fabric, kernels=kernels, engine=engine)
    notes = [
        f"weights {formats.gemm.name}"
        + (f", experts {formats.moe.name}" if model.is_moe and formats.moe is not formats.gemm else "")
        + f", KV cache {formats.kv}"
    ]
    length = scenario.traffic.isl + scenario.traffic.osl
    if model.max_context and length > model.max_context:
        notes.append(
            f"{length:,} tokens of input and output exceed the {model.max_context:,} "
            f"that {model.name} was published for"
        )
    if system.kernels != system.name:
        notes.append(f"kernel constants of {system.name} are those measured on {system.kernels}")
    price = scenario.fleet.usd_per_gpu_hour
    return Question(
        scenario=scenario,
        system=system,
        setup=Setup(machine=machine, model=model, precision=formats, mla_cache=scenario.mla_cache),
        usd_per_gpu_hour=system.usd_per_gpu_hour if price is None else price,
        link_bytes_per_s=kv_transfer.link_bytes_per_s(system.fabric, scenario.fleet.gpus),
        notes=tuple(notes),
    )
