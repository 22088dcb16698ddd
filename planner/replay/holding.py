"""What an instance holds: its queues, and the cache that its requests take."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Protocol

from planner.replay.fleet import Kind
from planner.replay.lookup import Tables
from planner.replay.prefix import Cache

if TYPE_CHECKING:
    from planner.replay.instance import Instance
    from planner.replay.job import Job

WATERMARK = 0.01  # of the cache that stays free for those that decode when another is admitted


class Host(Protocol):
    """What an instance asks of the replay around it."""

    central: deque[Job]

    def sleep(self, instance: Instance, until_s: float) -> None:
        """Wake it then."""

    def prefilled(self, instance: Instance, job: Job, first_s: float) -> None:
        """A prompt's first token is made, its cache is here."""

    def later(self, instance: Instance, job: Job, at_s: float) -> None:
        """The job joins the decode of this instance then."""

    def ended(self, job: Job, now: float) -> None:
        """Its last token is made."""

    def evicted(self, instance: Instance, job: Job, now: float) -> None:
        """Its cache had to go: it starts over, where it is if the instance works on prompts."""

    def worked(self, instance: Instance, start_s: float, end_s: float) -> None:
        """The GPUs of the instance were at work."""


class Holding:
    """Requests on an instance, and their cache."""

    def __init__(
        self, host: Host, number: int, pool: int, kind: Kind, tables: Tables, block_tokens: int, at_s: float
    ) -> None:
        rules = kind.scheduling
        self.host, self.number, self.pool, self.kind = host, number, pool, kind
        self.passes, self.steps = tables
        self.token_s = self.passes.token_s / kind.ranks  # of a prompt token where many wait
        self.decodes = self.steps is not None
        self.prefills = kind.phase != "decode"  # a decode instance may, of later turns
        self.colocated = kind.phase == "colocated"
        self.extra = kind.room.sequence_tokens  # cache of a sequence beside its tokens
        self.cache = Cache(kind.room.tokens * kind.ranks, block_tokens, kind.host.tokens * kind.ranks)
        self.grows = self.decodes and not rules.whole_lengths
        self.margin = WATERMARK * self.cache.capacity if self.grows else 0.0
        # where it stands with the fleet
        self.up = True
        self.accepting = True
        self.draining = False
        self.becomes: tuple[int, float] | None = None  # pool and warm-up, once it is empty
        self.start_s = at_s  # since when its GPUs are taken
        self.end_s = math.nan
        self.link_free_s = 0.0
        # what it holds
        self.late: list[tuple[int, int, Job]] = []  # heap of prompts that let passes go by: until which, id
        self.inbox: deque[Job] = deque()  # prompts that the engine has not looked at
        self.waiting: deque[Job] = deque()  # prompts that were not yet admitted
        self.partial: list[Job] = []  # prompts in work
        self.leaving: dict[Job, tuple[float, int]] = {}  # prompts done, and what their cache here takes
        self.coming: dict[Job, None] = {}  # sequences whose cache is on its way here
        self.blocked: deque[Job] = deque()  # sequences for which the cache has no room yet
        self.ready: deque[Job] = deque()  # sequences here that wait for a step or a place
        self.running: dict[Job, None] = {}  # sequences that decode, in the order they joined
        self.pending = 0  # prompt tokens that wait or are in work
        self.unanswered = 0  # tokens of prompts whose first token is not out
        self.count = 0  # decode steps made
        self.contexts = 0  # tokens in the caches of those that decode

    @property
    def held(self) -> int:
        """Requests on the instance."""
        prompts = len(self.late) + len(self.inbox) + len(self.waiting) + len(self.partial)
        return prompts + len(self.coming) + len(self.blocked) + len(self.ready) + len(self.running)

    @property
    def empty(self) -> bool:
        """Whether it holds nothing."""
        return not (self.held or self.leaving)

    def receive(self, job: Job) -> bool:
        """Room for the cache of a sequence that was prefilled elsewhere; without, it waits."""
        if self.blocked or not self.reserve(job):
            self.blocked.append(job)
            return False
        self.coming[job] = None
        return True

    def unblocked(self) -> Job | None:
        """The next sequence for which there is room now."""
        if self.blocked and self.reserve(self.blocked[0]):
            job = self.blocked.popleft()
            self.coming[job] = None
            return job
        return None

    def reserve(self, job: Job) -> bool:
        """Take the cache that a job needs now, where there is room: what it will grow to if that is asked."""
        cache = self.cache
        need = job.target + self.extra
        if self.decodes and not self.grows:
            need += job.osl - job.made
        margin = 0.0
        if self.grows and (self.running or self.partial):
            margin = max(self.margin, len(self.running) + 1.0)
        pins = job.loads = 0
        lifted: list[int] = []
        if cache.block_tokens and job.blocks:
            pins = cache.found(job.blocks)
            if cache.host:
                job.loads = cache.found_below(job.blocks[pins:])
                lifted = cache.lift(job.blocks[pins : pins + job.loads])
            cache.pin(job.blocks[:pins])
            whole = len(job.blocks) * cache.block_tokens  # the last one is taken whole, however full
            need += max(whole - job.target, 0) - pins * cache.block_tokens
        if not cache.make_room(need + margin):
            cache.unpin(job.blocks[:pins])
            cache.lower(lifted)
            return False
        cache.private += need
        job.private, job.pins = need, pins
        return True

    def release(self, job: Job) -> None:
        """Give back what a job that does not decode has here."""
        self.cache.private -= job.private
        self.cache.unpin(job.blocks[: job.pins])
        job.private, job.pins = 0.0, 0

    def sent(self, job: Job) -> None:
        """The cache of a prompt has left."""
        private, pins = self.leaving.pop(job)
        self.cache.private -= private
        self.cache.unpin(job.blocks[:pins])

    def publish(self, job: Job) -> None:
        """What was computed of a prompt can be found by others."""
        cache = self.cache
        fresh = job.blocks[job.pins :]
        if cache.block_tokens and fresh:
            cache.publish(fresh)
            job.private -= len(fresh) * cache.block_tokens
            job.pins = len(job.blocks)

    def leave(self, job: Job) -> None:
        """Give back what a job that decodes has here."""
        del self.running[job]
        self.contexts -= job.context + self.count
        if self.grows:
            job.private += self.count
        self.release(job)

    def admit(self, job: Job) -> bool:
        """Whether there is a place and room for a prompt; then it has both."""
        if self.decodes:
            held = len(self.running) + len(self.partial) + len(self.ready) + len(self.coming)
            if held >= self.kind.slots:
                return False
        if not self.reserve(job):
            return False
        if job.pins or job.loads:
            job.done = min((job.pins + job.loads) * self.cache.block_tokens, job.target - 1)
        if job.found < 0:
            job.found = job.done
        return True

    def lose(self) -> list[Job]:
        """Everything that is here is gone; whose it was."""
        queues = (self.ready, self.blocked, self.waiting, self.inbox)
        jobs = [*self.running, *self.coming, *self.partial, *self.leaving]
        jobs += [job for queue in queues for job in queue] + [job for _, _, job in self.late]
        for place in (self.running, self.coming, self.leaving, *queues):
            place.clear()
        self.partial, self.late = [], []
        self.pending = self.unanswered = self.contexts = 0
        self.cache.clear()
        return jobs
