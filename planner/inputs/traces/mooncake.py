"""Mooncake traces: JSON lines with milliseconds, lengths, and the number of each block of 512 prompt tokens.

Equal numbers are equal blocks behind equal prefixes. Source: github.com/kvcache-ai/Mooncake, FAST25-release.
"""

from __future__ import annotations

from collections.abc import Mapping

from planner.inputs.traces import cells
from planner.inputs.traces.raw import Raw, Source, arrow

NAME = "Mooncake JSONL"
COLUMNS = ("timestamp", "input_length", "output_length", "hash_ids")
BLOCK_TOKENS = 512


def recognises(columns: Mapping[str, str]) -> bool:
    """Whether the keys of a first line are of this format."""
    return all(name in columns for name in COLUMNS)


def read(source: Source, columns: Mapping[str, str]) -> Raw:
    """The rows of a file. Raises InputError for what is no JSON."""
    pa = arrow(source)
    kinds = {columns[name]: pa.float64() for name in COLUMNS[:3]} | {
        columns["hash_ids"]: pa.list_(pa.int64())
    }
    found, unreadable = cells.json_columns(source, kinds)
    time, isl, osl = (cells.numbers(found[columns[name]]) for name in COLUMNS[:3])
    start, blocks = cells.lists(found[columns["hash_ids"]])
    return Raw(
        time_s=time / 1e3,
        isl=cells.whole(isl),
        osl=cells.whole(osl),
        block_start=start,
        blocks=blocks,
        block_tokens=BLOCK_TOKENS,
        unreadable=unreadable,
    )
