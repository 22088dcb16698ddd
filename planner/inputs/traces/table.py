"""The format of ratematch itself, CSV or JSON lines: time, input and output, and what else is known.

=============  ====================================================================================
time_s         when a request came: seconds, or a date and time (time_ms: milliseconds)
input_tokens   of the prompt
output_tokens  of the answer
session        optional; turns of one conversation have the same, a number or a name
blocks         optional; a number for each block of the prompt, equal if it and all before it are
               equal: a list in JSON, in CSV numbers between spaces
block_tokens   optional; tokens of a block; without it found from the lengths
=============  ====================================================================================

Names that others give the columns are known too (`NAMES`); other columns are not read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.inputs.traces import cells
from planner.inputs.traces.raw import Raw, Source, arrow

NAME = "table"
NAMES: Mapping[str, tuple[str, ...]] = {
    "time": ("time_s", "time", "arrival_s", "arrival", "arrival_time", "arrived_at", "timestamp", "t_s", "t"),
    "time_ms": ("time_ms", "arrival_ms", "timestamp_ms"),
    "input": (
        "input_tokens", "input", "isl", "input_length", "input_len", "prompt_tokens", "prompt_len",
        "num_prefill_tokens", "contexttokens", "request_tokens",
    ),
    "output": (
        "output_tokens", "output", "osl", "output_length", "output_len", "completion_tokens",
        "num_decode_tokens", "generatedtokens", "response_tokens",
    ),
    "session": ("session", "session_id", "conversation", "conversation_id", "chat_id"),
    "blocks": ("blocks", "hash_ids", "block_hashes"),
    "block_tokens": ("block_tokens", "block_size"),
}  # fmt: skip


def recognises(columns: Mapping[str, str]) -> bool:
    """Whether a header, or the keys of a first line, are of this format."""
    known = _known(columns)
    return "input" in known and "output" in known and ("time" in known or "time_ms" in known)


def _known(columns: Mapping[str, str]) -> dict[str, str]:
    """What is known of the columns, and what each is called in the file."""
    found = {}
    for what, names in NAMES.items():
        name = next((name for name in names if name in columns), None)
        if name is not None:
            found[what] = columns[name]
    if "time" in found:
        found.pop("time_ms", None)
    return found


def read(source: Source, columns: Mapping[str, str]) -> Raw:
    """The rows of a file. Raises InputError for what is neither CSV nor JSON."""
    known = _known(columns)
    text = source.data.lstrip(b"\xef\xbb\xbf \r\n\t")
    found, unreadable = _from_json(source, known, text) if text[:1] == b"{" else _from_csv(source, known)
    start = blocks = np.empty(0, dtype=np.int64)
    block_tokens = unread = 0
    if "blocks" in found:
        column = found["blocks"]
        if not _is_list(column):
            column, unread = cells.split(column)
        start, blocks = cells.lists(column)
        block_tokens = _block_tokens(found.get("block_tokens"), found["input"], np.diff(start))
    return Raw(
        time_s=found["time"] if "time" in found else found["time_ms"] / 1e3,
        isl=found["input"],
        osl=found["output"],
        session=cells.codes(found["session"]) if "session" in found else None,
        block_start=start if block_tokens else start[:0],
        blocks=blocks if block_tokens else blocks[:0],
        block_tokens=block_tokens,
        blocks_unread=unread,
        unreadable=unreadable,
    )


def _from_csv(source: Source, known: Mapping[str, str]) -> tuple[dict[str, Any], int]:
    kinds = _kinds()
    found, unreadable = cells.csv_columns(source, {name: kinds[what] for what, name in known.items()})
    return {what: found[name] for what, name in known.items()}, unreadable


def _from_json(source: Source, known: Mapping[str, str], text: bytes) -> tuple[dict[str, Any], int]:
    """Words or numbers as the first line has them."""
    pa = arrow(source)
    first = json.loads(text.splitlines()[0])
    kinds = {
        name: pa.list_(pa.int64())
        if what == "blocks"
        else pa.string()
        if what in ("time", "session") and isinstance(first[name], str)
        else pa.float64()
        for what, name in known.items()
    }
    found, unreadable = cells.json_columns(source, kinds)
    convert = _kinds() | {"blocks": cells.text}
    return {what: convert[what](found[name]) for what, name in known.items()}, unreadable


def _kinds() -> dict[str, cells.Convert]:
    """What becomes of each column."""
    return {
        "time": cells.Times(),
        "time_ms": cells.numbers,
        "input": cells.tokens,
        "output": cells.tokens,
        "session": cells.text,
        "blocks": cells.text,
        "block_tokens": cells.tokens,
    }


def _is_list(column: Any) -> bool:
    return str(column.type).startswith("list")


def _block_tokens(said: FloatArray | None, isl: FloatArray, count: IntArray) -> int:
    """As the file says; else the power of two that most prompts of two blocks or more fit; 0 for neither."""
    if said is not None:
        values = said[np.isfinite(said) & (said >= 1) & (said <= 1 << 20)]
        if len(values):
            return int(np.median(values))
    several = (count >= 2) & np.isfinite(isl) & (isl >= 1)
    if not several.any():
        return 0
    each = np.exp2(np.ceil(np.log2(isl[several] / count[several])))
    return max(int(np.median(each)), 1)
