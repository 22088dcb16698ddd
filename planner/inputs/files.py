"""Files: what others made is read as text of bounded size, what users ask for is written whole or not at all.

Nothing here waits for a pipe, fills memory, follows a link that someone planted, or leaves half a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

from planner.errors import InputError

if TYPE_CHECKING:
    from gzip import GzipFile

MOST_BYTES = 8 << 20  # of a preset, a scenario, a config, a session: the largest known config has 0.1 MiB
COMPRESSED = ".gz"
PIECE_BYTES = 16 << 20
GZIP_MAGIC = b"\x1f\x8b"  # the first two bytes of RFC 1952


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
    found = read_bytes(path, most_bytes, what=what, packed=path.suffix == COMPRESSED)
    try:
        return found.decode("utf-8-sig")  # some editors write a mark before it
    except UnicodeDecodeError:
        raise InputError(what, str(path), "a text file in UTF-8") from None


def read_bytes(path: Path, most_bytes: int, *, what: str = "file", packed: bool | None = None) -> bytes:
    """`read_text`, but the bytes, of any kind. `packed` says whether they are gzip; None: look.

    Raises InputError with the reason, in one line, if they cannot be read.
    """
    try:
        found = _read(path, most_bytes, packed)
    except (OSError, EOFError, zlib.error, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(what, str(path), f"cannot be read: {reason}") from None
    if found is None:
        raise InputError(what, str(path), f"a file of at most {most_bytes >> 20} MiB")
    return found


def _read(path: Path, most_bytes: int, packed: bool | None) -> bytes | None:
    # O_NONBLOCK: opening a pipe that no one writes to would wait for ever
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("it is not a regular file")
        if packed is None:
            packed = file.peek(2)[:2] == GZIP_MAGIC
        if packed:
            import gzip

            with gzip.open(file) as unpacked:
                return _bounded(unpacked, most_bytes)
        return _bounded(file, most_bytes)


def _bounded(file: IO[bytes] | GzipFile, most_bytes: int) -> bytes | None:
    """All of a file, piece by piece: a read of so many bytes at once would ask for their memory first."""
    pieces, left = [], most_bytes + 1
    while left > 0 and (piece := file.read(min(left, PIECE_BYTES))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces) if left > 0 else None


def write_file(path: Path, text: str | bytes, *, replace: bool = False) -> None:
    """Write a file the user asked for, whole or not at all.

    Raises FileExistsError where one lies already and `replace` is not said, OSError for the rest.
    """
    if not replace and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "exists already", str(path))
    write_atomically(path, text)


def write_atomically(path: Path, text: str | bytes) -> None:
    """Write a file beside its place and move it there, so that a reader sees old or new. Raises OSError.

    The new file is opened exclusively under a name that no one can guess, has the mode of the one it
    replaces, and is on the disk before it takes the place. A link of the user's own to a file leads there,
    as settings kept elsewhere do; any other link is itself replaced, never followed. What is no file, a
    device or a pipe, stays.
    """
    path = _place(path)
    if not path.name:  # the root, or where we are
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name[:32]}.{os.urandom(8).hex()}")
    try:
        with beside.open("xb") as file:
            file.write(text if isinstance(text, bytes) else text.encode(errors="backslashreplace"))
            file.flush()
            with contextlib.suppress(FileNotFoundError):
                beside.chmod(stat.S_IMODE(path.lstat().st_mode))
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    _sync_folder(path.parent)


def append(path: Path, text: str) -> None:
    """Add to the end of a log of ours; what is no regular file, or a link, is refused. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)
    handle = os.open(path, flags, 0o600)
    with os.fdopen(handle, "wb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        file.write(text.encode(errors="backslashreplace"))


def _place(path: Path) -> Path:
    """Where a file of this name is to be written: see `write_atomically`."""
    try:
        found = path.lstat()
    except OSError:
        return path  # nothing there
    if not stat.S_ISLNK(found.st_mode):
        _regular(path, found)
        return path
    try:
        target = path.stat()
    except (OSError, RuntimeError):
        return path  # a link to nothing or in a circle
    _regular(path, target)
    return path.resolve() if _own(found) else path


def _regular(path: Path, found: os.stat_result) -> None:
    """A device, a pipe or a folder is not replaced by a file: /dev/null would be lost to everyone."""
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def _own(found: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or found.st_uid == os.geteuid()


def _sync_folder(folder: Path) -> None:
    """The move itself on the disk, where the system can promise that."""
    with contextlib.suppress(OSError, AttributeError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def why(error: OSError) -> str:
    """A failed write in a few words.

    >>> why(OSError(28, "No space left on device"))
    'no space left on device'
    """
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
