"""What the typed name of a preset says: which preset, and what of other fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from planner.inputs import naming
from planner.inputs.fields import BY_KEY, Field
from planner.words import PresetKind


class Names(Protocol):
    """Where the names in a scenario lead: what a catalog knows."""

    def canonical(self, kind: PresetKind, name: str) -> str:
        """The exact name of a preset. Raises InputError for one that is not known."""

    def scenario_path(self, name: str) -> Path:
        """The file of a scenario. Raises InputError for one that is not known."""


def named(field: Field, text: str, catalog: Names) -> tuple[str, dict[str, Any]]:
    """The preset that a typed name means, and what it says of other fields, by key.

    A model's name may tell the format of its weights, a system's the number of GPUs ("8xH100").

    Raises InputError for a name that is not known, or a number of GPUs out of range.
    """
    if field.catalog == "system" and not naming.is_file("system", text):
        gpus, rest = naming.counted(text)
        return catalog.canonical("system", rest), {} if gpus is None else {"gpus": BY_KEY["gpus"].check(gpus)}
    exact = catalog.canonical(field.catalog or "model", text)
    weights = naming.implied_weights(text) if field.catalog == "model" and exact != text else None
    return exact, {} if weights is None else {"weights": weights}
