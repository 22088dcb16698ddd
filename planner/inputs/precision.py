"""Number formats: what a weight weighs and at which tensor-core rate it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from planner.errors import InputError
from planner.inputs.model import ModelSpec
from planner.inputs.system import Gpu
from planner.words import Cache, CacheFormat, WeightFormat, Weights

BF16_BYTES = 2.0
# of an element of DSA's index keys, held and read alike: fp8 and one float32 scale per 128 of them, as
# vLLM, SGLang and TensorRT-LLM lay them out (a key of 128 elements takes 132 bytes)
INDEX_BYTES = 1.0 + 4.0 / 128.0
# of an element of recurrent state as memory must hold it and a transfer move it: float32, as the published
# configs ask (mamba_ssm_dtype, mamba_ssm_cache_dtype)
STATE_BYTES = 4.0
# and as the kernels' traffic is counted, the least that any engine moves: bf16. At 4 bytes the measured
# steps of TensorRT-LLM would read H100 and H200 at 1.13 and 1.08 times their bandwidth; those of vLLM and
# SGLang stand at 0.36 to 0.5 of it here, float32 at twice that
LEAST_STATE_BYTES = 2.0
# bytes of a cached element; NVFP4 has one fp8 scale per 16 values
KV_BYTES: Mapping[CacheFormat, float] = {"bf16": 2.0, "fp8": 1.0, "fp4": 0.5 + 1 / 16}
# the tensor-core rate at which attention multiplies; four bits are widened to eight on the way
KV_RATES: Mapping[CacheFormat, str] = {"bf16": "bf16", "fp8": "fp8", "fp4": "fp8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format of weights and activations in a matrix product.

    `weight_bytes` counts the block scales; `rate` names the tensor-core peak (a key of
    `Gpu.peak_flops`) at which the product runs.
    """

    name: WeightFormat
    weight_bytes: float
    activation_bytes: float
    rate: str


FORMATS: Mapping[WeightFormat, Format] = {
    f.name: f
    for f in (
        Format(name="bf16", weight_bytes=2.0, activation_bytes=2.0, rate="bf16"),
        Format(name="fp8", weight_bytes=1.0, activation_bytes=1.0, rate="fp8"),
        # one float32 scale per 128 x 128 block
        Format(name="fp8_block", weight_bytes=1.0 + 4 / 128**2, activation_bytes=1.0, rate="fp8"),
        # one fp8 scale per 16 values
        Format(name="nvfp4", weight_bytes=0.5 + 1 / 16, activation_bytes=0.5 + 1 / 16, rate="fp4"),
        # one 8-bit scale per 32 values; MXFP8 activations on Blackwell
        Format(name="mxfp4", weight_bytes=0.5 + 1 / 32, activation_bytes=1.0, rate="fp8"),
        # weight-only: dequantised on the way, so the product runs at the bf16 rate
        Format(name="mxfp4_wo", weight_bytes=0.5 + 1 / 32, activation_bytes=2.0, rate="bf16"),
        Format(name="int4_wo", weight_bytes=0.5 + 2 / 32, activation_bytes=2.0, rate="bf16"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """The formats one deployment runs in: linear layers, experts and KV cache."""

    gemm: Format
    moe: Format
    kv: CacheFormat

    @property
    def kv_bytes(self) -> float:
        """Bytes per KV-cache element."""
        return KV_BYTES[self.kv]


def resolve(weights: Weights, kv: Cache, model: ModelSpec, gpu: Gpu) -> Precision:
    """The concrete formats behind what a scenario asks for.

    "auto" takes the narrowest format the GPU's tensor cores multiply in. FP8 is block-scaled
    where the published checkpoint is; FP4 is weight-only on a GPU without FP4 units, and
    touches the experts alone where the published checkpoint does so (gpt-oss).

    Raises InputError for FP8 weights on a GPU that cannot multiply them, and for an FP4 cache on one
    without FP4 units.
    """
    rates = gpu.peak_flops
    if weights == "auto":
        weights = "fp4" if "fp4" in rates else "fp8" if "fp8" in rates else "bf16"
    if kv == "auto":
        kv = "fp8" if "fp8" in rates else "bf16"
    if kv == "fp4" and "fp4" not in rates:
        raise InputError("kv", "fp4", "this GPU has no FP4 units; auto, bf16 or fp8")
    gemm: WeightFormat
    moe: WeightFormat
    if weights == "bf16":
        gemm = moe = "bf16"
    elif weights == "fp8":
        if "fp8" not in rates:
            raise InputError("weights", "fp8", "this GPU has no FP8 units; auto, bf16 or fp4 (weight-only)")
        gemm = moe = "fp8_block" if model.checkpoint == "fp8_block" else "fp8"
    elif model.checkpoint == "mxfp4":
        gemm, moe = "bf16", "mxfp4" if "fp4" in rates else "mxfp4_wo"
    else:
        gemm = moe = "nvfp4" if "fp4" in rates else "int4_wo"
    return Precision(gemm=FORMATS[gemm], moe=FORMATS[moe], kv=kv)
