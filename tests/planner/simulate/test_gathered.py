"""Passes of ranks in lockstep over prompts that vary, against a simulation of them one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.inputs import lengths
from planner.inputs.traffic import Traffic
from planner.simulate.gathered import Prompts, Ranks, first_tokens

BASE_S, EACH_S, MEAN_S = 0.05, 0.024, 0.2


def prompts(spread: float = 1.0) -> Prompts:
    work = lengths.of_traffic(Traffic(isl=4000, isl_spread=spread)).work()
    return Prompts(tokens=work.tail, weight=work.weight)


def ranks(of: Prompts, cap: float, count: float = 8.0, stages: float = 1.0, cases: int = 1) -> Ranks:
    one = np.ones(cases)
    alone = MEAN_S * of.tokens * (1.0 + 0.1 * of.tokens) / 1.1
    return Ranks(
        base_s=BASE_S * one,
        each_s=EACH_S * one,
        alone_s=np.broadcast_to(alone, (cases, len(alone))),
        host_s=0.0 * one,
        cap=cap * one,
        ranks=count * one,
        stages=stages * one,
    )


def one_by_one(of: Ranks, kinds: Prompts, rate: float, count: int = 12_000) -> float:
    """Mean first token of prompts that come independently and are taken in turn."""
    random = np.random.default_rng(0)
    come = np.cumsum(random.exponential(1.0 / rate, count))
    kind = random.choice(len(kinds.tokens), count, p=kinds.weight / kinds.weight.sum())
    left, pace = kinds.tokens[kind].copy(), of.alone_s[0, kind] / kinds.tokens[kind]
    cap, first_s, waiting, now, next_one = float(of.cap[0]), np.zeros(count), [], 0.0, 0
    while next_one < count or waiting:
        if not waiting:
            now = max(now, come[next_one])
        while next_one < count and come[next_one] <= now:
            waiting.append(next_one)
            next_one += 1
        room, longest, work, taken = cap * float(of.ranks[0]), 0.0, 0.0, []
        for at in waiting:
            some = min(left[at], cap, room)
            if some <= 0:
                break
            room, work, longest = room - some, work + some, max(longest, some * pace[at])
            taken.append((at, some))
        now += max(float(of.base_s[0] + of.each_s[0] * work), longest)
        for at, some in taken:
            left[at] -= some
            first_s[at] = now - come[at]
        waiting = [at for at in waiting if left[at] > 1e-9]
    return float(first_s[count // 10 :].mean())


@pytest.mark.parametrize("cap", [1.0, 4.0, 18.0])
@pytest.mark.parametrize("load", [0.3, 0.6])
def test_first_tokens_are_those_of_passes_one_by_one(cap: float, load: float) -> None:
    kinds = prompts()
    of = ranks(kinds, cap)
    rate = load * float(of.saturated()[0])
    seen = first_tokens(of, np.array([rate]), kinds)
    meets = float(seen.running[0])
    mean = meets * float(seen.met_s.mean()) + (1.0 - meets) * float(seen.fresh_s[0] @ kinds.weight)
    assert mean == pytest.approx(one_by_one(of, kinds, rate), rel=0.2)


def test_more_load_is_no_earlier_token_and_more_ranks_wait_longer_for_the_longest() -> None:
    kinds = prompts()
    loads = np.array([0.05, 0.2, 0.4, 0.6, 0.8, 0.9])
    of = ranks(kinds, 4.0, cases=len(loads))
    seen = first_tokens(of, loads * of.saturated(), kinds)
    assert (np.diff(seen.met_s.mean(axis=1)) > 0).all() and (np.diff(seen.running) >= 0).all()
    assert (seen.running <= 1.0).all() and np.isfinite(seen.met_s).all()
    alone = float(seen.fresh_s[0] @ kinds.weight)
    assert float(seen.met_s[0].mean()) > alone  # a pass of one is what nobody waits for


def test_a_router_that_knows_the_instances_finds_an_idle_one_of_many() -> None:
    kinds, at = prompts(), np.array([0, 0, 0])
    of = ranks(kinds, 4.0)
    seen = first_tokens(of, 0.05 * of.saturated(), kinds)
    few, some, many = seen.meets(np.array([1.0, 4.0, 64.0]), "least-loaded", at)
    assert seen.running[0] >= few > some > many and many < 1e-3
    assert (seen.meets(np.array([1.0, 4.0, 64.0]), "random", at) == seen.running[0]).all()


def test_stages_pass_a_prompt_on_one_after_the_other() -> None:
    kinds = prompts(0.0)
    one, two = (ranks(kinds, 4.0, stages=stages) for stages in (1.0, 2.0))
    rate = 0.3 * one.saturated()
    both = [first_tokens(of, rate, kinds) for of in (one, two)]
    assert both[1].fresh_s == pytest.approx(2.0 * both[0].fresh_s)
    assert replace(one, host_s=np.array([1e-3])).saturated()[0] < one.saturated()[0]
