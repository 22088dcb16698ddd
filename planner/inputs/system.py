"""A GPU and the fabric around it. Peaks are dense; bandwidths are one way, per GPU."""

from __future__ import annotations

from collections.abc import Mapping

from planner.values import dataclass
from planner.words import Topology, Vendor


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One accelerator, by its data sheet."""

    memory_bytes: float
    hbm_bytes_per_s: float
    peak_flops: Mapping[str, float]  # "bf16", "fp8", "fp4" to FLOP/s; a missing key: no such unit
    sms: int  # streaming multiprocessors or compute units: the wave of a tiled kernel
    watts: float  # the board's limit
    # what it draws with weights resident and nothing to do, and what the shares of `planner.simulate.power`
    # count; 0: not known, so a share of the limit, and the limit
    idle_watts: float = 0.0
    full_watts: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """How GPUs reach each other.

    Inside a scale-up domain of `scale_up_gpus` GPUs (NVLink, XGMI, PCIe) each sends
    `scale_up_bytes_per_s`; beyond it, `scale_out_bytes_per_s` through its share of the NICs.
    A "mesh" gives one peer only its own link, `scale_up_bytes_per_s / (scale_up_gpus - 1)`.
    """

    scale_up_gpus: int
    scale_up_bytes_per_s: float
    scale_out_bytes_per_s: float
    topology: Topology = "switch"


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A GPU, its fabric, its price and where the numbers come from."""

    name: str
    label: str
    family: str  # hopper, blackwell, ada, ampere, cdna3 ...: what unmeasured constants are inherited by
    gpu: Gpu
    fabric: Fabric
    usd_per_gpu_hour: float
    watts_per_gpu: float  # all-in: host, network and cooling share included
    kernels: str  # the kernel measurements it runs on: its own name, or the nearest measured relative
    sources: Mapping[str, str]
    vendor: Vendor = "nvidia"
    rental_usd_per_gpu_hour: float = 0.0  # what a GPU is rented for, beside the price above; 0: not known
    # GPUs of a rack where a scale-up domain is one host; 0: as many hosts as presets/failures.toml says
    rack_gpus: int = 0
