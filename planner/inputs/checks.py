"""What must hold of a model, system or engine beyond the types of its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from planner.errors import InputError
from planner.inputs.engine import EngineProfile
from planner.inputs.model import Attention, Ffn, ModelSpec
from planner.inputs.system import System

# fields that a layer of each kind cannot do without
_ATTENTION = {
    "gqa": ("heads", "kv_heads", "head_dim"),
    "mla": ("heads", "kv_lora", "nope_dim", "v_dim"),
    "linear": ("k_heads", "k_dim", "v_heads", "v_dim"),
    "none": (),
}
_FFN = {"dense": ("width", "matrices"), "moe": ("width", "matrices", "experts", "topk"), "none": ()}
_RATES = ("bf16", "fp8", "fp4")


def model(spec: ModelSpec, where: str) -> ModelSpec:
    """The model, if its layers add up. Raises InputError naming file, key and what is accepted."""
    _positive(where, spec, ("hidden", "vocab", "layers"))
    _layers(f"{where}: attention", spec.attention, _ATTENTION, spec.layers)
    _layers(f"{where}: ffn", spec.ffn, _FFN, spec.layers)
    for i, a in enumerate(spec.attention):
        if a.kind == "gqa" and a.heads % a.kv_heads:
            raise InputError(
                f"{where}: attention[{i}]: kv_heads", a.kv_heads, f"a divisor of {a.heads} heads"
            )
        if a.index_topk:
            _positive(f"{where}: attention[{i}]", a, ("index_heads", "index_dim"))
        if a.fold < 1 or (a.fold > 1 and a.kind != "mla"):
            raise InputError(f"{where}: attention[{i}]: fold", a.fold, "1, or more in a layer of kind mla")
    for i, f in enumerate(spec.ffn):
        if f.kind == "moe" and f.topk > f.experts:
            raise InputError(f"{where}: ffn[{i}]: topk", f.topk, f"at most the {f.experts} experts")
    return spec


def system(spec: System, where: str) -> System:
    """The system, if its numbers can be divided by. Raises InputError as `model` does."""
    _positive(f"{where}: gpu", spec.gpu, ("memory_bytes", "hbm_bytes_per_s", "sms", "watts"))
    links = ("scale_up_gpus", "scale_up_bytes_per_s", "scale_out_bytes_per_s")
    _positive(f"{where}: fabric", spec.fabric, links)
    for rate, peak in spec.gpu.peak_flops.items():
        _one_of(f"{where}: gpu", "peak_flops", rate, _RATES)
        if not peak > 0:
            raise InputError(f"{where}: gpu: peak_flops.{rate}", peak, "a number above 0")
    if "bf16" not in spec.gpu.peak_flops:
        raise InputError(f"{where}: gpu: peak_flops", None, "the key bf16 is missing; add FLOP/s")
    return spec


def engine(spec: EngineProfile, where: str) -> EngineProfile:
    """The engine, if it can hold a sequence. Raises InputError as `model` does."""
    _positive(where, spec, ("max_batch", "memory_fraction", "prefill_stretch"))
    for name in ("floor_share", "exposure", "prefill_priority", "admission_passes"):
        if getattr(spec, name) < 0:
            raise InputError(f"{where}: {name}", getattr(spec, name), "a number of at least 0")
    if spec.memory_fraction > 1:
        raise InputError(f"{where}: memory_fraction", spec.memory_fraction, "a share of at most 1")
    return spec


def _layers(
    where: str, parts: Sequence[Attention | Ffn], needs: Mapping[str, tuple[str, ...]], layers: int
) -> None:
    for i, part in enumerate(parts):
        _positive(f"{where}[{i}]", part, ("layers", *needs[part.kind]))
    count = sum(part.layers for part in parts)
    if count != layers:
        raise InputError(where, count, f"layers that add up to the model's {layers}")


def _positive(where: str, part: object, names: Iterable[str]) -> None:
    for name in names:
        value = getattr(part, name)
        if not value > 0:
            raise InputError(f"{where}: {name}", value, "a number above 0")


def _one_of(where: str, name: str, value: str, known: Iterable[str]) -> None:
    names = tuple(known)
    if value not in names:
        raise InputError(f"{where}: {name}", value, f"one of {', '.join(names)}")
