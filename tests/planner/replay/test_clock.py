"""The clock of an instance against one that takes every step by itself."""

from __future__ import annotations

import numpy as np
import pytest

from planner.inputs.requests import plain
from planner.replay import report
from planner.replay.fleet import Change, Fleet, Link, Options, Pool, Scheduling
from planner.replay.lookup import steps_until, taken_s
from planner.replay.run import run
from planner.simulate.times import CacheRoom

from .small import (
    CONTEXT_S,
    PASS_S,
    PAST_S,
    SEQUENCE_S,
    STEP_S,
    TOKEN_S,
    colocated,
    kind,
    passes,
    split,
    steady,
    steps,
)


def test_one_request_takes_its_pass_and_its_steps() -> None:
    result = run(split(), steady(1, 1.0, isl=1000, osl=3))
    prompt = PASS_S + TOKEN_S * 1000 + PAST_S * 1000 * 500
    first, second = (STEP_S + SEQUENCE_S + CONTEXT_S * context for context in (1000, 1001))
    assert result.ftl_s[0] == pytest.approx(prompt, rel=1e-3)
    assert result.e2e_s[0] - result.ftl_s[0] == pytest.approx(first + second, rel=1e-6)


def test_a_long_prompt_goes_in_chunks() -> None:
    result = run(split(pass_tokens=1000), steady(1, 1.0, isl=10_000, osl=1))
    whole = 10 * PASS_S + TOKEN_S * 10_000 + PAST_S * 10_000 * 5_000
    assert result.ftl_s[0] == pytest.approx(whole, rel=1e-3)
    assert result.events < 20


def _step_by_step(arrival: list[float], isl: list[int], osl: list[int]) -> list[float]:
    """Ends of requests whose caches come at once, on one decode instance, one step after the other."""
    waiting = sorted(zip(arrival, isl, osl, range(len(isl)), strict=True))
    running: list[list[float]] = []  # left, context, index
    ends = [0.0] * len(isl)
    now = 0.0
    while waiting or running:
        if not running:
            now = max(now, waiting[0][0])
        while waiting and waiting[0][0] <= now + 1e-12:
            _, context, tokens, index = waiting.pop(0)
            running.append([tokens - 1, context, index])
        batch = len(running)
        mean = sum(one[1] for one in running) / batch
        now += STEP_S + SEQUENCE_S * batch + CONTEXT_S * batch * mean
        for one in running:
            one[0] -= 1
            one[1] += 1
        for one in [one for one in running if one[0] == 0]:
            ends[int(one[2])] = now
        running = [one for one in running if one[0] > 0]
    return ends


def test_steps_taken_together_end_as_steps_taken_one_by_one() -> None:
    random = np.random.default_rng(3)
    count = 60
    arrival = np.cumsum(random.exponential(0.3, count))
    isl, osl = random.integers(10, 4000, count), random.integers(2, 300, count)
    free = Pool(kind=kind("prefill"), instances=count)  # a prompt never waits
    result = run(Fleet(pools=(free, Pool(kind=kind("decode"), instances=1))), plain(arrival, isl, osl))
    ends = _step_by_step(result.first_s.tolist(), isl.tolist(), osl.tolist())
    assert np.abs(result.end_s - np.array(ends)).max() < 2e-3  # where a cache comes at the end of a step
    assert np.abs(result.end_s - np.array(ends)).mean() < 1e-4
    assert result.events < 8 * count


def test_steps_until_is_the_inverse_of_taken() -> None:
    for first, growth in ((0.01, 0.0), (0.02, 1e-5), (1.0, 0.3)):
        for count in (1, 2, 7, 1000):
            span = taken_s(count, first, growth)
            assert steps_until(span, first, growth) == count
            assert steps_until(span * (1 + 1e-6), first, growth) == count + 1


def test_a_queue_of_constant_service_waits_as_pollaczek_and_khinchine_say() -> None:
    """M/D/1 at a load of 0.7: 1.167 services of wait."""
    random = np.random.default_rng(0)
    count, service = 20_000, PASS_S + TOKEN_S * 1000 + PAST_S * 1000 * 500
    arrival = np.cumsum(random.exponential(service / 0.7, count))
    fleet = split(pass_tokens=1000, decodes=1)
    result = run(fleet, plain(arrival, np.full(count, 1000), np.ones(count, dtype=int)))
    wait = float(result.ftl_s.mean()) - service
    assert wait / service == pytest.approx(0.7 / (2 * 0.3), rel=0.05)


@pytest.mark.parametrize(
    ("routing", "waits"), [("central", 0.30), ("least-loaded", 0.34), ("round-robin", 0.33), ("random", 1.67)]
)
def test_routing_waits_as_the_closed_forms_of_four_servers_say(routing: str, waits: float) -> None:
    """Four servers of constant service at a load of 0.77; waits in services, simulated elsewhere."""
    random = np.random.default_rng(1)
    count, service = 30_000, PASS_S + TOKEN_S * 1000 + PAST_S * 1000 * 500
    arrival = np.cumsum(random.exponential(service / 0.77 / 4, count))
    fleet = split(prefills=4, pass_tokens=1000)
    load = plain(arrival, np.full(count, 1000), np.ones(count, dtype=int))
    result = run(fleet, load, Options(routing=routing))  # type: ignore[arg-type]
    wait = (float(result.ftl_s.mean()) - service) / service
    assert wait == pytest.approx(waits, rel=0.15, abs=0.05)


def test_sequences_beyond_the_places_wait() -> None:
    result = run(split(slots=2), steady(4, 0.0, osl=50))
    order = np.sort(result.first_s)
    assert order[2] >= np.sort(result.end_s)[0] - 1e-9  # the third starts as the first ends
    assert max(use.sequence_s / use.decode_s for use in result.instances if use.decode_s) <= 2.0


def test_a_full_cache_evicts_and_all_end() -> None:
    room = CacheRoom(tokens=2500.0, sequence_tokens=0.0, bytes_per_token=1.0)
    result = run(colocated(room=room), steady(6, 0.01, isl=600, osl=900))
    assert result.evictions > 0 and result.finished.all()
    whole = Scheduling(whole_lengths=True)
    calm = run(colocated(room=room, scheduling=whole), steady(6, 0.01, isl=600, osl=900))
    assert calm.evictions == 0 and calm.finished.all()


@pytest.mark.parametrize("ranks", [2, 8])
def test_no_prompt_has_its_first_token_sooner_beside_decode_steps_than_alone(ranks: int) -> None:
    """One of 8 chunks, on one of 8 ranks, took 0.25 s beside a sequence and 0.58 s without."""
    rules = Scheduling(lockstep=0.4, overlap=0.3)
    fleet = colocated(ranks=ranks, pass_tokens=512, scheduling=rules)
    alone = run(fleet, plain(np.zeros(1), np.array([4096]), np.array([2])))
    beside = run(fleet, plain(np.array([0.0, 1.0]), np.array([16, 4096]), np.array([500, 2])))
    assert beside.first_s[0] < 1.0 < beside.end_s[0]  # it decodes as the prompt comes
    assert beside.ftl_s[1] >= alone.ftl_s[0] * (1 - 1e-9)


@pytest.mark.parametrize(("arrival_s", "each_s"), [(0.01, 0.03), (0.1, 0.1)])
def test_host_work_hides_behind_the_passes_of_one_rank(arrival_s: float, each_s: float) -> None:
    """As plans have it: a pass of 100 tokens takes 0.03 s, or what the host takes for its prompt."""
    rules = Scheduling(arrival_s=arrival_s)
    fleet = split(scheduling=rules, pass_tokens=100)
    result = run(fleet, steady(200, 0.001, isl=100, osl=2))
    assert np.diff(np.sort(result.first_s)).mean() == pytest.approx(each_s, rel=0.01)


def test_a_request_that_fits_nowhere_is_refused() -> None:
    room = CacheRoom(tokens=1000.0, sequence_tokens=0.0, bytes_per_token=1.0)
    result = run(colocated(room=room), plain(np.zeros(2), np.array([100, 2000]), np.array([5, 5])))
    assert result.refused == 1 and result.finished.tolist() == [True, False]


def test_a_replay_that_measures_nothing_says_so() -> None:
    """It had a table of dashes, and left the reader to count."""
    room = CacheRoom(tokens=1000.0, sequence_tokens=0.0, bytes_per_token=1.0)
    long = plain(np.zeros(3), np.full(3, 2000), np.full(3, 5))
    for fleet, why in (
        (colocated(room=room), "no instance has room for any of them"),
        (colocated(0), "none of them ended"),
    ):
        said = report.to_text(run(fleet, long), fleet)
        assert f"nothing is measured of 3 requests: {why}" in said.split("\n") and "P95" not in said
    one = plain(np.zeros(2), np.array([100, 2000]), np.array([5, 5]))
    assert "nothing is measured" not in report.to_text(run(colocated(room=room), one), colocated(room=room))


def test_a_slow_link_is_what_the_decode_pool_gets_prompts_at() -> None:
    """One prompt after the other over the link: 0.5 s each."""
    link = Link(token_s=5e-4)
    result = run(split(link=link, layers=50), steady(10, 0.01, osl=2))
    gaps = np.diff(np.sort(result.first_s))
    assert gaps.mean() == pytest.approx(0.5, rel=0.05)
    fast = run(split(link=Link(token_s=1e-6), layers=50), steady(1, 0.0, osl=2))
    prompt = PASS_S + TOKEN_S * 1000 + PAST_S * 1000 * 500
    assert fast.ftl_s[0] == pytest.approx(prompt + 1e-3 / 50, rel=1e-3)  # all but the last layer is hidden


def test_prompts_beside_decode_share_the_pass() -> None:
    """A prompt beside a decoding batch takes the step and its own tokens, less what overlaps."""
    rules = Scheduling(overlap=0.5, exposure=1.0)
    fleet = colocated(scheduling=rules)
    load = plain(np.array([0.0, 1.0]), np.array([100, 1000]), np.array([200, 2]))
    result = run(fleet, load)
    step = STEP_S + SEQUENCE_S
    beside = TOKEN_S * 1000 + PAST_S * 1000 * 500
    taken = max(step + beside - 0.5 * min(step, beside), PASS_S + beside)  # no sooner than alone
    assert taken <= result.ftl_s[1] + 1e-9 <= taken + step + 1e-4
    work = result.instances[0].busy_s  # 199 steps of the first, one of them with the prompt, one step of both
    alone = PASS_S + TOKEN_S * 100
    assert work == pytest.approx(alone + 199 * step + beside - 0.5 * step + SEQUENCE_S, rel=1e-2)


def test_a_failure_loses_no_request_and_what_was_made_is_kept() -> None:
    fail = Change(at_s=2.0, event="fail", pool=1, instance=0)
    result = run(split(decodes=2, changes=(fail,)), steady(40, 0.1, osl=300))
    assert result.finished.all() and result.restarts > 0
    dead = next(use for use in result.instances if use.phase == "decode")
    assert not dead.alive and dead.up_s == pytest.approx(2.0)
    assert (result.computed > result.isl).sum() == result.restarts


def test_a_drained_instance_ends_what_it_has_and_takes_no_more() -> None:
    drain = Change(at_s=1.0, event="drain", pool=0, instance=0)
    result = run(colocated(2, changes=(drain,)), steady(60, 0.1, osl=60))
    first = result.instances[0]
    assert result.finished.all() and result.restarts == 0
    assert not first.alive and 1.0 <= first.end_s < 4.0
    assert result.arrival_s[result.entry == 0].max() <= 1.0


def test_an_instance_takes_requests_when_it_is_warm_and_gpus_at_once() -> None:
    start = Change(at_s=1.0, event="start", pool=0, warm_up_s=3.0)
    result = run(colocated(1, changes=(start,)), steady(80, 0.1, osl=60))
    late = result.instances[1]
    assert late.start_s == 1.0 and result.arrival_s[result.entry == 1].min() >= 4.0


def test_a_fleet_without_an_instance_waits_for_one() -> None:
    start = Change(at_s=5.0, event="start", pool=0)
    result = run(colocated(0, changes=(start,)), steady(3, 0.1))
    assert result.finished.all() and result.first_s.min() > 5.0
    none = run(colocated(0), steady(3, 0.1))
    assert not none.finished.any() and none.refused == 0


def test_a_closed_loop_keeps_so_many_in_flight() -> None:
    result = run(colocated(), steady(200, 0.0), Options(in_flight=8))
    times = np.sort(result.end_s)[:-8]
    inside = [((result.arrival_s <= at) & (result.end_s > at)).sum() for at in times]
    assert set(inside) == {8}


def test_each_stage_of_a_pipeline_takes_prompts_beside_its_part_of_the_batch() -> None:
    """Three chunks of 100 tokens go in one step of three stages, each in a pass of its own."""
    fleet = colocated(passes=passes(3.0), steps=steps(3.0), pass_tokens=100)
    load = plain(np.array([0.0, 1.0]), np.array([90, 300]), np.array([300, 2]))
    result = run(fleet, load)
    alone = 3 * (PASS_S + TOKEN_S * 300)
    step = STEP_S + SEQUENCE_S + CONTEXT_S * 300
    assert alone - 1e-3 <= result.ftl_s[1] <= alone + step + 1e-3


def test_a_closed_loop_of_equal_requests_has_one_burst_at_its_start_and_none_after() -> None:
    """The first wave shares passes as an engine packs them; what follows comes evenly."""
    result = run(colocated(), steady(320, 0.0, isl=1000, osl=200), Options(in_flight=32))
    waves = result.ftl_s.reshape(10, 32).mean(axis=1)
    prompts = 32 * (TOKEN_S * 1000 + PAST_S * 1000 * 500)
    assert waves[0] == pytest.approx(prompts * 5 / 8, rel=0.15)  # four passes of eight
    assert waves[2:].max() < 0.25 * waves[0]


def test_prompts_let_as_many_passes_go_by_as_an_engine_takes_to_admit_them() -> None:
    def wait(passes: float) -> float:
        rules = Scheduling(admission_passes=passes)
        result = run(colocated(scheduling=rules), steady(400, 0.0, isl=10, osl=400), Options(in_flight=4))
        return float(np.mean(result.ftl_s[100:]))

    step = STEP_S + 4 * SEQUENCE_S
    assert wait(2.5) - wait(1.0) == pytest.approx(1.5 * step, rel=0.15)


def test_prompts_go_where_they_are_done_soonest() -> None:
    """Of two prefill instances the one of eight ranks gets most of the prompts."""
    pools = (
        Pool(kind=kind("prefill"), instances=1),
        Pool(kind=kind("prefill", ranks=8, gpus=8), instances=1),
        Pool(kind=kind("decode"), instances=1),
    )
    result = run(Fleet(pools=pools), steady(200, 0.02, osl=2))
    few, many = ((result.entry == number).sum() for number in (0, 1))
    assert many > 2 * few > 0


def test_a_longer_prompt_is_never_earlier_out_of_a_pipeline() -> None:
    """A short last chunk leaves every stage behind the long one before it."""
    lengths = np.arange(500, 4600, 250)
    stages = {"passes": passes(4.0), "pass_tokens": 1000}
    for fleet in (split(**stages), colocated(**stages, steps=steps(4.0))):
        first_s = [run(fleet, steady(1, 1.0, isl=int(isl), osl=2)).ftl_s[0] for isl in lengths]
        assert (np.diff(first_s) > 0).all()
    # three full chunks and one of ten tokens: a flow shop whose last job is short
    chunk_s = [PASS_S + 1000 * TOKEN_S + PAST_S * 1000 * (1000 * k + 500) for k in range(3)]
    last_s = PASS_S + 10 * TOKEN_S + PAST_S * 10 * 3005
    found = run(split(**stages), steady(1, 1.0, isl=3010, osl=1)).ftl_s[0]
    assert found == pytest.approx(sum(chunk_s) + 3 * chunk_s[-1] + last_s, rel=2e-3)


def test_a_pass_with_parts_of_two_prompts_takes_as_long_as_one_with_as_much_of_one() -> None:
    """Beside decode steps: three passes of 100 tokens, of one prompt or of two."""
    rules = Scheduling(overlap=0.5)
    fleet = colocated(pass_tokens=100, scheduling=rules)
    last_s = []
    for prompts in ([300], [150, 150]):
        load = plain(
            np.array([0.0, *(1.0 for _ in prompts)]), np.array([10, *prompts]), np.full(len(prompts) + 1, 400)
        )
        last_s.append(float(run(fleet, load).first_s.max()))
    less_attended = PAST_S * 150 * 150  # the second prompt's tokens do not attend to the first's
    assert last_s[1] == pytest.approx(last_s[0] - less_attended, rel=1e-5)
