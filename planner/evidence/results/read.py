"""A file of results becomes rows of measured runs: the tool's own names, and what the user adds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from planner.errors import InputError
from planner.evidence import runs
from planner.evidence.csv_files import Table
from planner.evidence.results import (
    aiconfigurator,
    columns,
    exported,
    guidellm,
    llmperf,
    records,
    trtllm_bench,
)
from planner.evidence.results.columns import Record
from planner.evidence.results.records import Found
from planner.evidence.runs import Row
from planner.inputs import layout_label, naming, precision
from planner.inputs.catalog import Catalog
from planner.words import Weights

TOOLS = {
    "vllm": "vLLM's serving benchmark",
    "sglang": "SGLang's serving benchmark",
    "guidellm": "guidellm",
    "aiperf": "aiperf",
    "genai-perf": "genai-perf",
    "InferenceX": "InferenceX",
    trtllm_bench.TOOL: "trtllm-bench",
    llmperf.TOOL: "llmperf",
    aiconfigurator.TOOL: "aiconfigurator or aisimulate",
    "": "a collection of results",
}
_READ: Mapping[str, Callable[[Record], dict[str, str]]] = {
    "guidellm": guidellm.columns,
    "aiperf": columns.stated,
    "genai-perf": columns.stated,
    trtllm_bench.TOOL: trtllm_bench.columns,
    llmperf.TOOL: llmperf.columns,
    aiconfigurator.TOOL: aiconfigurator.columns,
}
_OWN = {"model", "system", "engine", "isl", "osl"}  # columns of a file of measured runs
MEASURED = ("ttft_ms", "tpot_ms", "e2e_ms", "output_tokens_per_s")
_ONE_EACH = ("profile_export_aiperf.json", "profile_export_genai_perf.json")  # files of a folder for each run
RESULTS = "results"  # where bench.sh leaves them
_SENT = ("isl", "osl")
_LAYOUTS = ("layout", "prefill_layout", "decode_layout")
# what a row cannot do without, and the flag that says it
_NEEDED = {"model": "--model", "system": "--system", "engine": "--engine", "isl": "--isl", "osl": "--osl"}


def predicted(path: Path, catalog: Catalog, given: Mapping[str, str]) -> tuple[list[Row], Found] | None:
    """Rows of another planner's table of predictions, with its records; None for any other file.

    Raises InputError as `read`.
    """
    if _is_folder(path):
        return None
    try:
        found = records.read(path)
    except InputError:
        return None  # `read` says why
    if set(found.records[0]) >= aiconfigurator.RECOMMENDATION:
        raise InputError(
            path.name,
            "aisimulate's recommendation.csv",
            "its pareto.csv or best_config_topn.csv: plain figures",
        )
    if found.tool != aiconfigurator.TOOL:
        return None
    return _rows(path, found, given, catalog), found


def read(path: Path, catalog: Catalog, given: Mapping[str, str] | None = None) -> list[Row]:
    """Rows of a file of measured runs, or of what a benchmark tool wrote; of all such files of a folder.

    Beside a tool's result the record of an export (`planner.evidence.results.exported`) says what it is of.

    Parameters
    ----------
    given
        What the file does not say, by column (`planner.evidence.runs`), and `layout`, `prefill_layout`,
        `decode_layout` (names of layouts), `weights` (as a scenario has them). It stands above the file.

    Raises InputError for what cannot be read, and for what neither the file nor `given` says, in one line
    with the flags that do.
    """
    given = given or {}
    if _is_folder(path):
        return [row for file in _results(path) for row in read(file, catalog, given)]
    if not given and _is_own(path):
        return runs.read(path)
    found = records.read(path)
    if not _is_own(path):
        record = exported.beside(path)
        if "model" not in given:
            _same_model(path, found, record, catalog)
        given = {**_planned(record, found), **given}
    if found.tool == aiconfigurator.TOOL:
        raise InputError(
            path.name,
            f"predictions of {TOOLS[found.tool]}",
            "what was measured (ratematch validate FILE lays such a file beside ours)",
        )
    return _rows(path, found, given, catalog)


def _same_model(path: Path, found: Found, record: Mapping[str, str], catalog: Catalog) -> None:
    """Raises InputError for a result of another model than the deployment that lies beside it.

    A name under which no preset is known may be what a server was told to call the model.
    """
    asked = _known(catalog, "model", record.get("model", ""))
    for one in found.records:
        typed = _columns(found, one).get("model", "")
        named = _known(catalog, "model", typed)
        if asked and named != asked and named in catalog.names("model"):
            raise InputError(
                path.name,
                f"a result of {typed}",
                f"one of {asked}, which {exported.record(path)} is of: --model says which it is, or move it",
            )


def _planned(record: Mapping[str, str], found: Found) -> dict[str, str]:
    """What the record of an export says, but for lengths that the results have themselves."""
    sent = [_columns(found, one) for one in found.records]
    return {k: v for k, v in record.items() if k not in _SENT or not all(k in row for row in sent)}


def _rows(path: Path, found: Found, given: Mapping[str, str], catalog: Catalog) -> list[Row]:
    for at, record in enumerate(found.records, 1):
        if columns.number(record.get("completed")) == 0:
            raise InputError(f"{path.name}, run {at}", "0 requests completed", "a run with some that were")
    rows = [_row(found, record, given, catalog) for record in found.records]
    if found.tool:
        _named(rows, path)
    table = Table(name=path.name, rows=tuple(rows), lines=tuple(range(2, len(rows) + 2)))
    _complete(table, found, given)
    for name in runs.NAMES:
        table.names(name)
    return runs.rows(table)


def _named(rows: list[dict[str, str]], path: Path) -> None:
    """Give runs the name of their file, or of the folder that a tool makes for each."""
    name = path.parent.name if path.name in _ONE_EACH else path.stem
    for at, row in enumerate(rows, 1):
        row.setdefault("id", name if len(rows) == 1 else f"{name}, {at}")


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 (never raises, whatever the name)


def _results(folder: Path) -> list[Path]:
    """The results in a folder, as an export's bench.sh leaves them. Raises InputError without any.

    Of the folder of an export itself those in its results/.
    """
    if (folder / exported.FILE).is_file() and _is_folder(folder / RESULTS):
        folder /= RESULTS
    try:
        plain = [path for ending in ("json", "jsonl", "csv") for path in folder.glob(f"*.{ending}")]
        found = sorted([*plain, *(file for name in _ONE_EACH for file in folder.glob(f"*/{name}"))])
    except OSError as error:
        raise InputError("folder", str(folder), f"cannot be read: {error.strerror}") from None
    known = [path for path in found if kind(path)]
    if not known:
        raise InputError("folder", str(folder), "a folder with results of a benchmark")
    return known


def kind(path: Path) -> str:
    """The tool whose result a file is, in words; "" where it is none that is known."""
    try:
        found = records.read(path)
    except InputError:
        return ""
    own = {str(key) for key in found.records[0]} >= _OWN
    row = _columns(found, found.records[0])
    measured = any(column in row for column in MEASURED)
    return "a file of measured runs" if own else TOOLS[found.tool] if measured else ""


def _is_own(path: Path) -> bool:
    try:
        found = records.read(path)
    except InputError:
        return True  # the reader of measured runs says what is wrong with it
    named = set(found.records[0])
    return found.tool == "" and named >= _OWN and not named.isdisjoint(MEASURED)


def _columns(found: Found, record: Record) -> dict[str, str]:
    own = {str(key): value for key, value in record.items() if isinstance(value, str)}
    named = _READ.get(found.tool, columns.flat)(record)
    return {**own, **named} if found.tool == "" else named


def _row(found: Found, record: Record, given: Mapping[str, str], catalog: Catalog) -> dict[str, str]:
    row = _columns(found, record)
    engine = given.get("engine") or columns.engine_of(row.get("engine", "")) or ""
    if not engine and "engine_versions" in row:
        engine = columns.engine_of(row["engine_versions"])
    version = columns.version_of(row.get("engine_versions", ""))
    row = {**row, **{key: value for key, value in given.items() if key not in (*_LAYOUTS, "weights")}}
    row = {**row, "engine": engine, "engine_versions": given.get("engine_versions", version)}
    row.update(_layouts(given))
    if given.get("requests_per_s"):
        row.pop("concurrency", None)
    if given.get("concurrency"):
        row.pop("requests_per_s", None)
    typed = row.get("model", "")
    for name in ("model", "system"):
        if row.get(name):
            row[name] = _known(catalog, name, row[name])
    _formats(row, typed, given.get("weights"), catalog)
    return row


def _known(catalog: Catalog, name: str, typed: str) -> str:
    """The preset of a typed name; the name itself where there is none, which is told with the row."""
    try:
        if name == "system":
            return catalog.canonical("system", naming.counted(typed)[1])
        return catalog.canonical("model", typed)
    except InputError:
        return typed


def _formats(row: dict[str, str], typed: str, weights: str | None, catalog: Catalog) -> None:
    """Formats that the file or its user names; else what the model's name implies, else its checkpoint's."""
    if row.get("gemm_dtype") and weights is None:
        row["gemm_dtype"] = columns.format_of(row["gemm_dtype"])
        return
    try:
        model, system = catalog.model(row.get("model", "")), catalog.system(row.get("system", ""))
    except InputError:
        return
    asked: Weights | None = weights or naming.implied_weights(typed)  # type: ignore[assignment]
    if asked is None:
        row["moe_dtype"] = model.checkpoint
        row["gemm_dtype"] = model.checkpoint_beside or model.checkpoint
        return
    formats = precision.resolve(asked, "auto", model, system.gpu, system.vendor)
    row["gemm_dtype"], row["moe_dtype"] = formats.gemm.name, formats.moe.name


def _layouts(given: Mapping[str, str]) -> dict[str, str]:
    """The columns of layouts that are named."""
    found: dict[str, str] = {}
    for key, prefix in (("layout", ""), ("prefill_layout", "prefill_"), ("decode_layout", "decode_")):
        if not given.get(key):
            continue
        at = layout_label.parse(given[key], key.replace("_", "-"))
        found[f"{prefix}tp"], found[f"{prefix}pp"] = str(at.tp), str(at.pp)
        found[f"{prefix}attention_dp"] = str(at.attention_dp)
        found[f"{prefix}moe_tp"], found[f"{prefix}moe_ep"] = str(at.moe_tp), str(at.ep)
        found["mode"] = "disaggregated" if prefix else "colocated"
    return found


def _complete(table: Table, found: Found, given: Mapping[str, str]) -> None:
    """Raises InputError with all that is not said, and the flags that say it."""
    row = table.rows[0]
    lacking = [flag for column, flag in _NEEDED.items() if not row.get(column)]
    if not any(row.get(column) for column in ("tp", "prefill_tp", "decode_tp", "attention_dp")):
        lacking.append("--layout")
    if not any(row.get(column) for column in ("concurrency", "requests_per_s", "requests")):
        lacking.append("--concurrency or --rate")
    if lacking:
        what = f"a result of {TOOLS[found.tool]}" if found.tool else "this file"
        raise InputError(table.name, "the file alone", f"{what} does not say {', '.join(lacking)}: give them")
    if not any(row.get(column) for column in MEASURED):
        raise InputError(
            table.name, ", ".join(list(row)[:8]), "at least one of a first token, a token interval"
        )
