"""CSV files of measurements, plain (`gemm.csv`) or compressed (`gemm.csv.gz`)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from planner.errors import InputError
from planner.inputs import files
from planner.inputs.files import COMPRESSED

MOST_BYTES = 256 << 20  # of one table

Rows = Sequence[Mapping[str, str]]


def find(folder: Path, name: str) -> Path | None:
    """The file `name` in a folder, or its compressed copy; None where there is neither."""
    return next((path for path in (folder / name, folder / (name + COMPRESSED)) if path.is_file()), None)


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, by column.

    A name that ends in .gz is read as gzip. Raises InputError for what is no such file.
    """
    try:
        text = files.read_text(path, MOST_BYTES)
        return list(csv.DictReader(io.StringIO(text, newline="")))
    except InputError as error:
        raise InputError("file", str(path), f"a readable CSV file ({error.accepted})") from None
    except csv.Error as error:
        raise InputError("file", str(path), f"a readable CSV file ({error})") from None
