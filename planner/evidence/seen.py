"""What the runs behind the fit have in them: the cells that a plan's evidence is told by.

One cell for each phase, GPU, engine and format, with the models that each kind of layout was run with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from planner.errors import InputError
from planner.evidence.deployment import engine_profile, layout, setup
from planner.evidence.runs import Row
from planner.inputs.catalog import Catalog
from planner.planning.evidence import CLASSES, classes, format_name
from planner.simulate.space import Layouts
from planner.words import Phase


def cells(rows: Iterable[Row], catalog: Catalog) -> list[dict[str, Any]]:
    """The cells of some runs, in order of phase, GPU, engine and format.

    Runs of immature builds and those that cannot be predicted, which no fit takes, are left out.
    """
    found: dict[tuple[str, ...], dict[str, set[str]]] = {}
    for row in rows:
        if row.immature:
            continue
        try:
            engine = engine_profile(catalog, row.engine, row.version)
            ready = setup(row, catalog, engine)
        except (InputError, LookupError):
            continue
        model, system = ready.model, catalog.system(row.system)
        moe = model.is_moe
        start = (system.name, system.family, engine.family, format_name(ready.precision, moe))
        for phase, at in _pools(row, moe):
            drafts = "drafts" if row.mtp and phase != "prefill" else ""
            name = CLASSES[int(classes(at, moe).ravel()[0])]
            found.setdefault((phase, *start, drafts), {}).setdefault(name, set()).add(model.name)
    return [
        {
            "phase": phase,
            "system": system,
            "family": family,
            "engine": engine,
            "format": formats,
            **({"drafts": True} if drafts else {}),
            "layouts": {name: sorted(layouts[name]) for name in sorted(layouts, key=CLASSES.index)},
        }
        for (phase, system, family, engine, formats, drafts), layouts in sorted(found.items())
    ]


def _pools(row: Row, moe: bool) -> Iterator[tuple[Phase, Layouts]]:
    if row.colocated:
        yield "colocated", layout(row.decode, row.decode_pp, moe)
        return
    yield "prefill", layout(row.prefill, row.prefill_pp, moe)
    yield "decode", layout(row.decode, row.decode_pp, moe)
