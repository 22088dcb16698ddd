"""A closed loop: what the first token waits for, and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from planner.simulate.waiting import Client, Scheduler, Server, serve

STEP_S, PROMPT_S, STEPS = 0.01, 0.1, 2000.0
ADMISSION_PASSES = 2.0


def served(
    requests: float,
    *,
    spread: float,
    colocated: bool = True,
    admission_passes: float = ADMISSION_PASSES,
    prompt_s: float = PROMPT_S,
) -> tuple[float, float]:
    """(TTFT, TPOT) of `requests` in flight on one rank whose steps take the same at any batch."""
    one = np.ones(1)
    ttft, tpot = serve(
        Client(
            decode_requests=one * requests,
            prefill_requests=one * requests,
            steps=one * STEPS,
            waves=one * 1e9,
            spread=one * spread,
        ),
        Server(
            batch=np.array([[1.0, 512.0]]),
            step_s=np.full((1, 2), STEP_S),
            prompt_s=one * prompt_s,
            marginal_s=one * prompt_s,
            largest_batch=one * 512,
            colocated=one * float(colocated),
            transfer_s=one * 0.0,
        ),
        Scheduler(
            exposure=1.0,
            prefill_priority=0.0,
            admission_passes=admission_passes,
            arrival_s=0.0,
            handover_s=0.0,
            request_s=0.0,
        ),
    )
    return float(ttft[0]), float(tpot[0])


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


def test_where_prefill_is_apart_lengths_do_not_matter() -> None:
    assert served(16.0, spread=0.0, colocated=False) == pytest.approx(
        served(16.0, spread=0.2, colocated=False)
    )


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.2])
def test_more_in_flight_never_serves_sooner(spread: float) -> None:
    times = np.array([served(float(r), spread=spread) for r in (1, 2, 4, 8, 16, 64, 256)])
    assert (np.diff(times[:, 0]) >= -1e-9).all() and (np.diff(times[:, 1]) >= -1e-9).all()
