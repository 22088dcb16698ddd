"""Fewer bytes to the terminal: of a frame only what it does not show already.

Textual sends every line of a widget that has changed, and spells the colours out for each piece of text:
14 kB for one key. Here what was sent is kept as cells, and of a frame the cells that are shown already are
left out, and so is what the terminal remembers: its cursor's place, its colours. Whatever is no text,
colour or place goes through as it is, and what is not known to be shown is sent.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.cells import get_character_cell_size

from tui.ansi import PLAIN, Look, blank, change, light, look_after, move, plain, steps

NOTHING = "\0"
SHORT = 4  # bytes of a move to the right; one by one cell takes a byte less
FAR = 7  # bytes of a move to wherever

_TOKEN = re.compile(
    r"\x1b\[(?P<style>[0-9;]+)m(?P<styled>[^\x00-\x1f\x7f-\x9f]+)\x1b\[0m"
    r"|\x1b\[(?P<look>[0-9;]*)m"
    r"|\x1b\[(?P<row>[0-9]+);(?P<col>[0-9]+)H"
    r"|(?P<line>\r?\n)"
    r"|(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
)
_SYNC = re.compile(r"\x1b\[\?2026[hl]")  # a frame begins, or ends


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
            out.append(change(self._look, PLAIN))
            self._look = PLAIN
        return "".join(out)

    def _frame(self, data: str, out: list[str]) -> bool:
        """What a frame changes; False for output that is none."""
        spans: list[Run] = []
        anew = not self._chars
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
                    look = look_after(look, found["style"])
                if row < 0 or look is None:
                    return False
                if (row, col) < end:  # over what was drawn before
                    self._send(spans, out, anew)
                col = self._text(row, col, found[kind], look, spans)
                end = (row, col)
                if kind == "styled":
                    look = PLAIN
            elif kind == "look":
                look = look_after(look, found["look"])
            elif kind == "col":
                row, col = int(found["row"]) - 1, int(found["col"]) - 1
            elif row >= 0:
                row, col = row + 1, 0
        if place != len(data):
            return False
        self._send(spans, out, anew)
        if kind == "col":  # where it leaves the cursor
            out.append(move(self._at, row, col))
            self._at = (row, col)
        return True

    def _text(self, row: int, col: int, text: str, look: Look, spans: list[Run]) -> int:
        """Note the parts of a text that are not shown; from now on they are. The column after it."""
        if not self._colours:
            if row == col == 0:
                self._ground = light(look.back, 0.0)
            look = plain(look, self._ground)
        narrow = _all_narrow(text)
        size = len(text) if narrow else sum(map(get_character_cell_size, text))
        end = col + size
        chars, looks = self._chars.get(row, ""), self._looks.setdefault(row, [])
        missing = end - len(looks)
        if missing > 0:
            chars += NOTHING * missing
            looks += [PLAIN] * missing
        if not narrow:
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

    def _send(self, spans: list[Run], out: list[str], anew: bool) -> None:
        """Draw, what looks alike together: colours take more bytes than places.

        `anew` where nothing was shown: then it is quick rather than short, for someone waits for a start.
        """
        groups = _alike(spans)
        while groups:
            look = min(groups, key=lambda each: (len(change(self._look, each)), each.back, each.front))
            out.append(change(self._look, look))
            self._look = look
            runs = groups.pop(look)
            for row, col, text, _ in sorted(runs) if anew else _way(self._at, runs):
                out.append(self._between(row, col, look))
                out.append(move(self._at, row, col))
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


def _alike(spans: Iterable[Run]) -> dict[Look, list[Run]]:
    """Runs by look. A blank goes with text on its background: with what it touches, or with the many."""
    groups: dict[Look, list[Run]] = {}
    touched: dict[tuple[int, int], Look] = {}
    blanks = []
    for span in spans:
        if span.text.isspace():
            blanks.append(span)
            continue
        groups.setdefault(span.look, []).append(span)
        touched[span.row, span.col] = touched[span.row, span.col + len(span.text)] = span.look
    many = {blank(look): look for look in sorted(groups, key=lambda look: len(groups[look]))}
    for span in blanks:
        bare = blank(span.look)
        for col in (span.col, span.col + len(span.text)):
            if (look := touched.get((span.row, col))) is not None and blank(look) == bare:
                break
        else:
            look = many.get(bare, bare)
        groups.setdefault(look, []).append(span)
    return groups


def _way(at: tuple[int, int] | None, runs: list[Run]) -> Iterable[Run]:
    """The order to draw runs in, from a place on: along what lies close together, as the points of a curve.

    The shortest steps from a run to one of its row or the rows beside it are joined into chains, and each
    chain is followed by the one that begins nearest to its end.
    """
    runs = sorted(runs)
    ends = [(run.row, run.col + len(run.text)) for run in runs]
    after, taken = _joined(runs, ends)
    heads = [i for i in range(len(runs)) if i not in taken]
    while heads:
        row, col = at or (-FAR, 0)
        head = min(heads, key=lambda i: _far(runs[i].row - row, runs[i].col - col))
        heads.remove(head)
        here: int | None = head
        while here is not None:
            yield runs[here]
            at, here = ends[here], after.get(here)


def _joined(runs: Sequence[Run], ends: Sequence[tuple[int, int]]) -> tuple[dict[int, int], set[int]]:
    """Runs each with the one to draw after it, where that is close; and all those that have one before."""
    rows: dict[int, list[tuple[int, int]]] = {}
    for i, run in enumerate(runs):
        rows.setdefault(run.row, []).append((run.col, i))
    close = []
    for i, (row, end) in enumerate(ends):
        for down in (-1, 0, 1):
            if there := rows.get(row + down):
                place = bisect_left(there, (end, -1))
                for col, to in there[place - (place > 0 and down != 0) : place + 1]:
                    if (size := _far(down, col - end)) < FAR:
                        close.append((size, i, to))
    after: dict[int, int] = {}
    taken: set[int] = set()
    first = list(range(len(runs)))  # of the chain that each run is the last of
    last = list(range(len(runs)))  # of the chain that each run is the first of
    for _, i, to in sorted(close):
        if i not in after and to not in taken and first[i] != to:
            after[i] = to
            taken.add(to)
            head, tail = first[i], last[to]
            first[tail], last[head] = head, tail
    return after, taken


@lru_cache(maxsize=4096)
def _far(down: int, across: int) -> int:
    """Bytes of a move by rows and columns, as far as they matter."""
    return min(len(steps(down, across)), FAR)


def _shorter(text: str) -> bool:
    """Whether cells between two changed ones are sent again in no more bytes than a move over them takes."""
    return len(text.encode()) <= (SHORT if len(text) > 1 else SHORT - 1)


@lru_cache(maxsize=4096)
def _narrow(char: str) -> bool:
    return get_character_cell_size(char) == 1


@lru_cache(maxsize=4096)
def _all_narrow(text: str) -> bool:
    return text.isascii() or all(map(_narrow, text))


@lru_cache(maxsize=4096)
def _wanted(text: str, look: Look) -> list[Look]:
    """The look of each character, as far as it can be seen; not to be changed."""
    bare = blank(look)
    return [bare if char == " " else look for char in text]
