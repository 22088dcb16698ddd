"""Misuse, told in one line: the field, the value, what is accepted."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A value that cannot be used. `str()` of it is the one line a user sees."""

    def __init__(self, field: str, value: object, accepted: str) -> None:
        self.field = field
        self.value = value
        self.accepted = accepted
        super().__init__(f"{field}: {value!r} is not accepted; {accepted}")


def unknown(field: str, value: str, known: Iterable[str]) -> InputError:
    """An unknown name, with the nearest known ones."""
    names = sorted(known)
    near = difflib.get_close_matches(value.lower(), names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return InputError(field, value, hint)
