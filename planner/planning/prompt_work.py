"""What prompts of different lengths take of the instances that work on them, over what the mean one takes.

A pass over a whole prompt of n tokens grows with n and, by what its tokens attend to, with n^2: long prompts
take more than their share of tokens, which lengthens queues by more than their lengths vary. How much more is
read from the times of two passes of as many tokens on one GPU, over prompts of the mean length and over
prompts `LONG` times as long; layouts hardly change it. Co-located instances go chunk by chunk beside their
sequences: of each pass the decode step stays as it is, the chunk attends to what is before it.
"""

from __future__ import annotations

import numpy as np

from planner.arrays import FloatArray
from planner.inputs.lengths import Work
from planner.planning.resolve import Question
from planner.simulate import decode, prefill
from planner.simulate.colocated import PASS_TOKENS
from planner.simulate.forward import pace
from planner.simulate.operators.setup import Setup
from planner.simulate.space import Layouts
from planner.words import Phase

LONG = 4.0
RIDING = 512.0  # tokens of a chunk; with 128 or 2,048 the growth is 0.4 to 1.2 times as much


def of(question: Question, phase: Phase) -> Work:
    """The work of the question's prompts on a pool's instances."""
    lengths = question.lengths
    if phase == "decode" or len(lengths.prompt) == 1:
        return lengths.work()
    if question.scenario.traffic.reuse != "none":
        return lengths.work()  # new tokens attend to what is cached far more than to each other
    setup, new, cached = question.pools[phase].setup, float(lengths.new), float(lengths.isl - lengths.new)
    steps = None if phase == "prefill" else lengths.osl - 1.0
    return lengths.work(growth(setup, new, cached, steps))


def growth(setup: Setup, new: float, cached: float, steps: float | None = None) -> float:
    """The part of a prompt's time that grows with the square of its length, over the rest, at a mean prompt.

    ``t(L) / t(1) = L (1 + L g) / (1 + g)`` of prompts L times as long, cached tokens and new ones. With
    `steps` of decode after each prompt its chunks ride along, `RIDING` tokens with as many sequences as that
    many steps of each make them meet.
    """
    length = np.array([1.0, LONG]).reshape(1, -1, 1)
    try:
        if steps is None:
            prompts = max(PASS_TOKENS / new, LONG) / length
            taken = _pass_s(setup, prompts, new * length, cached * length)
        else:
            taken = length.ravel() * _riding_s(setup, length, new, cached, steps)
    except LookupError:  # of a kernel that was never measured
        return 0.0
    ratio = float(taken[-1] / taken[0]) * (LONG if steps is None else 1.0)
    return max((ratio - LONG) / max(LONG * LONG - ratio, 1e-9), 0.0)


def _riding_s(setup: Setup, length: FloatArray, new: float, cached: float, steps: float) -> FloatArray:
    """A step with the mean chunk of a prompt so many times as long, seconds, of one GPU."""
    at, chunk, engine = _one_gpu(), min(RIDING, new), setup.machine.engine
    batch = np.full((1, 1, 1), max(chunk * steps / new, 1.0))
    ledger = decode.step(setup, at, at.exchange_of(), batch, isl=round(new + cached), osl=round(steps) + 1)
    step_s = np.ravel(pace(setup, at, ledger.layers(), ledger.head, batch, batch).seconds)
    prompts = np.full_like(length, PASS_TOKENS / chunk)
    before = (cached + 0.5 * (new - chunk)) * length
    full_s = _pass_s(setup, prompts, np.full_like(length, chunk), before)
    beside_s = engine.exposure * full_s * chunk / PASS_TOKENS
    return np.asarray(step_s + beside_s - engine.overlap * np.minimum(step_s, beside_s))


def _pass_s(setup: Setup, prompts: FloatArray, new: FloatArray, cached: FloatArray) -> FloatArray:
    at = _one_gpu()
    work = prefill.pass_over(setup, at, at.exchange_of(), prompts, new, cached)
    return np.ravel(pace(setup, at, work.layers(), work.head, prompts * new, prompts).seconds)


def _one_gpu() -> Layouts:
    one = np.ones((1, 1, 1), dtype=np.int64)
    return Layouts(tp=one, pp=one, attention_dp=one, moe_tp=one, moe_ep=one)
