"""The figures of the study, from this simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from planner.paper import readings
from planner.paper.figures.drawing import RATIO, USER, Figure, Panel, Series
from planner.paper.figures.panels import (
    COLOCATED,
    axis,
    bands,
    frontier_panel,
    frontier_series,
    frontiers,
    held,
    matched,
    traffic,
)
from planner.paper.readings import GB, PLOTTED, STEPS
from planner.paper.scenarios import (
    GENERATION,
    HEAVY,
    LLAMA_8B,
    LLAMA_70B,
    LLAMA_405B,
    LONG,
    MEDIANS,
    MILLION,
    MODELS,
    PATTERNS,
    R1,
    RACK,
    SMALL_DOMAIN,
    K,
    heavy,
    pattern,
    sized,
)
from planner.paper.sweeps import Sweeps

_LABELS = {
    R1: "DeepSeek-R1",
    LLAMA_8B: "Llama-3.1-8B",
    LLAMA_70B: "Llama-3.1-70B",
    LLAMA_405B: "Llama-3.1-405B",
}


def one(sweeps: Sweeps) -> Figure:
    """Prefill-heavy against generation-heavy."""
    return Figure(
        id="1",
        title="Where a split pays: prefill-heavy and generation-heavy traffic, DeepSeek-R1",
        notes=(
            "The study compares with the piggybacked frontier alone in this figure; the envelope is ours.",
            "Dots: decode instances worth matching, each at its ideal ratio.",
        ),
        panels=tuple(
            frontiers(sweeps, scenario, f"DeepSeek-R1 {traffic(scenario)}", cloud=True)
            for scenario in (HEAVY, GENERATION)
        ),
    )


def five(sweeps: Sweeps) -> Figure:
    """Chunked pipelines in prefill."""
    found = readings.pipelines(sweeps)
    band = sweeps.band(LONG, "disaggregated")
    ftl = None if band is None else band.ftl
    chunks = {"chunk_tokens": [round(float(c)) for c in found.chunk_tokens]}
    return Figure(
        id="5",
        title="Chunked pipelines cut FTL at constant throughput: DeepSeek-R1, 256k in, 64 GPUs, EP x PP = 64",
        notes=(
            "At each depth the chunk with the least FTL. Throughput: in the study's setting one batch over "
            "its own FTL, as Algorithm 1 counts, which charges the pipeline's filling to every batch; as "
            "served that of a full pipeline.",
            "Up-projections of earlier chunks are kept, as the study charges them only to piggybacking.",
        ),
        panels=(
            Panel(
                title="First token latency",
                x_label="pipeline stages",
                y_label="FTL, s",
                x_log=True,
                y_log=True,
                series=(Series(name="FTL", x=found.stages, y=found.ftl_s, columns=chunks, y_band=ftl),),
            ),
            Panel(
                title="Throughput",
                x_label="pipeline stages",
                y_label="prompt tokens/s per GPU",
                x_log=True,
                y_one=float(found.tokens_per_s_per_gpu[0]),
                series=(
                    Series(name="as the pool is matched", x=found.stages, y=found.tokens_per_s_per_gpu),
                    Series(name="one batch over its FTL", x=found.stages, y=found.one_batch_per_gpu),
                ),
            ),
        ),
    )


def six(sweeps: Sweeps) -> Figure:
    """MLA against GQA."""
    kept = sweeps.colocated(replace(HEAVY, mla_cache=True), "steady")
    cached = frontier_series("piggybacked, up-projections kept", kept, bands(sweeps, HEAVY)[1])
    r1 = frontiers(sweeps, HEAVY, "DeepSeek-R1 16k/2k")
    return Figure(
        id="6",
        title="Latent attention makes piggybacking dear: DeepSeek-R1 and Llama-70B",
        notes=("Piggybacked: the same mix of prompt and decode tokens in every pass.",),
        panels=(
            replace(r1, series=(*r1.series, cached)),
            frontiers(sweeps, heavy(LLAMA_70B), "Llama-3.1-70B 16k/2k"),
        ),
    )


def seven(sweeps: Sweeps) -> Figure:
    """Model size."""
    return Figure(
        id="7",
        title="Larger models gain more: Llama 8B, 70B and 405B at 4096/256",
        notes=(),
        panels=tuple(
            frontiers(sweeps, sized(m), f"{_LABELS[m]} 4096/256") for m in (LLAMA_8B, LLAMA_70B, LLAMA_405B)
        ),
    )


def eight(sweeps: Sweeps) -> Figure:
    """Traffic."""
    return Figure(
        id="8",
        title="The gain depends on the traffic: four patterns, DeepSeek-R1",
        notes=(),
        panels=tuple(frontiers(sweeps, pattern(*p), f"DeepSeek-R1 {traffic(pattern(*p))}") for p in PATTERNS),
    )


def nine(sweeps: Sweeps) -> Figure:
    """The matched ratio."""
    cases = {m: heavy(m) for m in MODELS}
    end = readings.shared_end(sweeps, tuple(cases.values()))
    user = STEPS[PLOTTED] * end

    def line(model: str, shared: bool) -> Series:
        curve = sweeps.split(cases[model])
        if not shared:
            return Series(name=_LABELS[model], x=curve.user, y=curve.ratio)
        return Series(name=_LABELS[model], x=user, y=curve.column(curve.ratio, user))

    return Figure(
        id="9",
        title="The best ctx:gen ratio moves with the latency target: four models, 16k/2k",
        notes=(
            "Left, the axis that the models share: it ends where the first reaches single-digit batches. "
            "Right, each along its whole frontier.",
        ),
        panels=tuple(
            Panel(
                title=title,
                x_label=USER,
                y_label=RATIO,
                y_log=True,
                x_one=end,
                series=tuple(line(m, shared) for m in MODELS),
            )
            for title, shared in (("shared axis", True), ("whole frontiers", False))
        ),
    )


def ten(sweeps: Sweeps) -> Figure:
    """Fixed ratios."""
    over = axis(sweeps, HEAVY)
    of_split, of_colocated = bands(sweeps, HEAVY)
    fixed = (
        Series(name=f"fixed {r:g}", x=over.user, y=held(sweeps, HEAVY, r)).banded(of_split)
        for r in (3.5, 0.5)
    )
    colocated = Series(name=COLOCATED, x=over.user, y=sweeps.colocated(HEAVY).at(over.user)).banded(
        of_colocated
    )
    return Figure(
        id="10",
        title="A fixed ratio against rate matching: DeepSeek-R1, 16k/2k",
        notes=(),
        panels=(over.panel("DeepSeek-R1 16k/2k", (matched(sweeps, HEAVY), *fixed, colocated)),),
    )


def eleven(sweeps: Sweeps) -> Figure:
    """NVLink domain."""
    panels = []
    for model in (R1, LLAMA_70B):
        curves = [
            frontier_series(f"domain of {n}", of.split(heavy(model)), of.band(heavy(model), "disaggregated"))
            for n in (RACK, SMALL_DOMAIN)
            for of in (sweeps.in_domain(n),)
        ]
        panels.append(frontier_panel(f"{_LABELS[model]} 16k/2k", curves))
    return Figure(
        id="11",
        title="NVLink domain of 8 against 72",
        notes=("The study does not state the traffic of this figure; 16k/2k as in figures 6, 9 and 10.",),
        panels=tuple(panels),
    )


def twelve(sweeps: Sweeps) -> Figure:
    """KV transfer."""
    panels = []
    for scenario in (HEAVY, MILLION):
        curve = sweeps.split(scenario)
        if not len(curve):
            continue
        out, into, user = readings.kv_flow(sweeps, scenario)
        x = user[PLOTTED]
        flows = {
            "larger of both": np.maximum(out, into)[PLOTTED],
            "ingress": into[PLOTTED],
            "egress": np.full(len(x), out),
        }
        panels.append(
            Panel(
                title=f"DeepSeek-R1 {scenario.traffic.isl // K}k/{scenario.traffic.osl // K}k",
                x_label=USER,
                y_label="GB/s per GPU that holds distinct KV",
                x_one=curve.axis_end,
                series=tuple(Series(name=name, x=x, y=flow / GB) for name, flow in flows.items()),
            )
        )
    return Figure(
        id="12",
        title="Bandwidth that the KV transfer needs: DeepSeek-R1",
        notes=(
            "FP8 cache; FTL up to 300 s and kept up-projections at 1M in, which no pool prefills within 10 "
            "s.",
        ),
        panels=tuple(panels),
    )


def thirteen(sweeps: Sweeps) -> Figure:
    """Lengths of the trace."""
    lengths, _, _ = readings.varying_traffic(sweeps)
    share = np.arange(1, 100) / 100.0
    return Figure(
        id="13",
        title="Lengths of a varying traffic",
        notes=(
            "The study's trace is not public. An hour of production conversations (Azure LLM inference "
            "trace 2023), stretched to its medians 4096 and 512.",
        ),
        panels=(
            Panel(
                title="Cumulative share of requests",
                x_label="tokens",
                y_label="share",
                x_log=True,
                series=tuple(
                    Series(name=name, x=np.quantile(values, share), y=share)
                    for name, values in (("input", lengths.isl), ("output", lengths.osl))
                ),
            ),
        ),
    )


def fourteen(sweeps: Sweeps) -> Figure:
    """Medians as a proxy."""
    _, dynamic, static = readings.varying_traffic(sweeps)
    of_split, _ = bands(sweeps, MEDIANS)
    return Figure(
        id="14",
        title="Constant traffic at the medians against the varying traffic: Llama-70B",
        notes=(),
        panels=(
            frontier_panel(
                f"Llama-3.1-70B {traffic(MEDIANS)}",
                (frontier_series("varying", dynamic, of_split), frontier_series("medians", static, of_split)),
            ),
        ),
    )


FIGURES: Mapping[str, Callable[[Sweeps], Figure]] = {
    "1": one,
    "5": five,
    "6": six,
    "7": seven,
    "8": eight,
    "9": nine,
    "10": ten,
    "11": eleven,
    "12": twelve,
    "13": thirteen,
    "14": fourteen,
}
