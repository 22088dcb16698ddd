"""Fewer bytes to the terminal: of a frame only what it does not show already.

Textual sends every line of a widget that has changed, and spells the colours out for each piece of text:
14 kB for one key. Here what was sent is kept as cells, and of a frame the cells that are shown already are
left out, and so is what the terminal remembers: its cursor's place, its colours. Whatever is no text,
colour or place goes through as it is, and what is not known to be shown is sent.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from rich.cells import get_character_cell_size

NOTHING = "\0"
STANDS_OUT, FAINT = 0.25, 0.33  # of the way from black to white: a background, a text against its own
SHORT = 4  # bytes of a move to the right; one by one cell takes a byte less
VISIBLE = frozenset(["4", "7", "9", "21", "53"])  # attributes that can be seen on a blank: lines, reverse

_TOKEN = re.compile(
    r"\x1b\[(?P<style>[0-9;]+)m(?P<styled>[^\x00-\x1f\x7f-\x9f]+)\x1b\[0m"
    r"|\x1b\[(?P<look>[0-9;]*)m"
    r"|\x1b\[(?P<row>[0-9]+);(?P<col>[0-9]+)H"
    r"|(?P<line>\r?\n)"
    r"|(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
)
_SYNC = re.compile(r"\x1b\[\?2026[hl]")  # a frame begins, or ends


class Look(NamedTuple):
    """How text is drawn: attributes, foreground and background as codes, "" for the terminal's own."""

    attributes: frozenset[str] = frozenset()
    front: str = ""
    back: str = ""


PLAIN = Look()


class Run(NamedTuple):
    """Text of one look at a place, or the place alone."""

    row: int
    col: int
    text: str
    look: Look


class FrameDiff:
    """What a terminal shows, as far as it is known, and what it must be sent to show something else.

    Without `colours` it is sent none, nor greys: what stands out by its background is reversed, what is
    faint is dim.
    """

    def __init__(self, *, colours: bool = True) -> None:
        self._colours = colours
        self._ground = 0.0  # how light the screen is: the background of its first cell
        self._chars: dict[int, str] = {}  # of each row; NOTHING where nothing is known
        self._looks: dict[int, list[Look]] = {}
        self._at: tuple[int, int] | None = None  # row and column of the terminal's cursor
        self._look: Look | None = None  # that the terminal draws with
        self._known = True

    def forget(self) -> None:
        """Nothing is known of the terminal any more: it has another size, or others draw on it.

        Any thread may say so.
        """
        self._known = False

    def lean(self, data: str) -> str:
        """What to send in place of some output, so that the terminal shows the same."""
        if not data or _SYNC.fullmatch(data):
            return data
        if not self._known:
            self._known, self._at, self._look = True, None, None
            self._chars.clear()
            self._looks.clear()
        out: list[str] = []
        if not self._frame(data, out):
            self.forget()
            return data
        if self._look is not None and self._look != PLAIN:
            out.append(_change(self._look, PLAIN))
            self._look = PLAIN
        return "".join(out)

    def _frame(self, data: str, out: list[str]) -> bool:
        """What a frame changes; False for output that is none."""
        spans: list[Run] = []
        row = col = -1
        end = (-1, -1)  # of what has been drawn
        place, kind = 0, ""
        look: Look | None = PLAIN
        for found in _TOKEN.finditer(data):
            if found.start() != place:
                return False
            place, kind = found.end(), found.lastgroup or ""
            if kind in ("styled", "text"):
                if kind == "styled":
                    look = _look(look, found["style"])
                if row < 0 or look is None:
                    return False
                if (row, col) < end:  # over what was drawn before
                    self._send(spans, out)
                col = self._text(row, col, found[kind], look, spans)
                end = (row, col)
                if kind == "styled":
                    look = PLAIN
            elif kind == "look":
                look = _look(look, found["look"])
            elif kind == "col":
                row, col = int(found["row"]) - 1, int(found["col"]) - 1
            elif row >= 0:
                row, col = row + 1, 0
        if place != len(data):
            return False
        self._send(spans, out)
        if kind == "col":  # where it leaves the cursor
            self._go(row, col, out)
        return True

    def _text(self, row: int, col: int, text: str, look: Look, spans: list[Run]) -> int:
        """Note the parts of a text that are not shown; from now on they are. The column after it."""
        if not self._colours:
            if row == col == 0:
                self._ground = _light(look.back, 0.0)
            look = _plain(look, self._ground)
        size = len(text) if _all_narrow(text) else sum(map(get_character_cell_size, text))
        end = col + size
        chars, looks = self._chars.get(row, ""), self._looks.setdefault(row, [])
        missing = end - len(looks)
        if missing > 0:
            chars += NOTHING * missing
            looks += [PLAIN] * missing
        if size != len(text) or not _all_narrow(text):
            self._chars[row] = chars[:col] + NOTHING * size + chars[end:]
            spans.append(Run(row, col, text, look))
            return end
        wanted = _wanted(text, look)
        shown, drawn = chars[col:end], looks[col:end]
        if shown == text and drawn == wanted:
            return end
        self._chars[row] = chars[:col] + text + chars[end:]
        looks[col:end] = wanted
        start = last = -1
        for at in range(size):
            if shown[at] != text[at] or (drawn[at] is not wanted[at] and drawn[at] != wanted[at]):
                if start < 0:
                    start = at
                elif at > last + 1 and not _shorter(text[last + 1 : at]):
                    spans.append(Run(row, col + start, text[start : last + 1], look))
                    start = at
                last = at
        spans.append(Run(row, col + start, text[start : last + 1], look))
        return end

    def _send(self, spans: list[Run], out: list[str]) -> None:
        """Draw, what looks alike together: colours take more bytes than places."""
        groups: dict[Look, list[Run]] = {}
        for span in spans:
            if not span.text.isspace():
                groups.setdefault(span.look, []).append(span)
        most = sorted(groups, key=lambda look: len(groups[look]))
        hosts = {_blank(look): look for look in most}  # blanks go with the many: often it is their neighbours
        for span in spans:
            if span.text.isspace():
                groups.setdefault(hosts.get(_blank(span.look), _blank(span.look)), []).append(span)
        for look, group in sorted(groups.items(), key=lambda item: _order(item[0])):
            if self._look != look:
                out.append(_change(self._look, look))
                self._look = look
            for row, col, text in sorted((span.row, span.col, span.text) for span in group):
                out.append(self._between(row, col, look))
                self._go(row, col, out)
                out.append(text)
                end = col + len(text)
                sure = end < len(self._chars[row])  # at the edge terminals differ in where they stand
                self._at = (row, end) if sure and _all_narrow(text) else None
        spans.clear()

    def _between(self, row: int, col: int, look: Look) -> str:
        """What lies between the cursor and a place, if it is shorter than a move and looks the same."""
        start = self._at[1] if self._at is not None and self._at[0] == row else col
        if not 0 < col - start <= SHORT:
            return ""
        chars, looks = self._chars[row][start:col], self._looks[row][start:col]
        if NOTHING in chars or not _shorter(chars) or looks != _wanted(chars, look):
            return ""
        self._at = (row, col)
        return chars

    def _go(self, row: int, col: int, out: list[str]) -> None:
        if self._at == (row, col):
            return
        move = f"\x1b[{row + 1};{col + 1}H"
        if self._at is not None:
            down, across = row - self._at[0], col - self._at[1]
            if down >= 0:
                steps = _steps(down, "B") + (_steps(across, "C") if across > 0 else _back(-across))
                move = min(move, steps, key=len)
        out.append(move)
        self._at = (row, col)


def _shorter(text: str) -> bool:
    """Whether cells between two changed ones are sent again in no more bytes than a move over them takes."""
    return len(text.encode()) <= (SHORT if len(text) > 1 else SHORT - 1)


def _steps(by: int, way: str) -> str:
    return f"\x1b[{by if by > 1 else ''}{way}" if by else ""


def _back(by: int) -> str:
    return "\b" * by if by <= 3 else _steps(by, "D")


@lru_cache(maxsize=4096)
def _narrow(char: str) -> bool:
    return get_character_cell_size(char) == 1


def _all_narrow(text: str) -> bool:
    return text.isascii() or all(map(_narrow, text))


@lru_cache(maxsize=4096)
def _wanted(text: str, look: Look) -> list[Look]:
    """The look of each character, as far as it can be seen; not to be changed."""
    blank = _blank(look)
    return [blank if char == " " else look for char in text]


def _order(look: Look) -> tuple[list[str], str, str]:
    """Looks that share much follow each other: what both have is not sent again."""
    return sorted(look.attributes), look.back, look.front


@lru_cache(maxsize=4096)
def _blank(look: Look) -> Look:
    """What can be seen of a look on a blank."""
    return look if look.attributes & VISIBLE else Look(back=look.back)


@lru_cache(maxsize=4096)
def _look(before: Look | None, codes: str) -> Look | None:
    """A look after a sequence of codes; None for one that is not understood, and after that.

    >>> _look(PLAIN, "1;38;2;9;8;7") == Look(frozenset({"1"}), "38;2;9;8;7")
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
def _plain(look: Look, ground: float) -> Look:
    """A look in attributes alone, on a screen as light as `ground`, 0 to 1.

    >>> _plain(Look(front="38;5;237", back="48;5;233"), 0.07).attributes == frozenset({"2"})
    True
    >>> _plain(Look(front="38;2;0;0;0", back="48;2;90;180;230"), 0.07).attributes == frozenset({"7"})
    True
    """
    back = _light(look.back, ground)
    attributes = look.attributes
    if abs(back - ground) > STANDS_OUT:
        attributes ^= {"7"}
    elif look.front and abs(_light(look.front, 1.0 - round(ground)) - back) < FAINT:
        attributes |= {"2"}
    return Look(attributes)


def _light(colour: str, otherwise: float) -> float:
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
        return _light(str(30 + numbers[1] % 8 + 60 * (numbers[1] >= 8)), otherwise)
    return 0.3 * red + 0.59 * green + 0.11 * blue


@lru_cache(maxsize=4096)
def _change(before: Look | None, after: Look) -> str:
    """The sequence from one look to another.

    >>> _change(Look(back="41"), Look(frozenset({"1"}), "32", "41"))
    '\\x1b[1;32m'
    """
    if after == PLAIN:
        return "\x1b[m"
    codes = []
    if before is None or not before.attributes <= after.attributes:
        codes, before = ["0"], PLAIN
    codes += sorted(after.attributes - before.attributes)
    codes += [after.front or "39"] if after.front != before.front else []
    codes += [after.back or "49"] if after.back != before.back else []
    return f"\x1b[{';'.join(codes)}m"
