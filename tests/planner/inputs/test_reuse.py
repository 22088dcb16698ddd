"""Prefix reuse: one pass of stack distances against a cache that is kept block by block."""

from __future__ import annotations

import lzma
from collections import OrderedDict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.inputs.conversations import chained
from planner.inputs.requests import Requests, first, plain
from planner.inputs.reuse import reuse
from planner.inputs.traces import generate, read_requests
from planner.inputs.traces.generate import Lengths, Sharing, Turns
from planner.inputs.traces.raw import Source
from planner.inputs.traces.read import read_source

MOONCAKE = Path(__file__).parent / "data" / "mooncake-conversation-10000.jsonl.xz"  # see NOTICE


def test_the_shipped_sessions_of_agents_send_most_again():
    pytest.importorskip("pyarrow")
    requests = read_requests(Path("coding-agents"))[0]
    assert len(requests) == 1_872 and len(np.unique(requests.session)) == 59
    assert reuse(requests).most == pytest.approx(0.939, abs=0.001)


def prompts(rows, block_tokens=10):
    """Requests whose prompts are whole blocks."""
    count = np.array([len(row) for row in rows])
    return Requests(
        arrival_s=np.arange(float(len(rows))),
        isl=np.maximum(count * block_tokens, 1),
        osl=np.ones(len(rows), dtype=np.int64),
        session=np.full(len(rows), -1),
        block_start=np.concatenate([[0], np.cumsum(count)]),
        blocks=np.array([block for row in rows for block in row], dtype=np.int64),
        block_tokens=block_tokens,
    )


def kept_block_by_block(requests, where, size):
    """Blocks found by each request in LRU caches of `size` blocks, one per instance."""
    caches: dict[int, OrderedDict[int, None]] = {}
    found = []
    for i, (low, high) in enumerate(zip(requests.block_start, requests.block_start[1:], strict=False)):
        blocks = requests.blocks[low:high].tolist()
        lru = caches.setdefault(int(where[i]), OrderedDict())
        found.append(next((n for n, block in enumerate(blocks) if block not in lru), len(blocks)))
        for block in reversed(blocks):
            lru[block] = None
            lru.move_to_end(block)
        while len(lru) > size:
            lru.popitem(last=False)
    return found


def found_blocks(found, size):
    total = np.concatenate([[0], np.cumsum(found.depth < size)])
    start = found.requests.block_start
    return (total[start[1:]] - total[start[:-1]]).tolist()


@cache
def mooncake():
    pytest.importorskip("pyarrow")
    return read_source(Source(name="mooncake", data=lzma.decompress(MOONCAKE.read_bytes())))[0]


@pytest.mark.parametrize(
    ("instances", "routing"), [(1, "prefix-aware"), (4, "prefix-aware"), (4, "round-robin")]
)
@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_requests_of_mooncake_find_what_a_cache_kept_block_by_block_has(count, instances, routing):
    requests = first(mooncake(), count)
    assert len(requests) == count
    found = reuse(requests, instances=instances, routing=routing)
    for size in (1, 100, 1_000, 10_000, 50_000):
        assert found_blocks(found, size) == kept_block_by_block(requests, found.instance, size)


def test_prefix_aware_routing_finds_more_than_taking_turns():
    requests, cache_tokens = mooncake(), 1_000 * 512
    one = reuse(requests).hit_rate(cache_tokens)
    aware = reuse(requests, instances=8).hit_rate(cache_tokens)
    turns = reuse(requests, instances=8, routing="round-robin").hit_rate(cache_tokens)
    assert aware > 2 * turns > 2 * one  # eight caches hold eight times as much
    instance = reuse(requests, instances=8).instance
    work = np.bincount(instance, weights=requests.isl)
    assert work.max() < 1.5 * work.min()


rows = st.lists(st.lists(st.integers(0, 6), max_size=5), min_size=1, max_size=25)


@settings(max_examples=200, deadline=None)
@given(rows, st.integers(1, 9), st.integers(1, 3))
def test_any_prompts_even_with_blocks_twice_or_behind_other_prefixes(rows, size, instances):
    requests = prompts(rows)
    found = reuse(requests, instances=instances)
    assert found_blocks(found, size) == kept_block_by_block(requests, found.instance, size)
    assert found.hit_rate(size * 10) == pytest.approx(
        found.found_tokens(size * 10).sum() / requests.isl.sum()
    )


def test_the_last_token_is_computed_always():
    found = reuse(prompts([[1, 2], [1, 2], [1]]))
    assert found.found_tokens(1000).tolist() == [0, 19, 9]
    assert found.most == pytest.approx(28 / 50)


def test_the_hit_rate_rises_with_the_cache_up_to_the_working_set():
    found = reuse(mooncake())
    rates = found.hit_rate(np.geomspace(512, 1e9, 50))
    assert (np.diff(rates) >= 0).all() and rates[-1] == pytest.approx(found.most)
    need = found.working_set_tokens()
    assert found.hit_rate(need) == pytest.approx(found.most) and found.hit_rate(need - 512) < found.most


def test_a_shared_prefix_is_found_by_all_but_the_first():
    drawn = generate.poisson(
        1.0, 100, Lengths(mean=1000), Lengths(mean=10), sharing=Sharing(share=0.64, prefixes=2)
    )
    assert reuse(drawn).found_tokens(100_000).sum() == 98 * 640


def test_turns_find_the_prompt_before_them():
    drawn = generate.poisson(2.0, 300, Lengths(mean=640), Lengths(mean=64), turns=Turns(mean=4), seed=2)
    found = reuse(drawn)
    tokens = found.found_tokens(1e12)
    first = np.unique(drawn.session, return_index=True)[1]
    assert (tokens[first] == 0).all()
    later = np.setdiff1d(np.arange(300), first)
    assert (drawn.isl[later] - tokens[later] == 640 + 64).all()  # the new part, and the answer before it


def test_traffic_of_which_nothing_is_known_finds_nothing():
    found = reuse(plain(np.arange(3.0), np.full(3, 100), np.full(3, 10)), instances=2)
    assert found.most == 0 and found.hit_rate(np.array([0.0, 1e9])).tolist() == [0.0, 0.0]
    assert found.found_tokens(1e9).tolist() == [0, 0, 0] and found.working_set_tokens() == 0


def test_held_tokens_are_rounded_to_whole_blocks():
    start, blocks = chained(np.array([100, 130, 40]), np.zeros(3, dtype=np.int64), np.array([0, 100, 35]), 64)
    assert start.tolist() == [0, 2, 5, 6] and blocks.tolist() == [0, 1, 0, 1, 4, 0]
