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
from typing import Literal

from planner.inputs.kernels import ConstantsSource, MeasuredKernels, deployed
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.sources import PerfectKernels, ScaledKernels
from planner.words import CacheFormat

IDEAL = "ideal"  # the engine preset that adds nothing to its kernels, and makes every layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One set of assumptions, for all sweeps of a study."""

    name: str
    title: str  # heads its column
    serving: bool = False  # an engine with its host, uneven experts, what links cannot hide of a transfer
    perfect: bool = False  # data-sheet peaks instead of measured kernels
    kv: CacheFormat | Literal[""] = ""  # on systems with FP4 units; "" leaves the scenario's own
    latencies: float = 1.0  # part of the fixed latencies of measured kernels and collectives
    full: bool = False  # pipelines are kept full; else their filling is charged to every batch
    domain_gpus: int = 0  # of a scale-up domain; 0: the system's

    def machine(self, served: Machine, measured: MeasuredKernels) -> Machine:
        """The machine of a scenario as this setting has it, from that of its engine (`IDEAL` if not served).

        `measured` are the kernels of its system.
        """
        if self.domain_gpus:
            served = replace(served, fabric=replace(served.fabric, scale_up_gpus=self.domain_gpus))
        if self.serving:
            return served
        engine = served.engine
        kernels: ConstantsSource = PerfectKernels()
        if not self.perfect:
            kernels = ScaledKernels(source=deployed(measured, engine), latencies=self.latencies)
        return replace(served, kernels=kernels)


STUDY = Setting(name="study", title="the study's setting", kv="fp4")
SERVED = Setting(name="served", title="as served today", serving=True)
PERFECT = Setting(name="perfect", title="perfect kernels", perfect=True, kv="fp4")
WIDE = Setting(name="fp8_cache", title="with an FP8 cache")
SETTINGS = (STUDY, SERVED, PERFECT, WIDE)  # the first gives the verdict
