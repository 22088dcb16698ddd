"""Reading what others made: a regular file of bounded size, as text. Never waits, never fills memory."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from pathlib import Path

from planner.errors import InputError

MOST_BYTES = 8 << 20  # of a preset, a scenario, a config, a session: the largest known config has 0.1 MiB
COMPRESSED = ".gz"


def read_text(path: Path, most_bytes: int = MOST_BYTES, *, what: str = "file") -> str:
    """A file as UTF-8 text; one whose name ends in .gz is unpacked.

    Parameters
    ----------
    path
        A pipe, a device or a folder is refused, never waited for.
    most_bytes
        Of the text; a larger one, or one that unpacks to more, is refused unread.
    what
        Names the file's part in the error.

    Raises InputError with the reason, in one line, if it cannot be read.
    """
    try:
        found = _read(path, most_bytes)
    except (OSError, EOFError, zlib.error, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(what, str(path), f"cannot be read: {reason}") from None
    if found is None:
        raise InputError(what, str(path), f"a file of at most {most_bytes >> 20} MiB")
    try:
        return found.decode("utf-8-sig")  # some editors write a mark before it
    except UnicodeDecodeError:
        raise InputError(what, str(path), "a text file in UTF-8") from None


def _read(path: Path, most_bytes: int) -> bytes | None:
    # O_NONBLOCK: opening a pipe that no one writes to would wait for ever
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("it is not a regular file")
        if path.suffix == COMPRESSED:
            with gzip.open(file) as unpacked:
                found = unpacked.read(most_bytes + 1)
        else:
            found = file.read(most_bytes + 1)
    return found if len(found) <= most_bytes else None
