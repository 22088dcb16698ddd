"""What is held against a finding: the study's own setting, serving as it is today, perfect kernels.

The study describes a simulator of hardware and kernels: "the model architecture, traffic pattern, and
GPU configuration" go in, latencies of kernels, memory and network are modelled and validated on silicon
(section 3.1; MLSys version, section 4.1). No serving engine is among its inputs, and none of what one
adds: host time, queues, the visible part of a KV transfer ("transferred ... immediately as it becomes
available", section 3.2), experts loaded unevenly. So its findings are judged first where it made them,
on measured kernels and nothing else, and then again as an engine serves the model today.

A finding that fails on perfect kernels too does not follow from the operators; one that holds there and
fails before is undone by the latencies and inefficiencies of kernels.

The study says "FP4 precision" and no more of its cache. Its figures tell: at 256k in, figure 5 gives the
FLOP/s of a GPU; at that rate, figure 12's egress at 16k in (its tight end) is the bytes of an element.

>>> elements = 61 * (512 + 64)  # of a DeepSeek-R1 token: a latent and a rotary key in each layer
>>> flops = lambda isl: 2 * 37e9 + 61 * 128 * 2 * (192 + 128) * isl / 2  # of a prompt token
>>> rate = 64 * 262_144 / 91.5 / 64 * flops(262_144)  # 64 prompts in 91.5 s on 64 GPUs
>>> round(rate / 1e15, 2), round(0.37e9 / elements / (rate / flops(16_384)), 2)
(2.09, 0.58)

Four bits and a scale for every 16 of them are 0.5625 bytes. At eight bits 16k prompts, most of whose
FLOPs are FP4 products, would run at half the rate of 256k ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from planner.inputs.kernels import Kernels, deployed
from planner.simulate.operators.constants import Bounds, bounds
from planner.simulate.operators.machine import Machine

T = TypeVar("T")

# Constants that a kernel or a collective takes whatever the tokens of a pass
FIXED = (
    *("floor_s", "index_floor_s", "first_s", "depth_s", "split_s", "index_split_s"),
    *("gpu_s", "two_shot_s", "bulk_s", "ramp_s"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One set of assumptions, for all sweeps of a study."""

    name: str
    title: str  # heads its column
    serving: bool = False  # an engine with its host, uneven experts, what links cannot hide of a transfer
    perfect: bool = False  # data-sheet peaks instead of measured kernels
    kv: str = ""  # format of the cache on systems with FP4 units; "" leaves the case's own
    latencies: float = 1.0  # part of the fixed latencies of measured kernels and collectives
    full: bool = False  # pipelines are kept full; else their filling is charged to every batch

    def machine(self, served: Machine) -> Machine:
        """The machine of a scenario as this setting has it."""
        if self.serving:
            return served
        engine = served.engine.bare()
        if self.perfect:
            return replace(served, engine=engine, kernels=Perfect(engine=engine.name, tables=()))
        found = deployed(served.kernels, engine)
        alone = Alone(
            engine=found.engine,
            tables=found.tables,
            floor_share=found.floor_share,
            fused_formats=found.fused_formats,
            borrows=found.borrows,
            latencies=self.latencies,
        )
        return replace(served, engine=engine, kernels=alone)


STUDY = Setting(name="study", title="the study's setting", kv="fp4")
SERVED = Setting(name="served", title="as served today", serving=True)
PERFECT = Setting(name="perfect", title="perfect kernels", perfect=True, kv="fp4")
WIDE = Setting(name="fp8_cache", title="with an FP8 cache")
SETTINGS = (STUDY, SERVED, PERFECT, WIDE)  # the first gives the verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone(Kernels):
    """Measured kernels without the host's time for a launch, and with a part of their fixed latencies."""

    latencies: float = 1.0

    def constants(self, operator: str, dtype: str, kind: type[T]) -> T:
        """As measured, launched at no cost."""
        found = Kernels.constants(self, operator, dtype, kind)
        changed = {name: getattr(found, name) * self.latencies for name in FIXED if hasattr(found, name)}
        if hasattr(found, "host_s"):
            changed["host_s"] = 0.0
        return replace(found, **changed)  # type: ignore[type-var]


@dataclass(frozen=True, slots=True, kw_only=True)
class Perfect(Kernels):
    """Every operator at the ideal end of the range that its constants may take."""

    def constants(self, operator: str, dtype: str, kind: type[T]) -> T:
        """All of the peak, none of the rest."""
        return kind(**{name: _best(found) for name, found in bounds(kind).items()})


def _best(found: Bounds) -> float:
    """Shares of a peak (they start at a thousandth or more) to 1, times and paddings to their least.

    >>> _best(Bounds(0.02, 1.0, 0.7)), _best(Bounds(1e-9, 1e-3, 5e-6)), _best(Bounds(1e-4, 1.0, 0.2))
    (1.0, 1e-09, 0.0001)
    """
    return found.high if found.high == 1.0 and found.low >= 1e-3 else found.low
