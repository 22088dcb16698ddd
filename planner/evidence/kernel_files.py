"""Files of measured kernels: what a row must have, and how rows become calls of an operator.

The columns are those of calibration (`planner.evidence.calibrate.kernels`). Rows that calibration passes
over are here too, as the nearest operator that a plan has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from planner.arrays import FloatArray
from planner.errors import InputError
from planner.evidence import csv_files
from planner.evidence.calibrate.fit import Group, column, row_keys, split_by
from planner.evidence.calibrate.kernels import attention, collectives, dsa_modules, mla_modules, moe
from planner.evidence.calibrate.kernels import gemm as gemms
from planner.evidence.csv_files import Range, Rows
from planner.inputs.catalog import Catalog
from planner.inputs.engine import EngineProfile
from planner.inputs.precision import FORMATS, Format
from planner.simulate.operators.attention import sparse
from planner.simulate.operators.gemm import OPERATOR as GEMM
from planner.simulate.operators.gemm import GemmConstants, gemm
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost
from planner.words import Pass

LATENCY, DISTRIBUTION = "latency_us", "distribution"
# what sizes and times can be at most: no kernel has more, and products of three are still finite
SIZES = Range(low=1.0, high=1e12)
PAST = Range(low=0.0, high=1e12, blank=0.0)
LATENCIES = Range(low=1e-3, high=1e12)
MAY_BE_NONE = ("step",)
MAY_BE_MISSING = ("step", "window_size")
_ROUTING = re.compile(r"balanced|power_law_[0-9](\.[0-9]{1,9})?", re.ASCII)
# Formats that no plan uses, as the nearest kernel with their bytes: 8-bit weights in the weight-only
# kernel that was measured with 4, and SmoothQuant at twice the bf16 rate (int8 on A100: 624 TOPS).
INT8_RATE = "int8"
INT8_SPEEDUP = 2.0
STAND_INS = {
    "int8_wo": replace(FORMATS["int4_wo"], weight_bytes=1.0),
    "sq": replace(FORMATS["int4_wo"], weight_bytes=1.0, activation_bytes=1.0, rate=INT8_RATE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One kind of measurements: what a row must have, and how rows become groups."""

    name: str
    groups: Callable[[Rows, Catalog], Iterable[Group]]
    numbers: tuple[str, ...]  # columns that must hold numbers
    values: Mapping[str, Collection[str]]  # columns of names, and those that are known
    names: tuple[str, ...] = ()  # other columns that must hold a name


def machine_of(group: Group, catalog: Catalog) -> Machine:
    """A group's GPU with the catalog's constants for it, launched from no engine."""
    system = catalog.system(group.system)
    return Machine(
        gpu=system.gpu,
        fabric=system.fabric,
        kernels=catalog.kernels(system, group.engine),
        engine=EngineProfile.none(group.engine),
    )


def _as_fitted(how: Callable[..., Iterable[Group]], *arguments: Any) -> Callable[..., Iterable[Group]]:
    return lambda rows, catalog: how(rows, *arguments)


def _gemms(rows: Rows, catalog: Catalog) -> Iterator[Group]:
    yield from gemms.groups(rows)
    for (system, engine, dtype), part in split_by(rows, "system", "engine", "dtype").items():
        if dtype in STAND_INS:
            shape = [column(part, name) for name in "mnk"]
            yield Group(
                system=system,
                operator=GEMM,
                engine=engine,
                dtype=dtype,
                kind=GemmConstants,
                predict=lambda machine, f=STAND_INS[dtype], at=shape: _int8(machine, f, at),  # type: ignore[misc]
                measured_s=column(part, LATENCY) * 1e-6,
                keys=row_keys(part),
                range="",
            )


def _int8(machine: Machine, fmt: Format, shape: list[FloatArray]) -> Cost:
    peaks = {**machine.gpu.peak_flops, INT8_RATE: INT8_SPEEDUP * machine.gpu.peak_flops["bf16"]}
    return gemm(replace(machine, gpu=replace(machine.gpu, peak_flops=peaks)), fmt, *shape)


def _experts(rows: Rows, catalog: Catalog) -> Iterator[Group]:
    """Rows by the class of their kernel: its own constants where the usual kernel's stand beside them."""
    for (system, engine, dtype), part in split_by(rows, "system", "engine", "moe_dtype").items():
        by_class: dict[str, list[Mapping[str, str]]] = {}
        for row in part:
            by_class.setdefault(moe.kernel_class(row["kernel_source"]), []).append(row)
        for name, some in by_class.items():
            usual = moe.group(system, engine, dtype, some)
            kernels = machine_of(usual, catalog).kernels
            as_class = moe.group(system, engine, dtype, some, name)
            try:
                usual_at = kernels.provenance(usual.operator, usual.dtype)
                class_at = kernels.provenance(as_class.operator, as_class.dtype)
            except LookupError:
                yield usual
                continue
            same = all(
                getattr(usual_at, key) == getattr(class_at, key) for key in ("system", "engine", "dtype")
            )
            yield as_class if same else usual


def _sparse(phase: Pass) -> Callable[[Rows, Catalog], Iterator[Group]]:
    def groups(rows: Rows, catalog: Catalog) -> Iterator[Group]:
        yield from dsa_modules.variant_groups(rows, phase)
        whole = [row for row in rows if not dsa_modules.variant(row, phase)]
        for (system, engine, dtype), part in split_by(whole, "system", "engine", "kv_cache_dtype").items():
            yield dsa_modules.group(system, engine, attention.CACHE_FORMATS[dtype], part, phase)

    return groups


_GEMM_TYPES = {"gemm_type": gemms.DTYPES}
_CACHES = {"kv_cache_dtype": attention.CACHE_FORMATS}
_STATES = ("num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim")
_HEADS = ("num_heads", "batch_size", "isl", "step")


def _attention_files() -> Iterator[File]:
    for calibration in attention.CALIBRATIONS:
        name = calibration.csv
        if name == "gated_delta_net.csv":
            numbers: tuple[str, ...] = ("batch_size", "seq_len", *_STATES, "d_conv")
            values: Mapping[str, Collection[str]] = {"phase": ("context", "generation")}
        elif name.startswith("mla"):
            numbers, values = _HEADS, _CACHES
        else:
            numbers = ("batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim")
            numbers, values = (*numbers, "step") if "decode" in name else numbers, _CACHES
        names = ("kernel_source",) if name == "gated_delta_net.csv" else ()
        groups = _as_fitted(calibration.groups)
        yield File(name=name, groups=groups, numbers=numbers, values=values, names=names)


FILES = (
    File(
        name="gemm.csv",
        groups=_gemms,
        numbers=("m", "n", "k"),
        values={"dtype": {**gemms.DTYPES, **STAND_INS}},
    ),
    *_attention_files(),
    *(
        File(
            name=f"dsa_{phase}_module.csv",
            groups=_sparse(phase),
            numbers=_HEADS,
            values={**_CACHES, **_GEMM_TYPES},
            names=("model",),
        )
        for phase in sparse.OPERATORS
    ),
    *(
        File(
            name=f"mla_{phase}_module.csv",
            groups=_as_fitted(mla_modules.groups, phase),
            numbers=_HEADS,
            values={**_CACHES, **_GEMM_TYPES},
        )
        for phase in ("prefill", "decode")
    ),
    File(
        name="moe.csv",
        groups=_experts,
        numbers=(
            "num_tokens",
            "hidden_size",
            "inter_size",
            "topk",
            "num_experts",
            "moe_tp_size",
            "moe_ep_size",
        ),
        values={"moe_dtype": gemms.DTYPES},
        names=("kernel_source", DISTRIBUTION),
    ),
    File(
        name="allreduce.csv",
        groups=_as_fitted(collectives.all_reduce_groups),
        numbers=("num_gpus", "message_size"),
        values={},
    ),
    File(
        name="nccl.csv",
        groups=_as_fitted(collectives.nccl_groups),
        numbers=("num_gpus", "message_size"),
        values={"nccl_dtype": collectives.NCCL_BYTES, "op_name": collectives.NCCL_OPERATORS},
    ),
    File(
        name="moe_alltoall.csv",
        groups=_as_fitted(collectives.exchange_groups),
        numbers=("ep_size", "hidden_size", "topk", "num_tokens"),
        values={"phase": ("dispatch", "combine"), "comm_dtype": collectives.DISPATCH_BYTES},
        names=("comm_backend",),
    ),
)


def read(path: Path, file: File) -> Rows:
    """The rows of one file, checked. Raises InputError naming file, line and column."""
    names = ("system", "engine", *file.values, *file.names)
    table = csv_files.read(path, (*names, LATENCY, *file.numbers))
    for name in names:
        table.names(name)
    for name in (LATENCY, *file.numbers):
        table.numbers(name, LATENCIES if name == LATENCY else PAST if name in MAY_BE_NONE else SIZES)
    for name in MAY_BE_MISSING:
        table.numbers(name, PAST)
    for i, row in enumerate(table.rows):
        if DISTRIBUTION in file.names and not _ROUTING.fullmatch(row[DISTRIBUTION]):
            raise table.wrong(i, DISTRIBUTION, "balanced, or power_law_ and an exponent such as 1.2")
    return table.rows


def _unknown(row: Mapping[str, str], file: File) -> str:
    """The first name in a row that is not known; "" where all are."""
    strange = (key for key, accepted in file.values.items() if row[key] not in accepted)
    return next((f"{key} {row[key]!r} is not known" for key in strange), "")


def fitted_rows(path: Path, name: str) -> Rows:
    """The rows of a file that calibration can use: of known formats and operations. Raises as `read`."""
    file = next(file for file in FILES if file.name == name)
    return [row for row in read(path, file) if not _unknown(row, file)]


def known_rows(rows: Rows, file: File, catalog: Catalog) -> tuple[Rows, dict[str, int]]:
    """Rows whose names are known, and how many of the others there are, by reason."""
    systems: dict[str, str] = {}
    kept: list[Mapping[str, str]] = []
    why: dict[str, int] = {}
    for row in rows:
        name = row["system"]
        if name not in systems:
            try:
                catalog.canonical("system", name)
                systems[name] = ""
            except InputError as error:
                systems[name] = str(error)
        reason = systems[name]
        reason = reason or _unknown(row, file)
        if reason:
            why[reason] = why.get(reason, 0) + 1
        else:
            kept.append(row)
    return kept, why
