"""The machine of the worked numbers in docstrings and tests: an H200 with round constants."""

from __future__ import annotations

from collections.abc import Mapping

from planner.inputs.engine import EngineProfile
from planner.inputs.kernels import MeasuredKernels
from planner.inputs.system import Fabric, Gpu
from planner.simulate.operators.machine import Machine


def h200(**operators: Mapping[str, float]) -> Machine:
    """An H200 whose operators run with these constants in every format.

    >>> h200(gemm={"compute": 0.8}).kernels.find("gemm", "fp8")[0]
    {'compute': 0.8}
    """
    table = {name: {"trtllm": {"bf16": {"constants": constants}}} for name, constants in operators.items()}
    return Machine(
        gpu=Gpu(
            memory_bytes=141e9,
            hbm_bytes_per_s=4.8e12,
            peak_flops={"bf16": 989e12, "fp8": 1979e12},
            sms=132,
            watts=700.0,
        ),
        fabric=Fabric(scale_up_gpus=8, scale_up_bytes_per_s=450e9, scale_out_bytes_per_s=50e9),
        kernels=MeasuredKernels(engine="trtllm", tables=(("h200", table),)),
        engine=EngineProfile.none("trtllm", max_batch=4096, memory_fraction=0.9),
    )
