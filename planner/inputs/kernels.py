"""Fitted constants of the operators on one system, as calibration wrote them.

A file `presets/kernels/<system>.toml` holds one table per operator, engine and format:

    [gemm.trtllm.fp8_block]
    constants = { compute = 0.62, memory = 0.80, floor_s = 4.5e-6, serial = 0.2 }
    n = 220                 # measurements behind the fit
    mape = 0.081            # mean absolute error on points left out of the fit
    range = "m 1..16384, n 128..65536, k 128..65536"

What was not measured is looked up, in this order, at another engine (trtllm, sglang, vllm; nccl), at
a related format of the same operator, then in the file of a relative named by `relative`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from planner.inputs.engine import EngineProfile

ENGINE_ORDER = ("trtllm", "sglang", "vllm", "nccl")
# where to look when a format was not measured: nearest kernel first
FORMAT_ORDER = {
    "bf16": (),
    "fp4": ("fp8", "bf16"),  # caches only
    "fp8": ("fp8_block", "bf16"),
    "fp8_block": ("fp8", "bf16"),
    "nvfp4": ("mxfp4", "fp8_block", "fp8", "bf16"),
    "mxfp4": ("nvfp4", "fp8_block", "fp8", "mxfp4_wo", "bf16"),
    "mxfp4_wo": ("int4_wo", "bf16"),
    "int4_wo": ("mxfp4_wo", "bf16"),
}

# constants that hold the kernel which quantises activations, and those that are fixed latencies
QUANTISING = ("floor_s", "input_s")
FLOORS = ("floor_s", "index_floor_s")

T = TypeVar("T")


def deployed(kernels: Kernels, engine: EngineProfile) -> Kernels:
    """Kernels as an engine runs them: fused, launched back to back, some borrowed."""
    return replace(
        kernels,
        engine=engine.kernels or engine.name,
        floor_share=engine.floor_share,
        fused_formats=engine.fused_formats,
        borrows=engine.borrows,
        known={},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a set of constants comes from."""

    operator: str
    engine: str
    dtype: str
    system: str
    measurements: int
    mape: float

    @property
    def label(self) -> str:
        """One phrase for reports."""
        return f"{self.operator} {self.dtype} from {self.engine} on {self.system}, {self.measurements} points"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """Lookup of operator constants for one system and engine, with fallbacks."""

    engine: str
    tables: tuple[tuple[str, Mapping[str, Any]], ...]  # (system, parsed file): own first, then relatives
    # looked up once, asked for in every block of a sweep
    floor_share: float = 1.0  # of each operator's fixed latency, where kernels follow each other
    fused_formats: tuple[str, ...] = ()  # quantised by the kernel before: a GEMM starts like a bf16 one
    borrows: Mapping[str, str] = field(default_factory=dict, hash=False)  # operator to another engine
    known: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)

    def find(self, operator: str, dtype: str) -> tuple[Mapping[str, float], Provenance]:
        """Constants of `operator` in `dtype` and where they were measured.

        An operator may name a use, as in "moe:dispatched": the same kernels, unless the engine borrows
        others for that use.

        Raises
        ------
        LookupError
            If neither this system nor any relative has the operator in any format.
        """
        operator, _, use = operator.partition(":")
        own = self.borrows.get(operator, self.engine)
        if use:
            own = self.borrows.get(f"{operator}:{use}", own)
        engines = (own, *(e for e in ENGINE_ORDER if e != own))
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
                        )
        raise LookupError(f"no kernel constants for {operator} in {dtype}")

    def _deployed(self, operator: str, dtype: str) -> dict[str, float]:
        """The constants of a kernel among others, from those of the kernel measured alone."""
        values = dict(self.find(operator, dtype)[0])
        if operator == "gemm" and dtype in self.fused_formats:
            plain, _ = self.find(operator, "bf16")
            values |= {name: min(values[name], plain[name]) for name in QUANTISING if name in plain}
        if self.floor_share != 1.0:
            values |= {name: values[name] * self.floor_share for name in FLOORS if name in values}
        return values

    def constants(self, operator: str, dtype: str, kind: type[T]) -> T:
        """The same as a dataclass of the operator's module."""
        key = (operator, dtype)
        if key not in self.known:
            self.known[key] = kind(**self._deployed(operator, dtype))
        found: T = self.known[key]
        return found

    def used(self) -> tuple[Provenance, ...]:
        """Where the constants asked for so far come from, by operator and format."""
        return tuple(self.find(*key)[1] for key in sorted(self.known))
