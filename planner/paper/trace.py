"""Traffic that varies from request to request, and its frontier: what a pair of medians stands for.

The trace of the study is not public. This one is an hour of production conversations (Azure LLM
inference trace 2023, every tenth request), its lengths stretched to the medians that the study reports.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from planner.arrays import FloatArray, IndexArray
from planner.inputs.catalog import preset_folder
from planner.paper import pool
from planner.paper.pool import Curve
from planner.paper.study import Case, Study

FILE = "traces/azure-conversations-2023.csv"
# Logarithms of the trace's lengths: interquartile spread of inputs, standard deviation of outputs
SPREAD_IN, SPREAD_OUT = 0.8, 0.85
SHORTEST_OUT = 2  # the first token is prefill's
REQUESTS, SEED = 20_000, 20250605
BINS = 9  # equal shares of the prompts, each simulated at its mean length


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Input and output tokens of each request, shape ``(requests,)``."""

    isl: FloatArray
    osl: FloatArray


def conversations(median_isl: int, median_osl: int) -> Trace:
    """Measured lengths, stretched to these medians.

    >>> trace = conversations(4096, 512)
    >>> len(trace.isl), float(np.median(trace.isl)), float(np.median(trace.osl))
    (1937, 4096.0, 512.0)
    """
    lengths = np.loadtxt(preset_folder() / FILE, delimiter=",", skiprows=1)
    isl, osl = (lengths / np.median(lengths, axis=0)).T
    return _whole(median_isl * isl, median_osl * osl)


def log_normal(median_isl: int, median_osl: int) -> Trace:
    """Drawn lengths with the same medians and about the spread of `conversations`, but longer tails.

    >>> trace = log_normal(4096, 512)
    >>> round(float(np.median(trace.isl)) / 4096, 1), round(float(np.median(trace.osl)) / 512, 1)
    (1.0, 1.0)
    """
    random = np.random.default_rng(SEED)
    isl = median_isl * np.exp(SPREAD_IN * random.standard_normal(REQUESTS))
    osl = median_osl * np.exp(SPREAD_OUT * random.standard_normal(REQUESTS))
    return _whole(isl, osl)


def _whole(isl: FloatArray, osl: FloatArray) -> Trace:
    return Trace(isl=np.maximum(np.round(isl), 1.0), osl=np.maximum(np.round(osl), SHORTEST_OUT))


def bins(lengths: FloatArray, count: int = BINS) -> IndexArray:
    """Mean lengths of `count` equal shares of the requests, ascending.

    >>> bins(np.arange(1.0, 10.0), 3).tolist()
    [2, 5, 8]
    """
    parts = np.array_split(np.sort(lengths), count)
    return np.array([round(float(part.mean())) for part in parts], dtype=np.intp)


def steady_decode(trace: Trace) -> tuple[int, int]:
    """(ISL, OSL) of constant traffic with the same decode load as the trace.

    A request is in decode as long as its output is, so long outputs weigh more: the mean context is
    ``E[isl osl] / E[osl] + E[osl^2] / (2 E[osl])``, and a request costs ``E[osl]`` tokens.

    >>> steady_decode(Trace(isl=np.full(4, 1000.0), osl=np.full(4, 100.0)))
    (1000, 100)
    """
    osl = float(trace.osl.mean())
    context = float((trace.isl * trace.osl).mean() + (trace.osl**2).mean() / 2) / osl
    return round(context - osl / 2), round(osl)


def curve(study: Study, case: Case, trace: Trace) -> Curve:
    """The frontier of a split under a trace; `case` gives model, system and limits.

    Prefill: each layout serves each length with its best batch and chunks within the FTL limit, and
    the layout with the fewest GPU-seconds over all lengths is taken. Decode: steady state of
    `steady_decode`.
    """
    at = study.layouts(case, "prefill")
    gpu_seconds = np.zeros(len(at))
    longest_ftl = np.zeros(len(at))
    for isl in bins(trace.isl):
        one = replace(case, isl=int(isl))
        points = study.prefill_points(one, at)
        ftl = study.split_ftl(one, points)
        cost = np.where(ftl <= case.ftl_s, points.gpus / points.requests_per_s, np.inf)
        best = np.full(len(at), np.inf)
        np.minimum.at(best, points.layout, cost)
        gpu_seconds += best / BINS
        fastest = np.full(len(at), np.inf)
        np.minimum.at(fastest, points.layout, ftl)
        longest_ftl = np.maximum(longest_ftl, fastest)
    isl, osl = steady_decode(trace)
    steady = replace(case, isl=isl, osl=osl)
    chosen = study.prefill(case).take(np.zeros(1, dtype=np.intp))
    row = np.array([np.argmin(gpu_seconds)])
    layout = at.take(row)
    prefill = replace(
        chosen,
        tp=layout.tp,
        pp=layout.pp,
        attention_dp=layout.attention_dp,
        moe_tp=layout.moe_tp,
        moe_ep=layout.moe_ep,
        batch=np.array([np.nan]),
        chunk_tokens=np.array([np.nan]),
        ftl_s=longest_ftl[row],
        rate=layout.gpus / gpu_seconds[row],
    )
    return pool.split_curve(prefill, study.decode(steady), osl, case.ftl_s)
