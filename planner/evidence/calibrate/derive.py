"""Tables taken from another GPU: of one that differs in its tensor cores alone, or in its bus alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.evidence.calibrate.fit import significant, write_table
from planner.inputs.toml_tables import read_toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """`system` runs as `base` does, but reaches `factor` times its share of the peak.

    In format `dtype` alone, or in all where that is "". A share scaled up stops at `most`, and one
    beyond that stays.
    """

    system: str
    base: str
    factor: float
    source: str
    dtype: str = ""
    most: float = 1.0
    score_dims: float = 1.0  # factor on the softmax's time, which a kernel states in units of its products


# Blackwell Ultra's data sheet has 1.5 times the FP4 peak; sustained FP4 products gain 8.2 %
# (cuBLASLt 8192-cube: GB200 7,536, GB300 8,156 TFLOP/s, Azure AI benchmarking guide), so the share
# of peak falls to 1.082 / 1.5. FP8 and BF16 peaks and best products are those of B200.
_ULTRA = "sustained FP4 8192-cube 8,156 TFLOP/s on GB300, 7,536 on GB200 (Azure AI benchmarking guide)"
# H20 has a seventh of H200's tensor-core rate behind a little less bandwidth, so that neither power nor
# operands hold its tensor cores back: FlashAttention-3 (head dimension 128, 2,048 tokens, full) reaches
# 126 of 148 TFLOP/s, on H100 618 of 989; FlashMLA 129, on H800 660.
_SLOW_CORES = "FlashAttention-3 126 of 148 TFLOP/s (H100: 618 of 989), FlashMLA 129 (H800: 660)"
DERIVED = (
    Derived(system="b300", base="b200", dtype="nvfp4", factor=1.082 / 1.5, source=_ULTRA),
    Derived(system="gb300", base="gb200", dtype="nvfp4", factor=1.082 / 1.5, source=_ULTRA),
    # its softmax runs on 78 of 132 cores: 1.7 times as long, beside products that take 6.7 times as long
    Derived(system="h20", base="h200", factor=1.34, most=0.92, score_dims=0.25, source=_SLOW_CORES),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBus:
    """The collectives of `system` take the shares of its bus that those of `base` take of theirs."""

    system: str
    base: str
    source: str


COLLECTIVES = ("all_reduce", "nccl_all_reduce", "all_gather", "reduce_scatter", "all_to_all")
# The host on which L40S was measured has no direct way beyond pairs of GPUs: 8 MiB take 0.43 ms on two
# (0.63 of the bus), but 2.5 and 12.8 ms on four and eight, 6 and 30 times as long. On RTX PRO 6000, whose
# host has, they take 0.61 of the bus on two, then 2.2 and 2.7 times as long. NVIDIA's own runs of 70B on
# four and eight L40S move 7.4 GB/s in all-reduces alone (2,843 and 2,819 prompt tokens/s), over twice and
# eleven times what that host reaches.
ON_BUS = (
    OnBus(
        system="l40s",
        base="rtx-pro-6000",
        source="its share of the bus as on rtx-pro-6000: the host that was measured has no direct way "
        "beyond pairs of GPUs, and NVIDIA's runs of 70B (TensorRT-LLM 0.17, performance overview) pass "
        "it up to 11 times",
    ),
)


def on_bus(found: Mapping[str, Any], base: Mapping[str, Any], rule: OnBus) -> dict[str, Any]:
    """A kernels file whose collectives are those of another, of each engine that the other has."""
    table = dict(found)
    for operator in COLLECTIVES:
        if operator in base:
            table[operator] = {
                engine: {
                    dtype: {"constants": dict(entry["constants"]), "source": rule.source}
                    for dtype, entry in entries.items()
                }
                for engine, entries in base[operator].items()
            }
    return table


def derive(found: Mapping[str, Any], rule: Derived) -> dict[str, Any]:
    """The operators of a kernels file that have the rule's format, with their share of peak scaled.

    Their other formats are copied, or a lookup would prefer the scaled one to the base's own.
    """
    table: dict[str, Any] = {"relative": rule.base}
    for operator, engines in found.items():
        if not isinstance(engines, Mapping) or not any(
            _concerns(rule, entries) for entries in engines.values()
        ):
            continue
        table[operator] = {
            engine: {dtype: _scaled(entry, rule, dtype) for dtype, entry in entries.items()}
            for engine, entries in engines.items()
        }
    return table


def _concerns(rule: Derived, entries: Mapping[str, Any]) -> bool:
    """Whether an operator of one engine has a share of the peak that the rule changes."""
    return any(
        rule.dtype in ("", dtype) and "compute" in entry["constants"] for dtype, entry in entries.items()
    )


def _scaled(entry: Mapping[str, Any], rule: Derived, dtype: str) -> dict[str, Any]:
    constants = dict(entry["constants"])
    if rule.dtype not in ("", dtype) or "compute" not in constants:
        return dict(entry)
    share = constants["compute"]
    constants["compute"] = significant(min(share * rule.factor, max(rule.most, share)))
    if "score_dims" in constants:
        constants["score_dims"] = significant(constants["score_dims"] * rule.score_dims)
    return {"constants": constants, "source": f"as on {rule.base}, share of peak scaled: {rule.source}"}


def write_derived(folder: Path) -> None:
    """Write every derived file whose base lies in `folder`; operators measured on its own GPU stay."""
    for rule in DERIVED:
        base, path = (folder / f"{name}.toml" for name in (rule.base, rule.system))
        if base.exists():
            measured = read_toml(path) if path.exists() else {}
            write_table(path, {**measured, **derive(read_toml(base), rule)})
    for bus in ON_BUS:
        base, path = (folder / f"{name}.toml" for name in (bus.base, bus.system))
        if base.exists() and path.exists():
            write_table(path, on_bus(read_toml(path), read_toml(base), bus))
