"""One model of service: the times of one deployment, from which its waits follow under any load.

A deployment is the layouts of a prefill and a decode instance, or the one of a co-located instance, at one
pair of lengths. Plans, measured runs and calibration ask here; what requests wait for is
`planner.simulate.waiting`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from planner.arrays import FloatArray
from planner.inputs.engine import EngineProfile
from planner.simulate import colocated, decode, forward, kv_transfer, memory, prefill
from planner.simulate.colocated import PASS_TOKENS
from planner.simulate.decode import ACCEPTANCE
from planner.simulate.lockstep import fullest
from planner.simulate.operators.setup import Setup
from planner.simulate.space import Layouts
from planner.simulate.waiting import Scheduler, Server
from planner.values import dataclass

GRID = 24  # batches at which a decode step is evaluated; between them it is interpolated


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """An instance of each phase, and the lengths it serves.

    Layouts hold one layout, arrays of shape ``(1, 1, 1)``; where prefill and decode share the GPUs both
    are the same.
    """

    prefill: Layouts
    decode: Layouts
    colocated: bool
    isl: int
    osl: int
    cached: int = 0  # tokens of each prompt that are in the cache already
    mtp: int = 0  # drafted tokens per step
    acceptance: float = ACCEPTANCE  # of the first of them
    pass_tokens: float = PASS_TOKENS  # of prompts in one pass: a longer one goes in chunks
    filled: bool = False  # passes that carry prompts wait until they carry that many tokens
    max_batch: float | None = None  # sequences per attention rank, where not the engine's own limit
    default_settings: bool = False  # the engine keeps room for the activations of a full pass of prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One deployment's times: shared by all loads on it."""

    batch: FloatArray  # sequences per decoding rank, ascending, shape (GRID,)
    step_s: FloatArray  # seconds per token of a sequence at each batch
    prompt_s: float  # a prompt alone, through every pipeline stage
    marginal_s: float  # one prompt more where a pass is full of them
    prompts_per_pass: float  # of a rank when many wait
    chunks: float  # passes that a prompt takes; less than one where several share a pass
    stages: float  # pipeline stages of a decode instance
    largest_batch: float  # sequences per decoding rank that memory and the limit allow
    transfer_s: float  # moving the cache of a prompt from prefill to decode; 0 where co-located
    prefill_ranks: float  # attention-DP ranks of an instance
    decode_ranks: float
    colocated: bool


def launched(setup: Setup, of: Deployment, most: float) -> Setup:
    """The setup of a deployment's decode instances, with up to `most` sequences per rank.

    Co-located ones are launched with one exchange for both kinds of passes (`planner.simulate.colocated`).
    """
    if not of.colocated:
        return setup
    at = of.decode
    batch = max(most / float(at.pp.ravel()[0]), 1.0)
    later = decode.later_drafts(setup.model)
    steps = max(of.osl - 1, 1) / decode.tokens_per_step(of.mtp, of.acceptance, later)
    came = batch * max(of.isl - of.cached, 1) / steps
    launch = colocated.launched(setup, at, at.exchange_of(), batch=batch, prompt_tokens=came, mtp=of.mtp)
    return launch.setup


def service(first: Setup, then: Setup, of: Deployment, most: float) -> Service:
    """The times of a deployment whose pools run on `first` and `then`, up to `most` sequences per rank.

    Raises LookupError where a kernel that it needs was never measured.
    """
    at = of.decode
    then = launched(then, of, most)
    first = replace(first, gathers=then.gathers)
    ranks = float(at.attention_dp.ravel()[0])
    # the fullest rank is what sets the step, so the grid goes as far as that one may
    upto = most + float(fullest(np.array(ranks), np.array(max(most, 1.0))))
    batch = np.geomspace(1.0, max(upto, 1.0 + 1e-6), GRID)
    grid = np.maximum(batch / float(at.pp.ravel()[0]), 1.0).reshape(1, -1, 1)
    exchange = at.exchange_of()
    ledger = decode.step(then, at, exchange, grid, isl=of.isl, osl=of.osl, mtp=of.mtp)
    tokens = grid * (of.mtp + 1)
    pace = forward.pace(then, at, ledger.layers(), ledger.head, tokens, grid)
    later = decode.later_drafts(then.model)
    per_token = at.pp * pace.seconds / decode.tokens_per_step(of.mtp, of.acceptance, later)

    new = max(of.isl - of.cached, 1)
    chunks, part = _chunks(new, of.pass_tokens)
    middle, end = of.cached + 0.5 * (new - part), of.cached + new - part
    # a chunk beside decode steps shares what a pass costs before its tokens: it counts at a full pass's rate
    full = PASS_TOKENS if of.colocated else of.pass_tokens
    per_pass = max(full / new, 1.0)
    cut, most_part = _chunks(new, full)
    mean_s, last_s, full_s = _passes_s(
        first,
        of.prefill,
        prompts=(1.0, 1.0, per_pass),
        new=(part, part, most_part),
        cached=(middle, end, of.cached + 0.5 * (new - most_part)),
    )
    alone, many = chunks * mean_s, cut * full_s
    filling = (float(of.prefill.pp.ravel()[0]) - 1.0) * last_s
    moved = 0.0
    if not of.colocated:
        fabrics = first.machine.fabric, then.machine.fabric
        link = min(fabric.scale_out_bytes_per_s for fabric in fabrics)
        added = kv_transfer.added_ftl_s(
            first.model, first.precision, of.prefill, of.isl, alone + filling, link
        )
        moved = float(np.ravel(added)[0])
    machine = then.machine
    if of.max_batch is not None:
        limited = replace(machine.engine, max_batch=max(int(of.max_batch), 1))
        machine = replace(machine, engine=limited)
    live = 0.0
    if of.default_settings:
        worst = machine.engine.worst_routing
        live = of.pass_tokens * float(np.ravel(memory.token_bytes(then.model, at, worst_routing=worst))[0])
    room = memory.largest_batch(
        machine, then.model, then.precision, at, isl=of.isl, osl=of.osl, mtp=of.mtp, live=live
    )
    return Service(
        batch=batch,
        step_s=np.broadcast_to(per_token, grid.shape).ravel(),
        prompt_s=float(alone + filling),
        marginal_s=float(many / per_pass),
        prompts_per_pass=per_pass,
        chunks=new / of.pass_tokens if of.filled else float(max(new / of.pass_tokens, 1.0)),
        stages=float(at.pp.ravel()[0]),
        largest_batch=max(float(np.ravel(room)[0]), 1.0),
        transfer_s=moved,
        prefill_ranks=float(of.prefill.attention_dp.ravel()[0]),
        decode_ranks=ranks,
        colocated=of.colocated,
    )


def _chunks(tokens: float, most: float) -> tuple[float, float]:
    """How many equal chunks of at most `most` tokens a prompt is cut into, and the tokens of one."""
    count = max(float(np.ceil(tokens / most)), 1.0)
    return count, tokens / count


def _passes_s(
    setup: Setup, at: Layouts, *, prompts: Sequence[float], new: Sequence[float], cached: Sequence[float]
) -> tuple[float, ...]:
    """Times that passes over `new` tokens of each of `prompts` prompts occupy a pipeline stage."""
    many, tokens, before = (np.reshape(values, (1, 1, -1)) for values in (prompts, new, cached))
    work = prefill.pass_over(setup, at, at.exchange_of(), many, tokens, before)
    stretch = setup.machine.engine.prefill_stretch
    pace = forward.pace(setup, at, work.layers(), work.head, many * tokens, many, stretch)
    return tuple(np.broadcast_to(pace.seconds, many.shape).ravel().tolist())


def server(services: Sequence[Service], loads: int = 1) -> Server:
    """Services as the arrays that `planner.simulate.waiting` takes: `loads` rows of each in turn."""

    def column(name: str) -> FloatArray:
        return np.repeat(np.array([getattr(one, name) for one in services], dtype=float), loads)

    def grid(name: str) -> FloatArray:
        table = np.array([getattr(one, name) for one in services]).reshape(-1, GRID)
        return np.repeat(table, loads, axis=0)

    return Server(batch=grid("batch"), step_s=grid("step_s"), **{name: column(name) for name in _COLUMNS})


_COLUMNS = (
    "prompt_s",
    "marginal_s",
    "prompts_per_pass",
    "chunks",
    "stages",
    "largest_batch",
    "transfer_s",
    "prefill_ranks",
    "decode_ranks",
    "colocated",
)


def scheduler(
    engines: Iterable[EngineProfile], poll_steps: FloatArray | float = 0.0, loads: int = 1
) -> Scheduler:
    """How each of the engines schedules: `loads` rows of each in turn."""
    profiles = list(engines)

    def column(name: str) -> FloatArray:
        return np.repeat(np.array([getattr(engine, name) for engine in profiles], dtype=float), loads)

    return Scheduler(
        request_s=column("prefill_request_s"),
        poll_steps=poll_steps,
        **{name: column(name) for name in SCHEDULING},
    )


# fields of an engine profile that a scheduler takes as they are
SCHEDULING = (
    "exposure",
    "prefill_priority",
    "admission_passes",
    "arrival_s",
    "handover_s",
    "overlap",
    "lockstep",
    "prompt_imbalance",
    "sequence_imbalance",
    "serial_share",
)
