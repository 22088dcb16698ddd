"""Prefixes that are shared: what an instance finds is what a cache that forgets the longest unused finds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np

from planner.inputs.requests import Requests, plain
from planner.replay.fleet import HostTier, Options
from planner.replay.run import run
from planner.simulate.times import CacheRoom

from .small import split

BLOCK = 64


def shared(count: int, texts: int, seed: int = 0) -> Requests:
    """Prompts of 16 blocks, the first 12 of which are one of a few texts; far apart in time."""
    random = np.random.default_rng(seed)
    text = random.integers(0, texts, count)
    blocks = np.where(
        np.arange(16) < 12, text[:, None] * 100 + np.arange(16), 10**6 + np.arange(count * 16).reshape(-1, 16)
    )
    load = plain(np.arange(count) * 10.0, np.full(count, 16 * BLOCK), np.full(count, 2))
    return replace(
        load,
        block_start=np.arange(count + 1) * 16,
        blocks=blocks.ravel(),
        block_tokens=BLOCK,
    )


def test_what_is_found_is_what_a_plain_lru_cache_finds() -> None:
    load, size = shared(400, 9), 60
    room = CacheRoom(tokens=size * BLOCK + 1.0, sequence_tokens=0.0, bytes_per_token=1.0)
    result = run(split(room=room), load)
    cache: OrderedDict[int, None] = OrderedDict()
    for index in range(len(load)):
        prompt = load.blocks[index * 16 : index * 16 + 16].tolist()
        hits = 0
        while hits < 16 and prompt[hits] in cache:
            hits += 1
        assert result.found[index] == hits * BLOCK
        for block in prompt[:hits]:
            del cache[block]
        while len(cache) + 16 > size:
            cache.popitem(last=False)
        for block in reversed(prompt):
            cache[block] = None
    assert 0 < result.found.sum() < load.isl.sum()


def test_prompts_go_where_their_prefix_is() -> None:
    load = shared(300, 8)
    room = CacheRoom(tokens=60.0 * BLOCK, sequence_tokens=0.0, bytes_per_token=1.0)
    fleet = split(prefills=4, room=room)
    found = {
        rule: run(fleet, load, Options(routing=rule)).found.sum() for rule in ("prefix-aware", "round-robin")
    }
    assert found["prefix-aware"] > 1.5 * found["round-robin"]


def test_turns_find_what_the_turns_before_left_and_wait_for_them() -> None:
    isl = np.array([1000, 2000, 3000])
    load = replace(plain(np.zeros(3), isl, np.full(3, 50)), session=np.zeros(3, dtype=np.int64))
    result = run(split(), load)
    assert (result.arrival_s[1:] >= result.end_s[:-1]).all()
    assert result.found.tolist() == [0, 1024, 2048]
    apart = run(split(), load, Options(prefixes=False))
    assert apart.found.tolist() == [0, 0, 0]


def test_later_turns_go_to_where_their_context_is() -> None:
    isl = np.array([1000, 2000, 3000])
    load = replace(plain(np.zeros(3), isl, np.full(3, 50)), session=np.zeros(3, dtype=np.int64))
    result = run(split(decodes=2), load, Options(later_turns="decode"))
    assert (result.arrival_s[1:] >= result.end_s[:-1]).all()
    assert result.entry[0] == 0 and (result.entry[1:] == result.decode[0]).all()
    assert result.found.tolist() == [0, 1024, 2048] and result.finished.all()
    prompts = {use.phase: use.prompts for use in result.instances if use.prompts}
    assert prompts == {"prefill": 1, "decode": 2}


def test_host_memory_finds_what_one_cache_of_both_sizes_would() -> None:
    load = shared(400, 9)
    found, busy = {}, {}
    for size, host in ((60, 0), (60, 40), (100, 0)):
        room = CacheRoom(tokens=size * BLOCK + 1.0, sequence_tokens=0.0, bytes_per_token=1.0)
        tier = HostTier(tokens=host * BLOCK + 1.0, token_s=1e-5)
        result = run(split(room=room, host=tier), load)
        found[size, host] = result.found
        busy[size, host] = sum(use.busy_s for use in result.instances if use.phase == "prefill")
        loaded = sum(use.loaded for use in result.instances if use.phase == "prefill")
        assert (loaded > 0) == (host > 0)
        if host:  # what comes from there is not computed, and waited for
            less = found[60, 40].sum() - found[60, 0].sum()
            assert less == loaded and busy[60, 0] > busy[60, 40]
    assert found[60, 40].tolist() == found[100, 0].tolist()
    assert busy[60, 40] > busy[100, 0] * (1 + 1e-9)
