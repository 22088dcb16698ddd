"""What a trace holds, as plain data in SI units."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from planner.inputs.traces import Repairs
from planner.inputs.traces.facts import Facts


def data(name: str, facts: Facts, repairs: Repairs) -> dict[str, Any]:
    """For JSON: the file, what was mended in it, and all facts; arrays as lists."""
    found = asdict(facts)
    for part in ("over_time", "isl_histogram", "osl_histogram", "shared"):
        if found[part] is not None:
            found[part] = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in found[part].items()}
    return {"trace": name, **found, "bursts": facts.bursts, "repairs": repairs.data() | {
        "said": list(repairs.sentences())
    }}  # fmt: skip
