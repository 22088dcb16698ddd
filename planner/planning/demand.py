"""What a scenario's requests come to: their lengths, their rate, and how the load changes over time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from planner.errors import InputError
from planner.inputs import lengths
from planner.inputs.lengths import Lengths
from planner.inputs.requests import Requests
from planner.inputs.scenario import Scenario
from planner.simulate.backlog import Windows, windows_of

DECODE_WINDOW_S = 60.0  # shortest window in which the load of decode counts as steady: requests stay as long
KEPT = 4  # traces: the same one is asked of again and again


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demand:
    """Lengths, and the windows of a trace in which its load changes."""

    scenario: Scenario  # with the mean lengths and the rate of its trace, if it has one
    lengths: Lengths
    prompts: Windows | None = None
    decode: Windows | None = None


def of(scenario: Scenario) -> Demand:
    """What a scenario asks. Raises InputError for a trace that cannot be read."""
    asked = scenario.traffic
    if asked.trace is None:
        return Demand(scenario=scenario, lengths=lengths.of_traffic(asked))
    requests = _read(asked.trace)
    isl, osl = requests.isl.astype(np.float64), requests.osl.astype(np.float64)
    found = lengths.of_requests(isl, osl, asked.cached_share)
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
        prompts=windows_of(requests.arrival_s, isl),
        decode=windows_of(requests.arrival_s, osl, DECODE_WINDOW_S),
    )


def recorded(scenario: Scenario) -> Requests | None:
    """The requests of its trace; None where it has none. Raises InputError as `of`."""
    return None if scenario.traffic.trace is None else _read(scenario.traffic.trace)


def _read(name: str) -> Requests:
    from planner.inputs import (
        traces,  # its formats and pyarrow, which a scenario without a trace does not need
    )
    from planner.inputs.traces import shipped

    path = shipped.find(Path(name))
    try:
        at = path.stat()
    except (OSError, ValueError):
        return traces.read_requests(Path(name))[0]  # which says what is wrong
    return _kept(name, at.st_mtime_ns, at.st_size)


@lru_cache(maxsize=KEPT)
def _kept(name: str, changed_ns: int, size: int) -> Requests:
    """A trace, as long as its file stays as it is."""
    from planner.inputs import traces

    return traces.read_requests(Path(name))[0]
