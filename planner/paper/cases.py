"""The cases of the study: models, traffic and settings of each figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from planner.paper.study import Case

R1, LLAMA_8B, LLAMA_70B, LLAMA_405B = "deepseek-r1", "llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b"
MODELS = (R1, LLAMA_405B, LLAMA_70B, LLAMA_8B)  # by the swing of their ratio, largest first

K = 1024
PATTERNS = ((16 * K, 2 * K), (16 * K, 16 * K), (2 * K, 2 * K), (2 * K, 16 * K))  # figure 8
HEAVY = Case(model=R1, isl=16 * K, osl=2 * K)  # "context-heavy": figures 1, 6, 8, 9, 10, 12
GENERATION = Case(model=R1, isl=1 * K, osl=32 * K)  # figure 1, right
# 256k in, prefill alone, no cut on FTL. The study charges MLA's chunks only where they are piggybacked.
LONG = Case(model=R1, isl=256 * K, osl=2 * K, mla_cache=True, ftl_s=300.0)
# FTL "ranging from hundreds of milliseconds to several minutes" (section 4): 1M in is beyond the 10 s cut
MILLION = Case(model=R1, isl=1024 * K, osl=2 * K, mla_cache=True, ftl_s=300.0)
MEDIANS = Case(model=LLAMA_70B, isl=4 * K, osl=512)  # figure 14
PIPELINE_GPUS = 64  # figure 5
SMALL_DOMAIN, RACK = 8, 72  # figure 11


def heavy(model: str) -> Case:
    """16k in, 2k out."""
    return Case(model=model, isl=16 * K, osl=2 * K)


def sized(model: str) -> Case:
    """4096 in, 256 out: figure 7."""
    return Case(model=model, isl=4 * K, osl=256)


def pattern(isl: int, osl: int) -> Case:
    """DeepSeek-R1 under one of the four patterns of figure 8."""
    return Case(model=R1, isl=isl, osl=osl)


OTHER_MODELS = ("gpt-oss-120b", "qwen3-235b-a22b", "kimi-k2.5")  # the study lacks them

# Presets that open a figure in the application, with the case that each is.
SCENARIOS: Mapping[str, Mapping[str, Case]] = {
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
    "systems": {"paper-fig11-domain-8": replace(HEAVY, system="b200")},
    "models": {f"paper-models-{model}": heavy(model) for model in OTHER_MODELS},
}
