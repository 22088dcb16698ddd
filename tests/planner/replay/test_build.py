"""A replay runs the passes that its plan has: as long, and with decode steps where the plan has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner import load
from planner.evidence import validate_waits
from planner.planning import sweep
from planner.planning.load import deployment
from planner.planning.resolve import prepare
from planner.planning.result import Serving
from planner.replay import build
from planner.replay.fleet import Fleet
from planner.words import Way

CATALOG = load()
ISL, OSL = np.array([4000.0]), np.array([400.0])


def _built(way: Way) -> tuple[Serving, Fleet]:
    """SGLang with ranks of attention data parallelism, which puts prompts first where it is told nothing."""
    subject = validate_waits.SUBJECTS[1]
    asked = validate_waits.asked(subject, "constant", ISL, OSL, CATALOG)
    question = prepare(replace(asked.scenario, engine="sglang"), CATALOG)
    serving = validate_waits.of_way(question, sweep.run(question, 64), way, 1, lockstep=True)
    first, then = serving.pools[0], serving.pools[-1]
    if way == "disaggregated":
        at_once = deployment(question, first, then).pass_tokens
        assert at_once == pytest.approx(first.max_batched_tokens, rel=0.01)
    return serving, build.of_serving(question, serving, validate_waits.requests("constant", ISL, OSL, 10))


def test_a_pass_of_several_prompts_is_as_long_as_planned() -> None:
    serving, fleet = _built("disaggregated")
    first, kind = serving.pools[0], fleet.pools[0].kind
    assert first.batch > first.layout.attention_dp  # of each rank more than one
    assert kind.pass_tokens == pytest.approx(first.max_batched_tokens, rel=0.01)
    assert kind.scheduling.prefill_priority == 1.0


def test_chunks_that_a_plan_has_ride_along_ride_along() -> None:
    serving, fleet = _built("colocated")
    first, kind = serving.pools[0], fleet.pools[0].kind
    assert first.mode == "piggyback"
    assert kind.scheduling.prefill_priority == 0.0
    assert kind.pass_tokens == first.chunk_tokens
