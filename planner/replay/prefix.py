"""The cache of one instance: tokens of live requests, and blocks of prompts that others may find again.

A block that live requests use is pinned; one that none uses is idle, and the one idle for longest goes first
when room is needed. Tokens of live requests that are in no block are private.

What gives way goes to the host's memory, where there is some for it, and the longest there goes from that. A
block is in one of the two: together they hold what one cache of both sizes would (Mattson's inclusion).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence


class Cache:
    """Tokens on an instance: ``private + pinned + idle <= capacity``."""

    __slots__ = (
        "block_tokens",
        "capacity",
        "evicted",
        "gained",
        "host",
        "host_blocks",
        "idle",
        "pinned",
        "private",
    )

    def __init__(self, capacity: float, block_tokens: int = 0, host_tokens: float = 0.0) -> None:
        self.host_blocks = int(host_tokens // block_tokens) if block_tokens else 0
        self.host: OrderedDict[int, None] = OrderedDict()  # the longest there first
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

    def found_below(self, blocks: Sequence[int]) -> int:
        """How many of the first of these are here or in the host's memory."""
        host, pinned, idle = self.host, self.pinned, self.idle
        for count, block in enumerate(blocks):
            if block not in host and block not in pinned and block not in idle:
                return count
        return len(blocks)

    def lift(self, blocks: Sequence[int]) -> list[int]:
        """Take those of some blocks that the host has from it, before others need its room."""
        host = self.host
        lifted = [block for block in blocks if block in host]
        for block in lifted:
            del host[block]
            if self.evicted is not None:
                self.evicted(block)
        return lifted

    def lower(self, blocks: Sequence[int]) -> None:
        """Give them back."""
        for block in blocks:
            self.host[block] = None
            if self.gained is not None:
                self.gained(block)

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
            if self.host_blocks:
                self.host[block] = None
                if len(self.host) <= self.host_blocks:
                    continue
                block, _ = self.host.popitem(last=False)
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
                elif block in self.host:
                    del self.host[block]
                elif self.gained is not None:
                    self.gained(block)
                pinned[block] = 1
        self.private -= len(blocks) * self.block_tokens

    def clear(self) -> None:
        """All is lost."""
        if self.evicted is not None:
            for block in (*self.pinned, *self.idle, *self.host):
                self.evicted(block)
        self.private = 0.0
        self.pinned, self.idle, self.host = {}, OrderedDict(), OrderedDict()
