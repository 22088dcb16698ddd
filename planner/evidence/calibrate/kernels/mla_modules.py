"""Measured MLA attention blocks: ``mla_prefill_module.csv`` and ``mla_decode_module.csv``.

Columns beside system, engine and latency_us: kv_cache_dtype, gemm_type, num_heads, batch_size, isl
(new tokens of each sequence) and step (tokens in its cache).

A row times DeepSeek-V3's whole block, projections included. Its GEMMs and its attention kernel are
fitted elsewhere and must be fitted first; the block is their sum, and what is fitted here is only
what an engine adds around them. No plan uses these constants: the rows check that operators add up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from planner.arrays import FloatArray, Real
from planner.evidence.calibrate.fit import Calibration, Group, column, row_keys, span, split_by
from planner.evidence.calibrate.kernels.attention import (
    CACHE_FORMATS,
    MLA_LATENT,
    MLA_QK_DIM,
    MLA_ROPE,
    MLA_V_DIM,
    mla_absorbed,
    mla_expanded,
)
from planner.evidence.calibrate.kernels.gemm import DTYPES
from planner.evidence.csv_files import Rows
from planner.inputs.precision import FORMATS, Format
from planner.simulate.operators.attention import mla
from planner.simulate.operators.constants import bounded, seconds, serial
from planner.simulate.operators.gemm import gemm
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost, soft_max
from planner.words import CacheFormat, Pass

OPERATORS: dict[Pass, str] = {"prefill": "mla_prefill_block", "decode": "mla_decode_block"}
HIDDEN, Q_LORA = 7168, 1536  # DeepSeek-V3
NOPE = MLA_QK_DIM - MLA_ROPE


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockConstants:
    """What an engine adds to the kernels of an MLA block."""

    floor_s: float = seconds(3e-6)  # norms, rotary embedding, cache writes: their launches
    token_s: float = bounded(1e-13, 1e-6, 1e-10)  # per token: the same, their traffic
    row_s: float = bounded(1e-14, 1e-8, 1e-11)  # per token and head: copies of queries, keys and values
    host_s: float = seconds(3e-5, high=1e-2)  # host time of the whole block where no CUDA graph replays it
    serial: float = serial(0.1)  # share of the host's time that does not hide


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Rows of one GEMM format within a group."""

    rows: FloatArray
    fmt: Format
    batch: FloatArray
    new: FloatArray
    past: FloatArray
    heads: FloatArray

    def cost(self, machine: Machine, kv: CacheFormat, phase: Pass) -> Cost:
        f, plain = self.fmt, FORMATS["bf16"]
        tokens, heads = self.batch * self.new, self.heads
        found = (
            gemm(machine, f, tokens, Q_LORA + MLA_LATENT + MLA_ROPE, HIDDEN, graph=True)
            + gemm(machine, f, tokens, heads * MLA_QK_DIM, Q_LORA, graph=True)
            + gemm(machine, f, tokens, HIDDEN, heads * MLA_V_DIM, graph=True)
        )
        if phase == "prefill":
            found = found + gemm(machine, f, tokens, heads * (NOPE + MLA_V_DIM), MLA_LATENT, graph=True)
            return found + mla.prefill(machine, kv, mla_expanded(heads), self.batch, self.new, self.past)
        found = (
            found
            + gemm(machine, plain, tokens, heads * MLA_LATENT, NOPE, graph=True)
            + gemm(machine, plain, tokens, heads * MLA_V_DIM, MLA_LATENT, graph=True)
        )
        return found + mla.decode(machine, kv, mla_absorbed(heads), self.batch, self.past + self.new)


def around(
    c: BlockConstants, kernels: Cost, tokens: FloatArray, heads: FloatArray, more_host_s: Real = 0.0
) -> Cost:
    """A block of these kernels as an engine runs it.

        t = soft_max(kernels + floor_s + tokens (token_s + row_s heads), host_s + more_host_s)

    >>> c = BlockConstants(floor_s=1e-6, token_s=0.0, row_s=0.0, host_s=2e-5, serial=0.0)
    >>> float(around(c, Cost(5e-6, 1e-6), np.float64(1), np.float64(1)).seconds)
    2e-05
    """
    added = c.floor_s + tokens * (c.token_s + c.row_s * heads)
    return Cost(soft_max(kernels.seconds + added, c.host_s + more_host_s, c.serial), kernels.light_s)


def _predict(parts: list[_Part], size: int, kv: CacheFormat, phase: Pass, machine: Machine) -> Cost:
    c = machine.kernels.constants(OPERATORS[phase], kv, BlockConstants)
    taken, light = np.empty(size), np.empty(size)
    for part in parts:
        cost = around(c, part.cost(machine, kv, phase), part.batch * part.new, part.heads)
        taken[part.rows], light[part.rows] = cost.seconds, cost.light_s
    return Cost(taken, light)


def groups(rows: Rows, phase: Pass) -> Iterator[Group]:
    """One group per system, engine and cache format, over all GEMM formats."""
    for (system, engine, dtype), found in split_by(rows, "system", "engine", "kv_cache_dtype").items():
        kv = CACHE_FORMATS.get(dtype)
        part = [row for row in found if row["gemm_type"] in DTYPES]
        if kv is None or not part:
            continue
        parts = [
            _Part(
                rows=np.array([r["gemm_type"] == gemm_type for r in part]),
                fmt=FORMATS[DTYPES[gemm_type]],
                batch=column(same, "batch_size"),
                new=column(same, "isl"),
                past=column(same, "step"),
                heads=column(same, "num_heads"),
            )
            for (gemm_type,), same in split_by(part, "gemm_type").items()
        ]
        measured_s = column(part, "latency_us") * 1e-6
        yield Group(
            system=system,
            operator=OPERATORS[phase],
            engine=engine,
            dtype=kv,
            kind=BlockConstants,
            predict=partial(_predict, parts, len(part), kv, phase),
            measured_s=measured_s,
            keys=row_keys(part),
            range=span(part, "batch_size", "isl", "step", "num_heads"),
            start={"host_s": 0.95 * float(np.quantile(measured_s, 0.1))},
        )


CALIBRATIONS = tuple(
    Calibration(csv=f"mla_{phase}_module.csv", groups=partial(groups, phase=phase)) for phase in OPERATORS
)
