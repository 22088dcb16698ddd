"""What was mended in a trace so that it can be used, counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from planner.values import dataclass

LONG_PROMPT = 100.0  # times the median: kept, but said, as one can bend every mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """Counts of rows, 0 where there was nothing to mend."""

    format: str  # of the file, as it was recognised
    rows: int  # that the file holds
    unreadable: int = 0  # lines that are no row: left out
    no_number: int = 0  # a time or a length that is missing or no number: left out
    far_off: int = 0  # a time ten years from the median: left out
    too_short: int = 0  # a length below 1, negative ones too: left out
    too_long: int = 0  # more tokens than `most_tokens`: left out
    out_of_order: int = 0  # rows earlier than the row before them: sorted
    spread: int = 0  # requests of clocks that tick slowly: spread evenly over a tick
    tick_s: float = 0.0
    blocks_cut: int = 0  # prompts with more blocks than tokens: cut
    blocks_unread: int = 0  # prompts whose blocks are no list of whole numbers: without blocks
    unusual: int = 0  # prompts over `LONG_PROMPT` times the median: kept

    notes: tuple[str, ...] = ()  # what the file left open, and how it was drawn

    @property
    def left_out(self) -> int:
        """Rows that are no request."""
        return self.unreadable + self.no_number + self.far_off + self.too_short + self.too_long

    def sentences(self) -> Iterator[str]:
        """What to tell a user, most important first; none where nothing was mended."""
        for count, what in (
            (self.unreadable, "that could not be read left out"),
            (self.no_number, "without a number for time or length left out"),
            (self.far_off, "with a time over ten years from the median left out"),
            (self.too_short, "with a length below 1 left out"),
            (self.too_long, "with more tokens than a request may have left out"),
            (self.out_of_order, "earlier than the one before: sorted by time"),
            (self.blocks_cut, "with more blocks than tokens: blocks cut"),
            (self.blocks_unread, "with blocks that are no whole numbers: taken to share nothing"),
            (self.unusual, f"longer than {LONG_PROMPT:g} times the median prompt: kept"),
        ):
            if count:
                yield f"{count:,} row{'s' if count > 1 else ''} {what}"
        if self.spread:
            yield f"{self.spread:,} requests spread evenly over clock ticks of {self.tick_s:g} s"
        yield from self.notes

    def data(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)
