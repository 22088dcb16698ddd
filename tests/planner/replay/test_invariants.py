"""What holds in every replay, whatever the deployment, the load and what fails."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import Phase, given, settings

from planner.inputs.requests import Requests
from planner.replay.fleet import Fleet, Options
from planner.replay.run import Replay, run

from .small import worlds

World = tuple[Fleet, Requests, Options]
REPLAYS = int(os.environ.get("REPLAYS", "40"))  # `make fuzz` has more
OFTEN = settings(
    max_examples=REPLAYS,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
)
SOME = settings(OFTEN, max_examples=max(REPLAYS // 2, 1))


def replayed(world: World) -> Replay:
    replay = Replay(*world)
    replay.log = []
    assert replay.advance()
    return replay


@OFTEN
@given(worlds())
def test_every_request_ends_once_and_nothing_is_left(world: World) -> None:
    """None is lost when instances die, none ends twice, no cache block leaks, no GPU works twice."""
    replay = replayed(world)
    _, load, options = world
    result = replay.result()
    assert replay.done == len(load) and result.refused == 0
    assert result.finished.all()
    # in the order of things
    assert (result.first_s >= result.arrival_s).all() and (result.end_s >= result.first_s).all()
    if options.in_flight is None:
        assert (result.arrival_s >= load.arrival_s - 1e-9).all()
    # all of each prompt was computed or found, once
    if not (result.restarts or result.evictions):
        assert (result.computed + result.found == load.isl).all()
        made = sum(use.tokens for use in result.instances)
        assert made == result.osl.sum()
    if replay.encoders is not None:
        assert replay.encoders.empty
        encoded, seen = sum(use.requests for use in result.encoders), replay.seen
        # where a full cache starts a request over, its prompt goes through all of a split again
        assert seen <= encoded <= seen + result.restarts + result.evictions
        up_s = sum(use.up_s for use in result.encoders)
        assert sum(use.busy_s for use in result.encoders) <= up_s + 1e-6
    # nothing is left on any instance
    for one in replay.instances:
        assert one.empty and not one.cache.pinned and one.pending == one.unanswered == one.contexts == 0
        assert abs(one.cache.private) < 1e-6
        assert len(one.cache.idle) * one.cache.block_tokens <= one.cache.capacity
    held = {(block, one.number) for one in replay.instances for block in one.cache.idle if one.cache.gained}
    known = {
        (block, number)
        for block, bits in replay.router.where.items()
        for number in range(bits.bit_length())
        if bits >> number & 1
    }
    assert held == known
    _work_is_apart(replay)


def _work_is_apart(replay: Replay) -> None:
    assert replay.log is not None
    spans: dict[int, list[tuple[float, float]]] = {}
    for number, start, end in replay.log:
        spans.setdefault(number, []).append((start, end))
    for number, work in spans.items():
        one = replay.instances[number]
        assert all(end <= start + 1e-9 for (_, end), (start, _) in pairwise(work))
        assert work[0][0] >= one.start_s
        assert sum(end - start for start, end in work) <= one.busy_s + 1e-6


@SOME
@given(worlds())
def test_caches_never_hold_more_than_fits(world: World) -> None:
    replay = Replay(*world)
    for at in np.linspace(0.5, 40.0, 20):
        replay.advance(until_s=float(at))
        for one in replay.instances:
            cache = one.cache
            steps = 1 if one.planned else 0  # the pass that runs may add a token of each
            slack = steps * len(one.running) + 1e-6
            assert cache.live + len(cache.idle) * cache.block_tokens <= cache.capacity + slack
            assert len(one.running) <= one.kind.slots
            assert len(cache.pinned.keys() & cache.idle.keys()) == 0


@SOME
@given(worlds())
def test_the_same_seed_gives_the_same_bytes_also_after_a_pause(world: World) -> None:
    once, again = replayed(world).result(), Replay(*world)
    again.log = []
    for at in (0.3, 1.0, 5.0):
        again.advance(until_s=at)
        again = pickle.loads(pickle.dumps(again))
    again.advance()
    other = again.result()
    for name in ("arrival_s", "first_s", "end_s", "entry", "decode", "found", "computed"):
        assert getattr(once, name).tobytes() == getattr(other, name).tobytes(), name


@SOME
@given(worlds())
def test_littles_law(world: World) -> None:
    """Requests seen on the fleet at even times are the rate times the time each spends there."""
    fleet, load, options = world
    options = replace(options, sessions=False)
    result = run(fleet, load, options)
    replay, end = Replay(fleet, load, options), float(result.end_s.max())
    looks = np.linspace(0.0, end, 41)[1:-1] + 1e-7
    seen = []
    for at in looks:
        replay.advance(until_s=float(at))
        jobs: set[Any] = set(replay.central) | set(replay.stranded)
        for one in replay.instances:
            for place in (
                one.inbox,
                [job for _, _, job in one.late],
                one.waiting,
                one.partial,
                one.leaving,
                one.coming,
                one.blocked,
                one.ready,
            ):
                jobs |= set(place)
            jobs |= set(one.running)
        for encoder in replay.encoders.each if replay.encoders else ():
            jobs |= {*encoder.pending, *encoder.taken}
        jobs |= set(replay.encoders.waiting if replay.encoders else ())
        jobs |= {what for at_s, _, code, what, job, _ in replay.heap if code == 0}
        seen.append(len(jobs))
    # the host has read a request of an open loop before the fleet sees it
    comes = result.arrival_s + (0.0 if options.in_flight else replay.delay_s)
    assert seen == [int(((comes <= at) & (result.end_s > at)).sum()) for at in looks]
