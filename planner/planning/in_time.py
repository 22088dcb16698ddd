"""Candidates that meet the limits, each with what it is expected to serve: what a plan is chosen from.

Frontiers are of what is predicted. At one TTL limit a layout serves best at one batch, so that one point of
each decode layout is enough; of prompts and co-located points those with an earlier first token stay as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from planner.arrays import BoolArray, IndexArray
from planner.planning import frontiers, options
from planner.planning.expected import Expected
from planner.planning.frontiers import Candidates
from planner.planning.options import Options, worth_matching
from planner.planning.placed import Placed
from planner.planning.resolve import Question
from planner.planning.sweep import Sweep
from planner.simulate.points import Points
from planner.words import Phase


def tries(placed: Placed) -> Iterator[Placed]:
    """With the expected rates; then as predicted, where a demand may be too much for those."""
    yield placed
    if may_be_too_much(placed):
        yield as_predicted(placed)


def as_predicted(placed: Placed) -> Placed:
    """The same, to be chosen from by what is predicted."""
    return replace(placed, expected=placed.expected and replace(placed.expected, weighs=False))


def may_be_too_much(placed: Placed) -> bool:
    """Whether plans are chosen by what is expected, and there is a demand that may be too much for that."""
    demand = placed.question.scenario.traffic.requests_per_s
    return placed.expected is not None and placed.expected.weighs and demand is not None


def within_ttl(question: Question, kept: Candidates) -> Candidates:
    """Those of the candidates, all within the FTL limit, that meet the TTL limit too."""
    ttl = question.scenario.limits.ttl_s

    def fast(of: Options) -> Options:
        return of.take(np.flatnonzero(of.points.ttl_s[of.row] <= ttl))

    return Candidates(prefill=kept.prefill, decode=fast(kept.decode), colocated=fast(kept.colocated))


class Pools:
    """What pools may be built of, each found once: placements of a fleet share their points."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._known: dict[tuple[int, ...], tuple[tuple[object, ...], Options]] = {}

    def of(self, placed: Placed, phase: Phase, find: Callable[[Placed], Options]) -> Options:
        """What `find` finds of a phase, unless it did for a pool of the same points.

        Pools that count their instances may have other numbers of them: each is found anew.
        """
        question, sweep, expected = placed.question, placed.sweep, placed.expected
        if expected is None or question.counted_in(phase):
            return find(placed)
        key: tuple[object, ...] = (sweep.decode, expected.decode)
        if phase == "prefill":
            key = sweep.prefill, sweep.split_ftl_s, expected.prefill
        key = *key, expected.weighs, question.whole
        at = tuple(map(id, key))
        if at not in self._known:
            self._known[at] = key, find(placed)  # what is told by its identity is kept with it
        return self._known[at][1]


def candidates(placed: Placed, *, mix: bool, pools: Pools | None = None) -> Candidates:
    """What a split (or a mix) may be built of; within a slack also what has an earlier first token."""
    question, sweep, expected = placed.question, placed.sweep, placed.expected
    scenario, points = question.scenario, sweep.colocated
    if expected is None and not scenario.slack:
        kept = within_ttl(question, placed.kept)
        return kept if mix else replace(kept, colocated=Options.none(points))
    pools = pools or Pools()
    both = colocated(question, sweep, expected) if mix else Options.none(points)
    return Candidates(
        prefill=pools.of(placed, "prefill", _prefill),
        decode=pools.of(placed, "decode", _decode),
        colocated=worth_matching(both, _sooner(question) * points.ftl_s[both.row]),
    )


def _sooner(question: Question) -> float:
    """What a first token's time counts: within no slack any that meets the limit is as good."""
    return 1.0 if question.scenario.slack else 0.0


def _prefill(placed: Placed) -> Options:
    question, sweep = placed.question, placed.sweep
    rows = np.flatnonzero(sweep.split_ftl_s <= question.scenario.limits.ftl_s)
    prompts = frontiers.prompts(question, sweep, rows, placed.expected)
    return worth_matching(prompts, _sooner(question) * sweep.split_ftl_s[prompts.row])


def _decode(placed: Placed) -> Options:
    question = placed.question
    if placed.expected is None:
        tokens = within_ttl(question, placed.kept).decode
    else:
        tokens = _one_batch(question, placed.sweep, placed.expected)
    return worth_matching(tokens, np.zeros(len(tokens)))


def _one_batch(question: Question, sweep: Sweep, expected: Expected | None) -> Options:
    """Of each decode layout the batch within the TTL limit that serves most."""
    points = sweep.decode
    rows = frontiers.best_of_each(points, points.ttl_s <= question.scenario.limits.ttl_s)
    return decoding(question, sweep, rows, expected)


def enough(question: Question, sweep: Sweep) -> Candidates:
    """What is enough to tell what can be built within both limits, as predicted: one batch of each layout.

    Of candidates within the limits only GPUs and rates count then, so that a few dozen stand for all that
    frontiers are drawn from.
    """
    tokens, both = _one_batch(question, sweep, None), colocated(question, sweep, None)
    return Candidates(
        prefill=frontiers.prefill_candidates(question, sweep),
        decode=worth_matching(tokens, np.zeros(len(tokens))),
        colocated=worth_matching(both, np.zeros(len(both))),
    )


def decoding(question: Question, sweep: Sweep, rows: IndexArray, expected: Expected | None) -> Options:
    """The options of some decode rows that meet the TTL limit."""
    points = sweep.decode
    rows = rows[options.standing(question, points, rows)]
    return options.of(question, points, rows, expected=expected)


def colocated(question: Question, sweep: Sweep, expected: Expected | None) -> Options:
    """The options of all co-located rows that meet the limits."""
    points = sweep.colocated
    rows = np.flatnonzero(meets(question, points))
    rows = options.unbeaten(question, points, rows, points.ftl_s[rows])
    return frontiers.colocations(question, sweep, rows, expected)


def meets(question: Question, points: Points) -> BoolArray:
    """Which co-located points meet both limits."""
    limits = question.scenario.limits
    return np.asarray((points.ftl_s <= limits.ftl_s) & (points.ttl_s <= limits.ttl_s))
