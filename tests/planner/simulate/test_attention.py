"""Attention operators: light, monotony, windows, caches, sparse and linear attention."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.inputs import catalog
from planner.simulate.operators.attention import gqa_mla, linear
from planner.simulate.operators.attention import sparse as sparse_attention
from planner.simulate.operators.constants import bounds
from planner.simulate.operators.example import h200
from planner.simulate.operators.machine import Machine

CATALOG = catalog.load()
ENGINES = ("trtllm", "sglang", "vllm")
KV = ("bf16", "fp8")


def on(system: str, engine: str = "trtllm") -> Machine:
    spec = CATALOG.system(system)
    return dataclasses.replace(
        h200(), gpu=spec.gpu, fabric=spec.fabric, kernels=CATALOG.kernels(spec, engine)
    )


machines = st.builds(on, st.sampled_from(CATALOG.names("system")), st.sampled_from(ENGINES))
caches = st.sampled_from(KV)


def upto(exponent: int) -> st.SearchStrategy[float]:
    return st.floats(0, exponent).map(lambda x: 2.0**x)


def calls(kv, batch, new, past, heads, groups, queries):
    """Every operator on one random shape: name, function, arguments, places that may grow."""
    sparse = {"slots": 2048.0, "phase": "decode"}
    return (
        (gqa_mla.prefill, (kv, batch, new, past, heads * groups, heads, 128, 128, 0), {}, (1, 2, 3, 4)),
        (gqa_mla.prefill, (kv, batch, new, past, heads * groups, heads, 64, 64, 128), {}, (1, 2, 3)),
        (gqa_mla.mla_prefill, (kv, batch, new, past, heads, 192, 128), {}, (1, 2, 3, 4)),
        (gqa_mla.decode, (kv, batch, past, heads * groups, heads, 128, 128, 0, queries), {}, (1, 2, 8)),
        (gqa_mla.decode, (kv, batch, past, heads * groups, heads, 64, 64, 4096), {}, (1, 2)),
        (gqa_mla.mla_decode, (kv, batch, past, heads, 512, 64, queries), {}, (1, 2, 3, 6)),
        (gqa_mla.indexer, (batch, past, 64, 128, 2048), {"kv": kv}, (0, 1)),
        (gqa_mla.sparse_mla, (kv, batch, np.minimum(past, 2048), heads, 512, 64), sparse, (1, 3)),
        (linear.prefill, (batch, new, 16, 128, 32, 128, 4), {}, (0, 1, 4)),
        (linear.decode, (batch, 16, 128, 32, 128, 4), {}, (0, 3)),
    )


shapes = (
    caches,
    upto(10),
    upto(15),
    upto(17),
    upto(6),
    st.sampled_from((1.0, 4.0, 8.0)),
    st.sampled_from((1, 2, 4)),
)


@given(machines, *shapes, st.floats(1.0, 2.0))
@settings(max_examples=60, deadline=None)
def test_light_and_monotony_on_every_system(
    machine, kv, batch, new, past, heads, groups, queries, more
) -> None:
    for operator, arguments, options, growing in calls(kv, batch, new, past, heads, groups, queries):
        cost = operator(machine, *arguments, **options)
        assert 0 < cost.light_s <= cost.seconds, operator.__name__
        for place in growing:
            grown = list(arguments)
            grown[place] = grown[place] * more
            after = operator(machine, *grown, **options).seconds
            assert after >= cost.seconds * (1 - 1e-12), (operator.__name__, place)


KINDS = {
    gqa_mla.PREFILL: gqa_mla.PrefillConstants,
    gqa_mla.DECODE: gqa_mla.DecodeConstants,
    gqa_mla.MLA_PREFILL: gqa_mla.PrefillConstants,
    gqa_mla.MLA_DECODE: gqa_mla.LatentConstants,
    sparse_attention.OPERATORS["decode"]: sparse_attention.SparseConstants,
    linear.CONV: linear.StreamConstants,
    linear.SCAN: linear.ScanConstants,
    linear.CONV_STEP: linear.StreamConstants,
    linear.STEP: linear.StreamConstants,
}


@given(st.sampled_from((0, 1, 2)), st.randoms(use_true_random=False), *shapes)
@settings(max_examples=60, deadline=None)
def test_no_legal_constants_beat_light(pick, random, kv, batch, new, past, heads, groups, queries) -> None:
    machine = h200(
        **{
            name: {
                n: random.choice((b.low, b.start, b.high)) if pick else b.low if b.high != 1.0 else 1.0
                for n, b in bounds(kind).items()
            }
            for name, kind in KINDS.items()
        }
    )
    for operator, arguments, options, _ in calls(kv, batch, new, past, heads, groups, queries):
        cost = operator(machine, *arguments, **options)
        assert cost.light_s <= cost.seconds * (1 + 1e-12), operator.__name__


@pytest.mark.parametrize("kv", KV)
@pytest.mark.parametrize("system", CATALOG.names("system"))
def test_every_system_has_every_operator(system: str, kv: str) -> None:
    for engine in ENGINES:
        for operator, arguments, options, _ in calls(kv, 4.0, 512.0, 1024.0, 16.0, 4.0, 1):
            assert np.isfinite(operator(on(system, engine), *arguments, **options).seconds)


def test_chunks_add_up_to_the_whole_prompt() -> None:
    machine = on("h200")
    whole = gqa_mla.prefill(machine, "bf16", 1, 16384, 0, 8, 1, 128, 128)
    past = np.arange(0, 16384, 2048)
    chunks = gqa_mla.prefill(machine, "bf16", 1, 2048, past, 8, 1, 128, 128)
    assert float(np.sum(chunks.light_s)) == pytest.approx(whole.light_s, rel=1e-9)
    assert whole.seconds < float(np.sum(chunks.seconds)) < 2 * whole.seconds


@pytest.mark.parametrize(
    ("new", "past", "window"), [(100, 0, 0), (100, 300, 0), (100, 0, 40), (64, 20, 50), (7, 90, 8)]
)
def test_pairs_of_a_window_are_exact(new: int, past: int, window: int) -> None:
    machine = on("h200")
    gpu = dataclasses.replace(machine.gpu, hbm_bytes_per_s=1e20)  # so that light is the products' alone
    machine = dataclasses.replace(machine, gpu=gpu)
    heads, dim = 1024, 128
    cost = gqa_mla.prefill(machine, "bf16", 64, new, past, heads, 1, dim, dim, window)
    # each query token at position p sees p + 1/2 tokens on average, at most the window
    fine = np.arange(past, past + new, 1e-3) + 5e-4
    pairs = float(np.sum(np.minimum(fine, window or np.inf)) * 1e-3)
    assert cost.light_s == pytest.approx(64 * heads * 4 * dim * pairs / 989e12, rel=1e-4)


def test_window_given_per_row_equals_scalars() -> None:
    machine = on("b200", "sglang")
    windows = np.array([0, 128, 8192])
    rows = gqa_mla.prefill(machine, "fp8", 2, 1024, 512, 16, 2, 64, 64, windows)
    steps = gqa_mla.decode(machine, "fp8", 32, 4096, 16, 2, 64, 64, windows)
    for i, window in enumerate(windows):
        one = gqa_mla.prefill(machine, "fp8", 2, 1024, 512, 16, 2, 64, 64, int(window))
        assert rows.seconds[i] == pytest.approx(one.seconds)
        assert rows.light_s[i] == pytest.approx(one.light_s)
        step = gqa_mla.decode(machine, "fp8", 32, 4096, 16, 2, 64, 64, int(window))
        assert steps.seconds[i] == pytest.approx(step.seconds)


def test_decode_reads_the_cache_of_the_shard_once() -> None:
    machine = on("h200")
    cost = gqa_mla.decode(machine, "fp8", 64, 8192, 64, 8, 128, 128)
    cache = 64 * 8192 * 8 * 256
    assert cost.light_s == pytest.approx(cache / 4.8e12, rel=0.01)
    assert 0.4 < cost.light_s / cost.seconds < 0.95
    # several queries per sequence share one reading
    several = gqa_mla.decode(machine, "fp8", 64, 8192, 64, 8, 128, 128, 0, 4)
    assert several.seconds < 1.2 * cost.seconds


def test_small_decode_has_the_measured_floor() -> None:
    for system in ("h100", "h200", "b200", "gb200"):
        for engine in ENGINES:
            taken = gqa_mla.decode(on(system, engine), "bf16", 1, 64, 8, 1, 128, 128).seconds
            assert 4e-6 < taken < 2e-5, (system, engine)


def test_mla_decode_with_all_heads_computes_on_hopper() -> None:
    wide = gqa_mla.mla_decode(on("h200"), "bf16", 64, 4096, 128, 512, 64)
    read = 64 * 4096 * 576 * 2 / 4.8e12
    assert wide.light_s > 1.05 * read  # bound by products, not by the cache
    shard = gqa_mla.mla_decode(on("h200"), "bf16", 64, 4096, 16, 512, 64)
    assert shard.light_s == pytest.approx(read, rel=0.02)


def test_sparse_attention_does_not_grow_with_context() -> None:
    machine = on("b200", "sglang")
    short, long = (
        gqa_mla.sparse_mla(machine, "fp8", 64, 2048, 16, 512, 64, slots=2048).seconds
        + gqa_mla.indexer(machine, 64, context, 64, 128, 2048).seconds
        for context in (4096, 131072)
    )
    dense = [gqa_mla.mla_decode(machine, "fp8", 64, c, 16, 512, 64).seconds for c in (4096, 131072)]
    assert long / short < 0.5 * dense[1] / dense[0]


@pytest.mark.parametrize(
    ("new", "past"), [(1, 100), (64, 0), (512, 1800), (4096, 0), (300, 1900), (16, 9000)]
)
def test_attended_is_the_mean_over_queries(new: int, past: int) -> None:
    contexts = past + np.arange(new) + 0.5
    found = sparse_attention.mean_attended(past + 0.5 * new, 2048.0, new)
    assert found == pytest.approx(np.minimum(contexts, 2048.0).mean(), abs=0.5)


SPARSE = dict.fromkeys(bounds(sparse_attention.SparseConstants), 0.0) | {
    "index_compute": 1.0,
    "index_memory": 1.0,
    "compute": 0.5,
    "memory": 0.5,
}


def test_empty_places_cost_what_the_kernel_works_on_them() -> None:
    def taken(**more: float) -> float:
        machine = h200(dsa_prefill=SPARSE | more)
        shape = ("fp8", 4096, 512.0, 16, 512, 64)
        cost = sparse_attention.sparse_mla(machine, *shape, slots=2048, phase="prefill", queries=1024)
        return float(cost.seconds)

    skipped, half, all_of_them = (taken(unfilled=share) for share in (0.0, 0.5, 1.0))
    assert skipped < half < all_of_them < 4.0 * skipped
    assert half == pytest.approx(0.5 * (skipped + all_of_them))
    assert taken(narrow_s=1e-10) - skipped == pytest.approx(4096 * 2048 * 1e-10)


def test_few_heads_alone_take_the_narrow_kernel() -> None:
    wide, narrow = h200(dsa_prefill=SPARSE), h200(dsa_prefill=SPARSE | {"narrow_s": 1e-10})
    for heads, same in ((16, False), (32, True)):
        shape = ("fp8", 4096, 2048.0, heads, 512, 64)
        pair = [
            float(sparse_attention.sparse_mla(m, *shape, slots=2048, phase="prefill", queries=64).seconds)
            for m in (wide, narrow)
        ]
        assert (pair[0] == pair[1]) is same


def test_index_keys_are_collected_once_a_sequence() -> None:
    machine = h200(dsa_prefill=SPARSE | {"index_memory": 0.01, "index_compute": 1.0})
    few, many = (
        float(
            sparse_attention.indexer(
                machine, 4096, 65536, 1, 128, 2048, kv="fp8", phase="prefill", queries=queries
            ).seconds
        )
        for queries in (4096, 64)
    )
    assert 30.0 < many / few < 64.0  # 64 sequences' keys in place of one's


def test_linear_attention_grows_with_tokens_alone() -> None:
    machine = on("h200", "vllm")
    once = linear.prefill(machine, 1, 4096, 16, 128, 32, 128, 4)
    twice = linear.prefill(machine, 1, 8192, 16, 128, 32, 128, 4)
    # what does not grow is the floor and the state, so twice the tokens take at most twice the time
    assert once.seconds < twice.seconds < 2 * once.seconds
    assert twice.light_s == pytest.approx(2 * once.light_s, rel=0.02)
