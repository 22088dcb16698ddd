"""A planner that answers at once and always the same: smooth curves in the form of real results."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from textual.pilot import Pilot

from planner.errors import InputError
from planner.inputs.kernels import Provenance
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.planning.bands import Band
from planner.planning.evidence import Evidence
from planner.planning.result import (
    Formats,
    Frontier,
    Infeasible,
    LayoutChoice,
    MemoryUse,
    OperatorTime,
    Plan,
    PoolPlan,
    Reason,
    Relaxation,
    Serving,
    SolverReport,
)
from tui.app import RatematchApp
from tui.files.storage import Session
from tui.solver.backend import Backend

NAMES = {
    "model": ("deepseek-r1", "llama-3.1-405b", "llama-3.1-70b", "llama-3.1-8b", "qwen3-235b-a22b"),
    "system": ("b200", "gb200", "h100", "h200"),
    "engine": ("sglang", "trtllm", "vllm"),
    "scenario": ("chat", "agents"),
}
SCENARIO = Scenario(
    model="deepseek-r1",
    system="gb200",
    engine="trtllm",
    traffic=Traffic(isl=8192, osl=1024),
    limits=Limits(ftl_s=2.0, ttl_s=0.02),
    fleet=Fleet(gpus=72),
)
KERNELS = tuple(
    Provenance(operator=operator, engine="trtllm", dtype=dtype, system=system, measurements=n, mape=0.07)
    for operator, dtype, system, n in (
        ("gemm", "nvfp4", "gb200", 220),
        ("mla_decode", "fp8", "b200", 96),
        ("moe", "nvfp4", "gb200", 310),
    )
)
BANDS = {
    mode: Band(ftl=(0.5, 4.0), ttl=(0.8, 1.25), throughput=(0.8, 1.25), level="both", rows=120)
    for mode in ("disaggregated", "colocated")
}
CEILING_S = 120.0  # on every wait: for what never comes, not a measurement
FASTEST_S = 0.003  # no deployment of the fake is faster than this


# what a deployment sets beside its layout
DEPLOYED: dict[str, Any] = {
    "system": "gb200",
    "max_batch": 4,
    "max_batched_tokens": 16384,
    "memory_fraction": 0.9,
    "link_bytes_per_s": 9e11,
}


def names(kind: str) -> tuple[str, ...]:
    """Names as the catalog gives them."""
    return NAMES[kind]


def pools(gpus: int | None) -> tuple[int, int]:
    """Instances of 16 GPUs for prefill and for decode within a budget."""
    gpus = gpus or 72
    return max(gpus // 3 // 16, 1), max((gpus - gpus // 3) // 16, 1)


def frontiers(scenario: Scenario) -> tuple[Frontier, Frontier]:
    """Two curves that fall from 2,500 to 50 tokens/s per GPU, the split's above in the middle."""
    x = np.geomspace(10, 300, 28)
    size = 8192 / scenario.traffic.isl
    together = 2400 * size**0.5 / (1 + (x / 34) ** 1.9)
    split = 2500 * size**0.5 / (1 + (x / 62) ** 2.3)
    rng = np.random.default_rng(7)
    cloud = rng.uniform(math.log10(10), math.log10(300), 400)
    below = np.interp(10**cloud, x, split) * rng.uniform(0.03, 0.93, 400)
    ratio = np.linspace(2.4, 0.25, 28)
    empty = np.empty(0)
    gpus = 16.0 * sum(pools(scenario.fleet.gpus))
    prefill = tuple(["CPP4xTP4", "TP8", "DEP8"][i % 3] for i in range(28))
    decode = tuple(f"DEP{2 ** min(6, 1 + (27 - i) // 4)}" for i in range(28))
    return (
        Frontier(
            ttl_s=1 / x,
            tokens_per_s_per_gpu=split,
            ctx_gen_ratio=ratio,
            gpus=np.full(28, int(gpus)),
            prefill=prefill,
            decode=decode,
            cloud_ttl_s=10**-cloud,
            cloud_tokens_per_s_per_gpu=below * gpus / (scenario.fleet.gpus or gpus),
            ftl_s=np.linspace(1.9, 1.2, 28),
            usd_per_million_tokens=4.1 / 3600 / split * 1e6,
        ),
        Frontier(
            ttl_s=1 / x[:24],
            tokens_per_s_per_gpu=together[:24],
            ctx_gen_ratio=np.full(24, np.nan),
            gpus=np.full(24, int(gpus)),
            prefill=("",) * 24,
            decode=("TP16",) * 24,
            cloud_ttl_s=empty,
            cloud_tokens_per_s_per_gpu=empty,
            ftl_s=np.linspace(1.95, 0.6, 24),
            usd_per_million_tokens=4.1 / 3600 / together[:24] * 1e6,
        ),
    )


def layout(label: str, tp: int, dp: int = 1, ep: int = 1, pp: int = 1) -> LayoutChoice:
    """A layout with a label."""
    return LayoutChoice(tp=tp, pp=pp, ep=ep, attention_dp=dp, moe_tp=1, label=label)


def memory(weights: float, kv: float) -> MemoryUse:
    """Bytes of a GPU with 186 GiB, given in GiB."""
    return MemoryUse(
        weights_bytes=weights * 2**30,
        kv_bytes=kv * 2**30,
        activation_bytes=6 * 2**30,
        reserve_bytes=5 * 2**30,
        capacity_bytes=186 * 2**30,
    )


def operators(step_s: float) -> tuple[OperatorTime, ...]:
    """A step in six parts."""
    parts = (
        ("attention", 0.31, 0.74),
        ("routed experts", 0.27, 0.62),
        ("all-to-all", 0.18, 0.41),
        ("dense GEMM", 0.14, 0.69),
        ("sampling", 0.04, 0.2),
        ("host", 0.06, 0.0),
    )
    return tuple(
        OperatorTime(name=n, seconds=step_s * s, light_s=step_s * s * light) for n, s, light in parts
    )


def plan(
    scenario: Scenario,
    catalog: object = None,
    *,
    should_stop: Callable[[], bool] | None = None,
    on_frontier: Callable[[Frontier, Frontier], None] | None = None,
) -> Plan:
    """What `planner.plan` promises, from formulas: infeasible under 3 ms, co-located above 60 ms."""
    if scenario.model not in NAMES["model"]:
        raise InputError("model", scenario.model, "known: " + ", ".join(NAMES["model"]))
    split, together = frontiers(scenario)
    if on_frontier:
        on_frontier(split, together)
    common: dict[str, Any] = {
        "scenario": scenario,
        "mix": None,
        "frontier_disaggregated": split,
        "frontier_colocated": together,
        "design_points": {"prefill": 20_480, "decode": 151_552, "colocated": 46_080},
        "seconds": {"simulate": 0.061, "match": 0.023, "total": 0.084},
        "precision": Formats(weights="fp8_block", experts="nvfp4", kv="fp8"),
        "kernels_of": "b200",
        "kernels": KERNELS,
        "link_bytes_per_s": 9e11,
        "bands": BANDS,
    }
    ttl = scenario.limits.ttl_s
    if ttl < FASTEST_S:
        relax = (
            Relaxation(field="ttl", value=0.0038),
            Relaxation(field="gpus", value=144.0),
            Relaxation(field="system", value="b200"),
        )
        reasons = (
            Reason(limit="memory", points=40_320, memory_bytes=(192e9,)),
            Reason(limit="ftl", points=7_680, best=0.4),
            Reason(limit="ttl", points=170_112, best=0.0038),
        )
        return Plan(
            status="infeasible",
            choice="",
            disaggregated=None,
            colocated=None,
            infeasible=Infeasible(reasons=reasons, relax=relax),
            **common,
        )
    user = 1.04 / ttl
    gpus = scenario.fleet.gpus or 72
    gpu_split = float(np.interp(user, split.tokens_per_s_per_user, split.tokens_per_s_per_gpu))
    gpu_together = float(np.interp(user, together.tokens_per_s_per_user, together.tokens_per_s_per_gpu))
    osl = scenario.traffic.osl
    prefill_gpus, decode_gpus = gpus // 3, gpus - gpus // 3
    prefills, decodes = pools(scenario.fleet.gpus)
    disaggregated = Serving(
        pools=(
            PoolPlan(
                phase="prefill",
                layout=layout("CPP4xTP4", 4, pp=4),
                instances=prefills,
                batch=4,
                chunk_tokens=4096,
                mode="",
                ftl_s=1.24,
                ttl_s=math.nan,
                requests_per_s=gpus * gpu_split / osl * 1.08,
                utilisation=0.93,
                memory=memory(42, 30),
                breakdown=operators(0.31),
                evidence=Evidence(kind="extrapolated", differs=(), level="neither"),
                **DEPLOYED,
            ),
            PoolPlan(
                phase="decode",
                layout=layout("DEP16", 1, dp=16, ep=16),
                instances=decodes,
                batch=512,
                chunk_tokens=0,
                mode="",
                ftl_s=math.nan,
                ttl_s=ttl / 1.04,
                requests_per_s=gpus * gpu_split / osl,
                utilisation=1.0,
                memory=memory(58, 97),
                breakdown=operators(ttl / 1.04),
                evidence=Evidence(kind="measured", differs=(), level="both"),
                **DEPLOYED,
            ),
        ),
        gpus=16 * (prefills + decodes),
        requests_per_s=gpus * gpu_split / osl,
        tokens_per_s_per_gpu=gpu_split,
        ftl_s=1.24,
        ttl_s=ttl / 1.04,
        usd_per_million_tokens=4.1 / 3600 / gpu_split * 1e6,
        watts=gpus * 1200.0,
        solver=SolverReport(status="optimal", gap=0.0, seconds=0.023),
        ctx_gen_ratio=prefill_gpus / decode_gpus,
        kv_egress_bytes_per_s_per_gpu=3.4e8,
        kv_ingress_bytes_per_s_per_gpu=1.7e8,
        kv_transfer_s=0.0042,
    )
    rate_together = gpu_together * (1.3 if ttl > 0.06 else 1.0)
    colocated = dataclasses.replace(
        disaggregated,
        pools=(
            PoolPlan(
                phase="colocated",
                layout=layout("TP16", 16),
                instances=max(gpus // 16, 1),
                batch=96,
                chunk_tokens=2048,
                mode="piggyback",
                ftl_s=1.8,
                ttl_s=ttl * 0.97,
                requests_per_s=gpus * gpu_together / osl,
                utilisation=1.0,
                memory=memory(42, 61),
                breakdown=operators(ttl * 0.97),
                **DEPLOYED,
            ),
        ),
        requests_per_s=gpus * gpu_together / osl,
        tokens_per_s_per_gpu=rate_together,
        ttl_s=ttl / (1.04 if rate_together > gpu_split else 1.03),
        usd_per_million_tokens=4.1 / 3600 / gpu_together * 1e6,
        ctx_gen_ratio=math.nan,
        kv_egress_bytes_per_s_per_gpu=math.nan,
        kv_ingress_bytes_per_s_per_gpu=math.nan,
        kv_transfer_s=0.0,
    )
    together_wins = colocated.tokens_per_s_per_gpu > disaggregated.tokens_per_s_per_gpu
    return Plan(
        status="optimal",
        choice="colocated" if together_wins else "disaggregated",
        disaggregated=disaggregated,
        colocated=colocated,
        **common,
    )


class Clock:
    """A clock that stands still until moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """A plan function that waits at a gate: each call needs one `open()`, or stops when told to."""

    def __init__(self) -> None:
        self.asked: list[Scenario] = []
        self.stopped: list[Scenario] = []
        self.started = threading.Semaphore(0)
        self._go = threading.Semaphore(0)

    def open(self) -> None:
        """Let one call through."""
        self._go.release()

    def __call__(self, scenario: Scenario, *, should_stop: Callable[[], bool], **rest: Any) -> Plan:
        self.asked.append(scenario)
        self.started.release()
        while not self._go.acquire(timeout=0.002):
            if should_stop():
                self.stopped.append(scenario)
                raise RuntimeError("stopped")
        return plan(scenario, should_stop=should_stop, **rest)


def app(
    scenario: Scenario = SCENARIO,
    *,
    plan_fn: Any = plan,
    clock: Callable[[], float] | None = None,
    debounce_s: float = 0.0,
    ascii: bool = False,
    looks_ahead: bool = False,
    **session: Any,
) -> RatematchApp:
    """The application with this planner, a clock that stands still, no patience, and what a session holds."""
    made = RatematchApp(
        Session(scenario=scenario, **session),
        ascii=ascii,
        backend=Backend(
            plan_fn=plan_fn,
            names_fn=names,
            clock=clock or Clock(),
            debounce_s=debounce_s,
            looks_ahead=looks_ahead,
        ),
    )
    made.animation_level = "none"
    return made


async def until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    """Let the application run until something holds."""
    await eventually(condition)
    await pilot.pause()


async def eventually(condition: Callable[[], object]) -> None:
    """Let the event loop run until something holds, whatever the application is at."""
    end = time.monotonic() + CEILING_S
    while not condition():
        assert time.monotonic() < end, "this never came to hold"
        await asyncio.sleep(0.01)


async def painted(pilot: Pilot[Any]) -> None:
    """Let the application do all that it has been told, and paint it."""
    await pilot.pause()
    done = asyncio.Event()
    pilot.app.screen.call_after_refresh(done.set)
    await asyncio.wait_for(done.wait(), CEILING_S)


async def settled(pilot: Pilot[Any]) -> None:
    """Let the application run until the answer shown is that of the form."""
    main = pilot.app.main  # type: ignore[attr-defined]
    await until(pilot, lambda: main.view.current)


def text(widget: Any) -> str:
    """What a widget shows, as plain lines."""
    lines = (widget.render_line(y).text for y in range(widget.size.height))
    return "\n".join(line.rstrip() for line in lines)


def screen_text(app: RatematchApp) -> str:
    """All that is on the screen, as lines."""
    return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())


def colours(app: RatematchApp) -> set[str]:
    """The colours on the screen, as #rrggbb."""
    styles = (part.style for strip in app.screen._compositor.render_strips() for part in strip if part.style)
    used = {colour for style in styles for colour in (style.color, style.bgcolor) if colour is not None}
    return {colour.triplet.hex for colour in used if colour.triplet is not None}


def hold_until(condition: Callable[[], object]) -> None:
    """Hold up the solver's thread until something holds, but not for ever."""
    end = time.monotonic() + CEILING_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
