"""Azure LLM inference traces, 2023 and 2024: CSV with a date, the tokens in and the tokens out.

Source: github.com/Azure/AzurePublicDataset, AzureLLMInferenceDataset2023.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from planner.inputs.traces import cells
from planner.inputs.traces.raw import Raw, Source

NAME = "Azure CSV"
COLUMNS = ("timestamp", "contexttokens", "generatedtokens")


def recognises(columns: Mapping[str, str]) -> bool:
    """Whether a header is of this format; `columns` has its names in lower case, and as they stand."""
    return all(name in columns for name in COLUMNS)


def read(source: Source, columns: Mapping[str, str]) -> Raw:
    """The rows of a file. Raises InputError for what is no CSV file."""
    kinds: list[cells.Convert] = [cells.Stamps(), cells.tokens, cells.tokens]
    found, unreadable = cells.csv_columns(
        source, {columns[n]: k for n, k in zip(COLUMNS, kinds, strict=True)}
    )
    time_s, isl, osl = (found[columns[name]] for name in COLUMNS)
    return Raw(time_s=time_s, isl=isl, osl=osl, unreadable=unreadable)
