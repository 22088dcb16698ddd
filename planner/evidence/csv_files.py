"""CSV files of measurements, plain (`gemm.csv`) or compressed (`gemm.csv.gz`)."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from planner.errors import InputError

COMPRESSED = ".gz"

Rows = Sequence[Mapping[str, str]]


def find(folder: Path, name: str) -> Path | None:
    """The file `name` in a folder, or its compressed copy; None where there is neither."""
    return next((path for path in (folder / name, folder / (name + COMPRESSED)) if path.is_file()), None)


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, by column.

    A name that ends in .gz is read as gzip. Raises InputError for what is no such file.
    """
    try:
        if path.suffix == COMPRESSED:
            with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
                return list(csv.DictReader(lines))
        with path.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    except (OSError, EOFError, zlib.error, ValueError, csv.Error) as error:
        raise InputError("file", str(path), f"a readable CSV file ({error})") from None
