"""Measured GEMMs: ``gemm.csv`` with columns system, engine, dtype, m, n, k, latency_us.

`dtype` is bfloat16, fp8, fp8_block, nvfp4, w4a8_mxfp4_mxfp8, w4a16_mxfp4 or int4_wo; other formats
are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from planner.arrays import FloatArray
from planner.evidence.calibrate.fit import Calibration, Group, bind, column, row_keys, span, split_by
from planner.evidence.csv_files import Rows
from planner.inputs.precision import FORMATS, Format
from planner.simulate.operators.gemm import EVEN_ROWS, OPERATOR, GemmConstants, gemm
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost
from planner.words import WeightFormat

# the measurements' names of our formats
DTYPES: Mapping[str, WeightFormat] = {
    "bfloat16": "bf16",
    "bf16": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8_block",
    "nvfp4": "nvfp4",
    "w4a8_mxfp4_mxfp8": "mxfp4",
    "mxfp4": "mxfp4",
    "w4a16_mxfp4": "mxfp4_wo",
    "mxfp4_wo": "mxfp4_wo",
    "int4_wo": "int4_wo",
}
# Measured with weights still in a 96 or 128 MB L2 cache: the share of HBM bandwidth is that of the
# data-centre GPUs, whose bf16 fits give 0.78 to 0.90.
WARM_CACHE = ("l40s", "rtx_pro_6000", "rtx-pro-6000")
MEMORY_SHARE = 0.85
# Where the host takes longer than this to launch a GEMM, the measurements cannot tell the kernel's
# own floor, nor what depth adds to it; they are those of the same formats' kernels elsewhere (SGLang's
# fp8_block: 4 to 6 us, 0.74 to 1.04 ns per unit of k).
SLOW_LAUNCH_S, HIDDEN_FLOOR_S, HIDDEN_DEPTH_S = 40e-6, 5e-6, 8e-10
# Engines whose per-tensor fp8 kernel is slower where m is no multiple of 4 (`ragged`), and those whose
# kernel quantises each row of the input in a thread block of its own (`row_s`).
RAGGED, BY_ROW, RAGGED_FORMAT = ("vllm", "sglang"), ("vllm",), "fp8"
# An engine and format whose host takes another path to the kernel where m is no multiple of 4 (Blackwell:
# 290 us a launch with multiples, 490 without) or above a few rows (Hopper: 58 us up to 17, 90 us from 32).
TWO_PATHS = ("vllm", "fp8_block")
FEW_ROWS = 24.0


def groups(rows: Rows) -> Iterator[Group]:
    """One group per system, engine and format."""
    for (system, engine, dtype), part in split_by(rows, "system", "engine", "dtype").items():
        if dtype not in DTYPES:
            continue
        measured_s = column(part, "latency_us") * 1e-6
        cheapest_s = float(np.quantile(measured_s, 0.1))
        fixed = {"memory": MEMORY_SHARE} if system in WARM_CACHE else {}
        if cheapest_s > SLOW_LAUNCH_S:
            fixed |= {"floor_s": HIDDEN_FLOOR_S, "depth_s": HIDDEN_DEPTH_S}
        fmt = FORMATS[DTYPES[dtype]]
        if fmt.name != RAGGED_FORMAT or engine not in RAGGED:
            fixed["ragged"] = 1.0
        if fmt.name != RAGGED_FORMAT or engine not in BY_ROW:
            fixed["row_s"] = 0.0
        if (engine, fmt.name) != TWO_PATHS:
            fixed |= {"host_ragged_s": 0.0, "host_many_s": 0.0}
        yield Group(
            system=system,
            operator=OPERATOR,
            engine=engine,
            dtype=fmt.name,
            kind=GemmConstants,
            predict=bind(_launched, fmt, *(column(part, name) for name in "mnk")),
            measured_s=measured_s,
            keys=row_keys(part),
            range=span(part, "m", "n", "k"),
            fixed=fixed,
            # the cheapest rows tell what a launch costs the host
            start={"host_s": 0.95 * cheapest_s},
        )


def _launched(machine: Machine, fmt: Format, m: FloatArray, n: FloatArray, k: FloatArray) -> Cost:
    """A GEMM launched by itself, its rows as they come."""
    c = machine.kernels.constants(OPERATOR, fmt.name, GemmConstants)
    cost = gemm(machine, fmt, m, n, k, graph=True, padded=False)
    uneven = np.mod(m, EVEN_ROWS) > 0.0
    host_s = c.host_s + uneven * c.host_ragged_s + (m > FEW_ROWS) * c.host_many_s
    return Cost(np.maximum(cost.seconds, host_s), cost.light_s)


CALIBRATIONS = (Calibration(csv="gemm.csv", groups=groups),)
