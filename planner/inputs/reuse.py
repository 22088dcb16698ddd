"""What a prefix cache finds of each prompt, at every size it may have: one pass of LRU stack distances.

A cache holds the blocks used last. A request looks for the blocks of its prompt from the first on, up to one
that is not there; then all its blocks are used, the last one first, as engines free them, so that the end of
a prompt goes before its beginning. A block is found exactly if fewer other blocks than the cache holds were
used since it was (Mattson et al., IBM Systems Journal 9, 1970): one pass answers for every size.
"""

from __future__ import annotations

import numpy as np

from planner.arrays import BoolArray, FloatArray, IntArray
from planner.inputs.conversations import with_history
from planner.inputs.requests import Requests
from planner.values import dataclass
from planner.words import PrefixRouting

NEVER = np.iinfo(np.int64).max  # a block that no cache can hold yet
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
        blocks = np.asarray(cache_tokens, dtype=np.float64) / max(self.requests.block_tokens, 1)
        blocks = np.minimum(np.floor(blocks), float(NEVER))
        shares = found[np.searchsorted(self.depth[order], blocks)] / max(self.requests.isl.sum(), 1)
        return np.asarray(shares, dtype=np.float64)

    def found_tokens(self, cache_tokens: float) -> IntArray:
        """Prompt tokens of each request found in a cache of so many tokens, shape ``(requests,)``."""
        blocks = np.floor(min(cache_tokens / max(self.requests.block_tokens, 1), float(NEVER)))
        here = np.where(self.depth < blocks, self.tokens, 0)
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

    Conversations of which no blocks are known get them from their turns
    (`planner.inputs.conversations.with_history`). The last token
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
    prompt; `NEVER` if it or one of them was never used. Uses are numbered in their order; of a block used
    last at `p` before a request whose uses begin at `s` the depth is ``s - p - 1`` less the uses in between
    that repeat one after `p`. Blocks that were used one after the other and not since differ by one each,
    so only the first of such a run is counted: O(blocks log blocks) to sort, O(runs log blocks) to count.
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
    before, last = _uses(requests.blocks[source], owner, where[order][owner] if where.any() else None)
    misses = np.concatenate([[0], np.cumsum((last < 0)[begin + back])])  # in the order of the prompts
    reached = misses[begin + back + 1] == misses[begin]  # neither it nor a block before it is new
    tops = np.flatnonzero(~_continues(last, owner, 1))
    asked = tops[reached[tops]]
    runs = np.flatnonzero(~_continues(before, owner, -1) & (before >= 0))
    after = np.append(np.flatnonzero(~_continues(before, owner, -1)), total)
    lengths = after[np.searchsorted(after, runs, side="right")] - runs
    repeats = _above(before[runs], lengths, np.searchsorted(runs, begin[asked]), last[asked])
    depth = np.full(total, NEVER, dtype=np.int64)
    depth[asked] = begin[asked] - last[asked] - 1 - repeats
    inside = np.flatnonzero(reached)
    top = tops[np.searchsorted(tops, inside)]
    depth[inside] = depth[top] + (top - inside)
    found = np.empty(total, dtype=np.int64)
    found[source] = depth
    return _running_maximum(found, requests.block_start)


def _uses(block: IntArray, owner: IntArray, where: IntArray | None = None) -> tuple[IntArray, IntArray]:
    """For each use of a block its last use before, and its last use by a request before; -1 for none."""
    order = np.argsort(block, kind="stable") if where is None else np.lexsort((block, where))
    sorted_block, sorted_owner = block[order], owner[order]
    same = np.concatenate([np.zeros(min(len(block), 1), dtype=bool), sorted_block[1:] == sorted_block[:-1]])
    if where is not None:
        same[1:] &= where[order][1:] == where[order][:-1]
    before = np.full(len(block), -1, dtype=np.int64)
    before[order[same]] = order[np.flatnonzero(same) - 1]
    anew = ~same
    anew[1:] |= sorted_owner[1:] != sorted_owner[:-1]
    group = np.flatnonzero(anew)[np.cumsum(anew) - 1]  # where the uses by this request begin
    last = np.full(len(block), -1, dtype=np.int64)
    earlier = same[group]
    last[order[earlier]] = order[group[earlier] - 1]
    return before, last


def _continues(place: IntArray, owner: IntArray, side: int) -> BoolArray:
    """Whether the use beside each, next (1) or before (-1), is of its request and repeats what is beside."""
    beside = (owner[1:] == owner[:-1]) & (place[1:] == place[:-1] + 1) & (place[:-1] >= 0)
    end = np.zeros(min(len(place), 1), dtype=bool)
    return np.concatenate([beside, end] if side > 0 else [end, beside])


def _above(values: IntArray, weights: IntArray, end: IntArray, place: IntArray) -> IntArray:
    """Weights of those among ``values[:end]`` that are above `place`, for arrays of both.

    A wavelet matrix: values sorted bit by bit from the highest, and sums of weights at each bit.
    """
    threshold = place + 1
    left, right = np.zeros(len(end), dtype=np.int64), end.copy()
    found: IntArray = np.zeros(len(end), dtype=np.int64)
    highest = max(int(values.max(initial=0)), int(threshold.max(initial=0)))
    for bit in range(highest.bit_length())[::-1]:
        ones = (values >> bit) & 1 == 1
        zeros_before = np.concatenate([[0], np.cumsum(~ones)])
        weight_before = np.concatenate([[0], np.cumsum(np.where(ones, weights, 0))])
        low_left, low_right = zeros_before[left], zeros_before[right]
        up = (threshold >> bit) & 1 == 1
        found += np.where(up, 0, weight_before[right] - weight_before[left])
        zeros = zeros_before[-1]
        left = np.where(up, zeros + left - low_left, low_left)
        right = np.where(up, zeros + right - low_right, low_right)
        values = np.concatenate([values[~ones], values[ones]])
        weights = np.concatenate([weights[~ones], weights[ones]])
    total = np.concatenate([[0], np.cumsum(weights)])
    found += total[right] - total[left]
    return found


def _running_maximum(values: IntArray, start: IntArray) -> IntArray:
    """Within each prompt the largest so far: a block is found only if those before it are."""
    owner = np.repeat(np.arange(len(start) - 1), np.diff(start))
    most = len(values) + 1  # deeper than any
    raised = np.maximum.accumulate(owner * most + np.minimum(values, most - 1)) - owner * most
    return np.where(raised == most - 1, NEVER, raised)


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
    _, last = _uses(requests.blocks, owner)
    new = np.concatenate([[0], np.cumsum(last < 0)])
    seen = new[np.arange(1, len(owner) + 1)] == new[start[owner]]  # it and all before it
    blocks = np.add.reduceat(np.append(seen, False).astype(np.int64), start[:-1]) * (count > 0)
    deepest = np.clip(start[:-1] + blocks - 1, 0, max(len(owner) - 1, 0))
    parent = np.where(blocks > 0, owner[np.maximum(last[deepest], 0)], 0)
    return parent, np.minimum(blocks * requests.block_tokens, requests.isl)
