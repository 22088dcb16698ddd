"""Keeps a solver's stray lines off the terminal and out of piped output.

HiGHS 1.8 to 1.12 print "HighsMipSolverData::transformNewIntegerFeasibleSolution tmpSolver.run();" now
and then, whatever the log options say (HiGHS.jl issue 312). Moving file descriptor 1 would also lose
what other threads write meanwhile; here only the C library's own `stdout` moves.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_lock = threading.Lock()
_inside = 0


@contextmanager
def c_stdout_muted() -> Iterator[None]:
    """Discard what C code prints, while Python's writes pass. Does nothing where that is not possible.

    Any number of threads may be inside at once.
    """
    global _inside
    with _lock:
        _inside += 1
        _point(to_null=True)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            _point(to_null=_inside > 0)


def _point(*, to_null: bool) -> None:
    if pointers := _pointers():
        variable, original, null = pointers
        variable.value = null if to_null else original


@cache
def _pointers() -> tuple[ctypes.c_void_p, int | None, int] | None:
    """The C library's `stdout` variable, its value, and a stream to nowhere."""
    if sys.platform == "darwin":
        name = "__stdoutp"
    elif platform.libc_ver()[0] == "glibc":
        name = "stdout"  # musl keeps it in read-only memory
    else:
        return None
    try:
        library = ctypes.CDLL(None)
        variable = ctypes.c_void_p.in_dll(library, name)
        library.fopen.restype = ctypes.c_void_p
        null = library.fopen(os.fsencode(os.devnull), b"w")
    except (OSError, ValueError, AttributeError):
        return None
    return (variable, variable.value, null) if null else None
