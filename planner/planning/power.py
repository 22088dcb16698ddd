"""Watts of pools and of candidates, by `planner.simulate.power`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from planner.arrays import FloatArray, IndexArray, distinct
from planner.inputs.layout_label import Widths
from planner.planning.energy import PoolPower, Power
from planner.planning.resolve import Question
from planner.planning.result import EncoderPlan, PoolPlan, Serving
from planner.planning.servings import prompt_tokens, tokens_per_request
from planner.simulate import power, space
from planner.simulate.colocated import PASS_TOKENS, launched
from planner.simulate.operators.setup import Setup
from planner.simulate.points import Points
from planner.simulate.power import Use
from planner.simulate.space import Layouts

BATCHES = 6  # between one sequence and all of a pool's


def powered(question: Question, serving: Serving) -> Serving:
    """The serving with what it draws, which is computed when it is first asked for."""
    return replace(serving, power=of(question, serving))


def of(question: Question, serving: Serving) -> Power:
    """Watts of a serving's pools, each at its load."""
    tokens = serving.requests_per_s * tokens_per_request(question.lengths.osl)
    return Power(pools_of=partial(_pools, question, serving.pools, serving.encoder), tokens_per_s=tokens)


def _pools(
    question: Question, pools: tuple[PoolPlan, ...], encoder: EncoderPlan | None
) -> tuple[PoolPower, ...]:
    found = tuple(_pool(question, pool) for pool in pools)
    if encoder is None or not encoder.instances:
        return found
    return (*found, _encoding(question, encoder))


def _encoding(question: Question, encoder: EncoderPlan) -> PoolPower:
    """Watts of an encoder pool: passes run or do not."""
    setup, images = question.pools["prefill"].setup, question.images
    assert images is not None
    gpu = setup.machine.gpu
    count = encoder.batch * max(images.each, 1.0)
    busy = float(power.watts(gpu, power.images(setup.machine, images, setup.model.hidden, count)))
    idle = power.idle_watts(gpu)
    return PoolPower(
        phase="encode",
        gpus=encoder.gpus,
        idle_watts=idle,
        watts=idle + min(encoder.utilisation, 1.0) * (busy - idle),
        busy_watts=busy,
        limit_watts=gpu.watts,
    )


def _pool(question: Question, pool: PoolPlan) -> PoolPower:
    loads, watts = curve(question, pool)
    return PoolPower(
        phase=pool.phase,
        gpus=pool.gpus,
        idle_watts=float(watts[0]),
        watts=float(np.interp(pool.utilisation, loads, watts)),
        busy_watts=float(watts[-1]),
        limit_watts=question.pools[pool.phase].setup.machine.gpu.watts,
    )


def curve(question: Question, pool: PoolPlan) -> tuple[FloatArray, FloatArray]:
    """Shares of a pool's capacity, ascending from 0 to 1, and the watts of a GPU at each; neither falls.

    Prefill passes run or do not. Decode steps carry as many sequences as the load brings, and always run
    from one on. Co-located instances have both: steps, and for a share of the time prompts.
    """
    setup, layout = question.pools[pool.phase].setup, pool.layout
    gpu = setup.machine.gpu
    idle = power.idle_watts(gpu)
    at = space.only(_widths(layout)).spread(2)
    each = pool.requests_per_s / pool.instances
    if pool.phase == "prefill":
        use = _prompts(question, setup, at, np.array([pool.batch / layout.attention_dp]), pool.chunk_tokens)
        return np.array([0.0, 1.0]), np.array([idle, float(np.ravel(power.watts(gpu, use))[0])])
    most = max(pool.batch / (layout.attention_dp * layout.pp), 1.0)
    if pool.phase == "colocated":
        setup = _launched(question, setup, at, np.full((1, 1, 1), most))
    batch = np.geomspace(1.0, most, BATCHES if most > 1.0 else 1).reshape(1, -1, 1)
    steps = _steps(question, setup, at, batch)
    speed = np.ravel(batch / steps.seconds)
    loads = speed / speed[-1]
    watts = np.ravel(power.watts(gpu, steps))
    if pool.phase == "colocated":
        rate = np.array([each / layout.attention_dp])
        share, prompt_watts = _mixed(question, setup, at, rate)
        loads = _loads_beside(speed[None], rate, share)[0]
        watts = watts + loads * share * (prompt_watts - watts)
    watts = np.maximum.accumulate(np.r_[idle, watts])
    return np.maximum.accumulate(np.r_[0.0, loads]), watts


def curves(question: Question, points: Points, rows: IndexArray) -> tuple[FloatArray, FloatArray]:
    """As `curve`, of instances of some design points: loads and watts of a GPU, shape (rows, k) each."""
    setup = question.pools[points.phase].setup
    gpu = setup.machine.gpu
    layouts = points.layouts.take(points.layout[rows])
    kinds = layouts.exchange()
    steps_of = 1 if points.phase == "prefill" else BATCHES
    loads, watts = np.ones((len(rows), steps_of)), np.zeros((len(rows), steps_of))
    for kind in distinct(kinds):
        mine = np.flatnonzero(kinds == kind)
        at, some, on = layouts.take(mine).spread(2), rows[mine], setup
        ranks = np.ravel(at.attention_dp).astype(float)
        if points.phase == "prefill":
            use = _prompts(question, setup, at, points.batch[some] / ranks, points.chunk_tokens[some])
            watts[mine] = np.reshape(power.watts(gpu, use), (-1, 1))
            continue
        most = np.maximum(points.batch[some] / (ranks * np.ravel(at.pp)), 1.0)
        if points.phase == "colocated":
            on = _launched(question, setup, at, most.reshape(-1, 1, 1))
        batch = np.geomspace(np.ones_like(most), most, BATCHES, axis=-1)
        steps = _steps(question, on, at, batch[..., None])
        speed = batch / np.reshape(steps.seconds, batch.shape)
        loads[mine] = speed / speed[:, -1:]
        of_steps = np.reshape(power.watts(gpu, steps), batch.shape)
        if points.phase == "colocated":
            rate = points.requests_per_s[some] / ranks
            share, prompt_watts = _mixed(question, on, at, rate)
            loads[mine] = _loads_beside(speed, rate, share)
            of_steps = of_steps + loads[mine] * share[:, None] * (prompt_watts[:, None] - of_steps)
        watts[mine] = of_steps
    ends = np.zeros((len(rows), 1)), np.full((len(rows), 1), power.idle_watts(gpu))
    whole = [np.concatenate((end, part), axis=1) for end, part in zip(ends, (loads, watts), strict=True)]
    return np.maximum.accumulate(whole[0], axis=1), np.maximum.accumulate(whole[1], axis=1)


def _loads_beside(speed: FloatArray, rate: FloatArray, share: FloatArray) -> FloatArray:
    """Shares of a co-located rank's capacity at each speed of its steps, prompts beside them; (rows, k).

    A request takes p seconds of prompt and k tokens of steps: ``r = 1 / (k / speed + p)``, where k is what
    makes the fastest speed the capacity. So a rate has one batch, whatever the largest batch is.
    """
    prompt_s = share / rate
    tokens = speed[:, -1] * np.maximum(1.0 / rate - prompt_s, 1e-3 / rate)
    reached = 1.0 / (tokens[:, None] / speed + prompt_s[:, None])
    return np.asarray(reached / reached[:, -1:])


def _widths(layout: space.LayoutChoice) -> Widths:
    return Widths(
        tp=layout.tp, pp=layout.pp, attention_dp=layout.attention_dp, moe_tp=layout.moe_tp, ep=layout.ep
    )


def _launched(question: Question, setup: Setup, at: Layouts, batch: FloatArray) -> Setup:
    """The setup of co-located instances of so many sequences per rank and stage, (layouts, 1, 1)."""
    mtp = question.scenario.mtp
    tokens = prompt_tokens(question, setup, batch)
    return launched(setup, at, at.exchange_of(), batch=batch, prompt_tokens=tokens, mtp=mtp).setup


def _steps(question: Question, setup: Setup, at: Layouts, batch: FloatArray) -> Use:
    """Decode steps of so many sequences per rank and stage, (layouts, batches, 1)."""
    lengths = question.lengths
    return power.steps(setup, at, batch, isl=lengths.context_isl, osl=lengths.osl, mtp=question.scenario.mtp)


def _prompts(
    question: Question, setup: Setup, at: Layouts, batch: FloatArray, chunk_tokens: FloatArray | float
) -> Use:
    """Mean passes over chunks of so many prompts per rank, (layouts,) each."""
    prompt = question.prompt
    chunk = np.broadcast_to(np.maximum(chunk_tokens, 1.0), batch.shape).reshape(-1, 1, 1)
    behind = prompt.prefix + 0.5 * np.maximum(prompt.new - chunk, 0.0)
    return power.prompts(setup, at, np.maximum(batch, 1.0).reshape(-1, 1, 1), chunk, behind)


def _mixed(
    question: Question, setup: Setup, at: Layouts, per_rank_per_s: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Share of co-located GPUs' time that prompts take at so many requests/s of a rank, and their watts."""
    prompt = question.prompt
    new = float(prompt.new)
    together = max(PASS_TOKENS / new, 1.0)
    ones = np.ones_like(per_rank_per_s)
    use = _prompts(question, setup, at, ones * together, min(new, PASS_TOKENS))
    passes = together if new <= PASS_TOKENS else PASS_TOKENS / new  # prompts of a pass
    share = np.minimum(per_rank_per_s * np.ravel(use.seconds) / passes, 1.0)
    return share, np.ravel(power.watts(setup.machine.gpu, use))
