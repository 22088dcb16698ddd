"""Qwen traces of Alibaba's Bailian: JSON lines with seconds, blocks of 16 tokens, and the turn before.

Source: github.com/alibaba-edu/qwen-bailian-usagetraces-anon.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.inputs.requests import NO_SESSION
from planner.inputs.traces import cells
from planner.inputs.traces.raw import Raw, Source, arrow

NAME = "Qwen-Bailian JSONL"
COLUMNS = ("chat_id", "parent_chat_id", "timestamp", "input_length", "output_length")
BLOCKS, BLOCK_TOKENS = "hash_ids", 16


def recognises(columns: Mapping[str, str]) -> bool:
    """Whether the keys of a first line are of this format."""
    return all(name in columns for name in (*COLUMNS, BLOCKS))


def read(source: Source, columns: Mapping[str, str]) -> Raw:
    """The rows of a file. Raises InputError for what is no JSON."""
    pa = arrow(source)
    kinds = {columns[name]: pa.float64() for name in COLUMNS}
    found, unreadable = cells.json_columns(source, kinds | {columns[BLOCKS]: pa.list_(pa.int64())})
    chat, parent, time, isl, osl = (cells.numbers(found[columns[name]]) for name in COLUMNS)
    start, blocks = cells.lists(found[columns[BLOCKS]])
    return Raw(
        time_s=time,
        isl=cells.whole(isl),
        osl=cells.whole(osl),
        session=_conversations(chat, parent),
        block_start=start,
        blocks=blocks,
        block_tokens=BLOCK_TOKENS,
        unreadable=unreadable,
    )


def _conversations(chat: FloatArray, parent: FloatArray) -> IntArray:
    """A turn belongs to the conversation of its parent, one without a parent in the file begins its own."""
    known: dict[float, int] = {}
    found = []
    for row, (name, before) in enumerate(zip(chat.tolist(), parent.tolist(), strict=True)):
        belongs = known.get(before, row)
        known[name] = belongs
        found.append(belongs if name == name else NO_SESSION)
    return np.array(found, dtype=np.int64)
