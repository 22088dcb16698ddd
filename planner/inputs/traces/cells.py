"""Text and JSON become columns of numbers, by pyarrow; a cell that is no number is NaN."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.inputs.requests import NO_SESSION
from planner.inputs.traces.raw import Source, arrow

Convert: TypeAlias = Callable[[Any], Any]  # of a batch of text

BLOCK_BYTES = 16 << 20  # a line is no longer
LARGEST = 1e19  # of any number: nanoseconds since 1970 are less
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*$"
NUMBERS = r"^\[?\s*\d{1,18}([\s;,|]+\d{1,18})*\s*\]?$"
STAMP = (
    r"^\s*(?P<base>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?P<part>\.\d{1,12})?\s*(?P<zone>Z|[+-]\d\d:?\d\d)?\s*$"
)


def csv_columns(source: Source, wanted: Mapping[str, Convert]) -> tuple[dict[str, Any], int]:
    """Columns of a CSV file, and the number of lines that have other cells than its header.

    `wanted` are names as the header has them, and what becomes of each batch of their text: arrays, which are
    put together, so that a file's text is never in memory as cells all at once. Raises InputError for what
    is no CSV file.
    """
    pa = arrow(source)
    from pyarrow import csv

    skipped = 0

    def skip(_: Any) -> str:
        nonlocal skipped
        skipped += 1
        return "skip"

    parts: dict[str, list[Any]] = {name: [] for name in wanted}
    try:
        batches = csv.open_csv(
            pa.BufferReader(source.data),
            read_options=csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(invalid_row_handler=skip),
            convert_options=csv.ConvertOptions(
                include_columns=list(wanted), column_types={name: pa.string() for name in wanted}
            ),
        )
        for batch in batches:
            for name, convert in wanted.items():
                parts[name].append(convert(batch.column(name)))
    except (pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError) as error:
        raise source.wrong(f"a readable CSV file ({_first(error)})") from None
    return {name: _joined(pa, found, wanted[name]) for name, found in parts.items()}, skipped


def _joined(pa: Any, parts: list[Any], convert: Convert) -> Any:
    """Batches of arrays as one array; of text as a column of it."""
    if not parts:
        parts = [convert(pa.array([], pa.string()))]
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else pa.chunked_array(parts)


def text(column: Any) -> Any:
    """A column as it is."""
    return column


def json_columns(source: Source, wanted: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Columns of JSON, one object a line, of the pyarrow types given; and the number of lines that are none.

    Raises InputError for what is no such file.
    """
    pa = arrow(source)
    try:
        return _json(pa, source.data, wanted), 0
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass  # some line is damaged: find which
    good, bad = _whole_lines(source.data, wanted, pa)
    if not good:
        raise source.wrong("JSON, one object a line")
    try:
        return _json(pa, b"\n".join(good), wanted), bad
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise source.wrong(f"JSON, one object a line ({_first(error)})") from None


def _json(pa: Any, data: bytes, wanted: Mapping[str, Any]) -> dict[str, Any]:
    from pyarrow import json as arrow_json

    table = arrow_json.read_json(
        pa.BufferReader(data),
        read_options=arrow_json.ReadOptions(block_size=BLOCK_BYTES),
        parse_options=arrow_json.ParseOptions(
            explicit_schema=pa.schema(list(wanted.items())), unexpected_field_behavior="ignore"
        ),
    )
    return {name: table.column(name) for name in wanted}


def _whole_lines(data: bytes, wanted: Mapping[str, Any], pa: Any) -> tuple[list[bytes], int]:
    """Lines that hold what is wanted, and how many do not."""
    good, bad = [], 0
    for line in data.splitlines():
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            fits = isinstance(found, dict) and all(_fits(found.get(n), t, pa) for n, t in wanted.items())
        except (ValueError, RecursionError):
            fits = False
        if fits:
            good.append(json.dumps({name: found.get(name) for name in wanted}).encode())
        else:
            bad += 1
    return good, bad


def _fits(value: object, kind: Any, pa: Any) -> bool:
    if value is None:
        return True
    if pa.types.is_list(kind):
        return isinstance(value, list) and all(_fits(item, kind.value_type, pa) for item in value)
    if pa.types.is_string(kind):
        return isinstance(value, str)
    if pa.types.is_integer(kind):
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def numbers(column: Any) -> FloatArray:
    """A column of text or numbers as floats, shape ``(rows,)``; NaN for what is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type):
        try:
            column = pc.cast(column, pa.float64())
        except pa.ArrowInvalid:
            told = pc.if_else(pc.match_substring_regex(column, NUMBER), column, None)
            column = pc.cast(pc.utf8_trim_whitespace(told), pa.float64())
    values = np.array(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    values[~(np.abs(values) <= LARGEST)] = np.nan
    return values


def whole(values: FloatArray) -> FloatArray:
    """Counts of tokens: what is no whole number is none.

    >>> whole(np.array([3.0, 2.5])).tolist()
    [3.0, nan]
    """
    return np.where(values == np.floor(values), values, np.nan)


def tokens(column: Any) -> FloatArray:
    """`whole` of `numbers`."""
    return whole(numbers(column))


class Stamps:
    """Columns of dates and times of day (ISO 8601) as seconds, from the earliest of the first batch."""

    def __init__(self) -> None:
        self.origin_s: float | None = None

    def __call__(self, column: Any) -> FloatArray:
        """One batch after the other."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found = pc.extract_regex(column, STAMP)
        base = pc.replace_substring(pc.struct_field(found, "base"), "T", " ")
        whole_s = pc.strptime(base, format="%Y-%m-%d %H:%M:%S", unit="s", error_is_null=True)
        seconds = np.array(pc.cast(whole_s, pa.int64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        if self.origin_s is None and np.isfinite(seconds).any():
            self.origin_s = float(np.nanmin(seconds))
        seconds -= self.origin_s or 0.0  # before the parts of a second, which are exact then
        part = pc.struct_field(found, "part")
        seconds += numbers(pc.if_else(pc.equal(pc.utf8_length(part), 0), "0", part))
        zone = pc.struct_field(found, "zone")
        for value in pc.unique(zone).to_pylist():
            if value and value != "Z":
                hours, minutes = int(value[1:3]), int(value[-2:])
                ahead = (60 * hours + minutes) * 60.0 * (1 if value[0] == "+" else -1)
                seconds[np.asarray(pc.fill_null(pc.equal(zone, value), False))] -= ahead
        return seconds


class Times:
    """Columns of seconds as numbers, or of dates: as the first batch has them."""

    def __init__(self) -> None:
        self.dates: Stamps | None = None
        self.begun = False

    def __call__(self, column: Any) -> FloatArray:
        """One batch after the other."""
        found = numbers(column) if self.dates is None else self.dates(column)
        if not self.begun and len(found) and np.isnan(found).all():
            self.dates = Stamps()
            found = self.dates(column)
        self.begun = self.begun or len(found) > 0
        return found


def codes(column: Any) -> IntArray:
    """A column of names or numbers as a whole number for each that differs, shape ``(rows,)``.

    `NO_SESSION` for what is empty.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type):
        column = pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), None, column)
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.array(pc.fill_null(column.dictionary_encode().indices, NO_SESSION), dtype=np.int64)


def split(column: Any) -> tuple[Any, int]:
    """A column of text as lists of whole numbers, and how many rows hold something else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pc.utf8_trim_whitespace(column)
    filled = pc.not_equal(pc.fill_null(column, ""), "")
    right = pc.fill_null(pc.match_substring_regex(column, NUMBERS), False)
    wrong = pc.sum(pc.and_(filled, pc.invert(right))).as_py() or 0
    plain = pc.utf8_trim(pc.replace_substring_regex(column, r"[^0-9]+", " "), " ")
    parts = pc.split_pattern(pc.if_else(right, plain, None), " ")
    return pc.cast(parts, pa.list_(pa.int64())), int(wrong)


def lists(column: Any) -> tuple[IntArray, IntArray]:
    """A column of lists of whole numbers: where each row begins, shape ``(rows + 1,)``, and all items."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    count = np.asarray(pc.fill_null(pc.list_value_length(column), 0), dtype=np.int64)
    items = pc.fill_null(pc.list_flatten(column), -1)
    return np.concatenate([[0], np.cumsum(count)]), np.array(items, dtype=np.int64)


def _first(error: Exception) -> str:
    return str(error).split("\n")[0][:160]
