"""The data of deployments: presets/deploy, and what a model's published checkpoints are called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from planner.errors import InputError
from planner.inputs import catalog, toml_tables
from planner.inputs.failures import gpus_per_host as gpus_per_host
from planner.inputs.model import ModelSpec
from planner.output.deploy.parts import EngineTable, Options
from planner.words import EngineFamily, WeightFormat

_SOURCE = re.compile(r"config\.json of ([A-Za-z0-9._-]+/[A-Za-z0-9._-]+) on Hugging Face\Z")


def engine_table(engine: EngineFamily) -> EngineTable:
    """How an engine is told a plan."""
    return toml_tables.decode(EngineTable, _read(engine), f"{engine}.toml")


def target_table(target: str) -> Mapping[str, Any]:
    """What a target that is no engine is told with: versions, images, ports."""
    return _read(target)


def checkpoint(
    model: ModelSpec, weights: WeightFormat, table: EngineTable, options: Options
) -> tuple[str, str]:
    """The checkpoint of a model in a format, and what it is quantised to as it is loaded ("": as it is).

    Raises InputError where none is known.
    """
    if options.checkpoint:
        return options.checkpoint, ""
    fmt = weights.removesuffix("_wo")
    known: Mapping[str, str] = _read("checkpoints").get(model.name, {})
    found = _SOURCE.match(model.source)
    published = found[1] if found else ""
    if fmt in known:
        return known[fmt], ""
    if published and model.checkpoint.removesuffix("_wo") == fmt:
        return published, ""
    base = known.get("bf16", published if model.checkpoint == "bf16" else "")
    if base and fmt in table.online:
        return base, table.online[fmt]
    typed = " or ".join(
        f"--weights {name}" for name in _formats(weights, known, model, bool(published), table)
    )
    raise InputError(
        "checkpoint",
        fmt,
        f"no published one of {model.name} is known; --checkpoint REPOSITORY, or a format that is ({typed})",
    )


def _formats(
    weights: WeightFormat, known: Mapping[str, str], model: ModelSpec, published: bool, table: EngineTable
) -> list[str]:
    formats = {*known, *([model.checkpoint] if published else [])}
    if "bf16" in formats:
        formats |= {*table.online}
    formats.discard("mxfp4_a4" if weights != "mxfp4_a4" else "nvfp4")  # the other vendor's
    typed = {"mxfp4_a4": "mxfp4", "int4_wo": "int4"}
    return sorted({typed.get(fmt, fmt) for fmt in formats})


def _read(name: str) -> dict[str, Any]:
    return toml_tables.read_toml(catalog.preset_folder() / "deploy" / f"{name}.toml")
