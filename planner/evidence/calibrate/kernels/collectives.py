"""Measured communication, inside one scale-up domain.

``allreduce.csv``: system, engine, num_gpus, message_size (ELEMENTS of 2 bytes), latency_us; an engine's
own all-reduce.

``nccl.csv``: system, engine ("nccl"), nccl_dtype (half or int8), op_name (all_reduce, all_gather,
reduce_scatter, alltoall), num_gpus, message_size (ELEMENTS of the whole tensor), latency_us.

``moe_alltoall.csv``: system, engine, comm_backend (a DeepEP kernel: "_ll" low latency, "_ht" high
throughput), phase (dispatch or combine), comm_dtype, ep_size, hidden_size, topk, num_tokens (per
rank), latency_us. The tables as published hold NANOSECONDS under that heading.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from planner.arrays import FloatArray
from planner.evidence.calibrate.fit import Calibration, Group, bind, column, row_keys, span, split_by
from planner.evidence.csv_files import Rows
from planner.inputs.precision import FORMATS
from planner.simulate.operators.collectives import (
    FORMAT,
    AllReduceConstants,
    ExchangeConstants,
    Exchanged,
    NcclConstants,
    all_reduce,
    combine,
    dispatch,
    nccl,
)

ALL_REDUCE_BYTES = 2.0
NCCL_BYTES = {"half": 2.0, "bfloat16": 2.0, "int8": 1.0}
NCCL_OPERATORS = {
    "all_gather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "alltoall": "all_to_all",
    "all_reduce": "nccl_all_reduce",
}
DISPATCH_BYTES = {
    "bfloat16": FORMATS["bf16"].activation_bytes,
    "default": FORMATS["bf16"].activation_bytes,
    "fp8": FORMATS["fp8"].activation_bytes,
    "nvfp4": FORMATS["nvfp4"].activation_bytes,
    "fp4": FORMATS["nvfp4"].activation_bytes,
}
# Results come back in bf16 whatever the format they went out in: no fp8 or fp4 row is faster.
COMBINE_BYTES = 2.0
# Measured with 8 or 4 ranks only, which cannot tell the latency of a rank. TensorRT-LLM's NVLink
# kernels on GB200 take 1 us (dispatch) to 10 us (combine) longer with 64 ranks than with 2.
EXCHANGE_GPU_S = 2e-7
# An exchange inside a node takes 20 us to 40 ms; a median beyond this many "us" is in nanoseconds.
LONGEST_MEDIAN_US = 1e4


def all_reduce_groups(rows: Rows) -> Iterator[Group]:
    """One group per system and engine."""
    for (system, engine), part in split_by(rows, "system", "engine").items():
        yield Group(
            system=system,
            operator="all_reduce",
            engine=engine,
            dtype=FORMAT,
            kind=AllReduceConstants,
            predict=bind(
                all_reduce, column(part, "message_size") * ALL_REDUCE_BYTES, column(part, "num_gpus")
            ),
            measured_s=column(part, "latency_us") * 1e-6,
            keys=row_keys(part),
            range=span(part, "num_gpus", "message_size"),
        )


def nccl_groups(rows: Rows) -> Iterator[Group]:
    """One group per system and collective."""
    for (system, engine, name), part in split_by(rows, "system", "engine", "op_name").items():
        if name not in NCCL_OPERATORS:
            continue
        operator = NCCL_OPERATORS[name]
        element = np.array([NCCL_BYTES[row["nccl_dtype"]] for row in part])
        bytes_ = column(part, "message_size") * element
        yield Group(
            system=system,
            operator=operator,
            engine=engine,
            dtype=FORMAT,
            kind=NcclConstants,
            predict=partial(nccl, operator=operator, bytes_=bytes_, gpus=column(part, "num_gpus")),
            measured_s=column(part, "latency_us") * 1e-6,
            keys=row_keys(part),
            range=span(part, "num_gpus", "message_size"),
        )


def exchange_groups(rows: Rows) -> Iterator[Group]:
    """One group per system, engine, kernel and phase."""
    for (system, engine, backend, phase), part in split_by(
        rows, "system", "engine", "comm_backend", "phase"
    ).items():
        if phase not in ("dispatch", "combine"):
            continue
        kernel = backend.rpartition("deepep_")[2]
        operator = dispatch if phase == "dispatch" else combine
        moved = Exchanged(
            tokens=column(part, "num_tokens"),
            hidden=column(part, "hidden_size"),
            topk=column(part, "topk"),
            bytes_per_element=_element_bytes(part) if phase == "dispatch" else COMBINE_BYTES,
        )
        predict = bind(operator, moved, column(part, "ep_size"), kernel)
        latency = column(part, "latency_us")
        unit = 1e-9 if float(np.median(latency)) > LONGEST_MEDIAN_US else 1e-6
        yield Group(
            system=system,
            operator=f"{phase}_{kernel}",
            engine=engine,
            dtype=FORMAT,
            kind=ExchangeConstants,
            predict=predict,
            measured_s=latency * unit,
            keys=row_keys(part),
            range=span(part, "ep_size", "num_tokens", "hidden_size"),
            fixed={"gpu_s": EXCHANGE_GPU_S},
        )


def _element_bytes(rows: Rows) -> FloatArray:
    return np.array([DISPATCH_BYTES[row["comm_dtype"]] for row in rows])


CALIBRATIONS = (
    Calibration(csv="allreduce.csv", groups=all_reduce_groups),
    Calibration(csv="nccl.csv", groups=nccl_groups),
    Calibration(csv="moe_alltoall.csv", groups=exchange_groups),
)
