"""A picture of the screen that every renderer sets alike: each word at its own place, no font fetched.

Textual's has one text for each run of a style, with its spaces inside, stretched to a length: renderers that
know no `textLength`, or take spaces together, move every column; and it names a font of the web.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape

from rich.cells import cell_len

FONTS = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"  # of the reader's machine
_RUN = re.compile(
    r'<text class="(?P<look>[^"]*)" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)" textLength="(?P<long>[\d.]+)" '
    r'clip-path="(?P<clip>[^"]*)">(?P<text>[^<]*)</text>'
)
_FACE = re.compile(r"\s*@font-face \{[^}]*\}")
_WORD = re.compile(r"[^\s\xa0]+")


def portable(svg: str) -> str:
    """The same picture, of words that stand where they stand on the screen.

    >>> run = '<text class="a" x="10" y="20" textLength="50" clip-path="url(#c)">a&#160;bc&#160;</text>'
    >>> portable(run).count("<text"), 'x="30"' in portable(run), "&#160;" in portable(run)
    (2, True, False)
    """
    svg = _FACE.sub("", svg).replace("font-family: Fira Code, monospace;", f"font-family: {FONTS};")
    return _RUN.sub(lambda run: "".join(_words(run)), svg)


def _words(run: re.Match[str]) -> Iterator[str]:
    text = unescape(run["text"]).rstrip("\n")
    cells = cell_len(text)
    if not cells:
        return
    cell, left = float(run["long"]) / cells, float(run["x"])
    for word in _WORD.finditer(text):
        x = left + cell * cell_len(text[: word.start()])
        yield (
            f'<text class="{run["look"]}" x="{x:g}" y="{run["y"]}" '
            f'textLength="{cell * cell_len(word[0]):g}" clip-path="{run["clip"]}">{escape(word[0])}</text>'
        )
