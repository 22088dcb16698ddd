"""The figures of the study, from this simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from planner.paper import pool, probes
from planner.paper.cases import (
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
from planner.paper.drawing import RATIO, USER, Figure, Panel, Series, frontier_panel, frontier_series
from planner.paper.panels import TOGETHER, axis, bands, frontiers, held, matched, traffic
from planner.paper.pool import PLOTTED, STEPS
from planner.paper.pools import trace_curves
from planner.paper.ratios import GB
from planner.paper.study import Study

_LABELS = {
    R1: "DeepSeek-R1",
    LLAMA_8B: "Llama-3.1-8B",
    LLAMA_70B: "Llama-3.1-70B",
    LLAMA_405B: "Llama-3.1-405B",
}


def one(study: Study) -> Figure:
    """Prefill-heavy against generation-heavy."""
    return Figure(
        id="1",
        title="Where a split pays: prefill-heavy and generation-heavy traffic, DeepSeek-R1",
        notes=(
            "The study compares with the piggybacked frontier alone in this figure; the envelope is ours.",
            "Dots: decode instances worth matching, each at its ideal ratio.",
        ),
        panels=tuple(
            frontiers(study, case, f"DeepSeek-R1 {traffic(case)}", cloud=True) for case in (HEAVY, GENERATION)
        ),
    )


def five(study: Study) -> Figure:
    """Chunked pipelines in prefill."""
    found = probes.pipelines(study)
    band = study.band(LONG, "disaggregated")
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


def six(study: Study) -> Figure:
    """MLA against GQA."""
    kept = study.together(replace(HEAVY, mla_cache=True), pool.STEADY)
    cached = frontier_series("piggybacked, up-projections kept", kept, bands(study, HEAVY)[1])
    r1 = frontiers(study, HEAVY, "DeepSeek-R1 16k/2k")
    return Figure(
        id="6",
        title="Latent attention makes piggybacking dear: DeepSeek-R1 and Llama-70B",
        notes=("Piggybacked: the same mix of prompt and decode tokens in every pass.",),
        panels=(
            replace(r1, series=(*r1.series, cached)),
            frontiers(study, heavy(LLAMA_70B), "Llama-3.1-70B 16k/2k"),
        ),
    )


def seven(study: Study) -> Figure:
    """Model size."""
    return Figure(
        id="7",
        title="Larger models gain more: Llama 8B, 70B and 405B at 4096/256",
        notes=(),
        panels=tuple(
            frontiers(study, sized(m), f"{_LABELS[m]} 4096/256") for m in (LLAMA_8B, LLAMA_70B, LLAMA_405B)
        ),
    )


def eight(study: Study) -> Figure:
    """Traffic."""
    return Figure(
        id="8",
        title="The gain depends on the traffic: four patterns, DeepSeek-R1",
        notes=(),
        panels=tuple(frontiers(study, pattern(*p), f"DeepSeek-R1 {traffic(pattern(*p))}") for p in PATTERNS),
    )


def nine(study: Study) -> Figure:
    """The matched ratio."""
    cases = {m: heavy(m) for m in MODELS}
    end = probes.shared_end(study, tuple(cases.values()))
    user = STEPS[PLOTTED] * end

    def line(model: str, shared: bool) -> Series:
        curve = study.split(cases[model])
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


def ten(study: Study) -> Figure:
    """Fixed ratios."""
    over = axis(study, HEAVY)
    apart, joint = bands(study, HEAVY)
    fixed = (
        Series(name=f"fixed {r:g}", x=over.user, y=held(study, HEAVY, r)).banded(apart) for r in (3.5, 0.5)
    )
    together = Series(name=TOGETHER, x=over.user, y=study.together(HEAVY).at(over.user)).banded(joint)
    return Figure(
        id="10",
        title="A fixed ratio against rate matching: DeepSeek-R1, 16k/2k",
        notes=(),
        panels=(over.panel("DeepSeek-R1 16k/2k", (matched(study, HEAVY), *fixed, together)),),
    )


def eleven(study: Study) -> Figure:
    """NVLink domain."""
    panels = []
    for model in (R1, LLAMA_70B):
        curves = [
            frontier_series(f"domain of {n}", study.split(case), study.band(case, "disaggregated"))
            for n in (RACK, SMALL_DOMAIN)
            for case in (replace(heavy(model), domain=n),)
        ]
        panels.append(frontier_panel(f"{_LABELS[model]} 16k/2k", curves))
    return Figure(
        id="11",
        title="NVLink domain of 8 against 72",
        notes=("The study does not state the traffic of this figure; 16k/2k as in figures 6, 9 and 10.",),
        panels=tuple(panels),
    )


def twelve(study: Study) -> Figure:
    """KV transfer."""
    panels = []
    for case in (HEAVY, MILLION):
        curve = study.split(case)
        if not len(curve):
            continue
        out, into, user = probes.flow(study, case)
        x = user[PLOTTED]
        flows = {
            "larger of both": np.maximum(out, into)[PLOTTED],
            "ingress": into[PLOTTED],
            "egress": np.full(len(x), out),
        }
        panels.append(
            Panel(
                title=f"DeepSeek-R1 {case.isl // K}k/{case.osl // K}k",
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


def thirteen(study: Study) -> Figure:
    """Lengths of the trace."""
    lengths, _, _ = trace_curves(study)
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


def fourteen(study: Study) -> Figure:
    """Medians as a proxy."""
    _, dynamic, static = trace_curves(study)
    apart, _ = bands(study, MEDIANS)
    return Figure(
        id="14",
        title="Constant traffic at the medians against the varying traffic: Llama-70B",
        notes=(),
        panels=(
            frontier_panel(
                f"Llama-3.1-70B {traffic(MEDIANS)}",
                (frontier_series("varying", dynamic, apart), frontier_series("medians", static, apart)),
            ),
        ),
    )


FIGURES: Mapping[str, Callable[[Study], Figure]] = {
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
