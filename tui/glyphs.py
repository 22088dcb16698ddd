"""Every special character of the screen, twice: for terminals with Unicode and for those without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from planner.output.spelling import ascii_only
from planner.values import dataclass
from planner.words import LimitState


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """One alphabet. All single cells except `ellipsis` in ASCII, `left_right` and the arrows."""

    ascii: bool
    # state
    ready: str
    busy: str
    edited: str
    error: str
    ok: str
    tight: str
    bad: str
    # form
    open: str
    close: str
    menu: str
    changed: str
    pointer: str
    # chart
    split: str
    colocated: str
    chosen: str
    other: str
    cursor: str
    limit: str
    cloud: str
    line: str
    pins: str  # the curves of pinned plans
    now: str  # the curve beside theirs, of the plan that is not pinned
    # text
    dot: str
    times: str
    at_most: str
    unequal: str
    arrow: str
    ellipsis: str
    rule: str
    axis: str
    up: str
    down: str
    # bars: full cell, the part above the speed of light, then the eighths
    full: str
    shade: str
    band: str
    eighths: str
    levels: str  # columns of a line of them, from the lowest
    # keys
    left_right: str
    enter: str
    tab: str
    backspace: str
    up_down: str

    def plain(self, text: str) -> str:
        """Text of the planner in this alphabet.

        >>> ASCII.plain("500 µs → 2 ms"), UNICODE.plain("500 µs -> 2 ms")
        ('500 us -> 2 ms', '500 µs → 2 ms')
        """
        if not self.ascii:
            return text.replace("->", self.arrow)
        return ascii_only(text)


UNICODE = Glyphs(
    ascii=False,
    ready="●",
    busy="◐",
    edited="◌",
    error="!",
    ok="✓",
    tight="▲",
    bad="✗",
    open="‹",
    close="›",
    menu="▾",
    changed="•",
    pointer="▸",
    split="●",
    colocated="○",
    chosen="◆",
    other="◇",
    cursor="◎",
    limit="┊",
    cloud="·",
    line="braille",
    pins="●■▲◇",
    now="○",
    dot="·",
    times="×",
    at_most="≤",
    unequal="≠",
    arrow="→",
    ellipsis="…",
    rule="─",
    axis="│",
    up="↑",
    down="↓",
    full="█",
    shade="░",
    band="▒",
    eighths="▏▎▍▌▋▊▉",
    levels="▁▂▃▄▅▆▇█",
    left_right="←→",
    enter="⏎",
    tab="⇥",
    backspace="⌫",
    up_down="↑↓",
)

ASCII = Glyphs(
    ascii=True,
    ready="*",
    busy="~",
    edited="-",
    error="!",
    ok="+",
    tight="^",
    bad="x",
    open="<",
    close=">",
    menu="v",
    changed="*",
    pointer=">",
    split="*",
    colocated="o",
    chosen="#",
    other="%",
    cursor="@",
    limit="|",
    cloud=".",
    line="",
    pins="*o+x",
    now="-",
    dot="-",
    times="x",
    at_most="<=",
    unequal="!",
    arrow="->",
    ellipsis="...",
    rule="-",
    axis="|",
    up="^",
    down="v",
    full="#",
    shade=".",
    band=":",
    eighths="",
    levels="_.-=+*%#",
    left_right="</>",
    enter="enter",
    tab="tab",
    backspace="bksp",
    up_down="up/dn",
)


def wants_ascii(environ: Mapping[str, str], *, coerced: bool = False) -> bool:
    """Whether the terminal is known not to draw Unicode: the Linux console, or a locale without UTF-8.

    `coerced`: Python itself has put C.UTF-8 into LC_CTYPE, which says nothing of the terminal.

    >>> wants_ascii({"TERM": "linux"}), wants_ascii({"TERM": "xterm-256color", "LANG": "C.UTF-8"})
    (True, False)
    """
    if environ.get("TERM", "") in ("linux", "dumb", "vt100", "vt220"):
        return True
    ctype = "" if coerced else environ.get("LC_CTYPE")
    locale = environ.get("LC_ALL") or ctype or environ.get("LANG") or ""
    return bool(locale) and "utf" not in locale.lower()


def limit_mark(state: LimitState, g: Glyphs) -> tuple[str, str]:
    """The mark of how a limit stands, and its colour."""
    return {"ok": (g.ok, "$hue-good"), "tight": (g.tight, "$hue-tight"), "missed": (g.bad, "$hue-bad")}[state]


def bar(share: float, width: int, glyphs: Glyphs) -> str:
    """A horizontal bar of `share` of `width` cells, to an eighth of a cell; at most `width` long.

    >>> bar(0.5, 4, UNICODE), bar(0.375, 4, UNICODE), bar(0.5, 4, ASCII)
    ('██', '█▌', '##')
    """
    share = min(max(share, 0.0), 1.0) if share == share else 0.0
    if not glyphs.eighths:
        return glyphs.full * round(share * width)
    whole, eighth = divmod(round(share * width * 8), 8)
    return glyphs.full * whole + (glyphs.eighths[eighth - 1] if eighth else "")


def columns(values: Sequence[float], glyphs: Glyphs) -> str:
    """A column for each value, from 0 to the largest of them; a blank for what is no number.

    >>> columns([0.0, 4.0, 8.0, float("nan")], UNICODE), columns([1.0, 8.0], ASCII)
    ('▁▅█ ', '.#')
    """
    most = max((v for v in values if v == v), default=0.0)
    if most <= 0:
        return "".join(glyphs.levels[0] if v == v else " " for v in values)
    top = len(glyphs.levels) - 1
    return "".join(glyphs.levels[int(v / most * top + 0.5)] if v == v else " " for v in values)
