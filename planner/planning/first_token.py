"""What of a first token grows with its prompt, and what it is where requests come at their own time."""

from __future__ import annotations

import numpy as np

from planner.arrays import BoolArray, FloatArray, IndexArray, IntArray
from planner.planning.resolve import Question
from planner.simulate.decode import later_drafts, tokens_per_step
from planner.simulate.points import MODES, Points
from planner.simulate.waiting import single_s
from planner.words import Phase

PASSING = 0.5  # of the pass that runs when a request comes, on average left of it
ROUNDING = 0.5  # of the last chunk of a prompt, on average empty where prompts vary
NEARLY_ALL = 0.9  # of the passes carry a chunk: too few without one to tell what those take
STEP_SHARE = 0.5  # of a pass with a chunk, about what a decode step takes of it


def decoding(question: Question, points: Points, rows: IndexArray, first_token_s: FloatArray) -> FloatArray:
    """Share of the places of co-located rows that decode at full rate: prompts in work have the others."""
    once = float(single_s(question.pools["colocated"].setup.machine.engine.prefill_request_s))
    in_work = points.requests_per_s[rows] * np.maximum(first_token_s - once, 0.0)
    return np.asarray(1.0 / (1.0 + in_work / points.batch[rows]))


def sooner_s(question: Question, points: Points, rows: IndexArray) -> FloatArray:
    """How much earlier the first token of a co-located row is where requests come at any time.

    In a steady queue each comes right behind one that ended, and lets the engine's `admission_passes` go by;
    who comes at any time waits for the rest of the decode step that runs, half of one (a pass with a chunk is
    another prompt's, which is waited for in the queue). Prompts of many lengths leave half of their last
    chunk empty in the mean, whatever the mean prompt does, and that costs no more than a step.
    """
    engine = question.pools["colocated"].setup.machine.engine
    stages = points.layouts.pp[points.layout[rows]]
    riding, chunks, mixed_s = chunked(question, points, rows)
    passes, ftl_s = np.ceil(chunks), points.ftl_s[rows] - once_s(question, "colocated")
    empty = passes - chunks if len(question.lengths.prompt) == 1 else ROUNDING
    step = _step_share(question, points, rows, mixed_s)
    of_mixed = engine.admission_passes + passes - chunks - (PASSING + empty) * step
    whole_s = (engine.admission_passes - PASSING) * np.minimum(points.ttl_s[rows] / stages, ftl_s)
    return np.asarray(np.where(riding, of_mixed * mixed_s, whole_s))


def chunked(question: Question, points: Points, rows: IndexArray) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Of co-located rows: whether chunks ride along, how many the mean prompt has, and a pass with one."""
    engine = question.pools["colocated"].setup.machine.engine
    riding = points.mode[rows] == MODES.index("piggyback")
    chunks = question.lengths.new / np.maximum(points.chunk_tokens[rows], 1.0)
    passes = np.ceil(chunks) + engine.admission_passes + points.layouts.pp[points.layout[rows]] - 1.0
    return riding, chunks, (points.ftl_s[rows] - once_s(question, "colocated")) / passes


def _step_share(question: Question, points: Points, rows: IndexArray, mixed_s: FloatArray) -> FloatArray:
    """What a decode step takes, of a pass with a chunk beside it.

    From the mean pass and the share of the passes that carry a chunk, unless nearly all do.
    """
    model = question.pools["colocated"].setup.model
    gained = tokens_per_step(question.scenario.mtp, question.acceptance, later_drafts(model))
    mean_s = points.ttl_s[rows] * gained / points.layouts.pp[points.layout[rows]]
    carrying = np.clip(points.prompt_share[rows] * mean_s / mixed_s, 0.0, 1.0)
    alone_s = (mean_s - carrying * mixed_s) / np.maximum(1.0 - carrying, 1.0 - NEARLY_ALL)
    return np.where(carrying < NEARLY_ALL, np.clip(alone_s / mixed_s, 0.0, 1.0), STEP_SHARE)


def once_s(question: Question, phase: Phase) -> float:
    """What a request takes beside its passes, whatever its length."""
    engine = question.pools[phase].setup.machine.engine
    return float(single_s(engine.prefill_request_s)) + (engine.handover_s if phase == "prefill" else 0.0)


def alone_once_s(question: Question) -> float:
    """What of a first token on an instance of prefill is neither its passes nor on the way to decode."""
    return float(single_s(question.pools["prefill"].setup.machine.engine.prefill_request_s))


def own_of(
    question: Question, points: Points, rows: IndexArray, first_token_s: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """`own_s` of rows of points."""
    stages = points.layouts.pp[points.layout[rows]]
    return own_s(question, points.phase, first_token_s, points.chunk_tokens[rows], stages)


def own_s(
    question: Question,
    phase: Phase,
    first_token_s: FloatArray,
    chunk_tokens: FloatArray,
    stages: FloatArray | IntArray | float,
) -> tuple[FloatArray, FloatArray]:
    """What of a first token every request takes, and what grows with the length of its prompt.

    Of a prompt in chunks the last goes through the other stages of a pipeline, which takes as long whatever
    the prompt. Where chunks ride along the rest of the pass that runs is no part of what grows either, nor is
    the part of the last chunk that stays empty.
    """
    fixed = np.minimum(first_token_s, once_s(question, phase))
    if len(question.lengths.prompt) > 1:
        chunks = question.lengths.new / np.maximum(chunk_tokens, 1.0)
        others = stages - 1.0 + ((PASSING + ROUNDING) * STEP_SHARE if phase == "colocated" else 0.0)
        fixed = fixed + np.where(chunks > 1.0, others / (chunks + others), 0.0) * (first_token_s - fixed)
    return fixed, first_token_s - fixed
