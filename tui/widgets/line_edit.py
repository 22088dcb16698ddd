"""A line of text with a cursor, as a value: what a row of the form edits in place."""

from __future__ import annotations

from dataclasses import replace

from planner.values import dataclass


@dataclass(frozen=True, slots=True)
class LineEdit:
    """Text and the cursor's place in it, 0 to len(text)."""

    text: str = ""
    cursor: int = 0
    whole: bool = False  # whether all of it is marked: what is typed takes its place

    def insert(self, more: str) -> LineEdit:
        """Type at the cursor.

        >>> LineEdit("16", 2).insert("k").text, LineEdit("16k", 3, whole=True).insert("8").text
        ('16k', '8')
        """
        if self.whole:
            return LineEdit(more, len(more))
        text = self.text[: self.cursor] + more + self.text[self.cursor :]
        return LineEdit(text, self.cursor + len(more))

    def key(self, key: str) -> LineEdit | None:
        """The line after an editing key; None if the key does not edit.

        >>> LineEdit("16k", 3).key("backspace"), LineEdit("16k", 3).key("f5")
        (LineEdit(text='16', cursor=2, whole=False), None)
        >>> LineEdit("16k", 3, whole=True).key("backspace").text
        ''
        """
        if self.whole and key in ("backspace", "delete"):
            return LineEdit()
        text, at = self.text, self.cursor
        if key == "backspace":
            return LineEdit(text[: max(at - 1, 0)] + text[at:], max(at - 1, 0))
        if key == "delete":
            return LineEdit(text[:at] + text[at + 1 :], at)
        if key == "ctrl+u":
            return LineEdit(text[at:], 0)
        if key == "ctrl+k":
            return LineEdit(text[:at], at)
        if key == "ctrl+w":
            kept = text[:at].rstrip()
            kept = kept[: kept.rfind(" ") + 1]
            return LineEdit(kept + text[at:], len(kept))
        moves = {
            "left": max(at - 1, 0),
            "right": min(at + 1, len(text)),
            "home": 0,
            "ctrl+a": 0,
            "end": len(text),
            "ctrl+e": len(text),
        }
        return replace(self, cursor=moves[key], whole=False) if key in moves else None
