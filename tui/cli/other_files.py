"""What a file is that was given as a scenario, and which command reads it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from planner.errors import InputError, printable

LOOK_BYTES = 1 << 16


def instead(name: str) -> str:
    """What a file is and what to do with it, where it is a trace, a result or a model's config; else ""."""
    path = Path(name)
    try:
        if path.suffix == ".toml" or not path.is_file():
            return ""
        with path.open("rb") as plain:
            packed = path.suffix == ".gz"
            head = gzip.GzipFile(fileobj=plain).read(LOOK_BYTES) if packed else plain.read(LOOK_BYTES)
    except (OSError, EOFError, ValueError):
        return ""
    shown = printable(name) if len(name) <= 60 else "FILE"
    if trace := _trace(name, head):
        return f"it is a trace of requests ({trace}): `ratematch trace {shown}` shows it"
    if _config(head):
        return f"it is a model's config: `ratematch import-model {shown}`, or `--model {shown}`"
    from planner.evidence.results.read import kind

    if tool := kind(path):
        what = tool if tool.startswith("a ") else f"a result of {tool}"
        return f"it is {what}: `ratematch validate {shown}` holds predictions against it"
    return ""


def _trace(name: str, head: bytes) -> str:
    from planner.inputs.traces.raw import Source
    from planner.inputs.traces.read import recognised

    try:
        return recognised(Source(name=name, data=head))[0].NAME
    except InputError:
        return ""


def _config(head: bytes) -> bool:
    try:
        found = json.loads(head)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and ("model_type" in found or "architectures" in found)
