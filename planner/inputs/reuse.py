"""What a prefix cache finds of each prompt, at every size it may have: one pass of LRU stack distances.

A cache holds the blocks used last. A request looks for the blocks of its prompt from the first on, up to one
that is not there; then all its blocks are used, the last one first, as engines free them, so that the end of
a prompt goes before its beginning. A block is found exactly if fewer other blocks than the cache holds were
used since it was (Mattson et al., IBM Systems Journal 9, 1970): one pass answers for every size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.inputs.requests import NO_SESSION, Requests
from planner.words import PrefixRouting

NEVER = np.iinfo(np.int64).max  # a block that no cache can hold yet
HISTORY_BLOCK_TOKENS = 64  # of the blocks made for conversations
# Prefix-aware routing, as routers weigh it: a request follows its prefix if an instance holds half of the
# prompt, unless that instance has got this much more work than the least loaded
FOLLOWS, MOST_IMBALANCE = 0.5, 1.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reuse:
    """How deep in the cache of its instance each block lay when its request came."""

    requests: Requests
    instance: IntArray  # where each request went, shape (requests,)
    depth: IntArray  # other blocks used since it was; at least that of the blocks before it; shape (blocks,)
    tokens: IntArray  # of each block that need not be computed if it is found, shape (blocks,)

    @property
    def most(self) -> float:
        """Share of all prompt tokens that a cache without end finds."""
        return float(self.tokens[self.depth != NEVER].sum() / max(self.requests.isl.sum(), 1))

    def hit_rate(self, cache_tokens: FloatArray) -> FloatArray:
        """Share of all prompt tokens found, for caches of so many tokens per instance; same shape."""
        order = np.argsort(self.depth, kind="stable")
        found = np.concatenate([[0], np.cumsum(self.tokens[order])])
        blocks = np.asarray(cache_tokens, dtype=np.float64) // max(self.requests.block_tokens, 1)
        shares = found[np.searchsorted(self.depth[order], blocks)] / max(self.requests.isl.sum(), 1)
        return np.asarray(shares, dtype=np.float64)

    def found_tokens(self, cache_tokens: float) -> IntArray:
        """Prompt tokens of each request found in a cache of so many tokens, shape ``(requests,)``."""
        here = np.where(self.depth < cache_tokens // max(self.requests.block_tokens, 1), self.tokens, 0)
        total = np.concatenate([[0], np.cumsum(here)])
        start = self.requests.block_start
        if not len(start):
            return np.zeros(len(self.requests), dtype=np.int64)
        each: IntArray = total[start[1:]] - total[start[:-1]]
        return each

    def working_set_tokens(self) -> int:
        """The least cache of an instance that finds all that can be found, tokens."""
        seen = self.depth[self.depth != NEVER]
        return (int(seen.max()) + 1) * self.requests.block_tokens if len(seen) else 0


def reuse(requests: Requests, *, instances: int = 1, routing: PrefixRouting = "prefix-aware") -> Reuse:
    """What `instances` caches find, of prompts spread over them in turn or sent to where their prefix is.

    Conversations of which no blocks are known get them from their turns: see `with_history`. The last token
    of a prompt is always computed: it gives the first output token.
    """
    requests = with_history(requests)
    where = route(requests, instances, routing)
    if not len(requests.blocks):
        none = np.empty(0, dtype=np.int64)
        return Reuse(requests=requests, instance=where, depth=none, tokens=none)
    start = requests.block_start
    count = np.diff(start)
    place = np.arange(start[-1]) - np.repeat(start[:-1], count)
    left = np.repeat(requests.isl - 1, count) - place * requests.block_tokens
    return Reuse(
        requests=requests,
        instance=where,
        depth=depths(requests, where),
        tokens=np.clip(left, 0, requests.block_tokens),
    )


def depths(requests: Requests, instance: IntArray | None = None) -> IntArray:
    """Of each block the depth in its instance's cache when its request comes, shape ``(blocks,)``.

    The number of distinct other blocks used since, and no less than that of the blocks before it in the
    prompt; `NEVER` if it or one of them was never used. O(n log n), no loop over requests.
    """
    count = np.diff(requests.block_start)
    where = np.zeros(len(requests), dtype=np.int64) if instance is None else instance
    order = np.argsort(where, kind="stable")  # one instance after the other: their blocks never mix
    count, first = count[order], requests.block_start[:-1][order]
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    owner = np.repeat(np.arange(len(count)), count)  # of each use, the request
    begin = (ends - count)[owner]  # of each use, the first of its request
    back = (ends - 1)[owner] - np.arange(total)  # uses go from the last block of a prompt to its first
    source = first[owner] + back
    _, block = np.unique(requests.blocks[source], return_inverse=True)
    key = where[order][owner] * (int(block.max(initial=0)) + 1) + block
    before, last = _uses(key, owner)
    # in a prompt from its first block on: the uses of a request in reverse
    known = np.empty(total, dtype=bool)
    ahead = begin + back
    known[ahead] = last >= 0
    misses = np.concatenate([[0], np.cumsum(~known)])
    reached = misses[ahead + 1] == misses[begin]  # neither it nor a block before it is new
    asked = np.flatnonzero(reached)
    depth = np.full(total, NEVER, dtype=np.int64)
    since = begin[asked] - last[asked] - 1
    depth[asked] = since - _later(before, begin[asked], last[asked])
    found = np.empty(total, dtype=np.int64)
    found[source] = depth
    return _running_maximum(found, requests.block_start)


def _uses(key: IntArray, owner: IntArray) -> tuple[IntArray, IntArray]:
    """For each use of a block its last use before, and its last use by a request before; -1 for none."""
    order = np.argsort(key, kind="stable")
    sorted_key, sorted_owner = key[order], owner[order]
    same = np.concatenate([[False], sorted_key[1:] == sorted_key[:-1]])
    before = np.full(len(key), -1, dtype=np.int64)
    before[order[same]] = order[np.flatnonzero(same) - 1]
    anew = ~same | np.concatenate([[True], sorted_owner[1:] != sorted_owner[:-1]])
    group = np.flatnonzero(anew)[np.cumsum(anew) - 1]  # where the uses by this request begin
    last = np.full(len(key), -1, dtype=np.int64)
    earlier = same[group]
    last[order[earlier]] = order[group[earlier] - 1]
    return before, last


def _later(before: IntArray, end: IntArray, place: IntArray) -> IntArray:
    """How many of ``before[:end]`` are above `place`, for arrays of both: a wavelet matrix, bit by bit.

    Such a use repeats one that came after `place`: what it repeats counts once.
    """
    values, threshold = before + 1, place + 2  # not negative; count those of at least `threshold`
    left, right = np.zeros(len(end), dtype=np.int64), end.copy()
    found: IntArray = np.zeros(len(end), dtype=np.int64)
    for bit in range(max(int(max(values.max(initial=0), threshold.max(initial=0))).bit_length(), 1))[::-1]:
        ones = (values >> bit) & 1 == 1
        zeros_before = np.concatenate([[0], np.cumsum(~ones)])
        low_left, low_right = zeros_before[left], zeros_before[right]
        up = (threshold >> bit) & 1 == 1
        found += np.where(up, 0, (right - left) - (low_right - low_left))
        zeros = zeros_before[-1]
        left = np.where(up, zeros + left - low_left, low_left)
        right = np.where(up, zeros + right - low_right, low_right)
        values = np.concatenate([values[~ones], values[ones]])
    found += right - left
    return found


def _running_maximum(values: IntArray, start: IntArray) -> IntArray:
    """Within each prompt the largest so far: a block is found only if those before it are."""
    owner = np.repeat(np.arange(len(start) - 1), np.diff(start))
    ranks, rank = np.unique(values, return_inverse=True)
    raised = np.maximum.accumulate(owner * len(ranks) + rank)
    maximum: IntArray = ranks[raised - owner * len(ranks)]
    return maximum


def route(requests: Requests, instances: int, routing: PrefixRouting) -> IntArray:
    """The instance that each request goes to, shape ``(requests,)``.

    ``round-robin`` takes them in turn. ``prefix-aware`` follows the longest prefix seen before if it is at
    least `FOLLOWS` of the prompt and that instance has not got `MOST_IMBALANCE` times the work of the least
    loaded; else the least loaded gets it. Work is tokens that were not seen before.
    """
    count = len(requests)
    if instances <= 1 or not count:
        return np.zeros(count, dtype=np.int64)
    if routing == "round-robin" or not len(requests.blocks):
        return np.arange(count) % instances
    parent, shared = _nearest(requests)
    work = [0.0] * instances
    where: list[int] = []
    slack = float(requests.isl.max())
    for isl, before, seen in zip(requests.isl.tolist(), parent.tolist(), shared.tolist(), strict=True):
        least = min(work)
        goes = where[before] if seen >= FOLLOWS * isl else -1
        if goes < 0 or work[goes] > MOST_IMBALANCE * least + slack:
            goes = work.index(least)
            seen = 0
        work[goes] += isl - seen
        where.append(goes)
    return np.array(where, dtype=np.int64)


def _nearest(requests: Requests) -> tuple[IntArray, IntArray]:
    """For each request the last one before it with the longest common prefix, and its tokens; 0 for none."""
    start = requests.block_start
    count = np.diff(start)
    owner = np.repeat(np.arange(len(requests)), count)
    _, block = np.unique(requests.blocks, return_inverse=True)
    _, last = _uses(block.astype(np.int64), owner)
    new = np.concatenate([[0], np.cumsum(last < 0)])
    seen = new[np.arange(1, len(owner) + 1)] == new[start[owner]]  # it and all before it
    blocks = np.add.reduceat(np.append(seen, False).astype(np.int64), start[:-1]) * (count > 0)
    deepest = np.clip(start[:-1] + blocks - 1, 0, max(len(owner) - 1, 0))
    parent = np.where(blocks > 0, owner[np.maximum(last[deepest], 0)], 0)
    return parent, np.minimum(blocks * requests.block_tokens, requests.isl)


def with_history(requests: Requests, block_tokens: int = HISTORY_BLOCK_TOKENS) -> Requests:
    """Conversations with the blocks that their turns share; anything else as it is.

    A turn's prompt begins with the prompt of the turn before it if it is no shorter; a shorter one was
    written anew. The answers of turns before are computed again: a prefill instance does not have them.
    """
    if len(requests.blocks) or not (requests.session != NO_SESSION).any():
        return requests
    order = np.lexsort((requests.arrival_s, requests.session))
    session, isl = requests.session[order], requests.isl[order]
    follows = (session[1:] == session[:-1]) & (session[1:] != NO_SESSION) & (isl[1:] >= isl[:-1])
    held = np.zeros(len(requests), dtype=np.int64)
    held[order[1:]] = np.where(follows, isl[:-1], 0)
    return chained(
        requests, np.where(requests.session == NO_SESSION, -1, requests.session), held, block_tokens
    )


def chained(requests: Requests, chain: IntArray, held: IntArray, block_tokens: int) -> Requests:
    """Requests with blocks: the first `held` tokens of each are those of the one before it in its chain.

    `chain` and `held` have shape ``(requests,)``; chain -1 is none. Held tokens are rounded to the nearest
    number of blocks, so that coarse blocks bend no mean.
    """
    count = -(-requests.isl // block_tokens)
    start = np.concatenate([[0], np.cumsum(count)])
    blocks = np.arange(start[-1])
    shared = np.minimum(np.floor(held / block_tokens + 0.5).astype(np.int64), count)
    begins: dict[int, tuple[int, int]] = {}
    rows = zip(chain.tolist(), start.tolist(), count.tolist(), shared.tolist(), strict=False)
    for name, first, length, same in rows:
        if name < 0:
            continue
        if same and name in begins:
            before, had = begins[name]
            same = min(same, had)
            blocks[first : first + same] = blocks[before : before + same]
        begins[name] = first, length
    return Requests(
        arrival_s=requests.arrival_s,
        isl=requests.isl,
        osl=requests.osl,
        session=requests.session,
        block_start=start,
        blocks=blocks,
        block_tokens=block_tokens,
    )
