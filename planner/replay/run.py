"""The replay: events in the order of their time, from the first arrival to the last token.

A heap of events and a few lists, no simulation library. Most of what happens is that an instance asleep is
woken earlier: simpy 4.1.2 does that 18,000 times a second, a heap 77,000 times on the same core, and its
processes are generators, which cannot be pickled, so that no replay could pause and go on elsewhere.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import numpy as np

from planner.inputs.conversations import with_history
from planner.inputs.requests import NO_SESSION, Requests
from planner.replay.closed import at_once, in_step
from planner.replay.encoders import Encoders
from planner.replay.fleet import Fleet, Options
from planner.replay.instance import IDLE, STEPS, Instance
from planner.replay.job import NONE, Job
from planner.replay.members import CHANGES, COMES, ENCODES, JOINS, WAKES, Members
from planner.replay.result import REFUSED, Progress, Result
from planner.replay.router import Router
from planner.simulate.points import Stopped
from planner.simulate.waiting import POLL_WAITED, single_s

WINDOW = 8192  # requests that are turned into Python's numbers at a time
LOOK = 2048  # events between two looks at the clock and at `should_stop`
TURN_BLOCK_TOKENS = 256  # of the blocks made for conversations of which none are known
REPORT_S = 0.25  # between two reports of progress


def run(
    fleet: Fleet,
    requests: Requests,
    options: Options | None = None,
    *,
    should_stop: Callable[[], bool] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Every request through the fleet.

    Raises InputError for a fleet that cannot serve, `planner.simulate.points.Stopped` when told to stop.
    """
    replay = Replay(fleet, requests, options or Options())
    replay.advance(should_stop=should_stop, progress=progress)
    return replay.result()


class Replay(Members):
    """The state of a replay. Pickled between two calls of `advance` it goes on as if it never was."""

    def __init__(self, fleet: Fleet, requests: Requests, options: Options) -> None:
        super().__init__(fleet)
        if options.in_flight is not None:
            requests = in_step(fleet, requests, options.in_flight)
        if options.prefixes:
            requests = with_history(requests, TURN_BLOCK_TOKENS)
        self.fleet, self.requests, self.options = fleet, requests, options
        self.block_tokens = requests.block_tokens if options.prefixes and len(requests.block_start) else 0
        self.router = Router(options.routing, options.seed, self.block_tokens)
        self.heap: list[tuple[float, int, int, Any, Any, int]] = []
        self.events = 0
        self.now = 0.0
        count = len(requests)
        self.sent = 0  # requests that have come
        self.seen = 0  # of these, with images for encoders
        self.done = 0
        self.prompts_at_once = 1  # of a closed loop
        self.refused = 0
        self.seconds = 0.0  # of this machine
        self.random = random.Random(options.seed)
        self.first_s, self.end_s, self.arrival_s = (np.full(count, np.nan) for _ in range(3))
        self.entry = np.full(count, -1, dtype=np.int32)
        self.decode = np.full(count, -1, dtype=np.int32)
        self.found = np.zeros(count, dtype=np.int64)
        self.computed = np.zeros(count, dtype=np.int64)
        self.turns: dict[int, deque[Job]] = {}  # sessions with a turn at work, and the turns behind it
        self.homes: dict[int, Instance] = {}  # of sessions whose later turns go to where they decoded
        if fleet.encoding is not None:
            self.encoders = Encoders(self, fleet.encoding, options.routing, options.seed)
        self.log: list[tuple[int, float, float]] | None = None  # work of instances, where asked for
        self._window: list[tuple[float, int, int, int]] = []
        self._window_at = 0
        pools = [pool.kind for pool in fleet.pools]
        once = max(pool.scheduling.request_s for pool in pools)
        self.delay_s = float(single_s(once)) if options.in_flight is None else pools[0].scheduling.request_s
        room = [
            (k.phase, k.room.tokens * k.ranks - k.room.sequence_tokens - self.block_tokens) for k in pools
        ]
        self._most_prompt = max(tokens for phase, tokens in room if phase != "decode")
        self._most_whole = max(tokens for phase, tokens in room if phase != "prefill")
        for index, pool in enumerate(fleet.pools):
            for _ in range(pool.instances):
                self._start(index, 0.0)
        for change in sorted(fleet.changes, key=lambda change: change.at_s):
            self._push(change.at_s, CHANGES, change)
        if options.in_flight is not None:
            self.prompts_at_once = at_once(requests, options.in_flight, len(self.entries))
            for instance in self.instances:
                self._spread(instance)
            for _ in range(min(options.in_flight, count)):
                self._next(0.0)

    # the loop

    def advance(
        self,
        *,
        until_s: float = math.inf,
        should_stop: Callable[[], bool] | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> bool:
        """Go on until that time of the simulation; whether all is done.

        Raises Stopped when told to; the replay may go on later.
        """
        began = reported = time.perf_counter()
        at_begin = self.done
        heap, open_loop = self.heap, self.options.in_flight is None
        looked = 0
        coming = self._peek() if open_loop else math.inf
        try:
            while True:
                looked += 1
                if looked >= LOOK:
                    looked = 0
                    if should_stop is not None and should_stop():
                        raise Stopped
                    clock = time.perf_counter()
                    if progress is not None and clock - reported >= REPORT_S:
                        reported = clock
                        progress(self._progress((self.done - at_begin) / (clock - began)))
                if heap and heap[0][0] <= coming:
                    if heap[0][0] > until_s:
                        return False
                    now, _, code, what, job, version = heappop(heap)
                    self.now = now
                    if code == WAKES:
                        if version == what.version:
                            what.wake(now)
                            if what.draining:
                                self._drained(what)
                    elif code == JOINS:
                        if version == job.version:
                            self._joins(what, job, now)
                    elif code == COMES:
                        self._route(what, now)
                    elif code == ENCODES:
                        assert self.encoders is not None
                        self.encoders.wake(what, now)
                    else:
                        self._change(what, now)
                elif coming < math.inf:
                    if coming > until_s:
                        return False
                    self.now = coming
                    self._comes(coming)
                    coming = self._peek()
                else:
                    return True
        finally:
            self.seconds += time.perf_counter() - began

    def _progress(self, rate: float) -> Progress:
        count = len(self.requests)
        return Progress(
            requests=count,
            ended=self.done,
            at_s=self.now,
            requests_per_s=rate,
            left_s=(count - self.done) / rate if rate > 0 else math.inf,
        )

    def _push(self, at_s: float, code: int, what: Any, job: Any = None, version: int = 0) -> None:
        self.events += 1
        heappush(self.heap, (at_s, self.events, code, what, job, version))

    def _peek(self) -> float:
        """When the next request of an open loop reaches the router."""
        if self.sent >= len(self.requests):
            return math.inf
        return self._row(self.sent)[0] + self.delay_s

    def _row(self, index: int) -> tuple[float, int, int, int]:
        place = index - self._window_at
        if place >= len(self._window):
            self._window_at, place = index, 0
            part = slice(index, index + WINDOW)
            of = self.requests
            self._window = list(
                zip(
                    of.arrival_s[part].tolist(),
                    of.isl[part].tolist(),
                    of.osl[part].tolist(),
                    of.session[part].tolist(),
                    strict=True,
                )
            )
        return self._window[place]

    def _job(self, index: int, arrival_s: float) -> Job:
        _, isl, osl, session = self._row(index)
        blocks = NONE
        if self.block_tokens:
            start, stop = int(self.requests.block_start[index]), int(self.requests.block_start[index + 1])
            blocks = self.requests.blocks[start:stop].tolist()
        job = Job(index, isl, osl, session, blocks, arrival_s)
        if self.encoders is not None:
            job.seen = self.encoders.some()
            self.seen += job.seen
        return job

    # requests

    def _comes(self, now: float) -> None:
        """The next request of an open loop."""
        index = self.sent
        self.sent += 1
        job = self._job(index, now - self.delay_s)
        session = job.session
        if session != NO_SESSION and self.options.sessions:
            behind = self.turns.get(session)
            if behind is not None:
                behind.append(job)
                return
            self.turns[session] = deque()
        self._route(job, now)

    def _next(self, now: float) -> None:
        """A closed loop sends its next request, which is admitted some passes later."""
        index = self.sent
        if index >= len(self.requests):
            return
        self.sent += 1
        job = self._job(index, now)
        entry = self.entries
        delay = 0.0
        if entry:
            rules, count = entry[0].kind.scheduling, len(entry)
            in_flight = self.options.in_flight or 1
            kind = entry[0].kind
            host = self.delay_s + kind.host_s * max(in_flight / count - kind.ranks, 0.0) / 2.0
            if entry[0].colocated:
                job.late_s = host
                # ends and so what follows them come with a pass: each waits for whole passes, beside the one
                # that starts as it comes; POLL_WAITED of a poll where even arrivals would wait half of one
                waits = rules.admission_passes + (POLL_WAITED - 0.5) * rules.poll_steps
                if not entry[0].prompts_first:  # there it waits for the bunch it comes with
                    job.skip = max(int(waits - 1.0 + self.random.random()), 0)
            else:
                delay = 2.0 * host * self.random.random()
        self._push(now + delay, COMES, job)

    def _spread(self, instance: Instance) -> None:
        """Prompts of a closed loop go evenly between the decode steps of those before them."""
        if self.options.in_flight is not None and instance.colocated:
            groups = instance.kind.ranks * int(instance.passes.stages)
            instance.prompts_at_once = max(groups, self.prompts_at_once)
            later = self.requests.osl[self.options.in_flight :]
            if len(later) and not np.ptp(later):
                instance.first_wave = self.options.in_flight

    def _route(self, job: Job, now: float) -> None:
        """A request reaches the router."""
        need = job.isl + job.osl
        if job.isl > self._most_prompt or (job.osl > 1 and need > self._most_whole):
            self.refused += 1
            self._finish(job, now, math.nan)
            self.entry[job.id] = REFUSED
            return
        if job.seen and not job.encoded and self.encoders is not None:
            self.encoders.offer(job, now)
            return
        entries = self.entries
        if not entries or self.options.routing == "central":
            self.central.append(job)
            self._offer_central(now)
            return
        home = self.homes.get(job.session)
        if home is not None and home.accepting:
            home.offer(job, now)
        else:
            self.router.prompt(job, entries).offer(job, now)

    def _offer_central(self, now: float) -> None:
        """Wake an instance that could take the first of the central queue."""
        for mode in (IDLE, STEPS):
            free = [
                one
                for one in self.entries
                if one.mode == mode and not one.waiting and len(one.running) < one.kind.slots
            ]
            if free:
                min(free, key=lambda one: one.held).nudge(now, prompts=True)
                return

    def _finish(self, job: Job, now: float, end_s: float) -> None:
        index = job.id
        self.arrival_s[index] = job.arrival_s
        self.first_s[index] = min(job.first_s + job.late_s, end_s) if job.late_s else job.first_s
        self.end_s[index] = end_s
        if job.entry is not None:
            self.entry[index] = job.entry.number
        if job.decode is not None:
            self.decode[index] = job.decode.number
            if self.options.later_turns == "decode" and job.session != NO_SESSION:
                self.homes[job.session] = job.decode
        self.found[index] = max(job.found, 0)
        self.computed[index] = job.computed
        self.done += 1
        if self.options.in_flight is not None:
            self._next(now)
        elif job.session != NO_SESSION and self.options.sessions:
            behind = self.turns[job.session]
            if behind:
                turn = behind.popleft()
                turn.arrival_s = max(turn.arrival_s, now)
                self._push(now + self.delay_s, COMES, turn)
            else:
                del self.turns[job.session]

    # what instances ask: `planner.replay.instance.Host`

    def worked(self, instance: Instance, start_s: float, end_s: float) -> None:
        """Kept where asked for."""
        if self.log is not None:
            self.log.append((instance.number, start_s, end_s))

    def ended(self, job: Job, now: float) -> None:
        """Its last token is made."""
        self._finish(job, now, now)
        instance = job.decode or job.entry
        if instance is not None and instance.blocked:
            self._unblock(instance, now)

    def prefilled(self, instance: Instance, job: Job, first_s: float) -> None:
        """The prompt of a split is done: its cache goes to a decode instance."""
        if job.made + 1 >= job.osl:
            self._push(first_s, JOINS, instance, job, job.version)
        elif not self.decoders:
            self.stranded.append(job)
        else:
            self._hand_over(job, first_s, self.now)

    def _hand_over(self, job: Job, first_s: float, now: float) -> None:
        job.decode = to = self.router.sequence(self.decoders)
        if to.receive(job):
            self._transfer(job, first_s, job.began_s)

    def _transfer(self, job: Job, first_s: float, began_s: float) -> None:
        """The cache leaves layer by layer while the prompt is worked on, as links of both sides are free."""
        sender, receiver = job.entry, job.decode
        assert sender is not None and receiver is not None
        tokens, layers = job.target, sender.kind.layers
        took = max(sender.kind.link.seconds(tokens), receiver.kind.link.seconds(tokens))
        start = max(began_s + (first_s - began_s) / layers, sender.link_free_s, receiver.link_free_s)
        end = max(start + took, first_s + took / layers)
        sender.link_free_s = start + took / sender.kind.ranks
        receiver.link_free_s = start + took / receiver.kind.ranks
        self._push(end + receiver.kind.scheduling.handover_s, JOINS, receiver, job, job.version)

    def _joins(self, instance: Instance, job: Job, now: float) -> None:
        """A first token is made, and its cache is where it decodes."""
        job.made += 1
        if instance.decodes and job.entry is instance:
            if math.isnan(job.first_s):
                job.first_s = now
            if job.made < job.osl:
                instance.arrive(job, now)
            else:
                del instance.coming[job]
                instance.release(job)
                self.ended(job, now)
                instance.nudge(now, prompts=True)
                if instance.draining:
                    self._drained(instance)
            return
        sender = job.entry
        assert sender is not None
        sender.sent(job)
        if sender is instance:  # one token was asked for
            if math.isnan(job.first_s):
                job.first_s = now
            self.ended(job, now)
        else:
            instance.arrive(job, now)
        if sender.mode == IDLE:
            sender.nudge(now, prompts=True)
        if sender.draining:
            self._drained(sender)

    def _unblock(self, instance: Instance, now: float) -> None:
        while (job := instance.unblocked()) is not None:
            self._transfer(job, now, now)

    # the answer

    def result(self) -> Result:
        """What has become of the requests so far."""
        if self.options.in_flight is None:
            arrival = np.where(np.isnan(self.arrival_s), self.requests.arrival_s, self.arrival_s)
        else:
            arrival = self.arrival_s
        return Result(
            arrival_s=arrival,
            first_s=self.first_s,
            end_s=self.end_s,
            isl=self.requests.isl,
            osl=self.requests.osl,
            entry=self.entry,
            decode=self.decode,
            found=self.found,
            computed=self.computed,
            refused=self.refused,
            restarts=self.restarts,
            evictions=self.evictions,
            instances=self.uses(),
            simulated_s=self.now,
            seconds=self.seconds,
            events=self.events,
            options=self.options,
            encoders=() if self.encoders is None else self.encoders.uses(self.now),
        )
