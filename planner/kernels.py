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
from dataclasses import dataclass, field
from typing import Any, TypeVar

ENGINE_ORDER = ("trtllm", "sglang", "vllm", "nccl")
# where to look when a format was not measured: nearest kernel first
FORMAT_ORDER = {
    "bf16": (),
    "fp8": ("fp8_block", "bf16"),
    "fp8_block": ("fp8", "bf16"),
    "nvfp4": ("mxfp4", "fp8_block", "fp8", "bf16"),
    "mxfp4": ("nvfp4", "fp8_block", "fp8", "mxfp4_wo", "bf16"),
    "mxfp4_wo": ("int4_wo", "bf16"),
    "int4_wo": ("mxfp4_wo", "bf16"),
}

T = TypeVar("T")


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
    known: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)

    def find(self, operator: str, dtype: str) -> tuple[Mapping[str, float], Provenance]:
        """Constants of `operator` in `dtype` and where they were measured.

        Raises
        ------
        LookupError
            If neither this system nor any relative has the operator in any format.
        """
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
                        )
        raise LookupError(f"no kernel constants for {operator} in {dtype}")

    def constants(self, operator: str, dtype: str, kind: type[T]) -> T:
        """The same as a dataclass of the operator's module."""
        key = (operator, dtype)
        if key not in self.known:
            values, _ = self.find(operator, dtype)
            self.known[key] = kind(**values)
        found: T = self.known[key]
        return found
