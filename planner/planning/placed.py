"""A question on systems that are settled, and all that was simulated of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from planner.planning import frontiers, sweep
from planner.planning.expected import Expected, expected
from planner.planning.frontiers import Candidates
from planner.planning.options import Options
from planner.planning.resolve import Question
from planner.planning.sweep import Sweep
from planner.values import dataclass
from planner.words import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A question, its points, and what of them is worth matching."""

    question: Question
    sweep: Sweep
    known: Candidates | None = None  # what of its points is worth matching; None: found when it is needed
    expected: Expected | None = None  # of what is predicted; None: not asked yet, or rates taken as known

    @classmethod
    def of(cls, question: Question, swept: Sweep, *, drawn: bool = True) -> Placed:
        """With what is expected of its points, and where it is `drawn`, what of them is worth matching.

        Frontiers are drawn from that at every TTL; a choice by what is expected does without.
        """
        shares = expected(question, swept)
        kept = frontiers.candidates(question, swept) if drawn or shares is None else None
        return cls(question=question, sweep=swept, known=kept, expected=shares)

    @classmethod
    def to_draw(
        cls, question: Question, swept: Sweep, prefill: Options | None = None, decode: Options | None = None
    ) -> Placed:
        """With what of its points is worth matching, enough for its frontiers: before any is chosen.

        `prefill` and `decode` are that of either pool, where it is known.
        """
        known = frontiers.candidates(question, swept, prefill, decode)
        return cls(question=question, sweep=swept, known=known)

    def to_choose(self, known: Mapping[Phase, Expected] = MappingProxyType({})) -> Placed:
        """The same with what is expected of its points, where that of a pool is not `known`."""
        return replace(self, expected=expected(self.question, self.sweep, known))

    @property
    def kept(self) -> Candidates:
        """What of its points is worth matching within the FTL limit, whatever the TTL."""
        return frontiers.candidates(self.question, self.sweep) if self.known is None else self.known

    @property
    def prefill_kept(self) -> Options:
        """Of those, what prefills."""
        return self.known.prefill if self.known else frontiers.prefill_candidates(self.question, self.sweep)

    @property
    def decode_kept(self) -> Options:
        """Of those, what decodes."""
        return self.known.decode if self.known else frontiers.decode_candidates(self.question, self.sweep)

    @property
    def systems(self) -> tuple[str, ...]:
        """What its pools run on: one system, or that of prefill and that of decode."""
        pools = self.question.pools
        return tuple(dict.fromkeys(pools[phase].system.name for phase in ("prefill", "decode")))


def to_choose(placed: Sequence[Placed]) -> list[Placed]:
    """Placements with what is expected of their points; pools that several share are looked at once."""
    found: list[Placed] = []
    for at in placed:
        known: dict[Phase, Expected] = {}
        for phase in ("prefill", "decode"):
            like = next((one for one in found if one.expected and _alike(one, at, phase)), None)
            if like is not None and like.expected is not None:
                known[phase] = like.expected
        found.append(at.to_choose(known))
    return found


def _alike(one: Placed, other: Placed, phase: Phase) -> bool:
    """Whether the pools of a phase of two placements have the same points, and as much is known of either."""
    a, b = one.question, other.question
    points = one.sweep.decode is other.sweep.decode
    if phase == "prefill":
        points = one.sweep.prefill is other.sweep.prefill and one.sweep.split_ftl_s is other.sweep.split_ftl_s
    if not points or (a.levels, a.bands, a.alike) != (b.levels, b.bands, b.alike):
        return False
    if a.seen is None or b.seen is None:
        return a.seen is b.seen
    return a.seen.level == b.seen.level and a.seen.nearest[phase] == b.seen.nearest[phase]


def place(
    question: Question,
    should_stop: Callable[[], bool] | None = None,
    swept: Callable[[Question], Sweep] | None = None,
) -> Placed:
    """Sweep a question on one system, or take its points from `swept`.

    Raises Stopped when told to stop, InputError for a system without kernel constants that the model needs.
    """
    if swept is not None:
        return Placed.to_draw(question, swept(question))
    return Placed.to_draw(question, sweep.run(question, question.scenario.fleet.gpus, should_stop))


def apart(
    placed: Placed, questions: Sequence[Question], should_stop: Callable[[], bool] | None = None
) -> list[Placed]:
    """A question whose images are encoded in place, with an encoder pool instead: for each way to run it.

    They differ in when a first token comes alone, so that one sweep serves all. Raises as `place`.
    """
    found: list[Placed] = []
    for question in questions:
        if not found:
            budget = question.scenario.fleet.gpus
            swept = sweep.run(question, budget, should_stop, decoding=placed.sweep.decode)
        else:
            before = found[-1]
            later = question.encoding_s - before.question.encoding_s
            points = before.sweep.colocated
            swept = replace(
                before.sweep,
                colocated=replace(points, ftl_s=points.ftl_s + later),
                split_ftl_s=before.sweep.split_ftl_s + later,
                seconds=0.0,
            )
        found.append(Placed.to_draw(question, swept))
    return found


def across(question: Question, first: Placed, then: Placed, like: Placed | None = None) -> Placed:
    """A question with prefill on the system of one placement and decode on that of another: a split alone.

    What is worth matching on their own systems is so here, but for pools that count their instances: those
    may have another number here. `like` has its prefill there too, and as fast a link: its first tokens.
    """
    prefill = None if question.counted_in("prefill") else (like or first).kept.prefill
    decode = None if question.counted_in("decode") else then.kept.decode
    sent = first.sweep if like is None else replace(first.sweep, split_ftl_s=like.sweep.split_ftl_s)
    return beside(question, sent, then.sweep, prefill, decode, moved=like is not None)


def beside(
    question: Question,
    prefill: Sweep,
    decode: Sweep,
    prompts: Options | None = None,
    tokens: Options | None = None,
    *,
    moved: bool = False,
) -> Placed:
    """A question with prefill and decode on two systems, from the points of either; it is a split alone.

    `prompts` and `tokens` are what of either is worth matching on its own system, where that is known. Those
    of prompts are looked for again where other ones are in time over this link; `moved` says that the first
    tokens of `prefill` are those over it.
    """
    points = decode.colocated
    first_s = prefill.split_ftl_s if moved else sweep.split_ftl_s(question, prefill.prefill)
    swept = replace(
        decode,
        prefill=prefill.prefill,
        colocated=replace(points.take(np.empty(0, dtype=np.intp)), out_of_memory=0),
        split_ftl_s=first_s,
        kernels=tuple(dict.fromkeys((*prefill.kernels, *decode.kernels))),
        seconds=0.0,
    )
    limit_s = question.scenario.limits.ftl_s
    if not moved and ((prefill.split_ftl_s <= limit_s) != (first_s <= limit_s)).any():
        prompts = None
    return Placed.to_draw(question, swept, prompts, tokens)
