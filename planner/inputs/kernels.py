"""Fitted constants of the operators on one system, as calibration wrote them.

A file `presets/kernels/<system>.toml` holds one table per operator, engine and format:

    [gemm.trtllm.fp8_block]
    constants = { compute = 0.62, memory = 0.80, floor_s = 4.5e-6, serial = 0.2 }
    n = 220                 # measurements behind the fit
    mape = 0.081            # mean absolute error on points left out of the fit
    range = "m 1..16384, n 128..65536, k 128..65536"
    remark = "slower than ..."  # where plans should say so

What was not measured is looked up, in this order, at another engine (trtllm, sglang, vllm; nccl), at
a related format of the same operator, then in the file of a relative named by `relative`.

Operators take their constants from a `ConstantsSource`: the measured ones of this module, or those of
`planner.simulate.operators.sources`, which stand on others or on none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, field, fields, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from planner.errors import InputError, unknown
from planner.inputs.engine import EngineProfile
from planner.values import dataclass

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ENGINE_ORDER = ("trtllm", "sglang", "vllm", "nccl")
# where to look when a format was not measured: nearest kernel first
FORMAT_ORDER = {
    "bf16": (),
    "fp4": ("fp8", "bf16"),  # caches only
    "fp8": ("fp8_block", "bf16"),
    "fp8_block": ("fp8", "bf16"),
    "nvfp4": ("mxfp4", "fp8_block", "fp8", "bf16"),
    "mxfp4": ("nvfp4", "fp8_block", "fp8", "mxfp4_wo", "bf16"),
    "mxfp4_a4": ("nvfp4", "mxfp4", "fp8_block", "fp8", "bf16"),
    "fp8_wo": ("int4_wo", "mxfp4_wo", "bf16"),
    "int8_wo": ("int4_wo", "mxfp4_wo", "bf16"),
    "nvfp4_wo": ("int4_wo", "mxfp4_wo", "bf16"),
    "mxfp4_wo": ("int4_wo", "bf16"),
    "int4_wo": ("mxfp4_wo", "bf16"),
}

# constants that hold the kernel which quantises activations, and those that are fixed latencies
QUANTISING = ("floor_s", "input_s")
FLOORS = ("floor_s", "index_floor_s")

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a set of constants comes from."""

    operator: str
    engine: str
    dtype: str
    system: str
    measurements: int
    mape: float
    why: str = ""  # what a plan should say of them: why they are borrowed, a remark of their table

    @property
    def label(self) -> str:
        """One phrase for reports."""
        return f"{self.operator} {self.dtype} from {self.engine} on {self.system}, {self.measurements} points"


class ConstantsSource(Protocol):
    """Where operators get their constants from.

    An operator may name a use, as in "moe:dispatched": the same kernels, unless the source has others
    for that use. Both methods raise LookupError if there are none for an operator in any format.
    """

    def constants(self, operator: str, dtype: str, kind: type[T]) -> T:
        """Constants of `operator` in `dtype`, as the dataclass `kind` of the operator's module."""

    def provenance(self, operator: str, dtype: str) -> Provenance:
        """Where those constants come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredKernels:
    """Kernels as measured alone on one system under one engine, else on the nearest that was measured."""

    engine: str
    tables: tuple[tuple[str, Mapping[str, Any]], ...]  # (system, parsed file): own first, then relatives
    family: str = ""  # of the system: `System.family`
    families: Mapping[str, str] = field(
        default_factory=dict, hash=False
    )  # of the GPUs of the tables, by system

    def find(self, operator: str, dtype: str) -> tuple[Mapping[str, float], Provenance]:
        """Constants of `operator` in `dtype` and where they were measured.

        Raises
        ------
        LookupError
            If neither this system nor any relative has the operator in any format.
        """
        operator = operator.partition(":")[0]
        engines = (self.engine, *(e for e in ENGINE_ORDER if e != self.engine))
        for system, table in self.tables:
            for wanted in (dtype, *FORMAT_ORDER.get(dtype, ())):
                for engine in engines:
                    entry = table.get(operator, {}).get(engine, {}).get(wanted)
                    if entry is not None:
                        return entry["constants"], Provenance(
                            operator=operator,
                            engine=engine,
                            dtype=wanted,
                            system=system,
                            measurements=int(entry.get("n", 0)),
                            mape=float(entry.get("mape", float("nan"))),
                            why=str(entry.get("remark", "")),
                        )
        raise LookupError(f"no kernel constants for {operator} in {dtype}")

    def constants(self, operator: str, dtype: str, kind: type[T]) -> T:
        """As measured. Raises InputError for a table that has other constants than the operator."""
        values, source = self.find(operator, dtype)
        try:
            return kind(**values)
        except TypeError:
            raise _misnamed(values, source, kind) from None

    def provenance(self, operator: str, dtype: str) -> Provenance:
        """Where they were measured."""
        return self.find(operator, dtype)[1]

    def measured_on(self, operator: str, dtype: str) -> str:
        """The family of the GPU that they were measured on."""
        try:
            system = self.provenance(operator, dtype).system
        except LookupError:
            return self.family
        return self.families.get(system, self.family)


def _misnamed(values: Mapping[str, float], source: Provenance, kind: type[DataclassInstance]) -> InputError:
    known = {f.name: f.default is MISSING for f in fields(kind)}
    place = f"{source.system}.toml: {source.operator}.{source.engine}.{source.dtype}: constants"
    for name in values:
        if name not in known:
            return unknown(place, name, known)
    lacking = ", ".join(name for name, needed in known.items() if needed and name not in values)
    return InputError(place, None, f"{lacking} missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedKernels:
    """Kernels as an engine runs them: fused, launched back to back, some borrowed from another engine."""

    measured: MeasuredKernels
    floor_share: float = 1.0  # of each operator's fixed latency, where kernels follow each other
    fused_formats: tuple[str, ...] = ()  # quantised by the kernel before: a GEMM starts like a bf16 one
    borrows: Mapping[str, str] = field(default_factory=dict, hash=False)  # as in `EngineProfile`
    because: Mapping[str, str] = field(default_factory=dict, hash=False)

    def constants(self, operator: str, dtype: str, kind: type[T]) -> T:
        """The constants of a kernel among others, from those of the kernel measured alone."""
        owner = self._owner(operator, dtype)
        found = owner.constants(operator, dtype, kind)
        changed: dict[str, float] = {}
        if operator == "gemm" and dtype in self.fused_formats:
            plain = owner.constants(operator, "bf16", kind)
            changed = {name: min(getattr(found, name), getattr(plain, name)) for name in QUANTISING}
        if self.floor_share != 1.0:
            for name in FLOORS:
                if hasattr(found, name):
                    changed[name] = changed.get(name, getattr(found, name)) * self.floor_share
        return replace(found, **changed) if changed else found

    def provenance(self, operator: str, dtype: str) -> Provenance:
        """Where the kernels were measured alone, and why another engine's where they are borrowed."""
        found = self._owner(operator, dtype).provenance(operator, dtype)
        why = self.because.get(self._borrowed(operator, dtype), "")
        return replace(found, why=why) if why else found

    def _owner(self, operator: str, dtype: str) -> MeasuredKernels:
        """The measurements of the engine whose kernel it is."""
        engine = self.borrows.get(self._borrowed(operator, dtype), self.measured.engine)
        return self.measured if engine == self.measured.engine else replace(self.measured, engine=engine)

    def _borrowed(self, operator: str, dtype: str) -> str:
        """The key of `borrows` that tells most of these kernels; "" where they are its own."""
        if not self.borrows:
            return ""
        names = dict.fromkeys((operator, operator.partition(":")[0]))
        family = f"@{self.measured.measured_on(operator, dtype)}"
        ends = (f".{dtype}{family}", f".{dtype}", family, "")
        return next((name + end for name in names for end in ends if name + end in self.borrows), "")


def deployed(kernels: MeasuredKernels, engine: EngineProfile) -> DeployedKernels:
    """Measured kernels as an engine runs them."""
    return DeployedKernels(
        measured=replace(kernels, engine=engine.family),
        floor_share=engine.floor_share,
        fused_formats=engine.fused_formats,
        borrows=engine.borrows,
        because=engine.borrows_because,
    )
