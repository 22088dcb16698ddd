"""Number formats: what a weight weighs and at which tensor-core rate it computes."""

from __future__ import annotations

from collections.abc import Mapping

from planner.errors import InputError
from planner.inputs.model import ModelSpec
from planner.inputs.system import Gpu
from planner.values import dataclass
from planner.words import Cache, CacheFormat, Vendor, WeightFormat, Weights

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
        # both of four bits: how AMD's FP4 units multiply
        Format(name="mxfp4_a4", weight_bytes=0.5 + 1 / 32, activation_bytes=0.5 + 1 / 32, rate="fp4"),
        # weight-only: dequantised on the way, so the product runs at the bf16 rate
        Format(name="fp8_wo", weight_bytes=1.0 + 4 / 128**2, activation_bytes=2.0, rate="bf16"),
        Format(name="int8_wo", weight_bytes=1.0 + 2 / 128, activation_bytes=2.0, rate="bf16"),
        Format(name="nvfp4_wo", weight_bytes=0.5 + 1 / 16, activation_bytes=2.0, rate="bf16"),
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


# the units that a format multiplies in, and what it is on a GPU without them
_WEIGHT_ONLY: Mapping[WeightFormat, tuple[str, WeightFormat]] = {
    "fp8": ("fp8", "fp8_wo"),
    "fp8_block": ("fp8", "fp8_wo"),
    "nvfp4": ("fp4", "nvfp4_wo"),
    "mxfp4": ("fp4", "mxfp4_wo"),
    "mxfp4_a4": ("fp4", "mxfp4_wo"),
}


def run_on(name: WeightFormat, gpu: Gpu) -> Format:
    """The format that a GPU runs weights of a format in: as they are, or weight-only without such units."""
    units, without = _WEIGHT_ONLY.get(name, ("bf16", name))
    return FORMATS[name if units in gpu.peak_flops else without]


def bits(name: WeightFormat) -> int:
    """Bits of a weight in a format, its scales left out: 4, 8 or 16."""
    return 4 if FORMATS[name].weight_bytes < 0.75 else 8 if FORMATS[name].weight_bytes < 1.5 else 16


def resolve(weights: Weights, kv: Cache, model: ModelSpec, gpu: Gpu, vendor: Vendor = "nvidia") -> Precision:
    """The concrete formats behind what a scenario asks for.

    "auto" takes the narrowest format the GPU's tensor cores multiply in, and the published checkpoint, part
    by part, where that is as narrow: never a wider one. What a scenario names is taken part by part too
    where the checkpoint has it in its experts alone (gpt-oss, Kimi-K2.5). FP8 is block-scaled where
    published so. A format without units on the GPU is weight-only there.

    Raises InputError for an FP4 cache on a GPU without FP4 units.
    """
    rates = gpu.peak_flops
    if kv == "auto":
        kv = "fp8" if "fp8" in rates else "bf16"
    if kv == "fp4" and "fp4" not in rates:
        raise InputError("kv", "fp4", "this GPU has no FP4 units; auto, bf16 or fp8")
    beside, experts = _chosen(weights, model, gpu, vendor)
    return Precision(gemm=run_on(beside, gpu), moe=run_on(experts, gpu), kv=kv)


def _chosen(
    weights: Weights, model: ModelSpec, gpu: Gpu, vendor: Vendor
) -> tuple[WeightFormat, WeightFormat]:
    """Formats of the matrices beside the experts and of the experts, as a GPU with all units runs them."""
    rates = gpu.peak_flops
    experts = model.checkpoint
    published = (model.checkpoint_beside or experts, experts)
    fp8: WeightFormat = "fp8_block" if "fp8_block" in (*published, *model.releases) else "fp8"
    four: WeightFormat = "mxfp4_a4" if vendor == "amd" else "nvfp4"
    units = 4 if "fp4" in rates else 8 if "fp8" in rates else 16
    # integers of four bits have no units, and give way where others of four bits have
    as_narrow = bits(experts) <= units and not (experts == "int4_wo" and units == 4)
    if weights == "auto" and as_narrow:
        return published
    if weights == "fp4" and bits(experts) == 4 and as_narrow:
        return published
    named: Mapping[Weights, WeightFormat] = {
        "bf16": "bf16",
        "fp8_block": "fp8_block",
        "nvfp4": "nvfp4",
        "mxfp4": "mxfp4",
        "auto": four if units == 4 else fp8 if units == 8 else "bf16",
        "fp4": four if units == 4 else "int4_wo",
        "fp8": fp8,
        "int8": "int8_wo",
        "int4": "int4_wo",
    }
    asked = named[weights]
    return published if asked == experts else (asked, asked)
