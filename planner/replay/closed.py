"""Closed loops: how runs that start with all their requests at once go on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from planner.inputs.requests import Requests
from planner.replay.fleet import Fleet
from planner.replay.instance import PROMPTS_FIRST

# Equal requests that all start at once would stay in step for ever, as no measured run does: a pass beside
# decode steps takes as many prompts as come in a step, times this.
EVENLY = 1.5


def at_once(requests: Requests, in_flight: int, instances: int) -> int:
    """Prompts of a pass beside decode steps, in a closed loop."""
    return math.ceil(EVENLY * in_flight / (float(np.mean(requests.osl)) * max(instances, 1)))


def in_step(fleet: Fleet, requests: Requests, in_flight: int) -> Requests:
    """Requests of a closed loop, the first of each client shorter where all are equal.

    Prompts of the first wave share passes, so that many would end together and the wave come again and
    again. They are cut to end one pass after the other, in the order in which they came.
    """
    first = fleet.pools[0].kind
    osl = requests.osl[:in_flight]
    if first.phase != "colocated" or first.scheduling.prefill_priority > PROMPTS_FIRST or np.ptp(osl):
        return requests
    instances = sum(pool.instances for pool in fleet.pools)
    behind = np.arange(len(osl))[::-1] // (max(instances, 1) * at_once(requests, in_flight, instances))
    cut = requests.osl.copy()
    cut[: len(osl)] = np.maximum(osl - behind, (osl + 1) // 2)
    return replace(requests, osl=cut)
