"""Watts of a GPU while it works: idle, what busy time adds, and what products add to that.

    P = W (IDLE + BUSY b + COMPUTE c), at most the GPU's limit

W are the watts that the shares count (`Gpu.watts`, the board's limit, if a preset has no `full_watts`). Of
the time that a pass takes, b is the share in which its kernels stream from memory or compute, at the rates
that they reach: their launches and fixed latencies, and the host's, are left out. c is the share that its
products would take at the peak of their format: tensor cores at work. Both come from the operators that
predict the pass itself, without their latencies, and on a GPU where nothing but products takes time: there
is no second count of bytes or flops. A
constant of its own for bytes at the full bandwidth fits to nothing: streaming is what nearly all of b is.

The two constants are fitted jointly, for all GPUs and formats, to published measurements
(`planner.evidence.power`, docs/power.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from planner.arrays import FloatArray, Real
from planner.inputs.images import Images
from planner.inputs.system import Gpu
from planner.simulate import decode, encode, forward, prefill
from planner.simulate.forward import Ledger
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import NOTHING, Cost
from planner.simulate.operators.setup import Setup
from planner.simulate.operators.sources import ScaledKernels
from planner.simulate.space import Layouts
from planner.values import dataclass

IDLE = 0.165  # weights resident, nothing to do: an H200 at 115 of 700 W
BUSY, COMPUTE = 0.72, 0.92
ENDLESS = 1e30  # of a part of the GPU that is to cost no time


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What of a GPU some passes use, back to back: arrays of any common shape."""

    seconds: Real  # of a pass, on its pipeline stage
    busy: Real  # shares of that time
    compute: Real


def idle_watts(gpu: Gpu) -> float:
    """A GPU that holds weights and has nothing to do."""
    return gpu.idle_watts or min(IDLE * _full(gpu), gpu.watts)


def watts(gpu: Gpu, of: Use) -> FloatArray:
    """Mean watts of a GPU during passes that come one after the other, shape of `of`.

    >>> from planner.simulate.operators.example import h200
    >>> float(watts(h200().gpu, Use(seconds=0.02, busy=0.0, compute=0.0)))
    115.5
    """
    added = BUSY * of.busy + COMPUTE * of.compute
    return np.asarray(np.minimum(idle_watts(gpu) + _full(gpu) * added, gpu.watts), dtype=np.float64)


def _full(gpu: Gpu) -> float:
    return gpu.full_watts or gpu.watts


def steps(setup: Setup, at: Layouts, batch: Real, *, isl: int, osl: int, mtp: int = 0) -> Use:
    """Decode steps of `batch` sequences per attention rank and stage, arrays of shape (layouts, batches, 1).

    All layouts have one kind of exchange. Raises LookupError where a kernel was never measured.
    """
    exchange = at.exchange_of()

    def ledger(on: Setup) -> Ledger:
        return decode.step(on, at, exchange, batch, isl=isl, osl=osl, mtp=mtp)

    return _use(setup, at, ledger, batch * (mtp + 1), batch)


def prompts(setup: Setup, at: Layouts, sequences: Real, new: Real, cached: Real = 0.0) -> Use:
    """Passes over `new` tokens of each of `sequences` prompts per attention rank, behind `cached` ones.

    Shapes and errors as of `steps`.
    """
    exchange = at.exchange_of()

    def ledger(on: Setup) -> Ledger:
        return prefill.pass_over(on, at, exchange, sequences, new, cached)

    stretch = setup.machine.engine.prefill_stretch
    return _use(setup, at, ledger, sequences * new, sequences, stretch)


def images(machine: Machine, of: Images, hidden: int, count: float) -> Use:
    """Passes of an encoder on one GPU of its own over `count` images."""

    def seconds(on: Machine) -> Cost:
        return encode.forward_pass(on, of, hidden, count)

    whole = seconds(machine)
    at_once = seconds(replace(machine, kernels=ScaledKernels(source=machine.kernels, latencies=0.0)))
    host_s = machine.engine.layer_s * of.vision.layers
    products = seconds(replace(machine, gpu=replace(machine.gpu, hbm_bytes_per_s=ENDLESS)))
    return Use(
        seconds=whole.seconds,
        busy=np.clip((at_once.seconds - host_s) / whole.seconds, 0.0, 1.0),
        compute=np.clip(products.light_s / whole.seconds, 0.0, 1.0),
    )


def _use(
    setup: Setup,
    at: Layouts,
    ledger: Callable[[Setup], Ledger],
    tokens: Real,
    sequences: Real,
    stretch: float = 1.0,
) -> Use:
    """Use of the GPUs by the pass that `ledger` enters; those of a pipeline hold an even share of it."""
    whole = ledger(setup)
    pace_s = forward.pace(setup, at, whole.layers(), whole.head, tokens, sequences, stretch).seconds
    fabric = replace(setup.machine.fabric, scale_up_bytes_per_s=ENDLESS, scale_out_bytes_per_s=ENDLESS)
    gpu = replace(setup.machine.gpu, hbm_bytes_per_s=ENDLESS)
    products = ledger(replace(setup, machine=replace(setup.machine, gpu=gpu, fabric=fabric)))
    at_once = ledger(setup.on_kernels(ScaledKernels(source=setup.machine.kernels, latencies=0.0)))
    host = at_once.parts.get("host", NOTHING).seconds
    streaming_s = ((at_once.layers() + at_once.head).seconds - host) * stretch

    def share(seconds: Real) -> FloatArray:
        return np.clip(seconds / (at.pp * pace_s), 0.0, 1.0)

    light_s = (products.layers() + products.head).light_s
    return Use(seconds=pace_s, busy=share(streaming_s), compute=share(light_s))
