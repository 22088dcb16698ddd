"""Measured expert layers: ``moe.csv``.

Columns: system, engine, moe_dtype, kernel_source (name of the kernel), num_tokens (over the whole
expert-parallel group), hidden_size, inter_size, topk, num_experts, moe_tp_size, moe_ep_size,
distribution ("balanced", or "power_law_" and its exponent), latency_us (of the busiest rank).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from planner.arrays import FloatArray
from planner.evidence.calibrate.fit import Calibration, Group, bind, column, row_keys, span, split_by
from planner.evidence.calibrate.kernels.gemm import DTYPES
from planner.evidence.csv_files import Rows
from planner.inputs.precision import FORMATS
from planner.simulate.operators.moe import OPERATOR, Experts, MoeConstants, grouped_gemm

# Experts without a gate, by (hidden, width, topk, experts): those of Nemotron-3, whose kernels
# TensorRT-LLM calls "nongated". The measurements do not say so in a column of their own.
TWO_MATRICES = frozenset(
    {
        (1024, 2688, 22, 512),
        (2048, 5120, 22, 512),
        (2688, 1856, 6, 128),
        (4096, 2688, 22, 512),
        (8192, 5120, 22, 512),
    }
)
GATED_WIDTH = 2688.0
GATED_KERNELS = ("sglang_fused_moe_triton", "vllm_fused_moe")
# Kernels by a part of their names, the telling part first. A class that an engine has beside its
# usual kernel is fitted apart too, as operator "moe_<class>".
CLASSES = ("min_latency", "deepgemm", "marlin", "triton", "cutlass", "trtllm")
MIN_CLASS_ROWS = 35
# Measured beside another kernel on the same experts and faster at nearly every size: what a planner
# should count on. Where other classes stand side by side, the model's shape decides between them.
FASTER = "min_latency"


def groups(rows: Rows) -> Iterator[Group]:
    """One group per system, engine and format, and one per class of kernels where there are several."""
    for (system, engine, dtype), part in split_by(rows, "system", "engine", "moe_dtype").items():
        if dtype not in DTYPES:
            continue
        by_class: dict[str, list[Mapping[str, str]]] = {}
        for row in part:
            by_class.setdefault(kernel_class(row["kernel_source"]), []).append(row)
        yield group(system, engine, dtype, by_class.get(FASTER, part))
        if len(by_class) > 1:
            for name, some in by_class.items():
                if len(some) >= MIN_CLASS_ROWS:
                    yield group(system, engine, dtype, some, name)


def kernel_class(source: str) -> str:
    """The class of a kernel by its name.

    >>> kernel_class("moe_torch_flow_min_latency"), kernel_class("vllm_fp8moe_triton_tritonexperts")
    ('min_latency', 'triton')
    """
    return next((name for name in CLASSES if name in source), "cutlass")


def matrices(rows: Rows) -> FloatArray:
    """Matrices per expert of each row.

    Two of the shapes without a gate take half as long again in the older Triton kernels as two
    matrices explain, as if those ran them gated.
    """
    shape = [column(rows, name) for name in ("hidden_size", "inter_size", "topk", "num_experts")]
    found = []
    for row, key in zip(rows, zip(*shape, strict=True), strict=True):
        gated = key[1] == GATED_WIDTH and row["kernel_source"] in GATED_KERNELS
        found.append(2.0 if key in TWO_MATRICES and not gated else 3.0)
    return np.array(found)


def skews(rows: Rows) -> FloatArray:
    """Exponent of the routing of each row, 0 for balanced."""
    return np.array(
        [0.0 if r["distribution"] == "balanced" else float(r["distribution"].rsplit("_", 1)[1]) for r in rows]
    )


def group(system: str, engine: str, dtype: str, rows: Rows, kernel: str = "") -> Group:
    """Rows of one system, engine and format, predicted as the engine's usual kernel or as `kernel`."""
    fmt = FORMATS[DTYPES[dtype]]
    experts = Experts(
        hidden=column(rows, "hidden_size"),
        width=column(rows, "inter_size"),
        matrices=matrices(rows),
        topk=column(rows, "topk"),
        count=column(rows, "num_experts"),
    )
    operator = partial(
        grouped_gemm,
        tp=column(rows, "moe_tp_size"),
        ep=column(rows, "moe_ep_size"),
        skew=skews(rows),
        kernel=kernel,
    )
    predict = bind(operator, fmt, experts, column(rows, "num_tokens"))
    return Group(
        system=system,
        operator=f"{OPERATOR}_{kernel}" if kernel else OPERATOR,
        engine=engine,
        dtype=fmt.name,
        kind=MoeConstants,
        predict=predict,
        measured_s=column(rows, "latency_us") * 1e-6,
        keys=row_keys(rows),
        range=span(rows, "num_tokens", "inter_size", "moe_tp_size", "moe_ep_size"),
    )


CALIBRATIONS = (Calibration(csv="moe.csv", groups=groups),)
