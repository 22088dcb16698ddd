"""What is odd about tables of kernel constants that stand beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from planner.arrays import FloatArray
from planner.evidence.calibrate.fit import SISTERS
from planner.evidence.sanity.explained import explanation
from planner.evidence.sanity.shapes import Work, work
from planner.inputs.catalog import Catalog
from planner.inputs.engine import EngineProfile
from planner.inputs.kernels import MeasuredKernels, deployed
from planner.inputs.system import System
from planner.simulate.operators.constants import bounds
from planner.simulate.operators.machine import Machine

Kind: TypeAlias = Literal["format", "engine", "sister", "bound"]

# Formats of weights that a narrower one should not be slower than; those of caches count alike.
WIDER: Mapping[str, tuple[str, ...]] = {
    "fp8": ("bf16",),
    "fp8_block": ("bf16",),
    "nvfp4": ("fp8", "fp8_block", "bf16"),
    "mxfp4": ("fp8", "fp8_block", "bf16"),
    "mxfp4_wo": ("bf16",),
    "int4_wo": ("bf16",),
    "nvfp4_wo": ("bf16",),
}
# What quantising activations may cost: a launch (per-tensor fp8 GEMMs start 10 us later than bf16 ones on
# Hopper) and one reading and writing of them in bf16 and fp8.
QUANTISING_S, QUANTISING_BYTES = 1e-5, 3.0
# Beyond that. Groups of one engine and format have a left-out error of 10 to 15 %, two of them thus of 20.
FORMAT_FACTOR = 1.25
# Engines' times over the fastest engine's, in the median of an operator's shapes: 1.0 to 1.6 in nine of ten
# tables.
ENGINE_FACTOR = 2.0
SISTER_FACTOR = 1.5
AT_BOUND = 1e-3  # of the range on its logarithmic scale
BOUND_FACTOR = 1.1  # what a constant there must cost beside one where fits start, to be told


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One table that is odd beside another, or with one of its constants on the edge of its legal range."""

    kind: Kind
    system: str
    operator: str
    engine: str
    dtype: str
    other: str  # the format, engine or system it is compared with; the constant that is on a bound
    factor: float  # times slower at the shape where it is most
    at: str  # that shape
    borrowed: str = ""  # whose kernels a plan takes instead
    why: str = ""  # where it is known to be so

    @property
    def settled(self) -> bool:
        """Whether nobody need look at it: plans take another's kernels, or it is known to be so."""
        return bool(self.borrowed or self.why or self.kind == "bound")

    @property
    def text(self) -> str:
        """One phrase, as a plan may say it."""
        table = f"{self.operator} {self.dtype} of {self.engine} on {self.system}"
        if self.kind == "bound":
            return f"{table}: {self.other}, the edge of its range, costs {self.factor:.1f} times at {self.at}"
        return f"{table}: {self.factor:.1f} times as slow as {self.other} at {self.at}"


Tables: TypeAlias = Mapping[str, Mapping[str, Any]]  # by system: a parsed kernels file


def findings(tables: Tables, catalog: Catalog) -> list[Finding]:
    """Everything odd in `tables`, by kind and then by table.

    - format: slower than a wider format of the same engine, by more than quantising costs;
    - engine: far slower than the fastest engine with the same operator and format on that GPU;
    - sister: unlike the same table of the sister GPU, which is the same chip;
    - bound: a share at its least, or a cost at its most: the form does not hold what was measured.

    What a table is fitted to is not needed: times are those at the shapes of `sanity.shapes`.
    """
    found: list[Finding] = []
    for name, table in tables.items():
        system = catalog.system(name)
        for operator, engines in table.items():
            shapes = work(operator)
            if shapes is None or not isinstance(engines, Mapping):
                continue
            timed = {
                (engine, dtype): _times(system, shapes, operator, engine, dtype, entry)
                for engine, entries in engines.items()
                for dtype, entry in entries.items()
            }
            about = (name, operator, shapes)
            found += _formats(*about, timed, system)
            found += _engines(*about, timed)
            found += _bounds(*about, engines, timed, system)
            other = tables.get(SISTERS.get(name, ""), {}).get(operator, {})
            found += _sisters(*about, timed, other, system)
    borrowing = [
        replace(
            one,
            borrowed=_lender(one, catalog),
            why=explanation(one.kind, one.system, one.operator, one.engine, one.dtype),
        )
        for one in found
    ]
    order = ("format", "engine", "sister", "bound")
    return sorted(borrowing, key=lambda one: (order.index(one.kind), one.system, one.operator, one.engine))


def remarks(found: Iterable[Finding]) -> dict[tuple[str, str, str, str], str]:
    """What plans say of a table that is slower than a wider format, by (system, operator, engine, dtype)."""
    said: dict[tuple[str, str, str, str], str] = {}
    for one in sorted(found, key=lambda one: one.factor):
        if one.kind == "format":
            because = f" ({one.why})" if one.why else ""
            said[one.system, one.operator, one.engine, one.dtype] = one.text + because
    return said


def _times(
    system: System, shapes: Work, operator: str, engine: str, dtype: str, entry: Mapping[str, Any]
) -> FloatArray:
    """Seconds of one table at its operator's shapes."""
    table = {operator: {engine: {dtype: entry}}}
    machine = Machine(
        gpu=system.gpu,
        fabric=system.fabric,
        kernels=MeasuredKernels(engine=engine, tables=((system.name, table),)),
        engine=EngineProfile.none(engine),
    )
    return np.broadcast_to(shapes.cost(machine, dtype).seconds, (len(shapes.names),))


_Timed: TypeAlias = Mapping[tuple[str, str], FloatArray]


def _formats(name: str, operator: str, shapes: Work, timed: _Timed, system: System) -> Iterator[Finding]:
    allowed = QUANTISING_S + shapes.elements * (QUANTISING_BYTES / system.gpu.hbm_bytes_per_s)
    for (engine, dtype), taken in timed.items():
        for wider in WIDER.get(dtype, ()):
            if (engine, wider) in timed:
                ratio = (taken - allowed) / timed[engine, wider]
                if ratio.max() > FORMAT_FACTOR:
                    most = int(ratio.argmax())
                    yield _finding(
                        "format", (name, operator, engine, dtype), wider, ratio[most], shapes, most
                    )


def _engines(name: str, operator: str, shapes: Work, timed: _Timed) -> Iterator[Finding]:
    for (engine, dtype), taken in timed.items():
        others = {e: t for (e, d), t in timed.items() if d == dtype and e != engine}
        if others:
            fastest = min(others, key=lambda e: float(np.median(others[e])))
            ratio = taken / others[fastest]
            if np.median(ratio) > ENGINE_FACTOR:
                middle = int(np.argsort(ratio)[len(ratio) // 2])
                yield _finding(
                    "engine", (name, operator, engine, dtype), fastest, ratio[middle], shapes, middle
                )


def _sisters(
    name: str, operator: str, shapes: Work, timed: _Timed, other: Mapping[str, Any], system: System
) -> Iterator[Finding]:
    for (engine, dtype), taken in timed.items():
        entry = other.get(engine, {}).get(dtype)
        if entry is not None:
            ratio = taken / _times(system, shapes, operator, engine, dtype, entry)
            most = int(ratio.argmax())
            if ratio[most] > SISTER_FACTOR:
                yield _finding(
                    "sister", (name, operator, engine, dtype), SISTERS[name], ratio[most], shapes, most
                )


def _bounds(
    name: str, operator: str, shapes: Work, engines: Mapping[str, Any], timed: _Timed, system: System
) -> Iterator[Finding]:
    for constant, legal in bounds(shapes.kind).items():
        width = np.log(legal.high / legal.low)
        worst = legal.low if legal.ideal > legal.low else legal.high
        for engine, dtype in timed:
            entry = engines[engine][dtype]
            value = entry["constants"].get(constant, 0.0)
            if value <= 0.0 or abs(np.log(value / worst)) > AT_BOUND * width:
                continue
            usual = {**entry, "constants": {**entry["constants"], constant: legal.start}}
            moved = timed[engine, dtype] / _times(system, shapes, operator, engine, dtype, usual)
            if moved.max() > BOUND_FACTOR:
                most = int(moved.argmax())
                at = f"{shapes.names[most]}, against {constant} {legal.start:g}"
                table = (name, operator, engine, dtype)
                found = _finding("bound", table, f"{constant} {worst:g}", moved[most], shapes, most)
                yield replace(found, at=at)


def _finding(
    kind: Kind, table: tuple[str, str, str, str], other: str, factor: float, shapes: Work, at: int
) -> Finding:
    system, operator, engine, dtype = table
    return Finding(
        kind=kind,
        system=system,
        operator=operator,
        engine=engine,
        dtype=dtype,
        other=other,
        factor=float(factor),
        at=shapes.names[at],
    )


def _lender(one: Finding, catalog: Catalog) -> str:
    """Whose kernels a plan takes for that table: "" where its own."""
    if one.engine not in catalog.names("engine"):
        return ""
    engine_profile = catalog.engine(one.engine)
    source = deployed(catalog.kernels(catalog.system(one.system), one.engine), engine_profile)
    try:
        engine = source.provenance(one.operator, one.dtype).engine
    except LookupError:
        return ""
    return engine if engine != one.engine else ""
