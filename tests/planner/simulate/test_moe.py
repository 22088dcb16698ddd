"""Expert layers: the speed of light, growth with work, and routing against direct simulation."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.inputs import catalog
from planner.inputs.precision import FORMATS
from planner.simulate.operators.constants import bounds
from planner.simulate.operators.example import h200
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.moe import (
    EVENED_BALANCE,
    Experts,
    MoeConstants,
    grouped_gemm,
    route,
)

ENGINES = ("trtllm", "sglang", "vllm")
SYSTEMS = catalog.load().names("system")
PLAIN = {
    "compute": 0.5,
    "memory": 0.8,
    "pad_width": 16.0,
    "floor_s": 2e-5,
    "first_s": 5e-6,
    "pair_trips": 2.0,
    "token_trips": 2.0,
    "pair_s": 1e-10,
}


def load_of(tokens, topk, experts, ep, skew=None):
    """`route`, which looks at nothing else of the experts."""
    chosen = Experts(hidden=1, width=1, matrices=1, topk=topk, count=experts)
    return route(chosen, tokens, ep=ep, skew=skew)


def distinct_experts(tokens, experts, topk, skew=None):
    """Experts, of all, that at least one token chooses."""
    return load_of(tokens, topk, experts, 1.0, skew).mean_experts


def imbalance(tokens, topk, experts, ep, skew=None):
    """Load of the busiest rank over the mean."""
    load = load_of(tokens, topk, experts, ep, skew)
    return np.maximum(load.pairs / load.mean_pairs, 1.0)


def run(machine, fmt, tokens, hidden, width, matrices, topk, experts, tp, ep, skew=None, **options):
    """The operator on one of SHAPES."""
    shape = Experts(hidden=hidden, width=width, matrices=matrices, topk=topk, count=experts)
    return grouped_gemm(machine, FORMATS[fmt], shape, tokens, tp=tp, ep=ep, skew=skew, **options)


# tokens, hidden, width, matrices, topk, experts, moe_tp, moe_ep
SHAPES = st.tuples(
    st.integers(1, 200_000),
    st.sampled_from([1024, 2880, 4096, 7168, 8192]),
    st.sampled_from([512, 1536, 2048, 8192, 16384]),
    st.sampled_from([2, 3]),
    st.sampled_from([1, 2, 8, 22]),
    st.sampled_from([32, 128, 256, 896]),
    st.sampled_from([1, 2, 8, 32]),
    st.sampled_from([1, 2, 8, 32, 72, 256]),
)
SKEWS = st.sampled_from([None, 0.0, 0.1, EVENED_BALANCE, 1.0, 1.01, 1.2])


@functools.cache
def machine_of(system: str, engine: str) -> Machine:
    presets = catalog.load()
    spec = presets.system(system)
    return Machine(
        gpu=spec.gpu, fabric=spec.fabric, kernels=presets.kernels(spec, engine), engine=presets.engine(engine)
    )


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """A preset system under an engine, with its constants or with any legal ones."""
    machine = machine_of(draw(st.sampled_from(SYSTEMS)), draw(st.sampled_from(ENGINES)))
    if draw(st.booleans()):
        return machine
    legal = {k: draw(st.floats(b.low, b.high)) for k, b in bounds(MoeConstants).items()}
    return dataclasses.replace(machine, kernels=h200(moe=legal).kernels)


FORMAT = st.sampled_from(sorted(FORMATS))


@given(machines(), FORMAT, st.lists(SHAPES, min_size=1, max_size=20), SKEWS, st.booleans())
@settings(max_examples=30, deadline=None)
def test_nothing_beats_light(machine, fmt, shapes, skew, dispatched):
    columns = np.array(shapes, dtype=float).T
    cost = run(machine, fmt, *columns, skew, dispatched=dispatched)
    assert np.all(np.isfinite(cost.seconds)) and np.all(cost.light_s > 0)
    assert np.all(cost.seconds >= cost.light_s)


@given(machines(), FORMAT, SHAPES, st.integers(0, 2), st.floats(1.0, 8.0), SKEWS, st.booleans())
@settings(max_examples=50, deadline=None)
def test_more_work_never_takes_less(machine, fmt, shape, which, factor, skew, dispatched):
    more = list(shape)
    more[which] = shape[which] * factor
    small = run(machine, fmt, *shape, skew, dispatched=dispatched)
    large = run(machine, fmt, *more, skew, dispatched=dispatched)
    assert large.seconds >= small.seconds * (1 - 1e-12)
    assert large.light_s >= small.light_s * (1 - 1e-12)


@given(machines(), FORMAT, SHAPES, st.floats(1.0, 4.0))
@settings(max_examples=50, deadline=None)
def test_a_faster_gpu_never_takes_longer(machine, fmt, shape, factor):
    gpu = machine.gpu
    wider = dataclasses.replace(gpu, hbm_bytes_per_s=gpu.hbm_bytes_per_s * factor)
    stronger = dataclasses.replace(gpu, peak_flops={k: v * factor for k, v in gpu.peak_flops.items()})
    usual = run(machine, fmt, *shape)
    for better in (wider, stronger):
        cost = run(dataclasses.replace(machine, gpu=better), fmt, *shape)
        assert cost.seconds <= usual.seconds * (1 + 1e-12)
        assert cost.light_s <= usual.light_s * (1 + 1e-12)


def test_shapes_broadcast():
    tokens, ep = np.arange(1.0, 6.0)[:, None], np.array([1.0, 8.0, 32.0])
    cost = run(h200(moe=PLAIN), "fp8", tokens, 7168, 2048, 3, 8, 256, 1.0, ep)
    assert np.shape(cost.seconds) == np.shape(cost.light_s) == (5, 3)
    one = run(h200(moe=PLAIN), "fp8", 4, 7168, 2048, 3, 8, 256, 1, 32)
    assert float(one.seconds) == pytest.approx(cost.seconds[3, 2])


def test_a_gate_is_a_third_matrix():
    machine = h200(moe={**PLAIN, "floor_s": 1e-9, "first_s": 1e-9, "pair_trips": 1e-4, "token_trips": 1e-4})
    two, three = (run(machine, "bf16", 4096, 7168, 2048, m, 8, 256, 1, 1, 0.0) for m in (2, 3))
    assert three.light_s == pytest.approx(1.5 * two.light_s)
    assert three.seconds == pytest.approx(1.5 * two.seconds, rel=0.01)


def test_an_all_to_all_spares_a_rank_the_tokens_of_others():
    machine, tokens = h200(moe=PLAIN), np.array([1.0, 64.0, 4096.0])
    held = run(machine, "fp8", tokens, 7168, 2048, 3, 8, 256, 1, 32, 0.3)
    sent = run(machine, "fp8", tokens, 7168, 2048, 3, 8, 256, 1, 32, 0.3, dispatched=True)
    assert np.all(sent.seconds <= held.seconds) and sent.seconds[2] < 0.95 * held.seconds[2]


def test_a_kernel_measured_apart_is_used_and_the_usual_one_stands_in():
    faster = {**PLAIN, "floor_s": 1e-6}
    machine = h200(moe=PLAIN, moe_min_latency=faster)
    shape = (1, 7168, 2048, 3, 8, 256, 1, 8)
    usual, apart, unknown = (
        run(machine, "fp8", *shape, kernel=name).seconds for name in ("", "min_latency", "x")
    )
    assert apart == pytest.approx(usual - 19e-6) and unknown == usual


def power_law(tokens: int, topk: int, experts: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Loads of experts whose popularity follows a truncated power law; every pair chooses by itself."""
    low, high = (1.0, 0.8 * tokens) if tokens * topk > experts else (0.01, 2.0)
    p = 1.0 - exponent
    weight = ((high**p - low**p) * rng.random(experts) + low**p) ** (1.0 / p)
    return rng.multinomial(tokens * topk, weight / weight.sum())


@pytest.mark.parametrize("tokens", [1, 16, 64, 1024])
@pytest.mark.parametrize(("topk", "experts"), [(8, 256), (2, 8), (4, 32)])
def test_round_robin_counted_directly(tokens, topk, experts):
    # token t takes experts t, t + stride, t + 2 stride ...
    chosen = (np.arange(tokens)[:, None] + np.arange(topk) * (experts // topk)) % experts
    load = np.bincount(chosen.ravel(), minlength=experts)
    ranks = load.reshape(4, -1).sum(axis=1)
    assert distinct_experts(tokens, experts, topk, 0.0) == pytest.approx(np.count_nonzero(load))
    assert imbalance(tokens, topk, experts, 4, 0.0) == pytest.approx(ranks.max() / ranks.mean())


@pytest.mark.parametrize("ep", [1, 8, 32])
@pytest.mark.parametrize("exponent", [1.01, 1.2])
def test_skewed_routing_against_simulation(ep, exponent):
    """Busiest rank of 256 experts, 8 per token: the closed form is near the mean of 60 draws."""
    rng = np.random.default_rng(7)
    tokens = np.array([1, 4, 32, 256, 4096])
    pairs, touched = [], []
    for t in tokens:
        draws = [power_law(t, 8, 256, exponent, rng).reshape(ep, -1) for _ in range(60)]
        busy = [load[load.sum(axis=1).argmax()] for load in draws]
        pairs.append(np.mean([load.sum() for load in busy]))
        touched.append(np.mean([np.count_nonzero(load) for load in busy]))
    found = load_of(tokens, 8, 256, ep, exponent)
    assert np.mean(np.abs(found.pairs / pairs - 1)) < 0.15
    assert np.mean(np.abs(found.experts / touched - 1)) < 0.15


def test_skew_of_a_third_touches_what_independent_choice_would():
    tokens = np.array([1, 2, 4, 8, 16, 32, 64, 128, 512])
    for topk, experts in ((8, 256), (4, 32), (8, 128), (6, 384)):
        independent = experts * (1 - (1 - topk / experts) ** tokens)
        assert np.allclose(distinct_experts(tokens, experts, topk, 0.3), independent, rtol=0.06)
        # real routing is less even: planning expects fewer experts
        assert np.all(distinct_experts(tokens, experts, topk) <= independent * 1.06)


def test_skew_of_a_third_is_at_least_the_luck_of_independent_choice():
    """Even where experts are equally popular, the busiest of 32 ranks has more than the mean."""
    rng = np.random.default_rng(3)
    for tokens in (32, 256, 2048):
        draws = rng.multinomial(tokens * 8, np.full(32, 1 / 32), size=200).max(axis=1).mean()
        found = float(imbalance(tokens, 8, 256, 32, 0.3)) * tokens * 8 / 32
        assert 0.9 * draws < found < 1.4 * draws


@given(SHAPES, SKEWS)
@settings(max_examples=50, deadline=None)
def test_loads_stay_within_what_exists(shape, skew):
    tokens, topk, experts, ep = shape[0], shape[4], shape[5], shape[7]
    load = load_of(tokens, topk, experts, ep, skew)
    held = max(experts / ep, 1.0)
    assert load.pairs >= load.mean_pairs * (1 - 1e-12)
    assert load.pairs <= max(tokens * topk, 1) * (1 + 1e-12)
    assert load.mean_experts <= load.experts * (1 + 1e-12)
    assert load.experts <= min(held, load.pairs) * (1 + 1e-12)
    assert imbalance(tokens, topk, experts, ep, skew) <= max(ep, 1) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("tokens", "topk", "experts", "variance"),
    [(1, 8, 256, 2), (8, 8, 256, 2), (64, 8, 256, 2), (512, 8, 256, 2), (32, 4, 128, 2), (8, 2, 8, 0.707)],
)
def test_planning_touches_what_gamma_distributed_popularity_would(
    tokens: int, topk: int, experts: int, variance: float
) -> None:
    """Tokens choosing distinct experts in proportion to it."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(40):
        popular = np.log(rng.gamma(1 / variance, size=experts))
        chosen = np.argsort(popular + rng.gumbel(size=(tokens, experts)), axis=1)[:, -topk:]
        found.append(len(np.unique(chosen)))
    assert distinct_experts(tokens, experts, topk) == pytest.approx(np.mean(found), rel=0.1)


def test_coarse_experts_are_used_nearly_evenly_and_fine_ones_not():
    """Of as many pairs for each expert the same share is touched, more of it the fewer they are."""
    counts = (8, 16, 32, 64, 128, 256)
    shares = [distinct_experts(count, count, 2) / count for count in counts]
    assert shares[:4] == sorted(shares[:4], reverse=True) and shares[0] > shares[3] + 0.1
    assert shares[3:] == pytest.approx([shares[3]] * 3, rel=0.02)


def test_redundant_experts_even_out_the_ranks():
    chosen = Experts(hidden=1, width=1, matrices=3, topk=8, count=256)
    plain, evened = (route(chosen, 1024, ep=32, evened=each) for each in (False, True))
    assert evened.mean_pairs == plain.mean_pairs and evened.mean_experts == plain.mean_experts
    assert plain.mean_pairs < evened.pairs < plain.pairs
    assert evened.experts < plain.experts


def test_imbalance_grows_with_skew_and_ranks():
    assert imbalance(8192, 8, 256, 1) == 1.0
    by_skew = [float(imbalance(8192, 8, 256, 32, s)) for s in (0.0, EVENED_BALANCE, 1.0, 1.2)]
    by_ranks = imbalance(8192, 8, 256, np.array([1.0, 8.0, 32.0, 64.0]), 1.01)
    assert by_skew == sorted(by_skew) and by_skew[0] == 1.0 and by_skew[-1] > 3.0
    assert np.all(np.diff(by_ranks) > 0)
