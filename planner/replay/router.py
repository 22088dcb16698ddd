"""Which instance a request goes to."""

from __future__ import annotations

import random
from collections.abc import Sequence

from planner.inputs.reuse import FOLLOWS, MOST_IMBALANCE
from planner.replay.fleet import Rule
from planner.replay.instance import Instance
from planner.replay.job import Job


class Router:
    """One pool of choices and a rule; the same seed makes the same choices.

    least-loaded: least time of the prompts whose first token is not out, which is what a router sees of them,
    then fewest requests; of decode instances fewest sequences. round-robin: one after the other. random.
    prefix-aware: as `planner.inputs.reuse.route`
    has it, an instance that holds most of the prompt unless its work, prompt tokens that wait and tokens that
    decode, is out of proportion; else the one with the least work, what it holds of the prompt taken off.
    central: none until one is free; see `planner.replay.run`.
    """

    __slots__ = ("_block_tokens", "_decode_turn", "_random", "_rule", "_turn", "where")

    def __init__(self, rule: Rule, seed: int, block_tokens: int) -> None:
        self._rule = rule
        self._block_tokens = block_tokens
        self._turn = self._decode_turn = 0
        self._random = random.Random(seed)
        self.where: dict[int, int] = {}  # block -> bits of the instances that have it

    def prompt(self, job: Job, among: Sequence[Instance]) -> Instance:
        """Where a prompt is worked on."""
        count = len(among)
        if count == 1:
            return among[0]
        rule = self._rule
        if rule == "random":
            return among[int(self._random.random() * count)]
        self._turn = turn = (self._turn + 1) % count
        if rule == "round-robin":
            return among[turn]
        found = self.found(job) if rule == "prefix-aware" and job.blocks else {}
        if found and (holder := _holder(job, found, among)) is not None:
            return holder
        best, least = among[turn], (float("inf"), 0.0)
        for place in range(turn - count, turn):  # of equals the next in turn
            instance = among[place]
            if found or rule == "prefix-aware":
                load = (float(instance.pending - found.get(instance.number, 0) + instance.contexts), 0.0)
            else:
                count_here = len(instance.running) if instance.colocated else len(instance.waiting)
                load = (instance.unanswered * instance.token_s, float(count_here))
            if load < least:
                best, least = instance, load
        return best

    def sequence(self, among: Sequence[Instance]) -> Instance:
        """Where a sequence decodes."""
        count = len(among)
        if count == 1:
            return among[0]
        if self._rule == "random":
            return among[int(self._random.random() * count)]
        self._decode_turn = turn = (self._decode_turn + 1) % count
        if self._rule == "round-robin":
            return among[turn]
        best, least = among[turn], 1 << 60
        for place in range(turn - count, turn):
            instance = among[place]
            load = len(instance.running) + len(instance.coming) + len(instance.ready) + len(instance.blocked)
            if load < least:
                best, least = instance, load
        return best

    def found(self, job: Job) -> dict[int, int]:
        """Tokens of the prompt that each instance has, by its number; instances without are left out."""
        where = self.where
        tokens: dict[int, int] = {}
        alive = -1
        for depth, block in enumerate(job.blocks):
            has = alive & where.get(block, 0)
            if has != alive:
                if depth:
                    _mark(alive & ~has, depth, tokens)
                alive = has
                if not alive:
                    break
        else:
            _mark(alive, len(job.blocks), tokens)
        return {number: count * self._block_tokens for number, count in tokens.items()}

    def has(self, block: int, number: int) -> None:
        """An instance has a block."""
        self.where[block] = self.where.get(block, 0) | 1 << number

    def lost(self, block: int, number: int) -> None:
        """And has it no longer."""
        left = self.where[block] & ~(1 << number)
        if left:
            self.where[block] = left
        else:
            del self.where[block]


def _holder(job: Job, found: dict[int, int], among: Sequence[Instance]) -> Instance | None:
    """Of the instances that hold the most of the prompt the one with least work, if it is to have it."""
    most = max(found.values())
    holders = [instance for instance in among if found.get(instance.number) == most]
    if most < FOLLOWS * job.isl or not holders:
        return None
    least = min(instance.pending + instance.contexts for instance in among)
    best = min(holders, key=lambda instance: instance.pending + instance.contexts)
    busy = best.pending + best.contexts
    return best if busy <= MOST_IMBALANCE * least + job.isl else None


def _mark(bits: int, depth: int, tokens: dict[int, int]) -> None:
    while bits:
        low = bits & -bits
        tokens[low.bit_length() - 1] = depth
        bits ^= low
