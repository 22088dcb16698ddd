"""`ratematch import-model`: a Hugging Face config becomes a model of the user's own catalog."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planner.errors import InputError, printable
from planner.inputs import checks, files, naming, toml_tables
from planner.inputs.catalog import load, user_folder
from planner.inputs.huggingface.config import from_hf_config
from planner.inputs.model import ModelSpec

# model repositories that were quantised afterwards keep the formats in a file of its own
QUANTISATION_FILE = "hf_quant_config.json"


def import_model(
    path: Path, name: str | None = None, user_dir: Path | None = None
) -> tuple[Path, ModelSpec, tuple[str, ...]]:
    """Read a `config.json` and write the model into the user's folder, where the catalog finds it.

    Parameters
    ----------
    path
        The file, or a folder that holds a config.json.
    name
        Name in the catalog; by default that of the folder or file.
    user_dir
        The user's folder; `planner.inputs.catalog.user_folder()` by default.

    Returns
    -------
    The TOML file written, the architecture, and the names of what was not understood.

    Raises
    ------
    InputError
        If the file cannot be read, is not a JSON object, or lacks the essentials of a model, if a preset
        that comes with ratematch has the name, or if the result cannot be written.
    """
    path = path / "config.json" if os.path.isdir(path) else path  # noqa: PTH112 (never raises)
    slug = _slug(name if name is not None else _default_name(path))
    _check_free(slug)
    spec, not_understood = from_hf_config(read_config(path), slug)
    checks.model(spec, path.name)
    target = (user_folder() if user_dir is None else user_dir) / "models" / f"{slug}.toml"
    try:
        files.write_atomically(target, to_toml(spec, f"Imported from {printable(path.name)}."))
    except OSError as error:
        raise InputError("file", str(target), f"cannot be written: {files.why(error)}") from None
    return target, spec, not_understood


def _check_free(slug: str) -> None:
    """Raises InputError for a name that a shipped preset has: plans would silently mean another model."""
    shipped = load(Path(os.devnull))
    try:
        taken = shipped.canonical("model", slug)
    except InputError:
        return
    if naming.loose(slug) in {naming.loose(name) for name in shipped.called("model", taken)}:
        raise InputError(
            "name", slug, f"another name, such as --name my-{slug}: the preset {taken} is called so"
        )


def read_config(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises InputError if there is none.

    The formats in a file of quantisation beside it are added where the config is silent.
    """
    config = _read_object(path)
    beside = path.with_name(path.name.replace("config.json", QUANTISATION_FILE))
    if "quantization_config" not in config and beside != path and os.path.isfile(beside):  # noqa: PTH113
        config["quantization_config"] = _read_object(beside).get("quantization")
    return config


def to_toml(spec: ModelSpec, comment: str, extra: Mapping[str, Any] | None = None) -> str:
    """A model as a preset file: a comment, keys of the catalog's own, then the architecture."""
    import tomli_w

    table = {key: value for key, value in toml_tables.encode(spec).items() if key != "name"}
    ordered = {"label": table.pop("label"), **(extra or {}), **table}
    return f"# {comment}\n\n{tomli_w.dumps(ordered)}"


def _read_object(path: Path) -> dict[str, Any]:
    text = files.read_text(path)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = (
            "nested too deeply" if isinstance(error, RecursionError) else getattr(error, "msg", str(error))
        )
        line = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(path.name, text[:30], f"not valid JSON: {reason}{line}") from None
    if not isinstance(found, dict):
        raise InputError(path.name, type(found).__name__, "a JSON object that describes a model")
    return found


def _default_name(path: Path) -> str:
    """Name of the model a file belongs to: its folder's for a config.json, else its own."""
    if path.name == "config.json":
        return path.resolve().parent.name
    return re.sub(r"[-_.]?config$", "", path.stem).rsplit("--", 1)[-1] or path.stem


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9.]+", "-", name.strip().rsplit("/", 1)[-1].lower()).strip("-.")
    if not slug:
        raise InputError("name", name, "letters, digits, dots and dashes")
    return slug
