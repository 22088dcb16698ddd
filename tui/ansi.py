"""What terminals are told: how to draw, and where, each in the fewest bytes that all of them understand."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

STANDS_OUT, FAINT = 0.25, 0.33  # of the way from black to white: a background, a text against its own
VISIBLE = frozenset(["4", "7", "9", "21", "53"])  # attributes that can be seen on a blank: lines, reverse
OFF = {"1": "22", "2": "22", "3": "23", "7": "27"}  # attributes that one code ends


class Look(NamedTuple):
    """How text is drawn: attributes, foreground and background as codes, "" for the terminal's own."""

    attributes: frozenset[str] = frozenset()
    front: str = ""
    back: str = ""


PLAIN = Look()


@lru_cache(maxsize=4096)
def blank(look: Look) -> Look:
    """What can be seen of a look on a blank."""
    return look if look.attributes & VISIBLE else Look(back=look.back)


@lru_cache(maxsize=4096)
def look_after(before: Look | None, codes: str) -> Look | None:
    """A look after a sequence of codes; None for one that is not understood, and after that.

    >>> look_after(PLAIN, "1;38;2;9;8;7") == Look(frozenset({"1"}), "38;2;9;8;7")
    True
    """
    if before is None:
        return None
    attributes, front, back = before
    left = (codes or "0").split(";")
    while left:
        code = left.pop(0)
        number = int(code or "0")
        if number == 0:
            attributes, front, back = frozenset(), "", ""
        elif number in (38, 48):
            size = {"2": 4, "5": 2}.get(left[0] if left else "", 0)
            if not size or len(left) < size:
                return None
            colour = ";".join((code, *left[:size]))
            left = left[size:]
            front, back = (colour, back) if number == 38 else (front, colour)
        elif 30 <= number <= 37 or 90 <= number <= 97 or number == 39:
            front = "" if number == 39 else code
        elif 40 <= number <= 47 or 100 <= number <= 107 or number == 49:
            back = "" if number == 49 else code
        elif number <= 9 or number in (21, 53):
            attributes = attributes | {code}
        else:
            return None
    return Look(attributes, front, back)


@lru_cache(maxsize=4096)
def plain(look: Look, ground: float) -> Look:
    """A look in attributes alone, on a screen as light as `ground`, 0 to 1.

    >>> plain(Look(front="38;5;237", back="48;5;233"), 0.07).attributes == frozenset({"2"})
    True
    >>> plain(Look(front="38;2;0;0;0", back="48;2;90;180;230"), 0.07).attributes == frozenset({"7"})
    True
    """
    back = light(look.back, ground)
    attributes = look.attributes
    if abs(back - ground) > STANDS_OUT:
        attributes ^= {"7"}
    elif look.front and abs(light(look.front, 1.0 - round(ground)) - back) < FAINT:
        attributes |= {"2"}
    return Look(attributes)


def light(colour: str, otherwise: float) -> float:
    """How light a colour is, 0 to 1; `otherwise` for the terminal's own."""
    if not colour:
        return otherwise
    kind, *numbers = (int(code) for code in colour.split(";"))
    if kind not in (38, 48):
        return {0: 0.0, 7: 0.75}.get(kind % 10, 0.5) + (0.25 if kind >= 90 else 0.0)
    if numbers[0] == 2:
        red, green, blue = (number / 255 for number in numbers[1:])
    elif numbers[1] >= 232:
        red = green = blue = (8 + 10 * (numbers[1] - 232)) / 255
    elif numbers[1] >= 16:
        red, green, blue = ((numbers[1] - 16) // by % 6 / 5 for by in (36, 6, 1))
    else:
        return light(str(30 + numbers[1] % 8 + 60 * (numbers[1] >= 8)), otherwise)
    return 0.3 * red + 0.59 * green + 0.11 * blue


@lru_cache(maxsize=4096)
def change(before: Look | None, after: Look) -> str:
    """The sequence from one look to another; None for one that is not known.

    >>> change(Look(back="41"), Look(frozenset({"1"}), "32", "41"))
    '\\x1b[1;32m'
    >>> change(Look(frozenset({"1"}), "32", "41"), Look(front="33", back="41"))
    '\\x1b[22;33m'
    """
    if after in (before, PLAIN):
        return "" if after == before else "\x1b[m"
    ways = [_codes(["0"], PLAIN, after)]
    if before is not None:
        gone = before.attributes - after.attributes
        off = {OFF.get(code, "") for code in gone}
        if "" not in off:
            stay = frozenset(code for code in before.attributes if OFF.get(code) not in off)
            ways.append(_codes(sorted(off), before._replace(attributes=stay), after))
    return f"\x1b[{min((';'.join(codes) for codes in ways), key=len)}m"


def _codes(begun: list[str], before: Look, after: Look) -> list[str]:
    """What was begun, and the rest of the way from one look to another that has all its attributes."""
    codes = begun + sorted(after.attributes - before.attributes)
    codes += [after.front or "39"] if after.front != before.front else []
    codes += [after.back or "49"] if after.back != before.back else []
    return codes


def move(at: tuple[int, int] | None, row: int, col: int) -> str:
    """The sequence from a row and column, from 0 on, to others; `at` is None where it is not known.

    >>> move((4, 9), 5, 8), move((4, 9), 4, 30), move(None, 0, 0)
    ('\\x1b[B\\x08', '\\x1b[21C', '\\x1b[H')
    """
    if at == (row, col):
        return ""
    there = f"\x1b[{row + 1};{col + 1}H" if row or col else "\x1b[H"
    return there if at is None else min(steps(row - at[0], col - at[1]), there, key=len)


@lru_cache(maxsize=4096)
def steps(down: int, across: int) -> str:
    """A move by rows and columns.

    The short ways down are not the same everywhere: after a line feed a tty returns to the first column,
    and the console of Windows 10 takes an index (ESC D) for a step to the left.
    """
    rows = "\x1bM" if down == -1 else _cursor(down, "B", "A")
    return rows + ("\b" * -across if -3 <= across < 0 else _cursor(across, "C", "D"))


def _cursor(by: int, forward: str, backward: str) -> str:
    if by == 0:
        return ""
    return f"\x1b[{abs(by) if abs(by) > 1 else ''}{forward if by > 0 else backward}"
