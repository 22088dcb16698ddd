"""What must hold of a model, system or engine beyond the types of its numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.errors import InputError
from planner.inputs.engine import EngineProfile
from planner.inputs.model import Attention, Ffn, ModelSpec
from planner.inputs.system import System

# fields that a layer of each kind cannot do without
_ATTENTION = {
    "gqa": ("heads", "kv_heads", "head_dim"),
    "mla": ("heads", "kv_lora", "nope_dim", "v_dim"),
    "linear": ("k_heads", "k_dim", "v_heads", "v_dim"),
    "conv": ("v_heads", "v_dim", "conv_width"),
    "cross": ("heads", "kv_heads", "head_dim"),
    "none": (),
}
_FFN = {"dense": ("width", "matrices"), "moe": ("width", "matrices", "experts", "topk"), "none": ()}
_RATES = ("bf16", "fp8", "fp4")


# The most that a number may be, by the end of its name: a thousand times what there is, and little enough
# that no product of them is lost. What has no name here is an integer that counts dimensions or tokens.
_MOST: Mapping[str, float] = {
    "layers": 10_000,
    "experts": 1e5,
    "matrices": 100,
    "scale_up_gpus": 65_536,
    "sms": 1e5,
    "watts": 1e6,
    "watts_per_gpu": 1e6,
    "usd_per_gpu_hour": 1000,
    "rental_usd_per_gpu_hour": 1000,
    "published_params": 1e18,
    "lookup_params": 1e18,
    "max_context": 1e12,
    "_bytes": 1e15,
    "bytes_per_s": 1e18,
    "_s": 3600.0,
    "share": 1e3,
    "stretch": 1e3,
    "exposure": 1e3,
    "priority": 1.0,
    "passes": 1e3,
}
_DIMENSION = 1e7
# and the least, where that is not nothing: below, what is divided by it is lost
_LEAST: Mapping[str, float] = {
    "memory_bytes": 1e6,
    "hbm_bytes_per_s": 1e6,
    "scale_up_bytes_per_s": 1e3,
    "scale_out_bytes_per_s": 1e3,
    "memory_fraction": 1e-6,
}
_PEAK = (1e6, 1e21)


def _ranges(where: str, part: Any) -> None:
    """Check every number of a preset, those of its parts too. Raises InputError."""
    for field in dataclasses.fields(part):
        value, place = getattr(part, field.name), f"{where}: {field.name}"
        if dataclasses.is_dataclass(value):
            _ranges(place, value)
        elif isinstance(value, tuple):
            for i, item in enumerate(value):
                if dataclasses.is_dataclass(item):
                    _ranges(f"{place}[{i}]", item)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            ends = (end for end in _MOST if field.name.endswith(end))
            most = _MOST[max(ends, key=len)] if any(map(field.name.endswith, _MOST)) else _DIMENSION
            if value > most:
                raise InputError(place, value, f"a number of at most {most:g}")
            if 0 < value < _LEAST.get(field.name, 0.0):
                raise InputError(place, value, f"a number of at least {_LEAST[field.name]:g}")


def model(spec: ModelSpec, where: str) -> ModelSpec:
    """The model, if its layers add up. Raises InputError naming file, key and what is accepted."""
    _ranges(where, spec)
    _positive(where, spec, ("hidden", "vocab", "layers"))
    for i, taken in enumerate((*spec.mtp_acceptance, spec.draft_share)):
        if taken > 1:
            name = "draft_share" if i == len(spec.mtp_acceptance) else f"mtp_acceptance[{i}]"
            raise InputError(f"{where}: {name}", taken, "a share of at most 1")
    _layers(f"{where}: attention", spec.attention, _ATTENTION, spec.layers)
    _layers(f"{where}: ffn", spec.ffn, _FFN, spec.layers)
    for i, a in enumerate(spec.attention):
        if a.kind in ("gqa", "cross") and a.heads % a.kv_heads:
            raise InputError(
                f"{where}: attention[{i}]: kv_heads", a.kv_heads, f"a divisor of {a.heads} heads"
            )
        if a.index_topk:
            _positive(f"{where}: attention[{i}]", a, ("index_heads", "index_dim"))
            if a.kind not in ("gqa", "mla") or (a.kind == "gqa" and a.window):
                accepted = "0, or tokens in a layer of kind mla, or gqa without a window"
                raise InputError(f"{where}: attention[{i}]: index_topk", a.index_topk, accepted)
        if a.fold < 1 or (a.fold > 1 and a.kind != "mla"):
            raise InputError(f"{where}: attention[{i}]: fold", a.fold, "1, or more in a layer of kind mla")
    if seeing := spec.vision:
        _positive(f"{where}: vision", seeing, ("hidden", "heads", "width", "matrices", "patch", "merge"))
        if seeing.hidden % seeing.heads:
            accepted = f"a divisor of the {seeing.hidden} of its width"
            raise InputError(f"{where}: vision: heads", seeing.heads, accepted)
        if seeing.whole_layers > seeing.layers:
            raise InputError(
                f"{where}: vision: whole_layers", seeing.whole_layers, f"at most {seeing.layers}"
            )
    for i, f in enumerate(spec.ffn):
        if f.kind == "moe" and f.topk > f.experts:
            raise InputError(f"{where}: ffn[{i}]: topk", f.topk, f"at most the {f.experts} experts")
    return spec


def system(spec: System, where: str) -> System:
    """The system, if its numbers can be divided by. Raises InputError as `model` does."""
    _ranges(where, spec)
    _positive(f"{where}: gpu", spec.gpu, ("memory_bytes", "hbm_bytes_per_s", "sms", "watts"))
    links = ("scale_up_gpus", "scale_up_bytes_per_s", "scale_out_bytes_per_s")
    _positive(f"{where}: fabric", spec.fabric, links)
    for rate, peak in spec.gpu.peak_flops.items():
        _one_of(f"{where}: gpu", "peak_flops", rate, _RATES)
        if not _PEAK[0] <= peak <= _PEAK[1]:
            accepted = f"a number from {_PEAK[0]:g} to {_PEAK[1]:g}"
            raise InputError(f"{where}: gpu: peak_flops.{rate}", peak, accepted)
    if "bf16" not in spec.gpu.peak_flops:
        raise InputError(f"{where}: gpu: peak_flops", None, "the key bf16 is missing; add FLOP/s")
    return spec


def engine(spec: EngineProfile, where: str) -> EngineProfile:
    """The engine, if it can hold a sequence. Raises InputError as `model` does."""
    _ranges(where, spec)
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
    count = sum(part.layers for part in parts if not getattr(part, "beside", False))
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


def kernels(table: Mapping[str, Any], where: str) -> None:
    """Check the shape of a kernels file: operator, engine, format, numbers. Raises InputError as `model`."""
    for operator, engines in table.items():
        if operator == "relative":
            continue
        for engine, formats in _table(f"{where}: {operator}", engines).items():
            for fmt, entry in _table(f"{where}: {operator}.{engine}", formats).items():
                place = f"{where}: {operator}.{engine}.{fmt}"
                constants = _table(place, entry).get("constants")
                for name, value in _table(f"{place}: constants", constants).items():
                    _number(f"{place}: constants.{name}", value, 1e12)
                for name in ("n", "mape"):
                    if name in entry and not _is_nan(entry[name]):
                        _number(f"{place}: {name}", entry[name], 1e12)


def accuracy(table: Mapping[str, Any], where: str) -> None:
    """Check the shape of a file of error bands. Raises InputError as `model`."""
    for key in ("models", "systems", "engines"):
        names = table.get(key)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{where}: {key}", type(names).__name__, "a list of names")
    for mode, levels in _table(f"{where}: bands", table.get("bands")).items():
        for level in ("both", "one", "neither"):
            place = f"{where}: bands.{mode}.{level}"
            entry = _table(place, _table(f"{where}: bands.{mode}", levels).get(level))
            _number(f"{place}: rows", entry.get("rows"), 1e12)
            _interval(place, entry)
            for engine, own in _table(f"{place}: engines", entry.get("engines", {})).items():
                _interval(f"{place}.engines.{engine}", _table(f"{place}.engines.{engine}", own))
    cells = table.get("evidence", [])
    if not isinstance(cells, list):
        raise InputError(f"{where}: evidence", type(cells).__name__, "a list of tables")
    for i, cell in enumerate(cells):
        place = f"{where}: evidence {i + 1}"
        for key in ("phase", "system", "family", "engine", "format"):
            if not isinstance(_table(place, cell).get(key), str):
                raise InputError(f"{place}: {key}", type(cell.get(key)).__name__, "a name")
        for layout, models in _table(f"{place}: layouts", cell.get("layouts")).items():
            if not isinstance(models, list) or not all(isinstance(name, str) for name in models):
                raise InputError(f"{place}: layouts.{layout}", type(models).__name__, "a list of models")


def _interval(place: str, entry: Mapping[str, Any]) -> None:
    for name in ("ttft", "tpot"):
        ends = entry.get(name)
        if not isinstance(ends, list) or len(ends) != 2:
            raise InputError(f"{place}: {name}", type(ends).__name__, "a list of two numbers")
        for end in ends:
            _number(f"{place}: {name}", end, 1e6, least=1e-6)
        if ends[0] > ends[1]:
            raise InputError(f"{place}: {name}", ends[0], f"at most {ends[1]:g}, the upper end")


def _table(where: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(where, "nothing" if value is None else type(value).__name__, "a table")
    return value


def _number(where: str, value: object, most: float, least: float = 0.0) -> None:
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not known or not least <= value <= most:  # type: ignore[operator]
        raise InputError(where, value, f"a number from {least:g} to {most:g}")


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
