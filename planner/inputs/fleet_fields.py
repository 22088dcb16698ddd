"""The GPUs that there are, what runs on them, and what they may cost: part of `fields.FIELDS`."""

from __future__ import annotations

from typing import get_args

from planner.inputs.field import Field
from planner.inputs.scenario import Scenario
from planner.words import Tariff

_GPUS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 72, 96, 128, 144, 192, 256, 288, 384, 512, 576, 768, 1024, 2048)


def _one_system(scenario: Scenario) -> bool:
    return scenario.fleet.systems is None


FLEET: tuple[Field, ...] = (
    Field(
        key="gpus",
        path="fleet.gpus",
        label="GPUs",
        unit="",
        kind="count",
        group="Fleet",
        low=1,
        high=16384,
        integer=True,
        none="any",
        steps=_GPUS,
        effective=_one_system,
        idle="beside a fleet, which has its own",
        help="GPUs for both pools together. any: as many as the best ratio needs.",
    ),
    Field(
        key="system",
        path="system",
        label="system",
        unit="",
        kind="choice",
        catalog="system",
        group="Fleet",
        effective=_one_system,
        idle="beside a fleet, which has its own",
        help="GPU and fabric.",
    ),
    Field(
        key="fleet",
        path="fleet.systems",
        label="fleet",
        unit="",
        kind="fleet",
        group="Fleet",
        none="none",
        steps=("h100:64,h200:32", "h100:64,b200:16", "h200:32,b200:32", "h100:64,h200:32,b200:16"),
        help="GPUs of several systems, from which each pool takes its own: h100:64,h200:32@2.5, with $ per "
        "GPU-hour after @ where they differ. none: those of one system.",
    ),
    Field(
        key="engine",
        path="engine",
        label="engine",
        unit="",
        kind="choice",
        catalog="engine",
        group="Fleet",
        help="Serving software: its kernels and host overheads.",
    ),
    Field(
        key="memory-fraction",
        path="memory_fraction",
        label="memory",
        unit="",
        kind="share",
        group="Fleet",
        low=0.1,
        high=0.99,
        none="engine",
        steps=tuple(round(0.8 + 0.01 * i, 2) for i in range(20)),
        aliases=("gpu-memory-utilization", "mem-fraction-static", "free-gpu-memory-fraction"),
        help="Share of GPU memory that the engine may fill, in its own sense; engine: its default.",
    ),
    Field(
        key="instance-gpus",
        path="fleet.instance_gpus",
        label="instance",
        unit="GPUs",
        kind="count",
        group="Fleet",
        low=1,
        high=1024,
        integer=True,
        none="any",
        steps=(1, 2, 4, 8, 16, 32, 64, 72, 128),
        help="Largest single instance. any: up to one scale-up domain, or 64 GPUs on small ones; "
        "whole experts "
        "spread over up to 96.",
    ),
    Field(
        key="price",
        path="fleet.usd_per_gpu_hour",
        label="price",
        unit="$/GPU-h",
        kind="usd",
        group="Fleet",
        low=0,
        high=1000,
        none="preset",
        words=get_args(Tariff),
        steps=tuple(round(0.25 * i, 2) for i in range(1, 41)),
        help="Price per GPU-hour; preset: what owning the system's GPU costs; rental: what renting it costs.",
    ),
    Field(
        key="max-usd-per-hour",
        path="fleet.max_usd_per_hour",
        label="max cost",
        unit="$/h",
        kind="usd",
        group="Fleet",
        low=0,
        high=1e7,
        none="any",
        steps=(25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0, 2000.0),
        help="What all GPUs in use may cost together, in $ per hour.",
    ),
    Field(
        key="max-kw",
        path="fleet.max_kw",
        label="max power",
        unit="kW",
        kind="count",
        group="Fleet",
        low=0.1,
        high=1e6,
        none="any",
        steps=(10.0, 20.0, 30.0, 40.0, 50.0, 75.0, 100.0, 120.0, 150.0, 200.0, 500.0, 1000.0),
        help="What all GPUs in use may draw together, kW, with their share of hosts, network and cooling.",
    ),
    Field(
        key="max-racks",
        path="fleet.max_racks",
        label="max racks",
        unit="",
        kind="count",
        group="Fleet",
        low=1,
        high=16384,
        integer=True,
        none="any",
        steps=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64),
        help="Racks that all GPUs in use may fill, each with GPUs of one system: a scale-up domain of "
        "several hosts, else 4 hosts. +rack=GPUS in a fleet says how many a rack of yours has.",
    ),
)
