"""The cache of one instance: tokens of live requests, and blocks of prompts that others may find again.

A block that live requests use is pinned; one that none uses is idle, and the one idle for longest goes first
when room is needed. Tokens of live requests that are in no block are private.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence


class Cache:
    """Tokens on an instance: ``private + pinned + idle <= capacity``."""

    __slots__ = ("block_tokens", "capacity", "evicted", "gained", "idle", "pinned", "private")

    def __init__(self, capacity: float, block_tokens: int = 0) -> None:
        self.capacity = capacity
        self.block_tokens = block_tokens
        self.private = 0.0  # tokens
        self.pinned: dict[int, int] = {}  # block -> live requests that use it
        self.idle: OrderedDict[int, None] = OrderedDict()  # the longest idle first
        self.gained: Callable[[int], None] | None = None  # told of each block that comes
        self.evicted: Callable[[int], None] | None = None  # and of each that goes

    @property
    def live(self) -> float:
        """Tokens that cannot be given up."""
        return self.private + len(self.pinned) * self.block_tokens

    def found(self, blocks: Sequence[int]) -> int:
        """How many of the first blocks of a prompt are here."""
        pinned, idle = self.pinned, self.idle
        for count, block in enumerate(blocks):
            if block not in pinned and block not in idle:
                return count
        return len(blocks)

    def pin(self, blocks: Sequence[int]) -> None:
        """Blocks that are here are used by one request more."""
        pinned, idle = self.pinned, self.idle
        for block in blocks:
            users = pinned.get(block)
            if users is None:
                del idle[block]
                pinned[block] = 1
            else:
                pinned[block] = users + 1

    def unpin(self, blocks: Sequence[int]) -> None:
        """One user fewer. The end of a prompt goes before its beginning, which more prompts share."""
        pinned, idle = self.pinned, self.idle
        for block in reversed(blocks):
            users = pinned[block]
            if users == 1:
                del pinned[block]
                idle[block] = None
            else:
                pinned[block] = users - 1

    def make_room(self, tokens: float) -> bool:
        """Whether so many tokens fit beside what is live; idle blocks give way."""
        room = self.capacity - self.private - tokens
        block_tokens, idle = self.block_tokens, self.idle
        if room < len(self.pinned) * block_tokens:
            return False
        while idle and (len(self.pinned) + len(idle)) * block_tokens > room:
            block, _ = idle.popitem(last=False)
            if self.evicted is not None:
                self.evicted(block)
        return True

    def publish(self, blocks: Sequence[int]) -> None:
        """Blocks just computed turn from private tokens of a request into blocks that it uses."""
        pinned, idle = self.pinned, self.idle
        for block in blocks:
            users = pinned.get(block)
            if users is not None:  # another request computed it meanwhile
                pinned[block] = users + 1
            else:
                if block in idle:
                    del idle[block]
                elif self.gained is not None:
                    self.gained(block)
                pinned[block] = 1
        self.private -= len(blocks) * self.block_tokens

    def clear(self) -> None:
        """All is lost."""
        if self.evicted is not None:
            for block in (*self.pinned, *self.idle):
                self.evicted(block)
        self.private = 0.0
        self.pinned, self.idle = {}, OrderedDict()
