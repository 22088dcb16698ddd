"""What `ratematch export` recorded of a deployment, found beside the results that were measured on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from planner.errors import InputError, unknown
from planner.inputs.toml_tables import read_toml

FILE = "deployment.toml"
FOLDERS_UP = (
    3  # of a result: its own (results/), the export's, one more where a tool makes a folder for each run
)
COLUMNS = (
    "mode",
    "model",
    "system",
    "engine",
    "engine_versions",
    "gemm_dtype",
    "moe_dtype",
    "isl",
    "osl",
    "max_batch",
    "max_batched_tokens",
    "memory_fraction",
    "shared_prefix",
    "mtp",
    "mtp_acceptance",
    *(f"{role}workers" for role in ("prefill_", "decode_")),
    *(
        f"{role}{name}"
        for role in ("", "prefill_", "decode_")
        for name in ("tp", "pp", "attention_dp", "moe_tp", "moe_ep")
    ),
)


def beside(path: Path) -> dict[str, str]:
    """Columns of measured runs that the record says of a result, or of a folder of them; {} without a record.

    Raises InputError for one that cannot be used.
    """
    file = record(path)
    return _columns(file) if file is not None else {}


def record(path: Path) -> Path | None:
    """The record that says what a result, or a folder of them, is of; None where none is near."""
    for folder in [path.absolute(), *path.absolute().parents][: FOLDERS_UP + 1]:
        if (folder / FILE).is_file():
            return folder / FILE
    return None


def _columns(path: Path) -> dict[str, str]:
    table = read_toml(path).get("run")
    if not isinstance(table, Mapping):
        raise InputError(FILE, type(table).__name__, "a table [run], as ratematch export writes it")
    found = {}
    for key, value in table.items():
        if key not in COLUMNS:
            raise unknown(f"{FILE}: run", str(key), COLUMNS)
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise InputError(f"{FILE}: {key}", type(value).__name__, "a text or a number")
        found[key] = str(value)
    return found
