"""The instances of a replay: they start, drain, fail, and what was on them goes elsewhere."""

from __future__ import annotations

import math
from collections import deque
from functools import partial
from typing import Any

from planner.errors import InputError
from planner.output.spelling import count
from planner.replay.encoders import Encoder, Encoders
from planner.replay.fleet import LEAST, Change, Fleet, Options
from planner.replay.instance import IDLE, Instance
from planner.replay.job import Job
from planner.replay.lookup import Tables
from planner.replay.result import InstanceUse
from planner.replay.router import Router

COMES, WAKES, JOINS, CHANGES, ENCODES = range(5)  # events


class Members:
    """Who serves at the moment. What it hands on to, `planner.replay.run.Replay` defines."""

    fleet: Fleet
    options: Options
    router: Router
    block_tokens: int
    now: float

    def __init__(self, fleet: Fleet) -> None:
        check(fleet)
        self.instances: list[Instance] = []
        self.entries: list[Instance] = []  # that take prompts
        self.decoders: list[Instance] = []  # that take what prefill instances hand over
        self.by_pool: list[list[Instance]] = [[] for _ in fleet.pools]
        self.stays: list[list[Instance]] = [[] for _ in fleet.pools]  # without most of those that left
        self.tables: dict[int, Tables] = {}
        self.central: deque[Job] = deque()  # prompts that no instance has, under central routing or in need
        self.stranded: deque[Job] = deque()  # prefilled, and nothing to decode on
        self.restarts = 0
        self.evictions = 0
        self.encoders: Encoders | None = None

    def _push(self, at_s: float, code: int, what: Any, job: Any = None, version: int = 0) -> None:
        raise NotImplementedError

    def _route(self, job: Job, now: float) -> None:
        raise NotImplementedError

    def _hand_over(self, job: Job, first_s: float, now: float) -> None:
        raise NotImplementedError

    def _unblock(self, instance: Instance, now: float) -> None:
        raise NotImplementedError

    def _offer_central(self, now: float) -> None:
        raise NotImplementedError

    def _spread(self, instance: Instance) -> None:
        raise NotImplementedError

    # what instances ask: `planner.replay.holding.Host`

    def sleep(self, instance: Instance, until_s: float) -> None:
        """Wake it then."""
        instance.version += 1
        self._push(until_s, WAKES, instance, None, instance.version)

    def later(self, instance: Instance, job: Job, at_s: float) -> None:
        """The job joins the decode of this instance then."""
        self._push(at_s, JOINS, instance, job, job.version)

    def worked(self, instance: Instance, start_s: float, end_s: float) -> None:
        """Kept where asked for."""
        raise NotImplementedError

    def ended(self, job: Job, now: float) -> None:
        """Its last token is made."""
        raise NotImplementedError

    def prefilled(self, instance: Instance, job: Job, first_s: float) -> None:
        """The prompt of a split is done: its cache goes to a decode instance."""
        raise NotImplementedError

    def evicted(self, instance: Instance, job: Job, now: float) -> None:
        """Its cache had to go: it starts over."""
        self.evictions += 1
        if not instance.colocated:
            self._push(now, COMES, job)
            if not instance.running:
                self._unblock(instance, now)

    # what encoders ask: `planner.replay.encoders.Owner`

    def wakes(self, encoder: Encoder, at_s: float) -> None:
        """Wake it then."""
        self._push(at_s, ENCODES, encoder)

    def encoded(self, job: Job, at_s: float) -> None:
        """Its images are where prompts are worked on then."""
        job.encoded = True
        self._push(at_s, COMES, job)

    # the fleet

    def _start(self, pool: int, now: float, warm_up_s: float = 0.0) -> None:
        kind = self.fleet.pools[pool].kind
        number = len(self.instances)
        prompts = kind.phase != "decode"
        turns = self.options.later_turns == "decode"
        if pool not in self.tables:
            self.tables[pool] = Tables.of(kind)
        block_tokens = self.block_tokens if prompts or turns else 0
        instance = Instance(self, number, pool, kind, self.tables[pool], block_tokens, now)
        instance.prefills = prompts or turns
        self._spread(instance)
        self.instances.append(instance)
        self.by_pool[pool].append(instance)
        self.stays[pool].append(instance)
        if self.options.routing == "prefix-aware" and self.block_tokens and prompts:
            instance.cache.gained = partial(self.router.has, number=number)
            instance.cache.evicted = partial(self.router.lost, number=number)
        if warm_up_s > 0:
            instance.accepting = False
            self._push(now + warm_up_s, CHANGES, instance)
        else:
            self._opens(instance, now)

    def _opens(self, instance: Instance, now: float) -> None:
        """It takes requests from now on, first those that nothing could take."""
        instance.accepting = True
        (self.decoders if instance.kind.phase == "decode" else self.entries).append(instance)
        if instance.kind.phase == "decode":
            while self.stranded:
                self._hand_over(self.stranded.popleft(), now, now)
        elif self.central and self.options.routing != "central":
            while self.central:
                self._route(self.central.popleft(), now)
        elif self.central:
            self._offer_central(now)

    def _closes(self, instance: Instance) -> None:
        instance.accepting = False
        for group in (self.entries, self.decoders):
            if instance in group:
                group.remove(instance)

    def _change(self, what: Change | Instance, now: float) -> None:
        if isinstance(what, Instance):
            if what.up and not what.draining:
                self._opens(what, now)
            return
        if self.encoders is not None and what.pool == len(self.fleet.pools):
            self.restarts += self.encoders.fail(what.instance, now)
            return
        if what.event == "start":
            self._start(what.pool, now, what.warm_up_s)
            return
        instance = self._changed(what)
        if instance is None:
            return
        self._closes(instance)
        if what.event == "fail":
            self._fail(instance, now)
            return
        instance.draining = True
        if what.event == "swap":
            instance.becomes = (what.to, what.warm_up_s)
        self._drained(instance)

    def uses(self) -> tuple[InstanceUse, ...]:
        """What each instance has done so far."""
        uses = []
        for one in self.instances:
            end = one.end_s if not one.up else self.now
            uses.append(
                InstanceUse(
                    number=one.number,
                    pool=one.pool,
                    phase=one.kind.phase,
                    label=one.kind.label,
                    gpus=one.kind.gpus,
                    start_s=one.start_s,
                    end_s=max(end, one.start_s),
                    busy_s=one.busy_s,
                    decode_s=one.decode_s,
                    sequence_s=one.sequence_s,
                    prompts=one.prompts,
                    tokens=one.tokens,
                    loaded=one.loaded,
                    alive=one.up,
                )
            )
        return tuple(uses)

    def _changed(self, what: Change) -> Instance | None:
        """The instance that a change is about; None where it is gone."""
        group = self.by_pool[what.pool]
        if what.instance == LEAST:
            left = self.stays[what.pool] = [
                one for one in self.stays[what.pool] if one.up and not one.draining
            ]
            # of those that start the last one, else of equals the last to come
            return min(left, key=lambda one: (one.accepting, one.held, -one.number), default=None)
        if what.instance < len(group) and group[what.instance].up:
            return group[what.instance]
        return None

    def _drained(self, instance: Instance) -> None:
        """One that takes nothing new goes when it is empty."""
        if instance.up and instance.empty and instance.mode == IDLE:
            instance.up = False
            instance.end_s = self.now
            if instance.becomes is not None:
                self._start(instance.becomes[0], self.now, instance.becomes[1])

    def _fail(self, instance: Instance, now: float) -> None:
        """What was on it starts over elsewhere."""
        leaving = dict(instance.leaving)
        for job in instance.fail(now):
            self.restarts += 1
            decoder = job.decode
            if job in leaving and decoder is not None and decoder is not instance:
                if job in decoder.coming:  # its place there is given back
                    del decoder.coming[job]
                    decoder.release(job)
                elif job in decoder.blocked:
                    decoder.blocked.remove(job)
                self._unblock(decoder, now)
                if decoder.draining:
                    self._drained(decoder)
            sender = job.entry
            if sender is not None and sender is not instance and job in sender.leaving:
                sender.sent(job)
                sender.nudge(now, prompts=True)
                if sender.draining:
                    self._drained(sender)
            if job in self.stranded:
                self.stranded.remove(job)
            job.restart()
            self._push(now, COMES, job)


def check(fleet: Fleet) -> None:
    """Raises InputError for a fleet on which no request could ever end."""
    phases = {pool.kind.phase for pool in fleet.pools}
    if not phases or phases == {"prefill"} or phases == {"decode"}:
        raise InputError("fleet", sorted(phases), "co-located pools, or both prefill and decode pools")
    for pool in fleet.pools:
        if pool.instances < 0:
            raise InputError("instances", pool.instances, "0 or more")
        if pool.kind.room.tokens <= 0:
            raise InputError("layout", pool.kind.label, "one whose weights leave room for a cache")
    if fleet.encoding is not None and (fleet.encoding.instances < 1 or not fleet.encoding.pass_s):
        raise InputError("encoder", fleet.encoding.instances, "1 encoder or more")
    for change in fleet.changes:
        if fleet.encoding is not None and change.pool == len(fleet.pools) and change.event != "fail":
            raise InputError("change", change.event, "fail: encoders neither start nor drain on the way")
        if not 0 <= change.pool < len(fleet.pools) + (fleet.encoding is not None):
            raise InputError("change", change.pool, f"a pool from 0 to {len(fleet.pools) - 1}")
        if not (change.at_s >= 0 and math.isfinite(change.at_s) and change.warm_up_s >= 0):
            raise InputError("change", change.at_s, "a time of 0 s or later")
        if change.instance < LEAST:
            raise InputError("change", change.instance, "an instance from 0, or the one with least to do")
        if change.event == "swap":
            _check_swap(fleet, change)


def _check_swap(fleet: Fleet, change: Change) -> None:
    if not 0 <= change.to < len(fleet.pools):
        raise InputError("change", change.to, f"a pool from 0 to {len(fleet.pools) - 1}")
    here, there = fleet.pools[change.pool].kind, fleet.pools[change.to].kind
    if here.gpus != there.gpus:
        raise InputError("change", there.gpus, f"an instance of {count(here.gpus, 'GPU')}, as the one it was")
