"""Serving under load: TTFT and TPOT when a fixed number of requests is in flight (closed loop).

One rule for co-located and disaggregated deployments, so that their comparison is fair. A rank
that decodes holds `c` requests; each needs `W` seconds of some prefill rank and `S` decode steps.

Decode. A step over B sequences takes ``t(B)``. Where prefill shares the GPUs it stops decode:
while a request makes its S steps, each of the others is prefilled once, so

    TPOT = t(B) + exposure B W / S,        B = c S TPOT / (TTFT + S TPOT)

with B the requests that are decoding rather than waiting (Little's law), solved by iteration.

First token. Where prefill shares the GPUs a request waits `admission_passes` passes until its prompt
is admitted. Requests of unequal lengths come at any time, and a pass takes TPOT on average. Equal
lengths keep requests in step: each ends, and its successor comes, right behind the one that was
admitted before it, so that the passes it waits for hold a prompt each, as long as there are requests
ahead of it:

    admission = admission_passes TPOT
              + in_step min(admission_passes, R - 1) max(t(B) + prompt - TPOT, 0)
    in_step   = max(1 - spread S TPOT / (R W), 0)

A run of `waves` waves starts with all requests at once: on average half of them are served before a
request of the first wave. In later waves it waits as behind a single server, or, where requests are
in step and the scheduler runs all waiting prompts first (`prefill_priority` 1), which keeps them together,
behind those of its own bunch:

    wait = arrival (R - 1) / 2 + R W / 2 / waves
         + (1 - 1 / waves) max(rho W / (2 (1 - rho)), prefill_priority in_step R W / 2)

with `arrival` the host's serial work per request beside it, R the requests per prefill rank, and
``rho = R W / (TTFT + S TPOT)`` (Pollaczek-Khinchine, equal service times). A batch that is full
holds the rest in the queue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.arrays import FloatArray

ITERATIONS = 12  # the fixed point contracts by more than half each time
MOST_BUSY = 0.98  # a closed loop cannot run away: beyond this the bunch is what limits the wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """How the requests come; arrays of shape ``(runs,)``."""

    decode_requests: FloatArray  # in flight per decoding rank
    prefill_requests: FloatArray  # in flight per prefill rank
    steps: FloatArray  # decode steps per request, mean
    waves: FloatArray  # requests of the run over requests in flight
    spread: FloatArray  # spread of output lengths over their mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What the simulator says of the deployment; arrays ``(runs,)`` unless said otherwise."""

    batch: FloatArray  # (runs, grid): sequences per rank, ascending
    step_s: FloatArray  # (runs, grid): decode step at those batches
    prompt_s: FloatArray  # one prompt alone, first pass to first token
    marginal_s: FloatArray  # one more prompt when many wait
    largest_batch: FloatArray  # sequences per rank that fit in memory
    colocated: FloatArray  # 1 where prefill and decode share GPUs, else 0
    transfer_s: FloatArray  # KV cache to the decode pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """How an engine schedules; scalars or arrays ``(runs,)``."""

    exposure: FloatArray | float  # share of a prompt's time that the decodes on its GPUs stand still
    prefill_priority: FloatArray | float  # 0: prompts go between decode steps, 1: all waiting ones first
    admission_passes: FloatArray | float  # passes until a new request's prompt is admitted
    arrival_s: FloatArray | float  # serial host work per request beside it
    handover_s: FloatArray | float  # from prefill to decode instance, in a split
    request_s: FloatArray | float  # from arrival to the first pass and from the last to the client


def interpolate(at: FloatArray, batch: FloatArray, step_s: FloatArray) -> FloatArray:
    """Step time of each run at its own batch: piecewise linear, shapes (runs,), (runs, grid) twice."""
    upper = np.clip((batch < at[:, None]).sum(axis=1), 1, batch.shape[1] - 1)
    rows = np.arange(len(at))
    low, high = batch[rows, upper - 1], batch[rows, upper]
    share = np.clip((at - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
    return np.asarray(step_s[rows, upper - 1] * (1 - share) + step_s[rows, upper] * share)


def serve(client: Client, server: Server, scheduler: Scheduler) -> tuple[FloatArray, FloatArray]:
    """Mean (TTFT, TPOT) of each run, seconds, shape ``(runs,)``."""
    admitted = np.minimum(client.decode_requests, server.largest_batch)
    batch = admitted
    ttft = server.prompt_s + scheduler.request_s
    tpot = interpolate(batch, server.batch, server.step_s)
    first = 1.0 / client.waves
    together = np.zeros_like(ttft)
    for _ in range(ITERATIONS):
        # a step happens each TPOT; between two, some of the prompts of the rank's other requests
        stops = server.colocated * scheduler.exposure * batch * server.marginal_s / client.steps
        # in a bunch whose prompts go first a request waits for those behind it only: half of them
        stops = stops * (1 - 0.5 * together)
        step = interpolate(batch, server.batch, server.step_s)
        tpot = step + stops
        decoding = client.steps * tpot
        work = client.prefill_requests * server.marginal_s
        busy = np.minimum(work / (ttft + decoding), MOST_BUSY)
        queue = server.marginal_s * busy / (2 * (1 - busy))
        in_step = np.maximum(1 - client.spread * decoding / work, 0.0)
        together = scheduler.prefill_priority * in_step
        bunch = together * work / 2
        wait = first * work / 2 + (1 - first) * np.maximum(np.minimum(queue, work / 2), bunch)
        wait = wait + scheduler.arrival_s * (client.prefill_requests - 1) / 2
        ahead = in_step * np.minimum(scheduler.admission_passes, client.prefill_requests - 1)
        longer = np.maximum(step + server.prompt_s - tpot, 0.0)  # a pass with a prompt over an average one
        admission = server.colocated * (scheduler.admission_passes * tpot + ahead * longer)
        handover = (1 - server.colocated) * (server.transfer_s + scheduler.handover_s)
        ttft = server.prompt_s + scheduler.request_s + handover + admission + wait
        # requests beyond the batch wait for places: every place turns over once per stay
        held = np.maximum(client.decode_requests / admitted - 1.0, 0.0) * (ttft + decoding)
        next_batch = admitted * decoding / (ttft + decoding)
        batch = 0.5 * (batch + np.maximum(next_batch, 1.0))
        ttft = ttft + held
    return ttft, tpot
