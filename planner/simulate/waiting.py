"""What a request waits for: first token and token interval of a deployment under load, in closed form.

One rule for co-located and disaggregated deployments, so that their comparison is fair. A rank that
decodes holds `c` requests, a rank of prefill has `R` in its loop; each needs `W` seconds of the one
and `S` decode steps of the other. Arrays have the shape ``(runs,)`` unless said otherwise.

Ranks of attention data parallelism (`d` of an instance) go in lockstep: a pass lasts as long as that of
the fullest rank. Where prompts or sequences fall on ranks at random, the fullest has
``sqrt(2 ln d / n)`` of the mean `n` more; routers do better, by the factors `prompt_imbalance` and
`sequence_imbalance`:

    W = marginal (1 + prompt_imbalance sqrt(2 ln d / n))
    t(B) = step(B + sequence_imbalance sqrt(2 ln d B))

Decode. Where prefill shares the GPUs it stops decode: while a request makes its S steps, each of the
others is prefilled once. So are those of the other ranks: none of them stops this one where the engine has
all ranks work on prompts in the same passes (`lockstep` 0), all of them where it does not (1). A prompt that
rides along with a decode step shares its reading of the weights (`overlap`):

    TPOT  = t(B) + p (stops m - overlap min(stops, 1) min(t(B) / p, m)) + h B / S
    m     = exposure marginal / chunks
    stops = stopping(chunks B / (S p)),        stopping(w) = max(w, min(w d^lockstep, 1))

where what a pass takes of prompts is bounded for each rank, so that none is fuller than the others by chance,
with p pipeline stages, whose micro-batches each make a pass, and a prompt cut into so many `chunks`; ranks
that have prompts at the same time go through one pass with them. `h` is the serial work of the host for the
prompts of all ranks of a host, ``serial(min(d, 8)) arrival``, where there are several; of one it hides.

First token. Where prefill shares the GPUs a request waits `admission_passes` passes until its prompt
is admitted, and a share of `poll_steps` where the engine looks for new requests only so often. Requests of
unequal lengths come at any time, and a pass takes TPOT on average. Equal lengths keep requests in step:
each ends, and its successor comes, right behind the one that was admitted before it, so that the passes
it waits for hold a prompt each, as long as there are requests ahead of it:

    admission = (admission_passes + POLL_WAITED poll_steps) TPOT
              + in_step min(admission_passes, R - 1) max(t(B) + prompt - TPOT, 0)
    in_step   = max(1 - spread S TPOT / (R W), 0)

A closed loop (`closed_loop`) holds a fixed number of requests in flight. A run of `waves` waves starts with
all of them at once: on average half of them are served before a request of the first wave. In later waves
it waits as behind a single server. Where prefill shares the GPUs and all waiting prompts go before any decode
step (`prefill_priority` 1), requests of equal lengths stay together: none decodes before all have had their
prompts, so that all end in one step and come again as a bunch. Unequal lengths leave of the bunch what ends
in the same step, ``b / (spread S)`` of the b that have a place:

    wait    = serial arrival (R - 1) / 2 + R W / 2 / waves
              + (1 - 1 / waves) max(queue + next, bunched b W / 2)
    bunched = prefill_priority clip((b / max(spread S, 1) - 1) / (b - 1), 0, 1)

A bunch decodes whole, ``t(b)``, and each of it is stopped by the half of it that has its prompts later.
`arrival` is the host's serial work per request of an instance beside it, `queue` Pollaczek and Khinchine's
for equal services, ``rho W / (2 (1 - rho))``, at the load ``rho = R W / life`` that the loop settles at.
`serial` and `next`, half of the pass that other ranks of a prefill instance run, are those of
`planner.simulate.lockstep`.

Little's law bounds what comes out, whatever the waits say: a rank of prefill serves one prompt per
``W + h``, and no more than `largest_batch` sequences of a rank decode at a time, so that

    TTFT >= R (W + h) - S TPOT,        TTFT >= (c / largest_batch - 1) S TPOT

The second is what deployments measure whose batch limit is below their requests in flight.

An open loop (`open_loop`) has requests come at a rate, whatever is in flight. A burst (`burst`) is a run of
`N` requests per rank that all come at once: waves of as many as have places, then one with the rest, the
prompts of a wave coming in a row behind those before it.
"""

from __future__ import annotations

import numpy as np

from planner.arrays import FloatArray, Real
from planner.simulate.lockstep import fullest, held_s, next_pass_s, serial_s, stops_for
from planner.values import dataclass

ITERATIONS = 24  # the fixed point contracts by about half each time: to 1e-6
MOST_BUSY = 0.999  # of an open loop: beyond this there is no steady state
# Share of the steps between two looks for new requests that one waits: a half if arrivals know nothing of
# the looks, one if each comes right behind one. Runs of SGLang that look every 10 or 30 steps
# (presets/recipes.toml) give 0.9.
POLL_WAITED = 0.9
# Tokenising and first response of a request that comes alone: open-loop runs of vLLM and single streams.
SINGLE_REQUEST_S = 5e-3
BURST_WAVES = 10.0  # of the runs that `Scheduler.request_s` is the mean of; they start with a burst


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Requests in a closed loop."""

    decode_requests: FloatArray  # in flight per decoding rank
    prefill_requests: FloatArray  # in flight per prefill rank
    steps: FloatArray  # tokens after the first of a request, mean
    waves: FloatArray  # requests of the run over requests in flight
    spread: FloatArray  # spread of output lengths over their mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Requests that come at a rate."""

    decode_per_s: FloatArray  # requests per second and decoding rank
    prefill_per_s: FloatArray  # and per prefill rank
    steps: FloatArray  # tokens after the first of a request, mean
    variation: FloatArray  # squared coefficient of variation of the gaps: 0 steady, 1 Poisson


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """A run whose requests all come at once; nan where a run is none."""

    decode_requests: FloatArray  # of the run, per decoding rank
    prefill_requests: FloatArray  # and per prefill rank
    places: FloatArray  # most in flight per decoding rank, whatever the deployment could hold
    steps: FloatArray  # tokens after the first of a request


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What the simulator says of the deployment."""

    batch: FloatArray  # (runs, grid): sequences per rank, ascending
    step_s: FloatArray  # (runs, grid): seconds per token of a sequence at those batches
    prompt_s: FloatArray  # one prompt alone, first pass to first token
    marginal_s: FloatArray  # one more prompt when many wait
    largest_batch: FloatArray  # sequences per rank that memory and the engine's limit allow
    colocated: FloatArray  # 1 where prefill and decode share GPUs, else 0
    transfer_s: FloatArray  # KV cache to the decode pool
    prefill_ranks: FloatArray  # attention-DP ranks of a prefill instance
    decode_ranks: FloatArray  # and of a decode instance
    prompts_per_pass: FloatArray  # of a rank when many wait
    chunks: FloatArray  # passes that a prompt takes; less than one where several share a pass
    stages: FloatArray  # pipeline stages of a decode instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """How an engine schedules; scalars or arrays."""

    exposure: FloatArray | float  # share of a prompt's time that the decodes on its GPUs stand still
    prefill_priority: FloatArray | float  # 0: prompts go between decode steps, 1: all waiting ones first
    admission_passes: FloatArray | float  # passes until a new request's prompt is admitted
    arrival_s: FloatArray | float  # serial host work per request beside it
    handover_s: FloatArray | float  # from prefill to decode instance, in a split
    # from arrival to the first pass and from the last to the client, mean of a run of `BURST_WAVES` waves
    request_s: FloatArray | float
    overlap: FloatArray | float = 0.0  # share of a decode step that a prompt in the same pass costs nothing
    lockstep: FloatArray | float = 0.0  # 0: ranks work on prompts together; 1: each stops all others
    prompt_imbalance: FloatArray | float = 0.0  # of ranks in a prefill pass, over random routing's
    sequence_imbalance: FloatArray | float = 0.0  # of ranks in a decode step, over random routing's
    serial_share: FloatArray | float = 1.0  # of `arrival_s` that ranks of an instance do one after another
    poll_steps: FloatArray | float = 0.0  # decode steps between two looks for new requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What a request sees, means; and what the deployment does."""

    ttft_s: FloatArray
    tpot_s: FloatArray
    batch: FloatArray  # sequences decoding per rank
    decode_per_s: FloatArray  # requests per second and decoding rank
    ttft_p90_s: FloatArray  # nan where no distribution is known
    ttft_p99_s: FloatArray


def interpolate(at: FloatArray, batch: FloatArray, step_s: FloatArray) -> FloatArray:
    """Step time of each run at its own batch: piecewise linear, beyond the grid as in its last cell.

    Shapes (runs,), (runs, grid), (runs, grid).
    """
    upper = np.minimum(np.maximum(np.count_nonzero(batch < at[:, None], axis=1), 1), batch.shape[1] - 1)
    rows = np.arange(len(at))
    low, high = batch[rows, upper - 1], batch[rows, upper]
    share = np.maximum((at - low) / np.maximum(high - low, 1e-12), 0.0)
    return np.asarray(step_s[rows, upper - 1] * (1 - share) + step_s[rows, upper] * share)


def work_s(server: Server, scheduler: Scheduler) -> FloatArray:
    """Time of a prefill rank that each prompt takes when many wait."""
    extra = fullest(server.prefill_ranks, 1.0 / server.prompts_per_pass)
    return np.asarray(server.marginal_s * (1.0 + scheduler.prompt_imbalance * extra))


def single_s(request_s: Real, waves: Real = np.inf) -> FloatArray:
    """What a request takes beside its passes, mean of a run of so many waves; of one that comes alone at inf.

    An engine's `request_s` is the mean of ten waves, the first of which is a burst: what is above that of a
    single request belongs to the start, and counts for less the longer the run.

    >>> single_s(np.array([0.0, 0.045]), 20.0).tolist(), single_s(0.045).tolist()
    ([0.0, 0.025], 0.005)
    """
    alone = np.minimum(request_s, SINGLE_REQUEST_S)
    started = np.minimum(BURST_WAVES / np.asarray(waves, dtype=float), 1.0)
    return np.asarray(alone + started * (request_s - alone))


def served_s(server: Server, scheduler: Scheduler) -> FloatArray:
    """Time between two prompts of a prefill rank that never idles: one over what it can serve.

    Its work and what the host holds it up for, and no less than the host's work for a request of each rank.
    """
    ranks = server.prefill_ranks
    held = work_s(server, scheduler) + held_s(ranks, scheduler.arrival_s, scheduler.serial_share)
    return np.asarray(np.maximum(held, serial_s(ranks, scheduler.arrival_s, scheduler.serial_share)))


def _pass_s(server: Server) -> FloatArray:
    """A pass over one prompt, or over a chunk of it."""
    return np.asarray(server.prompt_s / np.maximum(np.ceil(server.chunks), 1.0))


def closed_queue_s(requests: FloatArray, work: FloatArray, base_s: FloatArray) -> FloatArray:
    """Wait behind one server of equal service times in a closed loop, mean.

    `requests` circulate, each away for `base_s` (service included) and in the queue for the rest. The load
    solves ``rho (base + q(rho)) = requests work`` with ``q = work rho / (2 (1 - rho))``, so that it stays
    below 1 for any number of requests.
    """
    a = work - 2.0 * base_s
    b = 2.0 * (base_s + requests * work)
    c = -2.0 * requests * work
    root = np.sqrt(np.maximum(b * b - 4.0 * a * c, 0.0))
    rho = np.minimum(np.maximum(-2.0 * c / (b + root), 0.0), 1.0 - 1e-9)
    return np.asarray(work * rho / (2.0 * (1.0 - rho)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rank:
    """A decoding rank: what follows from server and scheduler before any load is known."""

    server: Server
    scheduler: Scheduler
    fuller: FloatArray  # what sequences are multiplied by under the root of `fullest`
    prompt_s: FloatArray  # that decode stands still for a prompt's pass
    together: FloatArray  # times as many stops as this rank's own, of ranks in lockstep
    host_s: FloatArray  # that the host adds to each prompt

    @classmethod
    def of(cls, server: Server, scheduler: Scheduler) -> _Rank:
        ranks, colocated = server.decode_ranks, server.colocated
        return cls(
            server=server,
            scheduler=scheduler,
            fuller=2.0 * np.log(ranks),
            prompt_s=colocated * scheduler.exposure * server.marginal_s / server.chunks,
            together=np.power(ranks, scheduler.lockstep),
            host_s=held_s(ranks, scheduler.arrival_s, scheduler.serial_share),
        )

    def step_s(self, batch: FloatArray) -> FloatArray:
        """A step in which the mean rank has `batch` sequences."""
        extra = self.scheduler.sequence_imbalance * np.sqrt(self.fuller * batch)
        return interpolate(batch + extra, self.server.batch, self.server.step_s)

    def stopped_s(self, step_s: FloatArray, prompts: FloatArray) -> FloatArray:
        """What `prompts` of this rank per step add to it."""
        server, one = self.server, self.prompt_s
        stops = stops_for(prompts * server.chunks / server.stages, self.together)
        ride = self.scheduler.overlap * np.minimum(stops, 1.0) * np.minimum(step_s / server.stages, one)
        host = server.colocated * prompts * self.host_s
        serial = serial_s(server.decode_ranks, self.scheduler.arrival_s, self.scheduler.serial_share)
        least = server.colocated * prompts * serial - step_s
        return np.asarray(np.maximum(server.stages * (stops * one - ride) + host, least))


def closed_loop(client: Client, server: Server, scheduler: Scheduler) -> Waits:
    """A fixed number of requests in flight: each that ends is followed by the next."""
    rank = _Rank.of(server, scheduler)
    places = np.minimum(client.decode_requests, server.largest_batch)
    requests, one = client.prefill_requests, work_s(server, scheduler)
    work = requests * one
    least = requests * served_s(server, scheduler)
    first = 1.0 / client.waves
    alone = server.prompt_s + single_s(scheduler.request_s, client.waves)
    handover = (1.0 - server.colocated) * (server.transfer_s + scheduler.handover_s)
    polled = scheduler.admission_passes + POLL_WAITED * np.asarray(scheduler.poll_steps)
    serial = serial_s(server.prefill_ranks, scheduler.arrival_s, scheduler.serial_share)
    others = serial * (requests - 1.0) / 2.0
    ending = places / np.maximum(client.spread * client.steps, 1.0)  # of a rank, in one step
    bunched = np.clip((ending - 1.0) / np.maximum(places - 1.0, 1.0), 0.0, 1.0)
    bunched = bunched * server.colocated * scheduler.prefill_priority
    bunch = bunched * places * one / 2.0  # wait for the half of it whose prompts come before
    one_by_one = np.where(bunched > 0, 1.0, 1.0 - server.colocated)  # else prompts lengthen TPOT as they come
    apart, pass_s = 1.0 - server.colocated, _pass_s(server)
    batch, least_held = places, np.minimum(1.0, places)
    for _ in range(ITERATIONS):
        step = rank.step_s(batch + bunched * (places - batch))
        tpot = step + rank.stopped_s(step, (batch + bunched * (0.5 * places - batch)) / client.steps)
        decoding = client.steps * tpot
        queue = closed_queue_s(np.maximum(requests - 1.0, 1e-9), one, decoding + alone + handover)
        busy = requests * one / (decoding + alone + handover + queue)
        queue = queue + 0.5 * apart * next_pass_s(server.prefill_ranks, busy, pass_s)
        in_step = np.maximum(1.0 - client.spread * decoding / work, 0.0)
        wait = others + first * work / 2.0 + (1.0 - first) * np.maximum(queue, bunch)
        ahead = in_step * np.minimum(scheduler.admission_passes, requests - 1.0)
        longer = np.maximum(step + server.prompt_s - tpot, 0.0)  # a pass with a prompt over an average one
        ttft = alone + handover + wait + server.colocated * (polled * tpot + ahead * longer)
        # Little's law, once for the ranks of prefill and once for the places of decode
        ttft = np.maximum(ttft, one_by_one * (least - decoding))
        ttft = np.maximum(ttft, (client.decode_requests / places - 1.0) * (decoding + bunch) + bunch)
        held = client.decode_requests * decoding / (ttft + decoding)
        batch = 0.5 * (batch + np.minimum(np.maximum(held, least_held), places))
    return Waits(
        ttft_s=ttft,
        tpot_s=tpot,
        batch=held,
        decode_per_s=np.asarray(client.decode_requests / (ttft + decoding)),
        ttft_p90_s=np.full_like(ttft, np.nan),
        ttft_p99_s=np.full_like(ttft, np.nan),
    )


def burst(run: Burst, server: Server, scheduler: Scheduler) -> Waits:
    """A run of a stated number of requests that all come at once, as offline benchmarks do.

    With P places of a rank ``floor(N / P)`` waves are full and the last has the rest. Where prefill shares
    the GPUs a wave of B takes ``S TPOT(B)``, the prompts of its successors in it; where it does not, the run
    takes as long as all prompts or all waves, and the first of the one or the last of the other. Requests
    per second are N over that.
    """
    rank = _Rank.of(server, scheduler)
    requests = run.decode_requests
    places = np.maximum(np.minimum(np.minimum(requests, server.largest_batch), run.places), 1.0)
    full = np.floor(requests / places + 1e-9)
    rest = np.maximum(requests - full * places, 0.0)

    def tpot_s(batch: FloatArray) -> FloatArray:
        step = rank.step_s(np.maximum(batch, 1.0))
        return step + rank.stopped_s(step, batch / run.steps)

    of_full, of_rest = tpot_s(places), tpot_s(rest)
    last = np.where(rest > 0, run.steps * of_rest, 0.0)
    decoding = full * run.steps * of_full + last
    alone = server.prompt_s + scheduler.request_s
    handover = server.transfer_s + np.asarray(scheduler.handover_s)
    work = run.prefill_requests * served_s(server, scheduler)
    apart = np.maximum(
        work + handover + np.where(rest > 0, last, run.steps * of_full), alone + handover + decoding
    )
    colocated = server.colocated > 0
    makespan = np.where(colocated, alone + decoding, apart)
    # waves that end before a request's own begins, mean; in its own, half of the prompts go before it
    before = (0.5 * full * (full - 1.0) * places + full * rest) / requests * run.steps * of_full
    turn = 0.5 * work * places / requests
    ttft = alone + np.where(colocated, before + turn, handover + np.maximum(before + turn, 0.5 * work))
    return Waits(
        ttft_s=ttft,
        tpot_s=(full * places * of_full + rest * of_rest) / requests,
        batch=places,
        decode_per_s=np.asarray(requests / makespan),
        ttft_p90_s=np.full_like(ttft, np.nan),
        ttft_p99_s=np.full_like(ttft, np.nan),
    )


def open_loop(arrivals: Arrivals, server: Server, scheduler: Scheduler) -> Waits:
    """Requests at a rate: infinite where a pool cannot keep up.

    First token = request + queue of the prefill rank + pass + transfer and hand-over; where prefill shares
    the GPUs, the rest of the running pass, and the decode step that the prompt rides along with. The queue is
    ``q = rho W / (1 - rho) variation / 2``, the prompts being of one length (Kingman; Pollaczek and
    Khinchine at variation 1).

    A share rho of the requests waits at all, q / rho in the mean and exponentially in heavy traffic
    (Kingman), so that one in n waits more than ``(q / rho) ln(rho n)``; the rest of the running pass is
    uniform.
    """
    rank = _Rank.of(server, scheduler)
    one = served_s(server, scheduler)
    batch = np.minimum(arrivals.decode_per_s * arrivals.steps * server.step_s[:, 0], server.largest_batch)
    for _ in range(ITERATIONS):
        step = rank.step_s(np.maximum(batch, 1.0))
        prompts = arrivals.decode_per_s * step  # that come during a step
        stopped = rank.stopped_s(step, prompts) / step  # share of the time that decode stands still
        tpot = step / np.maximum(1.0 - stopped, 1.0 - MOST_BUSY)
        held = arrivals.decode_per_s * arrivals.steps * tpot
        batch = 0.5 * (batch + np.minimum(held, server.largest_batch))
    busy = arrivals.prefill_per_s * one
    late = (busy > MOST_BUSY) | (stopped > MOST_BUSY) | (held > server.largest_batch)
    rho = np.minimum(busy, MOST_BUSY)
    queue = one * rho / (1.0 - rho) * arrivals.variation / 2.0
    riding = step - scheduler.overlap * np.minimum(step, server.prompt_s)
    polled = POLL_WAITED * np.asarray(scheduler.poll_steps) * tpot
    rest = next_pass_s(server.prefill_ranks, busy, _pass_s(server))
    running = np.where(server.colocated > 0, tpot, rest)
    handover = server.transfer_s + np.asarray(scheduler.handover_s)
    sure = (
        single_s(scheduler.request_s)
        + server.prompt_s
        + np.where(server.colocated > 0, riding + polled, handover)
    )
    least = np.maximum(rho, 1e-12)

    def exceeded_by(share: float) -> FloatArray:
        tail = queue / least * np.log(np.maximum(least / share, 1.0))
        return np.where(late, np.inf, sure + (1.0 - share) * running + tail)

    return Waits(
        ttft_s=np.where(late, np.inf, sure + 0.5 * running + queue),
        tpot_s=np.where(late, np.inf, tpot),
        batch=batch,
        decode_per_s=arrivals.decode_per_s,
        ttft_p90_s=exceeded_by(0.1),
        ttft_p99_s=exceeded_by(0.01),
    )
