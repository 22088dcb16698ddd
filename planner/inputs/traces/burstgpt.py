"""BurstGPT traces: CSV with seconds, request and response tokens, and in some versions conversations.

A response of 0 tokens is a request that failed. Source: github.com/HPMLL/BurstGPT.
"""

from __future__ import annotations

from collections.abc import Mapping

from planner.inputs.traces import cells
from planner.inputs.traces.raw import Raw, Source

NAME = "BurstGPT CSV"
COLUMNS = ("timestamp", "request tokens", "response tokens")
SESSION = "session id"


def recognises(columns: Mapping[str, str]) -> bool:
    """Whether a header is of this format; `columns` has its names in lower case, and as they stand."""
    return all(name in columns for name in COLUMNS)


def read(source: Source, columns: Mapping[str, str]) -> Raw:
    """The rows of a file. Raises InputError for what is no CSV file."""
    kinds = dict(zip(COLUMNS, (cells.numbers, cells.tokens, cells.tokens), strict=True))
    if SESSION in columns:
        kinds[SESSION] = cells.text
    found, unreadable = cells.csv_columns(source, {columns[name]: kind for name, kind in kinds.items()})
    time_s, isl, osl = (found[columns[name]] for name in COLUMNS)
    return Raw(
        time_s=time_s,
        isl=isl,
        osl=osl,
        session=cells.codes(found[columns[SESSION]]) if SESSION in columns else None,
        unreadable=unreadable,
    )
