"""What prompts of different lengths take of the instances that work on them, over what the mean one takes.

A pass over a whole prompt of n tokens grows with n and, by what its tokens attend to, with n^2: long prompts
take more than their share of tokens, which lengthens queues by more than their lengths vary. How much more is
read from the times of two passes of as many tokens on one GPU, over prompts of the mean length and over
prompts `LONG` times as long; layouts hardly change it. Co-located instances go chunk by chunk beside their
sequences, whose steps outweigh that.
"""

from __future__ import annotations

import numpy as np

from planner.inputs.lengths import Work
from planner.planning.resolve import Question
from planner.simulate import prefill
from planner.simulate.colocated import PASS_TOKENS
from planner.simulate.forward import pace
from planner.simulate.operators.setup import Setup
from planner.simulate.space import Layouts
from planner.words import Phase

LONG = 4.0
# Of the growth: set on one plan, no bound of physics; it is 0.22 to 0.46 for Mooncake's prompts, see
# docs/method.md. A plan that asks its replay finds what is too bold beyond that, not what is too shy.
MOST = 0.15


def of(question: Question, phase: Phase) -> Work:
    """The work of the question's prompts on a pool's instances."""
    lengths = question.lengths
    if phase != "prefill" or len(lengths.prompt) == 1:
        return lengths.work()
    if question.scenario.traffic.reuse != "none":
        return lengths.work()  # new tokens attend to what is cached far more than to each other
    found = growth(question.pools["prefill"].setup, float(lengths.new), float(lengths.isl - lengths.new))
    return lengths.work(min(found, MOST))


def growth(setup: Setup, new: float, cached: float) -> float:
    """The part of a prompt's time that grows with the square of its length, over the rest, at a mean prompt.

    ``t(L) / t(1) = L (1 + L g) / (1 + g)`` of prompts L times as long, cached tokens and new ones.
    """
    one = np.ones((1, 1, 1), dtype=np.int64)
    at = Layouts(tp=one, pp=one, attention_dp=one, moe_tp=one, moe_ep=one)
    times = np.array([1.0, LONG]).reshape(1, -1, 1)
    prompts = max(PASS_TOKENS / new, LONG) / times
    try:
        work = prefill.pass_over(setup, at, at.exchange_of(), prompts, new * times, cached * times)
    except LookupError:  # of a kernel that was never measured
        return 0.0
    taken = np.ravel(pace(setup, at, work.layers(), work.head, prompts * new * times, prompts).seconds)
    ratio = LONG * float(taken[-1] / taken[0])
    return max((ratio - LONG) / max(LONG * LONG - ratio, 1e-9), 0.0)
