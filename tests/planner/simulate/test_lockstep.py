"""Ranks of attention data parallelism: whose passes and whose host work a request waits for."""

from __future__ import annotations

import numpy as np
import pytest

from planner.simulate.waiting import Client, Scheduler, Server, Waits, closed_loop

STEP_S, PROMPT_S, STEPS = 0.01, 0.1, 2000.0


def served(
    ranks: float,
    requests: float,
    *,
    colocated: bool = False,
    serial_share: float = 1.0,
    arrival_s: float = 0.0,
    imbalance: float = 0.0,
) -> Waits:
    """A deployment whose instances have so many ranks, each with `requests` in its loop."""
    one = np.ones(1)
    return closed_loop(
        Client(
            decode_requests=one * requests,
            prefill_requests=one * requests,
            steps=one * STEPS,
            waves=one * 1e9,
            spread=one,
        ),
        Server(
            batch=np.array([[1.0, 512.0]]),
            step_s=np.full((1, 2), STEP_S),
            prompt_s=one * PROMPT_S,
            marginal_s=one * PROMPT_S,
            largest_batch=one * 512.0,
            colocated=one * float(colocated),
            transfer_s=one * 0.0,
            prefill_ranks=one * ranks,
            decode_ranks=one * (ranks if colocated else 1.0),
            prompts_per_pass=one,
            chunks=one,
            stages=one,
        ),
        Scheduler(
            exposure=1.0,
            prefill_priority=0.0,
            admission_passes=0.0,
            arrival_s=arrival_s,
            handover_s=0.0,
            request_s=0.0,
            lockstep=0.4,
            prompt_imbalance=imbalance,
            serial_share=serial_share,
        ),
    )


def ttft_s(ranks: float, requests: float, serial_share: float = 1.0, arrival_s: float = 0.0) -> float:
    """First token of a split."""
    return float(served(ranks, requests, serial_share=serial_share, arrival_s=arrival_s).ttft_s[0])


def test_a_rank_in_lockstep_waits_for_the_passes_of_the_others() -> None:
    """Half a pass at most, where any of the others nearly always has one."""
    life = STEPS * STEP_S
    for busy in (0.01, 0.1, 0.3):
        requests = busy * life / PROMPT_S
        waits = [ttft_s(ranks, requests) - ttft_s(1.0, requests) for ranks in (2.0, 8.0, 64.0)]
        assert 0.0 < waits[0] < waits[1] <= waits[2] < PROMPT_S / 2
        assert waits[2] == pytest.approx((1.0 - busy - (1.0 - busy) ** 64) * PROMPT_S / 2, rel=0.05)


def test_ranks_with_schedulers_of_their_own_wait_for_the_front_end_alone() -> None:
    """What all requests of an instance wait for grows with its ranks as far as it is serial."""
    held = [ttft_s(8.0, 64.0, share, 1e-3) - ttft_s(8.0, 64.0) for share in (0.0, 0.2, 1.0)]
    assert held[1] / held[0] == pytest.approx(1.0 + 0.2 * 7.0, rel=0.02)
    assert held[2] / held[0] == pytest.approx(8.0, rel=0.02)


def test_beside_decode_steps_no_rank_has_more_of_a_prompt_than_the_others() -> None:
    """How uneven prompts are among ranks is of passes over prompts alone: chunks beside steps are bounded."""
    even, uneven = (served(8.0, 64.0, colocated=True, imbalance=of) for of in (0.0, 0.5))
    assert uneven.tpot_s == pytest.approx(even.tpot_s, rel=0.02)
    even, uneven = (served(8.0, 64.0, imbalance=of) for of in (0.0, 0.5))
    assert uneven.ttft_s[0] > even.ttft_s[0]
