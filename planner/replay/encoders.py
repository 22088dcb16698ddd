"""The encoders of a replay: a request's images become tokens before its prompt is worked on.

Each encoder is one GPU. It takes the images of those that wait for it, up to a full pass, as soon as it is
free. What a pass made is on its way for `moved_s` while the encoder's host takes requests, `each_s` for each.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Protocol

from planner.replay.fleet import LEAST, Encoding, Rule
from planner.replay.job import Job
from planner.replay.result import EncoderUse

FREE, PASS, HOST = 0, 1, 2


class Encoder:
    """One of them."""

    __slots__ = (
        "at_s",
        "began_s",
        "busy_s",
        "mode",
        "number",
        "passes",
        "pending",
        "requests",
        "taken",
        "up",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.pending: deque[Job] = deque()
        self.taken: list[Job] = []  # of the pass that runs
        self.mode = FREE
        self.up = True
        self.busy_s = self.began_s = 0.0
        self.at_s = 0.0  # when it was lost
        self.passes = self.requests = 0


class Owner(Protocol):
    """What encoders ask of the replay."""

    def wakes(self, encoder: Encoder, at_s: float) -> None:
        """Call `Encoders.wake` with it then."""

    def encoded(self, job: Job, at_s: float) -> None:
        """The images of a request are there then."""


class Encoders:
    """All of them, and who waits for any."""

    def __init__(self, owner: Owner, of: Encoding, rule: Rule, seed: int) -> None:
        self.owner, self.of, self.rule = owner, of, rule
        self.each = [Encoder(number) for number in range(of.instances)]
        self.waiting: deque[Job] = deque()  # under central routing, or where none is left
        self.random = random.Random(f"images {seed}")
        self.turn = 0

    def some(self) -> bool:
        """Whether the next request has images."""
        return self.of.share >= 1.0 or self.random.random() < self.of.share

    def offer(self, job: Job, now: float) -> None:
        """Images to encode."""
        up = [one for one in self.each if one.up]
        if self.rule == "central" or not up:
            self.waiting.append(job)
            free = next((one for one in up if one.mode == FREE), None)
        else:
            free = self._chosen(up)
            free.pending.append(job)
        if free is not None and free.mode == FREE:
            self._begin(free, now)

    def _chosen(self, up: list[Encoder]) -> Encoder:
        if self.rule == "random":
            return up[int(self.random.random() * len(up))]
        self.turn = turn = (self.turn + 1) % len(up)
        if self.rule == "round-robin":
            return up[turn]
        in_turn = up[turn:] + up[:turn]  # of equals the first
        return min(in_turn, key=lambda one: len(one.pending) + len(one.taken))

    def _begin(self, one: Encoder, now: float) -> None:
        queue = self.waiting if self.rule == "central" else one.pending
        count = min(len(queue), len(self.of.pass_s))
        one.mode = PASS if count else FREE
        if count:
            one.taken = [queue.popleft() for _ in range(count)]
            one.began_s = now
            self.owner.wakes(one, now + self.of.pass_s[count - 1])

    def wake(self, one: Encoder, now: float) -> None:
        """A pass, or the work of the host behind it, is over."""
        if not one.up:
            return
        one.busy_s += now - one.began_s
        if one.mode == HOST:
            self._begin(one, now)
            return
        for job in one.taken:
            self.owner.encoded(job, now + self.of.moved_s)
        host_s = self.of.each_s * len(one.taken)
        one.requests += len(one.taken)
        one.passes += 1
        one.taken, one.mode, one.began_s = [], HOST, now
        self.owner.wakes(one, now + host_s)

    def fail(self, number: int, now: float) -> int:
        """One is lost; whose images it had goes to another. How many those of its pass were."""
        up = [one for one in self.each if one.up]
        if number == LEAST:
            one = min(up, key=lambda one: (len(one.pending) + len(one.taken), -one.number), default=None)
        else:
            one = next((one for one in up if one.number == number), None)
        if one is None:
            return 0
        one.busy_s += now - one.began_s if one.mode != FREE else 0.0
        one.up, one.at_s, one.mode = False, now, FREE
        again, lost = [*one.taken, *one.pending], len(one.taken)
        one.taken = []
        one.pending.clear()
        for job in again:
            self.offer(job, now)
        return lost

    @property
    def empty(self) -> bool:
        """Whether nothing waits, and nothing is at work."""
        return not self.waiting and not any(one.taken or one.pending for one in self.each)

    def uses(self, now: float) -> tuple[EncoderUse, ...]:
        """What each has done so far."""
        return tuple(
            EncoderUse(
                gpus=self.of.gpus,
                busy_s=one.busy_s + (now - one.began_s if one.up and one.mode != FREE else 0.0),
                up_s=now if one.up else one.at_s,
                passes=one.passes,
                requests=one.requests,
                alive=one.up,
            )
            for one in self.each
        )
