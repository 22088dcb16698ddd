"""Rows of cells as text: aligned columns for a terminal, a table for a page. The first row is the head."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], align: str, indent: str = "") -> list[str]:
    """Lines with columns two blanks apart; `align` holds l or r for each column.

    >>> aligned([("a", "n"), ("long", "10")], "lr")
    ['a      n', 'long  10']
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(align))]
    sides = ["<" if side == "l" else ">" for side in align]
    cells = (
        (f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True))
        for row in rows
    )
    return [(indent + "  ".join(line)).rstrip() for line in cells]


def markdown(rows: Sequence[Sequence[str]], align: str = "") -> list[str]:
    """Lines of a Markdown table; `align` as in `aligned`, all to the left if empty.

    >>> markdown([("a", "n"), ("x|y", "10")], "lr")
    ['| a | n |', '| --- | ---: |', '| x\\\\|y | 10 |']
    """
    head, *body = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    rule = ["---" if side == "l" else "---:" for side in align or "l" * len(head)]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *body)]
