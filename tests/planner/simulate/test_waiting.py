"""A closed loop: what the first token waits for, and what it does not."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.simulate.waiting import (
    Arrivals,
    Burst,
    Client,
    Scheduler,
    Server,
    Waits,
    burst,
    closed_loop,
    closed_queue_s,
    open_loop,
    served_s,
)

STEP_S, PROMPT_S, STEPS = 0.01, 0.1, 2000.0
ADMISSION_PASSES = 2.0

MANY = settings(max_examples=int(os.environ.get("LOADS", settings().max_examples)))  # 2,000 in `make fuzz`


def _one_rank(prompt_s: float, places: float, colocated: bool = False) -> Server:
    """A prefill and a decode rank whose steps take the same at any batch."""
    one = np.ones(1)
    return Server(
        batch=np.array([[1.0, 512.0]]),
        step_s=np.full((1, 2), STEP_S),
        prompt_s=one * prompt_s,
        marginal_s=one * prompt_s,
        largest_batch=one * places,
        colocated=one * float(colocated),
        transfer_s=one * 0.0,
        prefill_ranks=one,
        decode_ranks=one,
        prompts_per_pass=one,
        chunks=one,
        stages=one,
    )


def served(
    requests: float,
    *,
    spread: float,
    colocated: bool = True,
    admission_passes: float = ADMISSION_PASSES,
    prompt_s: float = PROMPT_S,
    prefill_priority: float = 0.0,
    places: float = 512.0,
) -> tuple[float, float]:
    """(TTFT, TPOT) of `requests` in flight on one rank whose steps take the same at any batch."""
    one = np.ones(1)
    found = closed_loop(
        Client(
            decode_requests=one * requests,
            prefill_requests=one * requests,
            steps=one * STEPS,
            waves=one * 1e9,
            spread=one * spread,
        ),
        _one_rank(prompt_s, places, colocated),
        Scheduler(
            exposure=1.0,
            prefill_priority=prefill_priority,
            admission_passes=admission_passes,
            arrival_s=0.0,
            handover_s=0.0,
            request_s=0.0,
        ),
    )
    return float(found.ttft_s[0]), float(found.tpot_s[0])


def test_a_request_alone_waits_for_steps_and_no_prompt() -> None:
    for spread in (0.0, 0.2):
        ttft, tpot = served(1.0, spread=spread)
        # it is the one prompt of its own stay: nobody else's stops its steps or stands before it
        queue = PROMPT_S * (PROMPT_S / (ttft + STEPS * tpot)) / 2
        assert ttft == pytest.approx(PROMPT_S + ADMISSION_PASSES * tpot + queue, rel=1e-2)


def test_equal_lengths_put_prompts_into_the_passes_waited_for() -> None:
    apart, tpot = served(16.0, spread=0.2)
    in_step, same = served(16.0, spread=0.0)
    assert same == pytest.approx(tpot, rel=1e-2)
    assert in_step - apart == pytest.approx(ADMISSION_PASSES * (STEP_S + PROMPT_S - tpot), rel=0.05)


def test_a_request_waits_for_no_more_prompts_than_there_are_others() -> None:
    added = [
        served(r, spread=0.0, admission_passes=4.0)[0] - served(r, spread=0.2, admission_passes=4.0)[0]
        for r in (1, 2, 3, 9)
    ]
    assert added[0] == pytest.approx(0.0, abs=1e-9)
    assert added[1] < added[2] < added[3] <= 4.0 * (STEP_S + PROMPT_S)
    assert added[1] == pytest.approx(added[3] / 4, rel=0.1)


def test_prompts_shorter_than_a_step_add_a_pass_of_both_at_most() -> None:
    short = 0.001
    longer = served(16.0, spread=0.0, prompt_s=short)[0] - served(16.0, spread=0.2, prompt_s=short)[0]
    assert 0.0 <= longer <= ADMISSION_PASSES * short


def test_prompts_that_go_first_keep_requests_of_equal_lengths_together() -> None:
    """All prompts of a bunch, then all of its steps: a turn of the loop takes both, and no more."""
    bunch, placed = 64.0, 48.0
    first, tpot = served(bunch, spread=0.0, admission_passes=0.0, prefill_priority=1.0)
    assert first == pytest.approx(PROMPT_S * (bunch / 2 + 1), rel=1e-6)
    assert tpot == pytest.approx(STEP_S + PROMPT_S * bunch / 2 / STEPS, rel=1e-6)
    # a step in which a request ends has one, and no bunch, where lengths are unlike enough
    apart = served(bunch, spread=0.2, admission_passes=0.0)
    assert served(bunch, spread=0.2, admission_passes=0.0, prefill_priority=1.0) == apart
    assert apart[0] < first / 10 and apart[1] > tpot
    # some of it where they are a little unlike, no more than has a place, and nothing where prefill is apart
    few = served(bunch, spread=2 / STEPS, admission_passes=0.0, prefill_priority=1.0)
    assert apart[0] < few[0] < first
    none = served(placed, spread=0.0, admission_passes=0.0, prefill_priority=1.0, places=1.0)
    assert none == served(placed, spread=0.0, admission_passes=0.0, places=1.0)
    split = served(bunch, spread=0.0, colocated=False, prefill_priority=1.0)
    assert split == served(bunch, spread=0.0, colocated=False)


def test_where_prefill_is_apart_lengths_do_not_matter() -> None:
    assert served(16.0, spread=0.0, colocated=False) == pytest.approx(
        served(16.0, spread=0.2, colocated=False)
    )


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.2])
def test_more_in_flight_never_serves_sooner(spread: float) -> None:
    times = np.array([served(float(r), spread=spread) for r in (1, 2, 4, 8, 16, 64, 256)])
    assert (np.diff(times[:, 0]) >= -1e-9).all() and (np.diff(times[:, 1]) >= -1e-9).all()


# Random deployments: what no formula of waiting may break.


@st.composite
def deployments(draw: st.DrawFn) -> tuple[Server, Scheduler]:
    def number(low: float, high: float) -> float:
        return draw(st.floats(low, high, allow_nan=False))

    one = np.ones(1)
    floor, slope = number(1e-3, 0.05), number(0.0, 1e-3)
    batch = np.geomspace(1.0, 4096.0, 24)
    marginal = number(1e-3, 2.0)
    ranks = draw(st.sampled_from([1.0, 2.0, 8.0, 32.0]))
    colocated = float(draw(st.booleans()))
    server = Server(
        batch=batch[None, :],
        step_s=(floor + slope * batch)[None, :],
        prompt_s=one * marginal * number(1.0, 1.5),
        marginal_s=one * marginal,
        largest_batch=one * draw(st.sampled_from([1.0, 4.0, 64.0, 2048.0])),
        colocated=one * colocated,
        transfer_s=one * number(0.0, 0.5),
        prefill_ranks=one * ranks,
        decode_ranks=one * ranks,
        prompts_per_pass=one * number(1.0, 32.0),
        chunks=one * draw(st.sampled_from([1.0, 4.0])),
        stages=one * draw(st.sampled_from([1.0, 4.0])),
    )
    scheduler = Scheduler(
        exposure=number(1.0, 1.3),
        prefill_priority=number(0.0, 1.0),
        admission_passes=number(0.5, 4.0),
        arrival_s=number(0.0, 0.01),
        handover_s=number(0.0, 0.5),
        request_s=number(0.0, 0.3),
        overlap=0.0,
        lockstep=number(0.0, 1.0),
        prompt_imbalance=number(0.0, 0.8),
        sequence_imbalance=number(0.0, 1.0),
    )
    return server, scheduler


def loop(server: Server, scheduler: Scheduler, per_rank: float, steps: float) -> Waits:
    """A closed loop with as many requests for each rank of prefill as of decode."""
    one = np.ones(1)
    client = Client(
        decode_requests=one * per_rank,
        prefill_requests=one * per_rank,
        steps=one * steps,
        waves=one * 10.0,
        spread=one * 0.2,
    )
    return closed_loop(client, server, scheduler)


@MANY
@given(deployments(), st.floats(1.0, 4000.0), st.floats(2.0, 4000.0))
def test_no_pool_serves_more_than_it_can(
    known: tuple[Server, Scheduler], per_rank: float, steps: float
) -> None:
    server, scheduler = known
    found = loop(server, scheduler, per_rank, steps)
    rate = float(found.decode_per_s[0])
    # Little's law: requests in flight are rate times stay, and no more decode than there are places
    assert rate * float(found.ttft_s[0] + steps * found.tpot_s[0]) == pytest.approx(per_rank)
    assert rate * steps * float(found.tpot_s[0]) <= float(server.largest_batch[0]) * (1 + 1e-6)
    busy = rate * float(served_s(server, scheduler)[0])
    if server.colocated[0] and scheduler.prefill_priority:
        busy = rate * float(server.marginal_s[0])  # its steps come in bunches, of another batch than the mean
    elif server.colocated[0]:
        # prompts and steps share one GPU: together they take no more than all of its time
        busy = rate * float(server.marginal_s[0]) + rate * steps * float(server.step_s[0, 0]) / max(
            float(found.batch[0]), 1.0
        )
    assert busy <= 1.0 + 1e-3


@MANY
@given(deployments(), st.floats(1e-3, 100.0), st.floats(2.0, 4000.0))
def test_an_open_loop_is_endless_where_a_pool_cannot_keep_up(
    known: tuple[Server, Scheduler], per_s: float, steps: float
) -> None:
    server, scheduler = known
    one = np.ones(1)
    arrivals = Arrivals(decode_per_s=one * per_s, prefill_per_s=one * per_s, steps=one * steps, variation=one)
    found = open_loop(arrivals, server, scheduler)
    assert found.ttft_s[0] > 0 and found.tpot_s[0] > 0
    if per_s * float(served_s(server, scheduler)[0]) > 1.0:
        assert np.isinf(found.ttft_s[0])
    if np.isfinite(found.tpot_s[0]):
        assert per_s * steps * float(found.tpot_s[0]) <= float(server.largest_batch[0]) * (1 + 1e-6)


def test_requests_beyond_the_batch_limit_wait_for_places() -> None:
    """TTFT over the whole stay is one less limit over requests, as deployments with a limit measure."""
    server = _one_rank(0.05, 8)
    plain = Scheduler(
        exposure=1.0,
        prefill_priority=0.0,
        admission_passes=1.0,
        arrival_s=0.0,
        handover_s=0.0,
        request_s=0.0,
    )
    found = loop(server, plain, 32.0, 1000.0)
    stay = found.ttft_s + 1000.0 * found.tpot_s
    assert float((found.ttft_s / stay)[0]) == pytest.approx(1 - 8 / 32, rel=1e-6)


def test_a_closed_queue_is_the_open_one_where_few_wait_and_the_loop_where_all_do() -> None:
    work = np.array([0.1])
    few = closed_queue_s(np.array([10.0]), work, np.array([10.0]))
    rho = 10.0 * 0.1 / (10.0 + few)
    assert float(few[0]) == pytest.approx(float((0.1 * rho / (2 * (1 - rho)))[0]))
    many = closed_queue_s(np.array([1000.0]), work, np.array([10.0]))
    assert float(many[0]) == pytest.approx(1000 * 0.1 - 10.0, rel=0.01)


def _burst(requests: float, places: float, prompt_s: float = PROMPT_S) -> Waits:
    one = np.ones(1)
    server = _one_rank(prompt_s, places, colocated=True)
    scheduler = Scheduler(
        exposure=1.0, prefill_priority=0.0, admission_passes=0.0, arrival_s=0.0, handover_s=0.0, request_s=0.0
    )
    run = Burst(
        decode_requests=one * requests, prefill_requests=one * requests, places=one * 1e9, steps=one * STEPS
    )
    return burst(run, server, scheduler)


def test_a_burst_is_as_many_waves_as_places_make() -> None:
    wave = STEPS * STEP_S
    for requests, waves in ((10.0, 1), (20.0, 2), (21.0, 3), (35.0, 4)):
        found = _burst(requests, 10.0)
        work = requests * PROMPT_S  # each prompt stops the rank once
        assert requests / found.decode_per_s[0] == pytest.approx(waves * wave + work + PROMPT_S)
    assert _burst(10.0, 10.0).ttft_s[0] == pytest.approx(PROMPT_S + 0.5 * 10 * PROMPT_S)


def test_the_queue_of_poisson_arrivals_is_pollaczek_and_khinchine() -> None:
    one = np.ones(1)
    server = _one_rank(PROMPT_S, 512)
    scheduler = Scheduler(
        exposure=1.0, prefill_priority=0.0, admission_passes=0.0, arrival_s=0.0, handover_s=0.0, request_s=0.0
    )
    rates = {"decode_per_s": one * 5.0, "prefill_per_s": one * 5.0, "steps": one * STEPS}
    steady = open_loop(Arrivals(**rates, variation=one * 0.0), server, scheduler)
    random = open_loop(Arrivals(**rates, variation=one), server, scheduler)
    rho = 5.0 * PROMPT_S
    assert (random.ttft_s - steady.ttft_s)[0] == pytest.approx(rho * PROMPT_S / (2 * (1 - rho)))
    assert random.ttft_s[0] < random.ttft_p90_s[0] < random.ttft_p99_s[0]


@pytest.mark.parametrize("colocated", [0.0, 1.0])
def test_both_ways_of_serving_pay_the_host_of_ranks_in_lockstep(colocated: float) -> None:
    """Prompts of 1 ms that the host takes in at 2 ms: 500 a second for an instance, of one rank or eight."""
    one = np.ones(1)

    def rate(ranks: float, arrival_s: float) -> float:
        server = Server(
            batch=np.array([[1.0, 512.0]]),
            step_s=np.full((1, 2), 1e-3),
            prompt_s=one * 1e-3,
            marginal_s=one * 1e-3,
            largest_batch=one * 512,
            colocated=one * colocated,
            transfer_s=one * 0.0,
            prefill_ranks=one * ranks,
            decode_ranks=one * ranks,
            prompts_per_pass=one * 8,
            chunks=one,
            stages=one,
        )
        scheduler = Scheduler(
            exposure=1.0,
            prefill_priority=0.0,
            admission_passes=1.0,
            arrival_s=arrival_s,
            handover_s=0.0,
            request_s=0.0,
        )
        found = loop(server, scheduler, 4000.0, 8.0)
        return float(found.decode_per_s[0]) * ranks

    assert rate(1.0, 2e-3) <= 500 * 1.01 and rate(8.0, 2e-3) <= 500 * 1.01
    # of one rank it hides behind longer passes, of eight it comes on top
    assert rate(1.0, 1e-4) == pytest.approx(rate(1.0, 0.0), rel=0.02)
    assert rate(8.0, 1e-4) < 0.8 * rate(8.0, 0.0)


@pytest.mark.parametrize("burst_s, alone_s", [(0.06, 0.005), (0.002, 0.002), (0.0, 0.0)])
def test_a_request_that_comes_alone_takes_the_same_in_every_load(burst_s: float, alone_s: float) -> None:
    one = np.ones(1)
    server = _one_rank(PROMPT_S, 512)
    scheduler = Scheduler(
        exposure=1.0,
        prefill_priority=0.0,
        admission_passes=0.0,
        arrival_s=0.0,
        handover_s=0.0,
        request_s=burst_s,
    )
    few = {"decode_per_s": one * 1e-6, "prefill_per_s": one * 1e-6, "steps": one * STEPS}
    alone = open_loop(Arrivals(**few, variation=one), server, scheduler).ttft_s[0]
    assert alone == pytest.approx(PROMPT_S + alone_s, abs=1e-5)

    def looped(waves: float) -> float:
        client = Client(
            decode_requests=one,
            prefill_requests=one,
            steps=one * 1e9,
            waves=one * waves,
            spread=one,
        )
        return float(closed_loop(client, server, scheduler).ttft_s[0])

    turn = 0.5 * PROMPT_S  # of its own first wave
    assert looped(1e9) == pytest.approx(alone, abs=1e-5)
    assert looped(10.0) == pytest.approx(PROMPT_S + burst_s + turn / 10, abs=1e-5)
    assert looped(40.0) == pytest.approx(PROMPT_S + alone_s + (burst_s - alone_s) / 4 + turn / 40, abs=1e-5)
