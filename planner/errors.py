"""Misuse, told in one line: the field, the value, what is accepted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

LONGEST_LINE = 400  # characters of an error: what is quoted in it may be a whole file
LONGEST_LIST = 200  # characters of the names that are known

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")


def printable(text: str, most: int | None = None) -> str:
    r"""A text from a file or a user that a terminal may be sent: one line, nothing that it would obey.

    Control and format characters (escapes, overrides of direction) and lone surrogates become the
    escapes that JSON has for them, so that a JSON text stays the same; `most` characters are kept.

    >>> print(printable("evil\x1b]52;c;Y2xpcA==\x07"), printable("a\u202eb\n c"), printable("x" * 9, 5))
    evil\u001b]52;c;Y2xpcA==\u0007 a\u202eb\n c xx...
    """
    if most is not None and len(text) > most:
        text = f"{text[: max(most - 3, 0)]}..."
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    units = character.encode("utf-16-be", "surrogatepass").hex()  # beyond 16 bits JSON has two
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def printable_lines(text: str, *, colours: bool = False) -> str:
    r"""`printable`, but for a text of many lines; `colours` leaves those of a drawing of ours.

    >>> printable_lines("a\tb\r\n\x1b[31mred\x1b[0m", colours=True)
    'a\\tb\\r\n\x1b[31mred\x1b[0m'
    """
    if not colours:
        return "\n".join(printable(line) for line in text.split("\n"))
    parts = _COLOUR.split(text)  # what it splits at stands at every other place
    return "".join(part if i % 2 else printable_lines(part) for i, part in enumerate(parts))


class InputError(ValueError):
    """A value that cannot be used. `str()` of it is the one line a user sees."""

    def __init__(self, field: str, value: object, accepted: str) -> None:
        self.field = field
        self.value = value
        self.accepted = accepted
        shown = printable(_repr(value), LONGEST_LINE // 4)
        line = f"{printable(field, LONGEST_LINE // 4)}: {shown} is not accepted; {accepted}"
        super().__init__(printable(printable(line), LONGEST_LINE))  # escapes are longer than what they show


class InputErrors(InputError):
    """Several values that cannot be used: `lines` has one for each, `str()` the first."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        first = errors[0]
        super().__init__(first.field, first.value, first.accepted)
        self.lines = tuple(str(error) for error in errors)


def _repr(value: object) -> str:
    """`repr`, but for what has none: integers of thousands of digits, objects of others."""
    try:
        return repr(value)
    except Exception:
        return f"a {type(value).__name__} that cannot be shown"


def unknown(field: str, value: str, known: Iterable[str]) -> InputError:
    """An unknown name, with the nearest known ones."""
    import difflib

    names = sorted(known)
    near = difflib.get_close_matches(value[:LONGEST_LINE].lower(), names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {listed(names)}"
    return InputError(field, value, hint)


def listed(names: list[str]) -> str:
    """As many names as fit a line, and how many there are beside them."""
    whole = ", ".join(names)
    if len(whole) <= LONGEST_LIST:
        return whole
    some = names[: max(whole[:LONGEST_LIST].count(","), 1)]
    return f"{', '.join(some)} and {len(names) - len(some)} more"
