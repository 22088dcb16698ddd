"""Kernels files of GPUs that differ from a measured one in a single tensor-core rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.calibrate.fit import significant, write_table
from planner.tables import read_toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """`system` runs as `base` does, but reaches `factor` of its share of the peak in format `dtype`."""

    system: str
    base: str
    dtype: str
    factor: float
    source: str


# Blackwell Ultra's data sheet has 1.5 times the FP4 peak; sustained FP4 products gain 8.2 %
# (cuBLASLt 8192-cube: GB200 7,536, GB300 8,156 TFLOP/s, Azure AI benchmarking guide), so the share
# of peak falls to 1.082 / 1.5. FP8 and BF16 peaks and best products are those of B200.
_ULTRA = "sustained FP4 8192-cube 8,156 TFLOP/s on GB300, 7,536 on GB200 (Azure AI benchmarking guide)"
DERIVED = (
    Derived(system="b300", base="b200", dtype="nvfp4", factor=1.082 / 1.5, source=_ULTRA),
    Derived(system="gb300", base="gb200", dtype="nvfp4", factor=1.082 / 1.5, source=_ULTRA),
)


def derive(found: Mapping[str, Any], rule: Derived) -> dict[str, Any]:
    """The operators of a kernels file that have the rule's format, with their share of peak scaled.

    Their other formats are copied, or a lookup would prefer the scaled one to the base's own.
    """
    table: dict[str, Any] = {"relative": rule.base}
    for operator, engines in found.items():
        if not isinstance(engines, Mapping) or not any(rule.dtype in entries for entries in engines.values()):
            continue
        table[operator] = {
            engine: {dtype: _scaled(entry, rule, dtype) for dtype, entry in entries.items()}
            for engine, entries in engines.items()
        }
    return table


def _scaled(entry: Mapping[str, Any], rule: Derived, dtype: str) -> dict[str, Any]:
    constants = dict(entry["constants"])
    if dtype != rule.dtype or "compute" not in constants:
        return dict(entry)
    constants["compute"] = significant(constants["compute"] * rule.factor)
    return {"constants": constants, "source": f"as on {rule.base}, share of peak scaled: {rule.source}"}


def write_derived(folder: Path) -> None:
    """Write every derived file whose base lies in `folder`."""
    for rule in DERIVED:
        base = folder / f"{rule.base}.toml"
        if base.exists():
            write_table(folder / f"{rule.system}.toml", derive(read_toml(base), rule))
