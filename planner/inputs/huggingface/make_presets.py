"""Writes presets/models from published configs.

    python -m planner.inputs.huggingface.make_presets CONFIG.json ...

A config's file is named after its Hugging Face id, with ``--`` for the slash, as in
``deepseek-ai--DeepSeek-R1_config.json``. What a config does not say (label, other names, the
published size) is in the table below. `ratematch presets models` counts the parameters.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from planner.inputs import checks, files
from planner.inputs.catalog import preset_folder
from planner.inputs.huggingface.config import from_hf_config
from planner.inputs.huggingface.import_model import read_config, to_toml
from planner.inputs.model import Vision
from planner.words import WeightFormat

FOLDER = preset_folder() / "models"


class About(NamedTuple):
    """What to call a model, and how large its publisher says it is."""

    name: str
    label: str
    published: float  # parameters of the text model, billions
    aliases: tuple[str, ...] = ()
    note: str = ""
    releases: tuple[WeightFormat, ...] = ()  # other formats that the publisher released it in
    source: str = ""  # where that is not the config.json of the repository
    plain: bool = False  # the shape of a quantised release, without its quantisation


MODELS = {
    "meta-llama/Meta-Llama-3.1-8B": About(
        "llama-3.1-8b", "Llama 3.1 8B", 8.03, ("llama-8b", "llama-3.1-8b-instruct", "meta-llama-3.1-8b")
    ),
    "meta-llama/Meta-Llama-3.1-70B": About(
        "llama-3.1-70b",
        "Llama 3.1 70B",
        70.6,
        (
            "llama-70b",
            "llama-3.1-70b-instruct",
            "llama-3.3-70b",
            "llama-3.3-70b-instruct",
            "deepseek-r1-distill-llama-70b",
            "meta-llama-3.1-70b",
        ),
        "Llama 3.3 70B has the same shape",
    ),
    "meta-llama/Meta-Llama-3.1-405B": About(
        "llama-3.1-405b",
        "Llama 3.1 405B",
        406,
        ("llama-405b", "llama-3.1-405b-instruct", "meta-llama-3.1-405b"),
    ),
    "meta-llama/Llama-4-Scout-17B-16E-Instruct": About(
        "llama-4-scout",
        "Llama 4 Scout 17B-16E",
        107.77,
        ("scout", "llama-4-scout-17b-16e", "llama-4-scout-17b-16e-instruct"),
        "published as 109B with its vision tower",
    ),
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct": About(
        "llama-4-maverick",
        "Llama 4 Maverick 17B-128E",
        400,
        ("maverick", "llama-4-maverick-17b-128e", "llama-4-maverick-17b-128e-instruct"),
    ),
    "Qwen/Qwen3-14B": About("qwen3-14b", "Qwen3 14B", 14.8),
    "Qwen/Qwen3-8B": About("qwen3-8b", "Qwen3 8B", 8.2),
    "Qwen/Qwen3-32B": About("qwen3-32b", "Qwen3 32B", 32.8),
    "Qwen/Qwen3-30B-A3B": About("qwen3-30b-a3b", "Qwen3 30B-A3B", 30.5, ("qwen3-30b",)),
    "Qwen/Qwen3-235B-A22B": About("qwen3-235b-a22b", "Qwen3 235B-A22B", 235, ("qwen3-235b",)),
    "Qwen/Qwen3-Coder-480B-A35B-Instruct": About(
        "qwen3-coder-480b",
        "Qwen3 Coder 480B-A35B",
        480,
        ("qwen3-coder", "qwen3-coder-480b-a35b", "qwen3-coder-480b-a35b-instruct"),
    ),
    "Qwen/Qwen3.5-27B": About("qwen3.5-27b", "Qwen3.5 27B", 27),
    "Qwen/Qwen3.5-397B-A17B": About("qwen3.5-397b-a17b", "Qwen3.5 397B-A17B", 397, ("qwen3.5-397b",)),
    "Qwen/Qwen3.5-122B-A10B": About("qwen3.5-122b-a10b", "Qwen3.5 122B-A10B", 122, ("qwen3.5-122b",)),
    "Qwen/Qwen3.5-35B-A3B": About("qwen3.5-35b-a3b", "Qwen3.5 35B-A3B", 35, ("qwen3.5-35b",)),
    "nvidia/Qwen3.6-27B-NVFP4": About(
        "qwen3.6-27b", "Qwen3.6 27B", 27, (), "NVIDIA's NVFP4 release keeps attention in FP8", plain=True
    ),
    "nvidia/Qwen3.6-35B-A3B-NVFP4": About(
        "qwen3.6-35b-a3b",
        "Qwen3.6 35B-A3B",
        35,
        ("qwen3.6-35b",),
        "NVIDIA's NVFP4 release keeps attention in FP8",
        plain=True,
    ),
    "Qwen/Qwen3-Next-80B-A3B-Instruct": About(
        "qwen3-next-80b-a3b", "Qwen3-Next 80B-A3B", 80, ("qwen3-next", "qwen3-next-80b")
    ),
    "XiaomiMiMo/MiMo-V2-Flash": About("mimo-v2-flash", "MiMo V2 Flash 309B-A15B", 309, ("mimo-v2",)),
    "mistralai/Devstral-2-123B-Instruct-2512": About(
        "devstral-2-123b", "Devstral 2 123B", 125, ("devstral-2", "devstral", "devstral-2-123b-instruct-2512")
    ),
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506": About(
        "mistral-small-3.2-24b",
        "Mistral Small 3.2 24B",
        23.6,
        ("mistral-small-3.2", "mistral-small-3.1-24b", "mistral-small-24b", "devstral-small-24b"),
        "Mistral Small 3, 3.1 and Devstral Small have the same shape",
        source="configuration class mistral3 of transformers 5.24, whose defaults it is",
    ),
    "mistralai/Mistral-Small-4-119B": About(
        "mistral-small-4-119b",
        "Mistral Small 4 119B-A6.5B",
        119,
        ("mistral-small-4", "mistral-small-4-119b-2603"),
        source="configuration class mistral4 of transformers 5.24, whose defaults it is",
    ),
    "moonshotai/Kimi-K3": About(
        "kimi-k3", "Kimi K3", 2780, ("k3",), "published as 2.8T; fitted to no kernel or run of its own"
    ),
    "zai-org/GLM-5.2": About(
        "glm-5.2", "GLM-5.2", 744, ("glm5.2", "glm-5.2-fp8"), "shared indexers", releases=("fp8_block",)
    ),
    "zai-org/GLM-5.3": About(
        "glm-5.3",
        "GLM-5.3",
        744,
        ("glm5.3", "glm-5.3-fp8"),
        "GLM-5.2 has the same shape",
        releases=("fp8_block",),
    ),
    "MiniMaxAI/MiniMax-M3": About("minimax-m3", "MiniMax M3", 428, ("m3",)),
    "stepfun-ai/Step-3.7-Flash": About(
        "step-3.7-flash",
        "Step 3.7 Flash 196B-A11B",
        196,
        ("step-3.7", "step-3.5-flash", "step-3.5"),
        "Step 3.5 Flash has the same size; fitted to no kernel or run of its own",
        releases=("fp8_block",),
    ),
    "nvidia/Gemma-4-31B-IT-NVFP4": About("gemma-4-31b", "Gemma 4 31B", 30.7, ("gemma-4-31b-it",), plain=True),
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": About(
        "nemotron-3-nano-30b",
        "Nemotron 3 Nano 30B-A3B",
        31.6,
        (
            "nemotron-3-nano",
            "nvidia-nemotron-3-nano-30b-a3b",
            "nemotron-3-nano-30b-a3b",
            "nvidia-nemotron-3.5-lightning-30b-a3b",
            "nemotron-3.5-lightning",
        ),
        "Nemotron 3.5 Lightning has the same shape",
        releases=("fp8", "nvfp4"),
    ),
    "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16": About(
        "nemotron-3-ultra-550b",
        "Nemotron 3 Ultra 550B-A55B",
        550,
        ("nemotron-3-ultra", "nvidia-nemotron-3-ultra-550b-a55b", "nemotron-3-ultra-550b-a55b"),
        releases=("fp8", "nvfp4"),
    ),
    "deepseek-ai/DeepSeek-R1": About("deepseek-r1", "DeepSeek R1", 671, ("r1", "deepseek-r1-0528")),
    "deepseek-ai/DeepSeek-V3": About(
        "deepseek-v3",
        "DeepSeek V3",
        671,
        ("v3", "deepseek-v3-0324", "deepseek-v3.1"),
        "DeepSeek R1 has the same shape",
    ),
    "deepseek-ai/DeepSeek-V3.2": About("deepseek-v3.2", "DeepSeek V3.2", 671, ("v3.2", "deepseek-v3.2-exp")),
    "deepseek-ai/DeepSeek-V4-Flash": About(
        "deepseek-v4-flash", "DeepSeek V4 Flash", 284, ("v4-flash",), "fitted to no kernel or run of its own"
    ),
    "deepseek-ai/DeepSeek-V4-Pro": About(
        "deepseek-v4-pro",
        "DeepSeek V4 Pro",
        1600,
        ("v4", "v4-pro", "deepseek-v4"),
        "published as 1.6T, its layers add up to 1.57T; fitted to no kernel or run of its own",
    ),
    "deepseek-ai/DeepSeek-V4.1-Flash": About(
        "deepseek-v4.1-flash",
        "DeepSeek V4.1 Flash",
        748,
        ("v4.1", "v4.1-flash", "deepseek-v4.1", "deepseek-flash"),
        "published as 552B beside 196B in tables of n-grams; fitted to no kernel or run of its own",
    ),
    "moonshotai/Kimi-K2-Instruct": About(
        "kimi-k2", "Kimi K2", 1026.4, ("kimi", "kimi-k2-instruct"), "published as 1T"
    ),
    "moonshotai/Kimi-K2.5": About(
        "kimi-k2.5",
        "Kimi K2.5",
        1026.4,
        ("kimi-k2-thinking", "kimi-k2.6", "kimi-k2.7", "kimi-k2.7-code"),
        "published as 1T, vision tower included; Kimi K2 Thinking, K2.6 and K2.7 have the same shape",
    ),
    "openai/gpt-oss-20b": About("gpt-oss-20b", "gpt-oss 20B", 20.9, ("oss-20b",)),
    "openai/gpt-oss-120b": About("gpt-oss-120b", "gpt-oss 120B", 116.8, ("oss-120b",)),
    "mistralai/Mixtral-8x7B-v0.1": About("mixtral-8x7b", "Mixtral 8x7B", 46.7, ("mixtral-8x7b-v0.1",)),
    "mistralai/Mixtral-8x22B-v0.1": About("mixtral-8x22b", "Mixtral 8x22B", 141, ("mixtral-8x22b-v0.1",)),
    "MiniMaxAI/MiniMax-M2.5": About(
        "minimax-m2.5",
        "MiniMax M2.5",
        230,
        ("minimax-m2", "minimax-m2.1", "minimax-m2.7"),
        "MiniMax M2, M2.1 and M2.7 have the same shape",
    ),
    "zai-org/GLM-5": About("glm-5", "GLM-5", 744, ("glm5", "glm-5-fp8", "glm-5.1"), releases=("fp8_block",)),
    "google/gemma-4-26B-A4B": About(
        "gemma-4-26b-a4b", "Gemma 4 26B-A4B", 25.2, ("gemma-4-26b", "gemma-4-26b-a4b-it")
    ),
    "nvidia/Llama-3_3-Nemotron-Super-49B-v1": About(
        "nemotron-super-49b",
        "Llama 3.3 Nemotron Super 49B",
        49,
        ("llama-3-3-nemotron-super-49b-v1", "llama-3.3-nemotron-super-49b"),
        "the published size is its name's; its layers add up to 49.9B",
    ),
    "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8": About(
        "nemotron-3-super-120b",
        "Nemotron 3 Super 120B-A12B",
        120,
        ("nemotron-3-super", "nvidia-nemotron-3-super-120b-a12b-fp8", "nemotron-3-super-120b-a12b"),
    ),
}


# how often drafted tokens are taken: no config says it
_SPEED = "SPEED-Bench coding, thinking, InferenceX"
_V3 = ((0.85,), "DeepSeek-V3 technical report, 5.4.3: 85 to 90 %")
_V4 = ((0.79, 0.608, 0.458), f"{_SPEED} dsv4_mtp: 1.79, 2.27, 2.49 tokens a step")
_Q = ((0.93, 0.86, 0.825), f"{_SPEED} qwen3.5_mtp: 1.93, 2.73, 3.39 tokens a step")
_GLM = ((0.84, 0.786, 0.742), f"GLM-5.2's: {_SPEED} glm5.2_mtp: 1.84, 2.50, 2.99 tokens a step")
_KIMI = (
    (0.83, 0.723, 0.75),
    f"an EAGLE3 head's: {_SPEED} kimik2.5_eagle3: 1.83, 2.43, 2.88 tokens a step",
)
ACCEPTANCE: Mapping[str, tuple[tuple[float, ...], str]] = {
    "deepseek-r1": _V3,
    "deepseek-v3": _V3,
    "deepseek-v3.2": _V3,
    "deepseek-v4-pro": _V4,
    "deepseek-v4-flash": (_V4[0], f"DeepSeek V4 Pro's: {_V4[1]}"),
    "qwen3.5-397b-a17b": _Q,
    "qwen3.5-27b": (_Q[0], f"Qwen3.5 397B's: {_Q[1]}"),
    "glm-5": _GLM,
    "glm-5.2": (_GLM[0], _GLM[1].removeprefix("GLM-5.2's: ")),
    "glm-5.3": _GLM,
    "qwen3.5-122b-a10b": (_Q[0], f"Qwen3.5 397B's: {_Q[1]}"),
    "kimi-k2.5": _KIMI,
}


# encoders that the configs at hand leave out
_LLAMA4 = Vision(
    layers=34,
    hidden=1408,
    heads=16,
    width=5632,
    patch=14,
    merge=2,
    tile=576,
    projector=4096,
    source="vision_config of meta-llama/Llama-4-Scout-17B-16E-Instruct on Hugging Face: tiles of 336 pixels",
)
_QWEN35 = Vision(
    layers=27, hidden=1152, heads=16, width=4304, patch=16, merge=2, source="as Qwen3.5-397B-A17B"
)
SEEING: Mapping[str, Vision] = {
    "llama-4-scout": _LLAMA4,
    "llama-4-maverick": _LLAMA4,
    "qwen3.5-122b-a10b": _QWEN35,
    "qwen3.5-35b-a3b": _QWEN35,
}


def main(paths: list[str]) -> int:
    """Write a preset for each config; returns the exit status."""
    for path in map(Path, paths):
        identity = path.stem.removesuffix("_config").replace("--", "/")
        if identity not in MODELS:
            print(f"{path}: {identity} is not in the table of this script", file=sys.stderr)
            return 1
        about = MODELS[identity]
        config = read_config(path)
        if about.plain:
            config = {key: value for key, value in config.items() if key != "quantization_config"}
        spec, not_understood = from_hf_config(config, about.name)
        acceptance, measured_where = ACCEPTANCE.get(about.name, ((), ""))
        spec = replace(
            spec,
            mtp_acceptance=acceptance,
            mtp_source=measured_where,
            label=about.label,
            vision=SEEING.get(about.name, spec.vision),
            published_params=float(round(about.published * 1e9)),
            source=about.source or f"config.json of {identity} on Hugging Face",
            releases=about.releases,
            notes=(*spec.notes, *([about.note] if about.note else [])),
        )
        checks.model(spec, path.name)
        extra = {"aliases": list(about.aliases)} if about.aliases else {}
        text = to_toml(spec, "Written by planner.inputs.huggingface.make_presets.", extra)
        files.write_atomically(FOLDER / f"{about.name}.toml", text)
        print(f"{about.name:24} published {about.published:g} B  {', '.join(not_understood)}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
