"""What is drawn of a frame: what is seen of it, and of one that changes little the parts that changed alone.

Textual draws every widget within the rectangle around all that has changed: for a value in the form and the
state in the title that is most of the screen, where three rows are sent. It draws what others cover, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from textual._compositor import Compositor
from textual.geometry import Region

if TYPE_CHECKING:
    from textual._compositor import ChopsUpdate, LayoutUpdate
    from textual.strip import Strip

Span = tuple[int, int]  # first cell and one after the last


class PartialCompositor(Compositor):
    """Textual's, that asks widgets for no row but those that are sent, and for none that others cover."""

    _open: dict[int, list[Span]] | None = None  # by row what is sent and not drawn yet; None: not known

    def render_partial_update(self) -> ChopsUpdate | None:
        """Draw what has changed."""
        self._open = {}
        for row, *span in self._regions_to_spans(self._dirty_regions):
            self._open.setdefault(row, []).append((span[0], span[1]))
        try:
            return super().render_partial_update()
        finally:
            self._open = None

    def render_full_update(self, simplify: bool = False) -> LayoutUpdate:
        """Draw all of the screen."""
        self._open = {row: [(0, self.size.width)] for row in range(self.size.height)}
        try:
            return super().render_full_update(simplify)
        finally:
            self._open = None

    def _get_renders(self, crop: Region | None = None) -> Iterable[tuple[Region, Region, list[Strip]]]:
        if self._open is None:
            yield from super()._get_renders(crop)
            return
        for widget, (region, clip) in self.visible_widgets.items():  # those in front first
            seen = region.intersection(clip)
            for top, bottom in _runs([row for row in self._open if self._take(row, seen)]):
                rows = Region(seen.x, top, seen.width, bottom - top)
                yield rows, rows, widget.render_lines(rows.translate(-region.offset))

    def _take(self, row: int, seen: Region) -> bool:
        """Whether a widget that is seen there has a part of a row that is sent; from now on it is drawn."""
        if self._open is None or not seen.y <= row < seen.bottom:
            return False
        spans = self._open[row]
        left = [piece for span in spans for piece in _without(span, seen.column_span)]
        self._open[row] = left
        return left != spans


def _without(span: Span, taken: Span) -> list[Span]:
    """What is left of a span.

    >>> _without((0, 9), (3, 5)), _without((0, 9), (0, 9)), _without((0, 3), (3, 5))
    ([(0, 3), (5, 9)], [], [(0, 3)])
    """
    if taken[1] <= span[0] or taken[0] >= span[1]:
        return [span]
    pieces = (span[0], taken[0]), (taken[1], span[1])
    return [piece for piece in pieces if piece[0] < piece[1]]


def _runs(rows: Sequence[int]) -> list[Span]:
    """Rows as stretches without a gap.

    >>> _runs([7, 3, 4, 5])
    [(3, 6), (7, 8)]
    """
    found: list[Span] = []
    for row in sorted(rows):
        if found and found[-1][1] == row:
            found[-1] = found[-1][0], row + 1
        else:
            found.append((row, row + 1))
    return found
