"""Rate matching: the paper's algorithms and the exact search, against brute force and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.match.pareto import prune
from planner.match.rate_match import (
    TIE,
    TOLERANCE,
    _worth_packing,
    best_prefill,
    fixed_ratio,
    instances_for,
    match_budget,
    match_unbounded,
    pool_table,
    rate_steps,
    throughput_at_ratio,
)

rates = st.floats(1e-3, 1e6) | st.integers(1, 8).map(float)
near_rates = st.floats(0.2, 20.0) | st.integers(1, 8).map(float)
pools = st.lists(st.tuples(st.integers(1, 9), near_rates), min_size=0, max_size=5)


# Algorithm 1


def test_best_prefill_takes_the_most_requests_per_gpu_within_the_limit() -> None:
    ftl, gpus, rate = [0.5, 2.0, 9.0, 20.0], [4, 8, 8, 8], [2.0, 6.0, 7.0, 9.0]
    assert best_prefill(ftl, gpus, rate, 10.0) == 2
    assert best_prefill(ftl, gpus, rate, 9.0) == 2  # at the limit is within it
    assert best_prefill(ftl, gpus, rate, 8.9) == 1
    assert best_prefill(ftl, gpus, rate, 1.0) == 0
    assert best_prefill(ftl, gpus, rate, 0.1) == -1


def test_best_prefill_prefers_fewer_gpus_at_equal_rate_per_gpu() -> None:
    assert best_prefill([1.0, 1.0, 1.0], [16, 4, 8], [1.6, 0.4, 0.8], 10.0) == 1
    third = 1 / 3  # 3 * (1/3) and the like differ in the last bit
    assert best_prefill([1.0, 1.0], [3, 1], [third + third + third, third], 10.0) == 1


def test_best_prefill_passes_over_what_cannot_serve() -> None:
    assert best_prefill([np.nan, 1.0, 1.0, 1.0], [1, 1, 1, 2], [9.0, np.inf, 0.0, 1.0], 10.0) == 3
    assert best_prefill([], [], [], 10.0) == -1


# Algorithm 2


@settings(max_examples=60)
@given(st.integers(1, 16), st.integers(1, 16), st.floats(0.05, 20.0), st.sampled_from([0.03, 0.1]))
def test_match_unbounded_finds_the_fewest_gpus(
    prefill_gpus: int, decode_gpus: int, balance: float, tolerance: float
) -> None:
    """Against every pair of counts that could do."""
    plan = match_unbounded(prefill_gpus, 1.0, [decode_gpus], [balance], osl=2, tolerance=tolerance)
    p = np.arange(1, int(12 / tolerance) + 22)[:, None]  # 20 times 1 / (2 tolerance), and a little
    d = p.T
    mismatch = abs(p / (d * balance) - 1)
    assume(abs(mismatch - tolerance).min() > 1e-8)  # on the edge rounding decides
    fewest = np.where(mismatch <= tolerance, p * prefill_gpus + d * decode_gpus, 10**9).min()
    assert plan.gpus.item() == fewest
    assert plan.gpus.item() == plan.n_prefill.item() * prefill_gpus + plan.n_decode.item() * decode_gpus


@given(st.integers(1, 128), st.lists(st.tuples(st.integers(1, 128), rates), min_size=1, max_size=6), rates)
def test_match_unbounded_balances_the_pools(
    prefill_gpus: int, decode: list[tuple[int, float]], prefill_rate: float
) -> None:
    """The pools differ by no more than the tolerance, so the ideal is missed by no more than that."""
    gpus, rate = np.array([d[0] for d in decode]), np.array([d[1] for d in decode])
    plan = match_unbounded(prefill_gpus, prefill_rate, gpus, rate, osl=513)
    quotient = plan.n_prefill * prefill_rate / (plan.n_decode * rate)
    assert np.all(abs(quotient - 1) <= TOLERANCE * (1 + 1e-6))
    assert np.all(plan.tokens_per_s_per_gpu <= plan.ideal_tokens_per_s_per_gpu * (1 + 1e-9))
    assert np.all(plan.tokens_per_s_per_gpu >= plan.ideal_tokens_per_s_per_gpu * (1 - TOLERANCE - 1e-9))
    assert np.all(np.minimum(plan.n_prefill, plan.n_decode) <= np.ceil(0.5 / TOLERANCE))


def test_ideal_is_the_formula_of_the_serving_literature() -> None:
    """Output tokens/s over (decode GPUs * decode request rate / prefill request rate + decode GPUs)."""
    prefill_gpus, prefill_rate, decode_gpus, decode_rate, osl = 4, 2.0, 16, 10.0, 1025
    plan = match_unbounded(prefill_gpus, prefill_rate, [decode_gpus], [decode_rate], osl=osl)
    output_tokens_per_s = decode_rate * (osl - 1)
    prefill_gpus_needed = prefill_gpus * decode_rate / prefill_rate
    expected = output_tokens_per_s / (prefill_gpus_needed + decode_gpus)
    assert plan.ideal_tokens_per_s_per_gpu.item() == pytest.approx(expected)
    assert plan.ctx_gen_ratio.item() == pytest.approx(prefill_gpus_needed / decode_gpus)


def test_faster_decode_wants_more_prefill_gpus() -> None:
    """The trap of the printed listing: its alpha, prefill over decode rate, would turn this round."""
    slow_first = np.array([0.5, 1.0, 4.0])
    plan = match_unbounded(1, 1.0, np.ones(3), slow_first, osl=101)
    assert plan.ctx_gen_ratio.tolist() == [0.5, 1.0, 4.0]
    assert plan.n_prefill.tolist() == [1, 1, 4]
    assert plan.n_decode.tolist() == [2, 1, 1]
    assert plan.ideal_tokens_per_s_per_gpu == pytest.approx(100 * slow_first / (1 + slow_first))


def test_match_unbounded_ends_at_extreme_ratios() -> None:
    plan = match_unbounded(1, 1e6, [1, 1], [1e-3, 1e6], osl=2, tolerance=0.001)
    assert plan.n_prefill.tolist() == [1, 1]
    assert plan.n_decode[0] == pytest.approx(1e9, rel=0.0011)


def test_match_unbounded_of_unusable_candidates_is_nothing() -> None:
    plan = match_unbounded(1, 1.0, [1, 2, 4], [np.nan, 0.0, 4.0], osl=2)
    assert plan.gpus.tolist() == [0, 0, 8]
    assert plan.tokens_per_s_per_gpu.tolist() == [0.0, 0.0, 0.5]
    assert np.isnan(plan.ctx_gen_ratio[:2]).all()


def test_headroom_scales_what_is_served_and_not_the_counts() -> None:
    full = match_unbounded(4, 2.0, [8], [7.0], osl=101)
    kept = match_unbounded(4, 2.0, [8], [7.0], osl=101, headroom=0.2)
    assert kept.gpus == full.gpus
    assert kept.tokens_per_s_per_gpu == pytest.approx(0.8 * full.tokens_per_s_per_gpu)
    assert kept.ideal_tokens_per_s_per_gpu == pytest.approx(0.8 * full.ideal_tokens_per_s_per_gpu)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("osl", {"osl": 1}),
        ("tolerance", {"tolerance": 0.0}),
        ("tolerance", {"tolerance": 1.0}),
        ("headroom", {"headroom": 1.0}),
        ("prefill_rate", {"prefill_rate": 0.0}),
    ],
)
def test_match_unbounded_names_what_it_does_not_accept(field: str, change: dict[str, float]) -> None:
    arguments = {"prefill_gpus": 1, "prefill_rate": 1.0, "decode_gpus": [1], "decode_rate": [1.0], "osl": 2}
    with pytest.raises(InputError) as caught:
        match_unbounded(**{**arguments, **change})  # type: ignore[arg-type]
    assert caught.value.field == field


# Fixed ratios: figure 10 of the paper and its closed form


@pytest.mark.parametrize(
    ("ratio", "best", "share"),
    [
        (0.5, 3.6, 0.43),
        (0.5, 1.0, 0.67),
        (0.5, 0.5, 1.00),
        (0.5, 0.2, 0.80),
        (0.5, 0.06, 0.71),
        (3.5, 3.6, 0.99),
        (3.5, 2.0, 0.67),
        (3.5, 1.0, 0.44),
        (3.5, 0.5, 0.33),
        (3.5, 0.06, 0.24),
    ],
)
def test_fixed_ratio_keeps_the_expected_share_of_the_optimum(ratio: float, best: float, share: float) -> None:
    assert float(fixed_ratio(ratio, best)) == pytest.approx(share, abs=0.01)


def test_plateaus_of_two_fixed_ratios_stand_as_in_the_figure() -> None:
    """At relaxed TTL prefill limits both, whatever the decode rate; figure 10 reads 0.42 over 0.971."""
    decode = np.array([3.5, 4.0, 10.0])
    half, many = throughput_at_ratio(0.5, 1.0, decode, 2048), throughput_at_ratio(3.5, 1.0, decode, 2048)
    assert half / many == pytest.approx(np.full(3, 3 / 7))
    assert half / many == pytest.approx(np.full(3, 0.42 / 0.971), abs=0.005)


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.integers(2, 100_000))
def test_no_fixed_ratio_beats_the_matched_one(
    ratio: float, prefill_rate: float, decode_rate: float, osl: int
) -> None:
    best = decode_rate / prefill_rate
    held = float(throughput_at_ratio(ratio, prefill_rate, decode_rate, osl))
    matched = float(throughput_at_ratio(best, prefill_rate, decode_rate, osl))
    ideal = match_unbounded(1, prefill_rate, [1], [decode_rate], osl=osl).ideal_tokens_per_s_per_gpu
    assert matched == pytest.approx(ideal.item())
    assert held <= matched * (1 + 1e-9)
    assert held == pytest.approx(matched * float(fixed_ratio(ratio, best)))


# Under a budget


def split_by_hand(
    prefill: list[tuple[int, float]], decode: tuple[int, float], budget: int
) -> tuple[float, int]:
    """Best rate of one layout per pool and the fewest GPUs for it, by trying every pair of counts."""
    best, fewest = 0.0, 0
    for gpus, rate in prefill:
        for n in range(1, budget // gpus + 1):
            for m in range(1, (budget - n * gpus) // decode[0] + 1):
                served, used = min(n * rate, m * decode[1]), n * gpus + m * decode[0]
                if served > best * (1 + TIE) or (served >= best * (1 - TIE) and used < fewest):
                    best, fewest = max(served, best), used
    return best, fewest


@settings(max_examples=80)
@given(pools, pools, st.integers(1, 24), st.sampled_from([0.0, 0.15]))
def test_match_budget_is_exact(
    prefill: list[tuple[int, float]], decode: list[tuple[int, float]], budget: int, headroom: float
) -> None:
    p_gpus, p_rate = [p[0] for p in prefill], [p[1] for p in prefill]
    d_gpus, d_rate = [d[0] for d in decode], [d[1] for d in decode]
    plan = match_budget(p_gpus, p_rate, d_gpus, d_rate, budget=budget, headroom=headroom)
    for i, candidate in enumerate(decode):
        best, fewest = split_by_hand(prefill, candidate, budget)
        assert plan.requests_per_s[i] == pytest.approx((1 - headroom) * best, rel=1e-8)
        assert plan.gpus[i] == fewest
        p = plan.prefill[i]
        assert (p >= 0) == (best > 0)
        if p >= 0:
            assert plan.gpus[i] == plan.n_prefill[i] * p_gpus[p] + plan.n_decode[i] * d_gpus[i]
            served = (1 - headroom) * min(plan.n_prefill[i] * p_rate[p], plan.n_decode[i] * d_rate[i])
            assert plan.requests_per_s[i] == served


@settings(max_examples=60)
@given(pools, pools, st.integers(1, 24))
def test_rate_steps_are_every_rate_with_its_fewest_gpus(
    prefill: list[tuple[int, float]], decode: list[tuple[int, float]], budget: int
) -> None:
    columns = [
        [p[0] for p in prefill],
        [p[1] for p in prefill],
        [d[0] for d in decode],
        [d[1] for d in decode],
    ]
    rate, gpus = rate_steps(*columns, budget=budget)
    assert np.all(np.diff(rate) > 0)
    assert np.all(np.diff(gpus) >= 0)
    for size in range(1, budget + 1):
        best = max((split_by_hand(prefill, d, size)[0] for d in decode), default=0.0)
        assert max(rate[gpus <= size], default=0.0) == pytest.approx(best, rel=1e-8)


def test_a_small_budget_costs_throughput_and_a_large_one_reaches_the_ideal() -> None:
    """The paper's remark that limited resources restrict rate matching."""
    prefill, decode, osl = (4, 2.6), (16, 31.0), 1025
    ideal = match_unbounded(*prefill, [decode[0]], [decode[1]], osl=osl).ideal_tokens_per_s_per_gpu.item()
    columns = [[prefill[0]], [prefill[1]], [decode[0]], [decode[1]]]
    share, served = [], []
    for budget in range(20, 2049, 12):
        plan = match_budget(*columns, budget=budget)
        share.append(plan.requests_per_s.item() * (osl - 1) / budget / ideal)
        served.append(plan.requests_per_s.item())
    assert max(share) <= 1 + 1e-9
    assert min(share[:5]) < 0.6
    assert min(share[-20:]) > 0.98
    assert np.all(np.diff(served) >= 0)


def test_match_budget_copes_with_the_largest_fleet() -> None:
    rng = np.random.default_rng(5)
    gpus = 2 ** rng.integers(0, 7, 20_000)
    rate = gpus * rng.uniform(0.5, 2.0, 20_000)
    plan = match_budget(gpus, rate, gpus, rate * 0.7, budget=16_384)
    assert np.all(plan.gpus <= 16_384)
    best = (rate / gpus).max()
    decode = 0.7 * rate / gpus
    assert np.all(plan.requests_per_s <= 16_384 * best * decode / (best + decode) * (1 + 1e-9))
    assert np.all(plan.requests_per_s >= 16_300 * 0.9 * best * decode / (best + decode))


def test_nothing_fits_a_budget_below_the_smallest_pair() -> None:
    plan = match_budget([4], [1.0], [8, 2, 16], [1.0, 1.0, np.nan], budget=11)
    assert plan.prefill.tolist() == [-1, 0, -1]
    assert plan.gpus.tolist() == [0, 6, 0]
    assert match_budget([], [], [1], [1.0], budget=8).gpus.tolist() == [0]
    assert match_budget([1], [1.0], [], [], budget=8).gpus.tolist() == []
    for field, change in (("gpus", {"budget": 0}), ("headroom", {"headroom": -0.1})):
        with pytest.raises(InputError, match=field):
            match_budget([1], [1.0], [1], [1.0], **{"budget": 8, **change})  # type: ignore[arg-type]


def test_equal_rates_take_fewer_gpus_though_rounding_tells_them_apart() -> None:
    """3 * 0.1 exceeds 0.3 in floating point; that must not buy an eleventh GPU."""
    plan = match_budget([1], [0.3], [10, 1], [0.3, 0.1], budget=100)
    assert plan.requests_per_s[1] == pytest.approx(0.3 * 25)
    assert plan.gpus[1] == 100
    # 3 * 0.2 exceeds 2 * 0.3 as well, and a third prefill instance would fit into the budget.
    plan = match_budget([1], [0.3], [1], [0.2], budget=6)
    assert (plan.n_prefill.item(), plan.n_decode.item(), plan.gpus.item()) == (2, 3, 5)
    assert instances_for(0.3 * (1 - TIE), np.array([0.1 + 0.2])).item() == 1
    assert instances_for(0.3, np.array([0.1])).item() == 3


@given(pools, st.integers(1, 30))
def test_pool_table_is_the_best_pool_of_one_layout(pool: list[tuple[int, float]], budget: int) -> None:
    table, which = pool_table([p[0] for p in pool], [p[1] for p in pool], budget)
    for x in range(budget + 1):
        best = max((x // gpus * rate for gpus, rate in pool), default=0.0)
        assert table[x] == pytest.approx(best, rel=1e-12)
        assert (which[x] < 0) == (best == 0)
        if best:
            assert x // pool[which[x]][0] * pool[which[x]][1] == table[x]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 12), st.sampled_from([np.nan, np.inf, -1.0, 0.0, 1.0, 2.0, 2.5, 4.0, 6.0, 8.0])
        )
    ),
)
def test_only_what_packing_could_take_is_packed(pool: list[tuple[int, float]]) -> None:
    gpus, rate = (np.array([p[i] for p in pool], dtype=kind) for i, kind in enumerate((np.int64, np.float64)))
    assert _worth_packing(gpus, rate).tolist() == prune(np.zeros(len(pool)), gpus, rate).tolist()


@given(st.floats(1e-6, 1e9), st.lists(rates, min_size=1, max_size=8))
def test_instances_for_is_the_least_number_that_serves(demand: float, values: list[float]) -> None:
    rate = np.array(values)
    n = instances_for(demand, rate)
    assert np.all(n * rate >= demand)
    assert np.all((n - 1) * rate < demand)


def test_instances_for_whole_multiples_are_those_multiples() -> None:
    """Where the quotient of a product and its factor rounds, in either direction."""
    rate = np.random.default_rng(8).uniform(0.1, 10.0, 20_000)
    for n in (3, 7, 49, 1009):
        assert np.all(instances_for(n * rate, rate) == n)
        assert np.all(instances_for(np.nextafter(n * rate, np.inf), rate) == n + 1)
