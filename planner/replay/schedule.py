"""A fleet whose instances change over time, from how many of each kind there should be and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from planner.errors import InputError
from planner.replay.fleet import LEAST, Change, Fleet, Kind, Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many instances of each kind are wanted from a time on."""

    at_s: float
    instances: tuple[int, ...]


def scheduled(
    kinds: Sequence[Kind],
    counts: Sequence[Counts],
    *,
    start_s: Sequence[float],
    swap_s: Mapping[tuple[int, int], float] | None = None,
    ahead: bool = False,
) -> Fleet:
    """The fleet with a pool for each kind that has so many instances at each time.

    `counts` are in the order of time, the first of time 0 and ready then. Where one kind has more from some
    time on and another less, an instance swaps if `swap_s` has the pair ``(from, to)``: seconds from when it
    is empty until it takes requests. Others drain (the one that has least to do), or start and are ready
    `start_s` of their kind later; with `ahead` they start as much sooner, as a plan with foresight has it.

    Raises InputError for counts that do not fit the kinds, or are not in the order of time.
    """
    if not counts or counts[0].at_s != 0.0:
        raise InputError("schedule", counts[0].at_s if counts else "", "counts from 0 s on")
    for one in counts:
        if len(one.instances) != len(kinds) or min(one.instances, default=0) < 0:
            raise InputError("schedule", one.instances, f"0 or more instances of each of {len(kinds)} kinds")
    changes: list[Change] = []
    for before, after in pairwise(counts):
        if not after.at_s > before.at_s:
            raise InputError("schedule", after.at_s, f"a time after {before.at_s:g} s")
        more = [new - old for old, new in zip(before.instances, after.instances, strict=True)]
        changes += _swaps(more, after.at_s, swap_s or {})
        for pool, count in enumerate(more):
            for _ in range(-count):
                changes.append(Change(at_s=after.at_s, event="drain", pool=pool, instance=LEAST))
            at_s = max(after.at_s - start_s[pool], 0.0) if ahead else after.at_s
            for _ in range(count):
                changes.append(Change(at_s=at_s, event="start", pool=pool, warm_up_s=start_s[pool]))
    pools = tuple(Pool(kind=kind, instances=n) for kind, n in zip(kinds, counts[0].instances, strict=True))
    return Fleet(pools=pools, changes=tuple(changes))


def _swaps(more: list[int], at_s: float, swap_s: Mapping[tuple[int, int], float]) -> list[Change]:
    """Swaps of as many as both sides have, the quickest pairs first; `more` is what is left to do."""
    changes = []
    for (here, there), seconds in sorted(swap_s.items(), key=lambda item: (item[1], item[0])):
        count = max(min(-more[here], more[there]), 0)
        more[here] += count
        more[there] -= count
        changes += [
            Change(at_s=at_s, event="swap", pool=here, instance=LEAST, to=there, warm_up_s=seconds)
        ] * count
    return changes
