"""A trace is opened, its format recognised by what it holds, and read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from planner.errors import InputError
from planner.inputs import files
from planner.inputs.requests import Requests
from planner.inputs.traces import agents, azure, burstgpt, clients, mooncake, qwen, shipped, table
from planner.inputs.traces.clean import requests_of
from planner.inputs.traces.raw import Raw, Source
from planner.inputs.traces.repairs import Repairs
from planner.inputs.traces.window import WHOLE, Window, cut

MOST_BYTES = 2 << 30  # of text: the week of Azure's 2024 trace has 1.2 GiB
LOOK_BYTES = 1 << 16  # enough for the first line of any format


class Format(Protocol):
    """A module that reads one format."""

    @property
    def NAME(self) -> str: ...

    def recognises(self, columns: Mapping[str, str], /) -> bool: ...

    def read(self, source: Source, columns: Mapping[str, str], /) -> Raw: ...


JSON_FORMATS: tuple[Format, ...] = (qwen, mooncake, table)
CSV_FORMATS: tuple[Format, ...] = (azure, burstgpt, agents, clients, table)  # the most particular first


def read_requests(
    path: Path,
    *,
    seed: int = 0,
    most_tokens: int | None = None,
    window: Window = WHOLE,
    model: str = "",
    lengths: Path | None = None,
) -> tuple[Requests, Repairs]:
    """The requests of a trace in any known format, plain or gzip, and what was mended in it.

    Parameters
    ----------
    path
        A file, or the name of a trace that comes with ratematch (`planner.inputs.traces.shipped`).
    seed
        Of what the file leaves open: where in a tick of a slow clock a request came.
    most_tokens
        Of a request, in and out together: a model's context. Longer ones are left out and counted.
    window
        The part of the trace to take; its times count from there.
    model, lengths
        For a file of rates: whose, and the file of their lengths (`planner.inputs.traces.clients`).

    Raises InputError, in one line, for a file that cannot be read or holds no request.
    """
    source = Source(
        name=str(path),
        data=files.read_bytes(shipped.found(path), MOST_BYTES, what="trace"),
        seed=seed,
        window=window,
        model=model,
        lengths=b"" if lengths is None else files.read_bytes(lengths, files.MOST_BYTES, what="lengths"),
    )
    return read_source(source, most_tokens=most_tokens)


def read_source(source: Source, *, most_tokens: int | None = None) -> tuple[Requests, Repairs]:
    """`read_requests`, of a text that is in memory."""
    found, columns = recognised(source)
    if found is not clients and (source.model or source.lengths):
        option, value = ("model", source.model) if source.model else ("lengths", "a file")
        raise InputError(option, value, f"rates of clients; {source.name} is {found.NAME}, which has its own")
    requests, repairs = requests_of(found.read(source, columns), source, found.NAME, most_tokens)
    return (requests if found is clients else cut(requests, source.window)), repairs


def recognised(source: Source) -> tuple[Format, Mapping[str, str]]:
    """The format of a trace, and its columns: names in lower case, and as they stand.

    Raises InputError for what is no text, is empty, or has columns of no known format.
    """
    head = source.data[:LOOK_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head:
        raise source.wrong("a trace; the file is empty")
    try:
        text = head.decode() if len(head) < LOOK_BYTES // 2 else head.decode(errors="ignore")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise source.wrong("a trace as text: CSV, or JSON lines")
    line = text.splitlines()[0]
    names = _keys(line, source) if line.startswith("{") else next(csv.reader(io.StringIO(line)), [])
    columns = {name.strip().lower(): name for name in names}
    formats = JSON_FORMATS if line.startswith("{") else CSV_FORMATS
    for found in formats:
        if found.recognises(columns):
            return found, columns
    raise source.lacks(tuple(names), "columns of a known format, or time_s, input_tokens, output_tokens")


def _keys(line: str, source: Source) -> list[str]:
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        raise source.wrong("JSON, one object a line; its first line is none") from None
    return list(first)
