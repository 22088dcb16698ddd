"""The scenarios of the study: models, traffic and limits of each figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from planner.inputs.fleet import Fleet
from planner.inputs.scenario import Limits, Scenario
from planner.inputs.traffic import Traffic
from planner.words import Cache, Weights

R1, LLAMA_8B, LLAMA_70B, LLAMA_405B = "deepseek-r1", "llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b"
MODELS = (R1, LLAMA_405B, LLAMA_70B, LLAMA_8B)  # by the swing of their ratio, largest first
OTHER_MODELS = ("gpt-oss-120b", "qwen3-235b-a22b", "kimi-k2.5")  # the study lacks them
K = 1024
FTL_CUT_S = 10.0  # "design points with an FTL > 10 seconds ... are excluded" (section 3.2)


def scenario(
    model: str,
    isl: int,
    osl: int,
    *,
    system: str = "gb200",
    weights: Weights = "fp4",  # "modern Blackwell systems using FP4 precision" (section 3.1)
    kv: Cache = "fp8",  # as FP4 deployments of these models cache; a setting may have another
    ftl_s: float = FTL_CUT_S,
    mla_cache: bool = False,
) -> Scenario:
    """One model on one system under one traffic; the fleet is as large as the best ratio needs."""
    return Scenario(
        model=model,
        system=system,
        engine="trtllm",
        weights=weights,
        kv=kv,
        traffic=Traffic(isl=isl, osl=osl),
        limits=Limits(ftl_s=ftl_s),
        fleet=Fleet(gpus=None),
        mla_cache=mla_cache,
        robust=False,  # the study takes the rates of its simulator as known
        slack=0.0,
    )


def with_traffic(
    of: Scenario, *, isl: int | None = None, osl: int | None = None, cached_share: float = 0.0
) -> Scenario:
    """The same under other lengths, or with a part of each prompt cached."""
    traffic = Traffic(isl=isl or of.traffic.isl, osl=osl or of.traffic.osl, cached_share=cached_share)
    return replace(of, traffic=traffic)


def within(of: Scenario, ftl_s: float) -> Scenario:
    """The same under another limit on the first token."""
    return replace(of, limits=Limits(ftl_s=ftl_s))


def heavy(model: str) -> Scenario:
    """16k in, 2k out."""
    return scenario(model, 16 * K, 2 * K)


def sized(model: str) -> Scenario:
    """4096 in, 256 out: figure 7."""
    return scenario(model, 4 * K, 256)


def pattern(isl: int, osl: int) -> Scenario:
    """DeepSeek-R1 under one of the four patterns of figure 8."""
    return scenario(R1, isl, osl)


PATTERNS = ((16 * K, 2 * K), (16 * K, 16 * K), (2 * K, 2 * K), (2 * K, 16 * K))  # figure 8
HEAVY = heavy(R1)  # "context-heavy": figures 1, 6, 8, 9, 10, 12
GENERATION = pattern(1 * K, 32 * K)  # figure 1, right
# 256k in, prefill alone, no cut on FTL. The study charges MLA's chunks only where they are piggybacked.
LONG = scenario(R1, 256 * K, 2 * K, mla_cache=True, ftl_s=300.0)
# FTL "ranging from hundreds of milliseconds to several minutes" (section 4): 1M in is beyond the 10 s cut
MILLION = scenario(R1, 1024 * K, 2 * K, mla_cache=True, ftl_s=300.0)
MEDIANS = scenario(LLAMA_70B, 4 * K, 512)  # figure 14
DISTILLED = scenario(LLAMA_8B, 3072, 300, system="h200", weights="bf16", kv="bf16", ftl_s=0.2)  # measured
PIPELINE_GPUS = 64  # figure 5
SMALL_DOMAIN, RACK = 8, 72  # figure 11

# Presets that open a figure in the application, with the scenario that each is.
PRESETS: Mapping[str, Mapping[str, Scenario]] = {
    "1": {"paper-fig1-prefill-heavy": HEAVY, "paper-fig1-generation-heavy": GENERATION},
    "5": {"paper-fig5-long-prefill": LONG},
    "6": {"paper-fig6-deepseek-r1": HEAVY, "paper-fig6-llama-70b": heavy(LLAMA_70B)},
    "7": {
        "paper-fig7-llama-8b": sized(LLAMA_8B),
        "paper-fig7-llama-70b": sized(LLAMA_70B),
        "paper-fig7-llama-405b": sized(LLAMA_405B),
    },
    "8": {
        "paper-fig1-prefill-heavy": pattern(*PATTERNS[0]),
        "paper-fig8-balanced-long": pattern(*PATTERNS[1]),
        "paper-fig8-balanced": pattern(*PATTERNS[2]),
        "paper-fig8-generation-heavy": pattern(*PATTERNS[3]),
    },
    "9": {
        "paper-fig1-prefill-heavy": HEAVY,
        "paper-fig9-llama-405b": heavy(LLAMA_405B),
        "paper-fig6-llama-70b": heavy(LLAMA_70B),
        "paper-fig9-llama-8b": heavy(LLAMA_8B),
    },
    "10": {"paper-fig10-fixed-ratios": HEAVY},
    "11": {"paper-fig1-prefill-heavy": HEAVY, "paper-fig11-domain-8": replace(HEAVY, system="b200")},
    "12": {"paper-fig1-prefill-heavy": HEAVY, "paper-fig12-million": MILLION},
    "13": {"paper-fig14-medians": MEDIANS},
    "14": {"paper-fig14-medians": MEDIANS},
    "matching": {"paper-fig10-fixed-ratios": HEAVY},
    "budget": {"paper-fig10-fixed-ratios": HEAVY},
    "over-time": {"paper-fig10-fixed-ratios": HEAVY},
    "systems": {"paper-fig11-domain-8": replace(HEAVY, system="b200")},
    "models": {f"paper-models-{model}": heavy(model) for model in OTHER_MODELS},
}
