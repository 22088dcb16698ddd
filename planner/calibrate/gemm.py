"""Measured GEMMs: ``gemm.csv`` with columns system, engine, dtype, m, n, k, latency_us.

`dtype` is bfloat16, fp8, fp8_block, nvfp4, w4a8_mxfp4_mxfp8, w4a16_mxfp4 or int4_wo; other formats
are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.calibrate.fit import Calibration, Group, Rows, bind, column, row_keys, span, split_by
from planner.precision import FORMATS
from planner.simulate.gemm import OPERATOR, GemmConstants, gemm

# the measurements' names of our formats
DTYPES = {
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
# own floor; it is that of the same formats' kernels elsewhere (SGLang's fp8_block: 4 to 6 us).
SLOW_LAUNCH_S, HIDDEN_FLOOR_S = 40e-6, 5e-6


def groups(rows: Rows) -> Iterator[Group]:
    """One group per system, engine and format."""
    for (system, engine, dtype), part in split_by(rows, "system", "engine", "dtype").items():
        if dtype not in DTYPES:
            continue
        measured_s = column(part, "latency_us") * 1e-6
        cheapest_s = float(np.quantile(measured_s, 0.1))
        fixed = {"memory": MEMORY_SHARE} if system in WARM_CACHE else {}
        if cheapest_s > SLOW_LAUNCH_S:
            fixed["floor_s"] = HIDDEN_FLOOR_S
        yield Group(
            system=system,
            operator=OPERATOR,
            engine=engine,
            dtype=DTYPES[dtype],
            kind=GemmConstants,
            predict=bind(gemm, FORMATS[DTYPES[dtype]], *(column(part, name) for name in "mnk")),
            measured_s=measured_s,
            keys=row_keys(part),
            range=span(part, "m", "n", "k"),
            fixed=fixed,
            # the cheapest rows tell what a launch costs the host
            start={"host_s": 0.95 * cheapest_s},
        )


CALIBRATIONS = (Calibration(csv="gemm.csv", groups=groups),)
