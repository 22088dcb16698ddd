"""The flags that make a layout, on each engine; its sizes alone, no plan behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

from planner.inputs.layout_label import Widths
from planner.output.deploy import tables
from planner.output.deploy.can import cannot, choice
from planner.output.deploy.launch import ENGINES
from planner.output.deploy.parts import Value, argv
from planner.values import dataclass
from planner.words import EngineFamily, Phase

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog

EXPERTS = 256  # of the model that a layout is explained for: those of most large ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Flags, or why there are none."""

    flags: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSays:
    """One engine on one layout."""

    engine: EngineFamily
    label: str
    version: str
    by_phase: Mapping[Phase, Said]


def engines(at: Widths, catalog: Catalog) -> list[EngineSays]:
    """What each engine says of a layout in each phase."""
    found = []
    names: tuple[EngineFamily, ...] = get_args(EngineFamily)
    for engine in names:
        table, can = tables.engine_table(engine), catalog.engine(engine).can
        by_phase: dict[Phase, Said] = {}
        phases: tuple[Phase, ...] = get_args(Phase)
        for phase in phases:
            layout = choice(at)
            reason = cannot(layout, phase, can, table.label, experts=EXPERTS, mtp=0)
            words = "" if reason else _text(ENGINES[engine].widths(table, layout, is_moe=True), engine)
            by_phase[phase] = Said(flags=words, reason=reason)
        found.append(EngineSays(engine=engine, label=table.label, version=table.version, by_phase=by_phase))
    return found


def _text(flags: Mapping[str, Value], engine: EngineFamily) -> str:
    if engine == "trtllm":  # a configuration
        return ", ".join(f"{key}: {str(value).lower()}" for key, value in flags.items())
    return " ".join(argv(flags))
