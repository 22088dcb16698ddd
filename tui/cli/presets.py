"""`ratematch presets`: the catalog as tables, and one preset in full with its sources."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner import load
from planner.errors import InputError, unknown
from planner.inputs.fields import FIELDS
from planner.output.as_json import dumps
from planner.output.columns import aligned
from planner.output.spelling import ascii_only
from planner.output.tables import scenario_line
from planner.units import format_memory, format_seconds, format_si, format_tokens, three_digits
from planner.words import PresetKind
from tui.cli.flags import Parser
from tui.cli.terminal import DONE, ascii_output, say

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog
    from planner.inputs.engine import EngineProfile
    from planner.inputs.model import ModelSpec
    from planner.inputs.scenario import Scenario
    from planner.inputs.system import System
    from planner.simulate.operators.attention.layer import Layer

# what is listed, as it is called there
KINDS: Mapping[str, PresetKind] = {
    "models": "model",
    "systems": "system",
    "engines": "engine",
    "scenarios": "scenario",
}
Row = dict[str, str]


def run(arguments: Sequence[str]) -> int:
    """The command. Raises InputError for a kind or name that is not known."""
    parser = Parser(
        "ratematch presets",
        "[KIND [NAME]] [--json]",
        "List the models, systems, engines and scenarios that come with ratematch and your own,\n"
        "or show one with every number and its source.",
        "  ratematch presets\n  ratematch presets systems\n  ratematch presets models deepseek-r1 --json",
    )
    parser.add_argument("kind", metavar="KIND", nargs="?", help=", ".join(KINDS))
    parser.add_argument("name", metavar="NAME", nargs="?", help="one preset, in full")
    parser.add_argument("--json", action="store_true", help="as JSON")
    args = parser.read(arguments)
    catalog = load()
    kinds = list(KINDS)
    if args.kind is not None:
        kind = args.kind.lower()
        kinds = [k for k in kinds if kind in (k, k.removesuffix("s"))]
        if not kinds:
            raise unknown("presets", args.kind, KINDS)
    if args.name is not None:
        text = show(catalog, kinds[0], args.name, as_json=args.json)
    else:
        text = lists(catalog, kinds, as_json=args.json)
    say(ascii_only(text) if ascii_output() and not args.json else text)
    return DONE


def lists(catalog: Catalog, kinds: Sequence[str], *, as_json: bool = False) -> str:
    """Every preset of these kinds: name and key numbers as tables, or all of it as JSON.

    A file of the user's that cannot be used is listed with the reason, and hides no other.
    """
    found: dict[str, dict[str, Any]] = {}
    broken: dict[str, dict[str, str]] = {kind: {} for kind in kinds}
    for kind in kinds:
        found[kind] = {}
        for name in catalog.names(KINDS[kind]):
            try:
                found[kind][name] = _get(catalog, kind, name)
            except InputError as error:
                broken[kind][name] = str(error)
    if as_json:
        plain = {
            kind: {name: _data(catalog, kind, name, item) for name, item in items.items()}
            | {name: {"error": reason} for name, reason in broken[kind].items()}
            for kind, items in found.items()
        }
        return dumps(plain)
    blocks = []
    for kind, items in found.items():
        if kind == "scenarios":
            lines = [line for name, item in items.items() for line in _scenario(catalog, name, item)]
        else:
            lines = _table([{"name": name, **_ROWS[kind](item)} for name, item in items.items()])
        lines += _own(catalog, KINDS[kind], items)
        lines += [f"{name}: cannot be used: {reason}" for name, reason in broken[kind].items()]
        blocks.append("\n".join([f"{kind} ({len(items)})", *(f"  {line}" for line in lines)]))
    return "\n\n".join(blocks)


def _own(catalog: Catalog, kind: PresetKind, names: Iterable[str]) -> list[str]:
    """Which of these are the user's own, and hide one that comes with ratematch."""
    own = [name for name in names if catalog.is_own(kind, name)]
    hiding = [name for name in own if catalog.shadowed(kind, name)]
    lines = [f"your own: {', '.join(own)}"] if own else []
    return lines + ([f"in place of the preset of that name: {', '.join(hiding)}"] if hiding else [])


def _data(catalog: Catalog, kind: str, name: str, item: Any) -> Any:
    """A preset as JSON has it: its fields, what follows from a model's layers, whose it is."""
    plain = _plain(item)
    if kind == "models":
        plain = {**plain, **counts(item)}
    exact = catalog.canonical(KINDS[kind], name) if kind != "scenarios" else name
    own = exact not in catalog.names(KINDS[kind]) or catalog.is_own(KINDS[kind], exact)
    shadows = own and exact in catalog.names(KINDS[kind]) and catalog.shadowed(KINDS[kind], exact)
    return {**plain, "own": True, "shadows": shadows} if own else plain


def _scenario(catalog: Catalog, name: str, scenario: Scenario) -> list[str]:
    about = (catalog.note("scenario", name), scenario_line(scenario))
    return [name, *(f"  {line}" for text in about if text for line in textwrap.wrap(text, 76))]


def imported(path: Path, spec: ModelSpec, unknown_keys: Sequence[str], *, as_json: bool = False) -> str:
    """What `import-model` understood, where it wrote it, and what it left out."""
    if as_json:
        done = {
            "name": spec.name,
            "path": str(path),
            "not_understood": list(unknown_keys),
            "model": _plain(spec),
            **counts(spec),
        }
        return dumps(done)
    lines = [*_table([{"name": spec.name, **_model(spec)}]), f"written to {path}"]
    lines += [f"note: {note}" for note in spec.notes]
    if unknown_keys:
        lines.append(f"not understood, so not modelled: {', '.join(unknown_keys)}")
    return "\n".join(lines)


def show(catalog: Catalog, kind: str, name: str, *, as_json: bool = False) -> str:
    """One preset, every number and source of it.

    Raises InputError for an unknown name.
    """
    item = _get(catalog, kind, name)
    if as_json:
        return dumps(_data(catalog, kind, name, item))
    lines = _outline(_plain(item))
    if kind == "engines":
        from tui.cli.engine_words import MEANINGS

        lines = [_explained(line, MEANINGS) for line in lines]
    if kind == "models":
        lines += _outline(counts(item))
        lines.append("of its cache, per token: " + _model(item)["KV grows/token"])
    exact = catalog.canonical(KINDS[kind], name) if kind != "scenarios" else name
    return "\n".join([*lines, *_own(catalog, KINDS[kind], {exact} & set(catalog.names(KINDS[kind])))])


def _get(catalog: Catalog, kind: str, name: str) -> Any:
    return getattr(catalog, KINDS[kind])(name)


def _model(spec: ModelSpec) -> Row:
    # they bring numpy, which the other lists need not wait for
    from planner.simulate import params
    from planner.simulate.operators.attention import kinds

    mixing = kinds.layers(spec)
    return {
        "parameters": _billions(params.total(spec)),
        "active": _billions(params.active(spec)),
        "layers": f"{spec.layers}",
        "attention": "+".join(dict.fromkeys(a.kind for a in spec.attention if a.kind != "none")),
        "experts": f"{spec.experts}" if spec.is_moe else "-",
        "KV grows/token": _growth(mixing),
        "context": format_tokens(spec.max_context) if spec.max_context else "-",
    }


def _growth(mixing: Sequence[Layer]) -> str:
    """Cached elements that each token of a long context adds, and what stops: windows, states.

    `10,240 + state` and `18,432 (+ 18,432 in windows)`.
    """
    grows = sum(layer.growing_elements * layer.layers for layer in mixing)
    windowed = sum(layer.kv_elements * layer.layers for layer in mixing) - grows
    within = f" (+ {windowed:,.0f} in windows)" if windowed else ""
    return f"{grows:,.0f}{within}{' + state' if any(layer.state_elements for layer in mixing) else ''}"


def counts(spec: ModelSpec) -> dict[str, Any]:
    """What follows from a model's layers, for programs."""
    from planner.simulate import params
    from planner.simulate.operators.attention import kinds

    grows = float(sum(layer.growing_elements * layer.layers for layer in kinds.layers(spec)))
    return {
        "parameters": params.total(spec),
        "active_parameters": params.active(spec),
        "growing_kv_elements_per_token": int(grows) if grows.is_integer() else grows,
    }


def _billions(parameters: int) -> str:
    """As the field writes it.

    >>> _billions(671_026_404_352), _billions(1_026_000_000_000)
    ('671B', '1.03T')
    """
    if parameters >= 1e12:
        return f"{three_digits(parameters / 1e12)}T"
    return f"{three_digits(parameters / 1e9)}B"


def _system(system: System) -> Row:
    gpu, fabric = system.gpu, system.fabric
    peaks = "/".join(f"{gpu.peak_flops[f] / 1e15:.3g}" for f in ("bf16", "fp8", "fp4") if f in gpu.peak_flops)
    return {
        "memory": format_memory(gpu.memory_bytes),
        "HBM": format_si(gpu.hbm_bytes_per_s, "B/s"),
        "PFLOP/s": peaks,
        "domain": f"{fabric.scale_up_gpus} × {format_si(fabric.scale_up_bytes_per_s, 'B/s')}",
        "network": format_si(fabric.scale_out_bytes_per_s, "B/s"),
        "$/h": f"{system.usd_per_gpu_hour:.2f}",
        "rented": f"{system.rental_usd_per_gpu_hour:.2f}" if system.rental_usd_per_gpu_hour else "-",
    }


def _engine(engine: EngineProfile) -> Row:
    return {
        "step": format_seconds(engine.step_s),
        "layer": format_seconds(engine.layer_s),
        "sequence": format_seconds(engine.request_s),
        "prefill request": format_seconds(engine.prefill_request_s),
        "largest batch": f"{engine.max_batch:,}",
        "memory": f"{100 * engine.memory_fraction:.0f} %",
    }


_ROWS: Mapping[str, Any] = {"models": _model, "systems": _system, "engines": _engine}


def _table(rows: Sequence[Row]) -> list[str]:
    """Aligned columns under a heading; words left, numbers right."""
    if not rows:
        return ["none"]
    head = tuple(rows[0])
    sides = "".join("l" if name in (head[0], "attention") else "r" for name in head)
    return aligned([head, *(tuple(row.values()) for row in rows)], sides)


def _plain(item: Any) -> Any:
    """A preset as plain data; a scenario by its fields."""
    from planner.inputs.scenario import Scenario

    if isinstance(item, Scenario):
        return {field.key: field.get(item) for field in FIELDS}
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return {f.name: _plain(getattr(item, f.name)) for f in dataclasses.fields(item)}
    if isinstance(item, Mapping):
        return {str(key): _plain(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [_plain(value) for value in item]
    return None if isinstance(item, float) and not math.isfinite(item) else item


def _outline(value: Any, depth: int = 0) -> list[str]:
    """Nested data as indented `key: value` lines."""
    pad = "  " * depth
    lines: list[str] = []
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value, 1)
    for key, item in pairs:
        if isinstance(item, (Mapping, list)) and item:
            lines += [f"{pad}{key}:", *_outline(item, depth + 1)]
        elif item not in ("", 0, None, [], {}):  # zero stands for "has none"
            lines.append(f"{pad}{key}: {_scalar(item)}")
    return lines


def _explained(line: str, meanings: Mapping[str, str]) -> str:
    """An outermost line with what its key means."""
    meaning = meanings.get(line.partition(":")[0])
    return f"{line:<26} {meaning}" if meaning else line


def _scalar(item: Any) -> str:
    if isinstance(item, bool):
        return "yes" if item else "no"
    return f"{item:,}" if isinstance(item, int) else f"{item:.6g}" if isinstance(item, float) else f"{item}"
