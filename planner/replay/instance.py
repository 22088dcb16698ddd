"""One instance: a clock of equal decode steps between events, and passes over prompts.

Between two events a batch makes steps that differ only as its contexts grow, so the instance sleeps until the
first of them ends, or its cache is full, and is woken earlier where a prompt or a sequence comes: at the end
of the step that then runs. So do passes over the chunks of one long prompt. With n_i new tokens behind c_i
cached ones of prompt i the times are those of `planner.simulate.waiting`:

    prompts alone       alone(n, c), or rest(sum n) + sum attention(n, c) of the fullest rank
    beside B sequences  t(B) + p (stops m - overlap min(stops, 1) min(t(B) / p, m)),  m = exposure marginal

with `stops` the prompts per rank of the pass, as `planner.simulate.lockstep.stopping` has them. That is what
a pass takes of the instance, on average: of a lone chunk on one of several ranks less than the chunk takes.
So its prompt comes out behind those passes by the rest, chunk by chunk: none has its first token sooner
beside decode steps than alone.
"""

from __future__ import annotations

import math
from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from planner.replay.fleet import Kind
from planner.replay.holding import Holding, Host
from planner.replay.lookup import Tables, steps_until, taken_s
from planner.replay.pass_times import Pipeline, pass_s

if TYPE_CHECKING:
    from planner.replay.job import Job

IDLE, STEPS, PASS = 0, 1, 2
ENDLESS = 1 << 60
PROMPTS_FIRST = 0.5  # of passes over prompts without a decode step, from which all of them are


class Instance(Holding):
    """The clock of an instance; see the module."""

    def __init__(
        self, host: Host, number: int, pool: int, kind: Kind, tables: Tables, block_tokens: int, at_s: float
    ) -> None:
        super().__init__(host, number, pool, kind, tables, block_tokens, at_s)
        poll = kind.scheduling.poll_steps
        self.poll = int(poll) if poll > 1 else 1
        self.ends: list[tuple[int, int, int, Job]] = []  # heap of those that decode: step, id, version
        # what it is at
        self.mode = IDLE
        self.version = 0  # of its alarm: an older one means nothing
        self.began_s = 0.0
        self.planned = 0  # steps or passes until the next event
        self.first_s = 0.0  # of the first of them
        self.growth_s = 0.0  # of each over the one before
        self.next_poll = 0
        self.chosen: list[tuple[Job, int]] = []  # prompts of the pass, tokens of each
        self.host_s, self.held_s = kind.host_s, kind.held_s
        self.prompts_first = kind.scheduling.prefill_priority > PROMPTS_FIRST
        self.prompts_at_once = ENDLESS  # in a pass beside decode steps
        self.first_wave = 0  # requests of a closed loop for which that does not hold
        self.passed = 0  # steps and passes that ended
        self.owed = 0.0  # passes over prompts alone, where some go first
        self.steps_in_pass = 0  # that those which decode make in each
        self.full = False  # no prompt could join the pass
        self.pipeline = Pipeline()
        self.late_s = 0.0  # what chunks on one of several ranks take longer than their pass does
        # what it did
        self.busy_s = 0.0
        self.step_s = 0.0  # the latest step or pass
        self.decode_s = 0.0  # time in which sequences decoded
        self.sequence_s = 0.0  # sequences times that time
        self.prompts = 0
        self.tokens = 0
        self.loaded = 0  # prompt tokens that came from the host's memory

    # what comes

    def offer(self, job: Job, now: float) -> None:
        """A prompt to work on."""
        job.entry = self
        self.pending += job.target
        self.unanswered += job.target
        if job.skip and self.mode != IDLE:
            at = steps_until(now - self.began_s, self.first_s, self.growth_s) + job.skip
            heappush(self.late, (self.passed + at, job.id, job))
            self._cut(at)
            return
        (self.waiting if self.poll == 1 else self.inbox).append(job)
        self.nudge(now, prompts=True)

    def arrive(self, job: Job, now: float) -> None:
        """The cache of a sequence is here, it may decode."""
        del self.coming[job]
        if self.cache.block_tokens:
            self.publish(job)
        self.ready.append(job)
        if len(self.running) + len(self.ready) <= self.kind.slots:
            if math.isnan(job.first_s):
                job.first_s = now
            self.nudge(now)

    def nudge(self, now: float, *, prompts: bool = False) -> None:
        """Something is there to do: at once, or when the step or pass that runs ends."""
        if self.mode == IDLE:
            self.begin(now)
            return
        if self.planned <= 1 or (prompts and len(self.waiting) + len(self.inbox) > 1):
            return  # those that wait already could not be admitted either
        if prompts and self.mode == PASS and self.full:
            return
        steps = steps_until(now - self.began_s, self.first_s, self.growth_s)
        if prompts and self.poll > 1:
            if self.mode == PASS:
                return
            steps = max(steps, self.next_poll - self.count)
        self._cut(steps)

    def _cut(self, steps: int) -> None:
        """Wake after so many of the steps or passes that run."""
        if steps < self.planned:
            self.planned = steps
            self.host.sleep(self, self.began_s + taken_s(steps, self.first_s, self.growth_s))

    # the clock

    def wake(self, now: float) -> None:
        """What it was at has ended."""
        self.host.worked(self, self.began_s, now)
        self.busy_s += now - self.began_s
        self.passed += self.planned
        mode, self.mode = self.mode, IDLE
        if mode == STEPS:
            self._advance(self.planned, now)
        else:
            self._end_pass(now)
        self.begin(now)

    def begin(self, now: float) -> None:
        """At the end of a step or a pass, or idle: what is next."""
        most = ENDLESS
        while self.ready or self.running:
            while self.ready and len(self.running) < self.kind.slots:
                self._join(self.ready.popleft(), now)
            most = self._steps_left(now)
            if self.running or not self.ready:  # else those that ran had to make room for those that wait
                break
        late = self.late
        while late and (late[0][0] <= self.passed or not (self.running or self.waiting or self.partial)):
            (self.waiting if self.poll == 1 else self.inbox).append(heappop(late)[2])
        if late:
            most = min(most, late[0][0] - self.passed)
        if self.inbox and (not self.running or self.count >= self.next_poll):
            self.waiting.extend(self.inbox)
            self.inbox.clear()
            self.next_poll = self.count + self.poll
        if self.prefills and (self.waiting or self.partial or self._central) and self._form(now, most):
            return
        if self.running:
            if self.inbox:
                most = min(most, self.next_poll - self.count)
            self._step(now, most)

    def _steps_left(self, now: float) -> int:
        """Steps until a sequence ends or the cache is full; the last to join make room for one."""
        most, ends = ENDLESS, self.ends
        if self.grows:
            cache = self.cache
            while self.running:
                most = int((cache.capacity - cache.live) / len(self.running) + 1e-9)
                if most >= 1:
                    break
                self._evict(now)
            else:
                return ENDLESS
        while ends[0][3].version != ends[0][2]:
            heappop(ends)
        return min(most, ends[0][0] - self.count)

    def _join(self, job: Job, now: float) -> None:
        """The sequence decodes from the next step on."""
        if math.isnan(job.first_s):
            job.first_s = now
        job.decode = self
        job.context = job.target - self.count
        job.end_step = self.count + job.osl - job.made
        if self.grows:
            job.private -= self.count
        self.contexts += job.target
        self.running[job] = None
        heappush(self.ends, (job.end_step, job.id, job.version, job))

    def _step(self, now: float, most: int) -> None:
        """Sleep over so many steps."""
        assert self.steps is not None
        batch = len(self.running)
        context = self.contexts / batch
        first = last = self.steps.seconds(batch, context)
        if most > 1:
            most = max(int(min(most, self.steps.even(context) - context)), 1)
            last = self.steps.seconds(batch, context + most - 1)
        self._sleep(now, STEPS, most, first, last)

    def _sleep(self, now: float, mode: int, planned: int, first_s: float, last_s: float) -> None:
        """Until so many steps or passes have ended, that grow evenly from the first to the last."""
        growth = (last_s - first_s) / (planned - 1) if planned > 1 else 0.0
        if growth < 0.0:  # no longer context is faster: an even mean of rough tables
            first_s, growth = 0.5 * (first_s + last_s), 0.0
        self.mode, self.began_s, self.planned = mode, now, planned
        self.first_s, self.growth_s, self.step_s = first_s, growth, first_s
        self.host.sleep(self, now + taken_s(planned, first_s, growth))

    def _advance(self, steps: int, now: float) -> None:
        """So many steps were made."""
        batch = len(self.running)
        self.count += steps
        self.contexts += batch * steps
        self.tokens += batch * steps
        span = now - self.began_s
        self.decode_s += span
        self.sequence_s += batch * span
        if self.grows:
            self.cache.private += batch * steps
            if self.cache.idle:
                self.cache.make_room(0.0)
        ends, count = self.ends, self.count
        while ends and ends[0][0] <= count:
            _, _, version, job = heappop(ends)
            if version == job.version:
                self.leave(job)
                job.version += 1
                self.host.ended(job, now)

    def _evict(self, now: float) -> None:
        """The cache is full: the sequence that joined last starts over."""
        job = next(reversed(self.running))
        job.made = job.osl - (job.end_step - self.count)
        self.leave(job)
        job.restart()
        if self.colocated:
            job.entry = self
            self.pending += job.target
            self.unanswered += job.target
            self.waiting.appendleft(job)
        self.host.evicted(self, job, now)

    # prompts

    def _form(self, now: float, most_passes: int) -> bool:
        """Start a pass over the prompts that may be worked on; whether there are any."""
        kind, passes = self.kind, self.passes
        # a step of a pipeline has a pass for the part of the batch in each stage, and each takes prompts
        most = kind.pass_tokens * (int(passes.stages) if self.running else 1)
        left = most * kind.ranks
        chosen: list[tuple[Job, int]] = []
        tokens, longest, behind, attention, pieces = 0, 0, 0, 0.0, 0.0
        loads_s, load_most, load_s = 0.0, 0.0, kind.host.token_s * self.cache.block_tokens
        place = 0
        partial, waiting = self.partial, self.waiting
        beside = bool(self.running)  # decode steps go on
        if beside and kind.scheduling.prefill_priority:
            # a rule of the engine where it does so more often than not, else what happens now and then
            self.owed += 1.0 if self.prompts_first else kind.scheduling.prefill_priority
            beside = self.owed < 1.0
            self.owed -= 0.0 if beside else 1.0
        at_once = self.prompts_at_once if beside else ENDLESS
        while left > 0:
            if place < len(partial):
                job = partial[place]
                if place >= at_once and job.id >= self.first_wave:
                    break
            else:
                queue = waiting or self._central
                if not queue or not (queue is waiting or self.accepting):
                    break
                job = queue[0]
                if place >= at_once and job.id >= self.first_wave:
                    break
                if not self.admit(job):
                    break
                queue.popleft()
                if queue is not waiting:
                    job.entry = self
                    self.pending += job.target
                    self.unanswered += job.target
                self.pending -= job.done
                loads_s, load_most = loads_s + job.loads * load_s, max(load_most, job.loads * load_s)
                self.loaded += job.loads * self.cache.block_tokens
                partial.append(job)
            place += 1
            done = job.done
            take = min(job.target - done, most, left)
            if not job.computed:
                job.began_s = now
            left -= take
            tokens += take
            attention += passes.attention_s(take, done)
            if take > longest:
                longest, behind = take, done
            cached = (job.pins + job.loads) * self.cache.block_tokens
            pieces += take / max(min(job.target - cached, kind.pass_tokens), 1)
            chosen.append((job, take))
        if not chosen:
            return False
        self.chosen, self.full = chosen, left <= 0 or place >= at_once
        count, batch = len(chosen), len(self.running)
        self.steps_in_pass = 1 if beside else 0
        step_s = self._beside_s(0)
        taken, alone = pass_s(kind, passes, count, pieces, tokens, attention, longest, behind, step_s)
        # the host holds up ranks in lockstep, and hides behind the passes of one
        if not batch and not self.colocated:
            ended = sum(1 for job, take in chosen if job.done + take == job.target)
            taken = max(taken + self.held_s * ended, self.host_s * ended)
        taken += max(loads_s / kind.ranks, load_most)
        planned, last, late_s = 1, taken, max(alone - taken, 0.0)
        if count == 1 and longest == most and not loads_s:  # chunks of one long prompt that follow each other
            job = chosen[0][0]
            evenly = math.ceil(min(passes.even(behind) - behind, job.target) / longest)
            planned = min((job.target - job.done - 1) // longest, most_passes, evenly)
            if planned > 1:
                behind += (planned - 1) * longest
                attention = passes.attention_s(longest, behind)
                step_s = self._beside_s(planned - 1)
                last, alone = pass_s(kind, passes, 1, pieces, tokens, attention, longest, behind, step_s)
                late_s = 0.5 * (late_s + max(alone - last, 0.0))
            planned = max(planned, 1)
        self.pipeline.fill(kind, passes, tokens, attention, alone, last if batch else None)
        # ranks of one stage: those of a pipeline have chunks of a prompt side by side
        self.late_s = late_s if kind.ranks > 1 and passes.stages == 1.0 else 0.0
        self._sleep(now, PASS, planned, taken, last)
        return True

    def _beside_s(self, steps: int) -> float | None:
        """The decode step of a pass so many steps from now; None if nothing decodes."""
        batch = len(self.running)
        if not (batch and self.steps_in_pass):
            return 0.0 if batch else None
        assert self.steps is not None
        return self.steps.seconds(batch, self.contexts / batch + steps)

    def _end_pass(self, now: float) -> None:
        times, chosen = self.planned, self.chosen
        self.chosen = []
        if self.steps_in_pass:
            self._advance(times, now)
        if self.passes.stages > 1.0:
            self.pipeline.leave(now)
        still: list[Job] = []
        for job, take in chosen:
            job.done += take * times
            job.computed += take * times
            self.pending -= take * times
            if job.done < job.target:
                job.behind_s += self.late_s * times
                still.append(job)
            else:
                self._prefilled(job, now)
        self.partial = still + self.partial[len(chosen) :]

    def _prefilled(self, job: Job, now: float) -> None:
        self.prompts += 1
        self.tokens += 1
        self.unanswered -= job.target
        self.publish(job)
        lag_s = self.pipeline.lag_s + job.behind_s
        if not self.decodes:
            self.leaving[job] = (job.private, job.pins)
            job.private, job.pins = 0.0, 0
            self.host.prefilled(self, job, now + lag_s)
        elif lag_s > 0.0:
            self.coming[job] = None
            self.host.later(self, job, now + lag_s)  # the instance itself goes on
        else:
            job.made += 1
            if math.isnan(job.first_s):
                job.first_s = now
            if job.made >= job.osl:
                self.release(job)
                self.host.ended(job, now)
            else:
                self._join(job, now)

    @property
    def _central(self) -> deque[Job]:
        """Prompts that no instance has: later turns alone are a decode instance's own."""
        return self.host.central if self.kind.phase != "decode" else self.waiting

    # the end

    def fail(self, now: float) -> list[Job]:
        """Everything on it is lost; the jobs that were here, with what their clients have of them."""
        if self.mode != IDLE:
            span = now - self.began_s
            if self.mode == STEPS or self.steps_in_pass:
                steps = steps_until(span, self.first_s, self.growth_s)
                if taken_s(steps, self.first_s, self.growth_s) > span:
                    steps -= 1
                self.count += min(steps, self.planned)
            self.host.worked(self, self.began_s, now)
            self.busy_s += span
        for job in self.running:
            job.made = max(job.osl - (job.end_step - self.count), job.made)
        jobs = self.lose()
        self.chosen, self.ends = [], []
        self.mode = IDLE
        self.version += 1
        self.up = self.accepting = False
        self.end_s = now
        return jobs
