"""One request on its way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.replay.instance import Instance

NONE: list[int] = []


class Job:
    """A request that has come and not yet ended; what has ended is in the result's arrays alone."""

    __slots__ = (
        "arrival_s",
        "began_s",
        "behind_s",
        "blocks",
        "computed",
        "context",
        "decode",
        "done",
        "encoded",
        "end_step",
        "entry",
        "first_s",
        "found",
        "id",
        "isl",
        "late_s",
        "loads",
        "made",
        "osl",
        "pins",
        "private",
        "seen",
        "session",
        "skip",
        "target",
        "version",
    )

    def __init__(
        self, id: int, isl: int, osl: int, session: int, blocks: list[int], arrival_s: float
    ) -> None:
        self.id = id
        self.isl = isl
        self.osl = osl
        self.session = session
        self.blocks = blocks  # whole blocks of the prompt
        self.arrival_s = arrival_s
        self.made = 0  # output tokens that the client has
        self.target = isl  # tokens to have in the cache before the next one is made
        self.done = 0  # of these, those that are
        self.found = -1  # of the prompt, tokens that were in the cache when it first was admitted
        self.computed = 0  # prompt tokens that went through passes
        self.began_s = arrival_s  # first pass over its prompt
        self.behind_s = 0.0  # its chunks come out so much after the passes that took them
        self.first_s = math.nan
        self.late_s = 0.0  # its first token reaches the client so much later
        self.seen = self.encoded = False  # it has images for encoders; they are where its prompt is
        self.skip = 0  # passes of its instance that it lets go by beside the one that runs
        self.loads = 0  # blocks that come from the host's memory
        self.pins = 0  # blocks that it uses where it is
        self.private = 0.0  # tokens it takes beside; while decoding less the steps of its instance
        self.context = 0  # tokens in its cache, less the steps of its instance
        self.end_step = 0  # of its instance, at which its last token is made
        self.entry: Instance | None = None  # where its prompt is worked on
        self.decode: Instance | None = None  # where it decodes
        self.version = 0  # events of an older version mean nothing

    def restart(self) -> None:
        """Nothing of it is cached any more: what its client has is part of the prompt."""
        self.version += 1
        self.target = self.isl + self.made
        self.done = self.pins = 0
        self.private = self.behind_s = 0.0
        self.encoded = False
        self.entry = self.decode = None
