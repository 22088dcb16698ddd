"""The records of a result file, whatever wrote it: flat or nested, JSON, lines of JSON, or CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.evidence.csv_files import separator
from planner.evidence.results import aiconfigurator, guidellm, llmperf, trtllm_bench
from planner.evidence.results.columns import Record
from planner.inputs import files

MOST_BYTES = 64 << 20  # of one file: with every request in it a large one has some tens
MOST_RECORDS = 20_000
_METRIC = re.compile(r"^(?P<name>[^()]+?)\s*(?:\((?P<unit>[^()]*)\))?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The records of a file and the tool whose they are ("" where that cannot be told)."""

    tool: str
    records: Sequence[Record]


def read(path: Path) -> Found:
    """The records of a file. Raises InputError for what is neither JSON nor CSV, or has too many."""
    try:
        text = files.read_text(path, MOST_BYTES).lstrip("\ufeff")
    except InputError as error:
        raise InputError("file", str(path), f"a readable result file ({error.accepted})") from None
    found = _of_json(path, text) if text.lstrip()[:1] in ("{", "[") else _of_csv(path, text)
    if not found.records or len(found.records) > MOST_RECORDS:
        raise InputError(path.name, f"{len(found.records):,} runs", f"1 to {MOST_RECORDS:,}")
    return found


def _of_json(path: Path, text: str) -> Found:
    try:
        try:
            whole: Any = json.loads(text)
        except json.JSONDecodeError:  # one object a line, as tools append them
            whole = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        raise InputError(path.name, text[:30], "JSON, or one JSON object a line") from None
    nested = whole.get("benchmarks") if isinstance(whole, dict) else None
    records = nested if isinstance(nested, list) else whole if isinstance(whole, list) else [whole]
    if not all(isinstance(record, dict) for record in records):
        raise InputError(path.name, type(records[0]).__name__, "objects, one for each run")
    outer = {key: value for key, value in whole.items() if key != "benchmarks"} if nested else {}
    return Found(tool=_tool(records[0]) if records else "", records=[{**outer, **one} for one in records])


def _tool(record: Record) -> str:
    if isinstance(record.get("metrics"), dict):
        return "guidellm"
    if trtllm_bench.is_one(record):
        return trtllm_bench.TOOL
    if llmperf.is_one(record):
        return llmperf.TOOL
    if isinstance(record.get("time_to_first_token"), dict) or isinstance(record.get("request_latency"), dict):
        return "aiperf" if "aiperf_version" in record or "schema_version" in record else "genai-perf"
    return tool_of_columns(tuple(record))


def tool_of_columns(columns: Sequence[str]) -> str:
    """Whose columns these are: vllm, sglang, InferenceX, or "" for others.

    >>> tool_of_columns(["backend", "mean_ttft_ms", "tokenizer_id"]), tool_of_columns(["isl", "osl"])
    ('vllm', '')
    """
    names = {name.strip().lower() for name in columns}
    if aiconfigurator.is_one(names):
        return aiconfigurator.TOOL
    if {"total_output_tokens_retokenized", "mean_e2e_latency_ms"} & names:
        return "sglang"
    if "mean_ttft_ms" in names or "median_ttft_ms" in names:
        return "vllm"
    if {"tput_per_gpu", "infmax_model_prefix"} & names or {"hw", "conc"} <= names:
        return "InferenceX"
    return ""


def _of_csv(path: Path, text: str) -> Found:
    table = io.StringIO(text, newline="")
    try:
        lines = [line for line in csv.reader(table, delimiter=separator(text)) if any(map(str.strip, line))]
    except csv.Error as error:
        raise InputError("file", str(path), f"a readable CSV file ({error})") from None
    if len(lines) < 2:
        raise InputError("file", str(path), "a CSV file with a header and at least one row")
    head = [name.strip() for name in lines[0]]
    if guidellm.is_csv(lines):
        return Found(tool="guidellm", records=guidellm.records(lines))
    if head[0].lower() == "metric":
        return Found(tool="genai-perf", records=[dict(_metrics(lines))])
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(head):
            cells = f"{len(line)} cells"
            raise InputError(f"{path.name}, line {number}", cells, f"{len(head)}, as the header has")
    return Found(
        tool=tool_of_columns(head), records=[dict(zip(head, line, strict=True)) for line in lines[1:]]
    )


def _metrics(lines: Sequence[Sequence[str]]) -> Iterator[tuple[str, dict[str, str]]]:
    """The tables of genai-perf and aiperf, one below the other: a metric a line, its statistics beside."""
    head: Sequence[str] = ()
    for line in lines:
        if line[0].strip().lower() == "metric":
            head = [name.strip().lower().replace("value", "avg") for name in line]
            continue
        named = _METRIC.match(line[0].strip())
        if named is None:
            continue
        name = re.sub(r"[^a-z0-9]+", "_", named["name"].strip().lower())
        values = dict(zip(head[1:], line[1:], strict=False))
        yield name, {**values, "unit": (named["unit"] or "").strip()}
