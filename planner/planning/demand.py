"""What a scenario's requests come to: their lengths, their rate, and how the load changes over time."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from planner.arrays import FloatArray
from planner.errors import InputError
from planner.inputs import lengths
from planner.inputs.conversations import BLOCK_TOKENS
from planner.inputs.lengths import Lengths
from planner.inputs.requests import NO_SESSION, Requests
from planner.inputs.reuse import Reuse, reuse
from planner.inputs.scenario import Scenario
from planner.simulate.backlog import Windows, windows_of
from planner.values import dataclass
from planner.words import PrefixRouting

DECODE_WINDOW_S = 60.0  # shortest window in which the load of decode counts as steady: requests stay as long
MOST_BLOCKS = 500_000  # of a trace: more take longer than a plan; `ratematch trace` has no limit
SAME = 1e-3  # a rate this near the trace's own is that
KEPT = 4  # traces: the same one is asked of again and again


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demand:
    """Lengths, and the windows of a trace in which its load changes."""

    scenario: Scenario  # with the mean lengths and the rate of its trace, if it has one
    lengths: Lengths
    prompts: Windows | None = None
    decode: Windows | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The prefix caches of a plan's instances: how many, and the tokens of each."""

    caches: int
    tokens: float
    host_tokens: float = 0.0  # beside them, in the host's memory
    loading: float = 0.0  # time that a token of those takes to come back, over that of computing it


def of(scenario: Scenario, held: Held | None = None) -> Demand:
    """What a scenario asks, of caches without end if it counts on reuse and `held` says of none.

    Raises InputError for a trace that cannot be read.
    """
    asked = scenario.traffic
    if asked.trace is None:
        return Demand(scenario=scenario, lengths=lengths.of_traffic(asked))
    requests = _asked(scenario, asked.trace)
    isl, osl = requests.isl.astype(np.float64), requests.osl.astype(np.float64)
    if asked.reuse == "none":
        found = lengths.of_requests(isl, osl, asked.cached_share)
        new = isl
    else:
        tokens = _found(
            asked.trace, asked.reuse, requests, held or Held(caches=1, tokens=np.inf), asked.requests_per_s
        )
        found = lengths.of_requests(isl, osl, found=tokens)
        new = isl - tokens
    rate = asked.requests_per_s
    if rate is None:
        if requests.seconds <= 0:
            raise InputError(
                "trace", asked.trace, "requests that do not all come at once, or a rate beside it"
            )
        rate = len(requests) / requests.seconds
    return Demand(
        scenario=replace(
            scenario,
            traffic=replace(asked, isl=found.isl, osl=max(found.osl, 2), requests_per_s=rate),
        ),
        lengths=found,
        prompts=windows_of(requests.arrival_s, new),
        decode=windows_of(requests.arrival_s, osl, DECODE_WINDOW_S),
    )


def recorded(scenario: Scenario) -> Requests | None:
    """The requests of its trace, at its rate; None where it has none. Raises InputError as `of`."""
    return None if scenario.traffic.trace is None else _asked(scenario, scenario.traffic.trace)


def at_own_rate(requests: Requests, requests_per_s: float | None) -> Requests:
    """Requests of a trace, closer together or further apart: as all that serves a trace at a rate has them.

    As they are without a rate, at their own, and where all come at once. Raises InputError.
    """
    if requests_per_s is None or requests.seconds <= 0:
        return requests
    if abs(requests_per_s * requests.seconds / len(requests) - 1.0) <= SAME:
        return requests
    from planner.inputs.traces.window import at_rate

    return at_rate(requests, requests_per_s)


def _asked(scenario: Scenario, name: str) -> Requests:
    """The requests of a trace as a scenario has them."""
    rate, at = scenario.traffic.requests_per_s, _file(name)
    return at_own_rate(_read(name), rate) if at is None else _kept_at(name, *at, rate)


def shares_prefixes(requests: Requests) -> bool:
    """Whether prompts are known to share something, and few enough blocks of it."""
    if len(requests.blocks):
        return len(requests.blocks) <= MOST_BLOCKS
    turns = requests.session != NO_SESSION
    return bool(turns.any()) and int(requests.isl.sum()) <= MOST_BLOCKS * BLOCK_TOKENS


def found_by(name: str, caches: int, routing: PrefixRouting, rate: float | None = None) -> Reuse:
    """What so many caches find of the prompts of a trace at a rate. Raises InputError as `of`."""
    path, requests = _file(name), _read(name)
    if rate is not None and at_own_rate(requests, rate) is requests:
        rate = None  # which is known by that name already
    if path is None:
        return reuse(at_own_rate(_read(name), rate), instances=caches, routing=routing)
    return _found_by(name, *path, caches, routing, rate)


def _found(
    name: str, routing: PrefixRouting, requests: Requests, held: Held, rate: float | None
) -> FloatArray:
    """Tokens of each prompt that are in a cache."""
    if not shares_prefixes(requests):
        wanted = f"a trace whose prompts share blocks or conversations, {MOST_BLOCKS:,} blocks at most"
        raise InputError("reuse", routing, f"{wanted}: cut it with `ratematch trace`, or say it with cached")
    reused = found_by(name, held.caches, routing, rate)
    here = np.asarray(reused.found_tokens(held.tokens), dtype=np.float64)
    if not held.host_tokens:
        return here
    all_tokens = np.asarray(reused.found_tokens(held.tokens + held.host_tokens), dtype=np.float64)
    return all_tokens - held.loading * (all_tokens - here)  # as many as the time that is saved


def _file(name: str) -> tuple[int, int] | None:
    """When the file of a trace was changed, and its size; None where it cannot be asked."""
    from planner.inputs.traces import shipped

    try:
        at = shipped.find(Path(name)).stat()
    except (OSError, ValueError):
        return None
    return at.st_mtime_ns, at.st_size


def mended(scenario: Scenario) -> tuple[str, ...]:
    """What was mended in its trace so that it can be used, as sentences. Raises InputError as `of`."""
    name = scenario.traffic.trace
    at = None if name is None else _file(name)
    return () if name is None or at is None else _kept(name, *at)[1]


def _read(name: str) -> Requests:
    # its formats and pyarrow, which a scenario without a trace does not need
    from planner.inputs import traces

    at = _file(name)
    return (
        traces.read_requests(Path(name))[0] if at is None else _kept(name, *at)[0]
    )  # the first says what is wrong


@lru_cache(maxsize=KEPT)
def _kept(name: str, changed_ns: int, size: int) -> tuple[Requests, tuple[str, ...]]:
    """A trace and what was mended in it, as long as its file stays as it is."""
    from planner.inputs import traces

    requests, repairs = traces.read_requests(Path(name))
    return requests, tuple(repairs.sentences())


@lru_cache(maxsize=KEPT)
def _kept_at(name: str, changed_ns: int, size: int, rate: float | None) -> Requests:
    """The same at a rate."""
    return at_own_rate(_kept(name, changed_ns, size)[0], rate)


@lru_cache(maxsize=KEPT * 4)
def _found_by(
    name: str, changed_ns: int, size: int, caches: int, routing: PrefixRouting, rate: float | None
) -> Reuse:
    """The same of what caches find."""
    return reuse(_kept_at(name, changed_ns, size, rate), instances=caches, routing=routing)
