"""Communication between the GPUs of an instance: reductions, gathers, expert exchange, hand-over.

Inside a scale-up domain the form and its constants are fitted to measured kernels. Beyond it the
collective is hierarchical: what it takes inside, and then each GPU's share through its own NIC.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planner.arrays import Real
from planner.inputs.system import Fabric
from planner.simulate.operators.constants import bounded, seconds, share
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost
from planner.values import dataclass
from planner.words import Reach

# Collectives move bytes whatever the format of the model: their constants stand under this one.
FORMAT = "bf16"
EXCHANGE_KERNELS = ("ll", "ht", "nvlink")

# Rack-scale domains: groups wider than one host's GPUs reduce with kernels that write through the
# switch's multicast, at this share of the link. GB300, 8 and 16 GPUs: 26 and 36 us for 8 MiB, 181 and
# 265 us for 64 MiB, 1420 and 2071 us for 512 MiB (AIConfigurator 0.12): shares of 0.74 and 0.54.
LARGEST_HOST_DOMAIN = 8
RACK_HOST_GPUS = 4.0
MULTICAST_SHARE = 0.63

# The largest ring of NCCL that was measured: 16 GPUs, 15 steps.
MEASURED_RING = 15.0

# Share of a NIC's data-sheet rate: 46 to 48 of 50 GB/s (nccl-tests issue 290).
NIC_SHARE = 0.94
# One more step over the network. NVIDIA's AIConfigurator counts 10 us; DeepEP's low-latency dispatch
# of 16 tokens takes 12 us longer on two H100 nodes than on one, of which 9 us are bytes.
HOP_S = 10e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class AllReduceConstants:
    """An engine's own all-reduce: one-shot, two-shot and bulk (ring, or reduction in the switch)."""

    floor_s: float = seconds(5e-6)
    gpu_s: float = seconds(2e-7, 1e-4)  # per GPU beyond the first, to the power 3/4
    one_shot: float = share(0.5)  # of the link's bandwidth
    two_shot_s: float = seconds(5e-6)  # beyond the floor
    two_shot: float = share(0.5)
    bulk_s: float = seconds(3e-5)
    ring: float = share(0.7)
    switch: float = share(0.5)  # reduction in the switch
    crowd: float = bounded(1e-3, 20.0, 0.1)  # host bridges: slow-down per GPU beyond two


@dataclass(frozen=True, slots=True, kw_only=True)
class NcclConstants:
    """One collective of NCCL."""

    floor_s: float = seconds(6e-6)
    gpu_s: float = seconds(1e-6, 1e-4)  # per GPU beyond the first
    ramp_s: float = seconds(1e-5)  # protocols and channels that open as messages grow
    share: float = share(0.7)  # of the link's bandwidth
    crowd: float = bounded(1e-3, 20.0, 0.1)  # host bridges: slow-down per GPU beyond two


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeConstants:
    """One half of an expert all-to-all."""

    floor_s: float = seconds(5e-5)
    gpu_s: float = seconds(2e-7, 1e-4)  # per GPU beyond the first, to the power 3/4
    copy_s: float = bounded(1e-12, 1e-6, 1e-8)  # per copy of a token that leaves the GPU
    share: float = share(0.6)  # of the link's bandwidth


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """What one rank of an expert-parallel group sends to the experts, or gets back; numbers or arrays."""

    tokens: Real  # of the rank
    hidden: Real  # width of a token
    topk: Real  # experts that each token goes to
    bytes_per_element: Real  # of the format it travels in

    @property
    def token_bytes(self) -> Real:
        """One copy of one token."""
        return self.hidden * self.bytes_per_element


def all_reduce(machine: Machine, bytes_: Real, gpus: Real) -> Cost:
    """Sum a tensor over a group; every GPU holds all of it before and after.

        one-shot  (n - 1) b / one_shot                    every GPU reads all the others' tensors
        two-shot  two_shot_s + 2 (n - 1)/n b / two_shot   reduce-scatter, all-gather
        bulk      bulk_s + min(2 (n - 1)/n / ring, (1 + 1/n) / switch) b
        t         floor_s + gpu_s (n - 1)^(3/4) + the least of the three,    b = bytes / bandwidth

    and as a fourth, in a rack-scale domain, two-shot through the switch's multicast. NCCL's instead for
    groups over more of its hosts than the engine's own kernels span (`EngineProfile.all_reduce_gpus`).

    Parameters
    ----------
    machine
        Where it runs.
    bytes_
        Size of the tensor on one GPU.
    gpus
        GPUs of the group; 1 costs nothing. Beyond the scale-up domain each GPU then all-reduces its
        part of the domain's sum over the network.

    Returns
    -------
    Cost
        Seconds, of the broadcast shape. Light: a switch that reduces takes every byte once.

    Raises LookupError if no kernels file has the operator.

    >>> from planner.simulate.operators.example import h200
    >>> known = dict(floor_s=4e-6, gpu_s=0.0, one_shot=0.6, two_shot_s=5e-6, two_shot=0.6,
    ...            bulk_s=5e-5, ring=0.7, switch=0.67, crowd=0.1)
    >>> cost = all_reduce(h200(all_reduce=known), np.array([16384.0, 2**20, 2**30]), 8)
    >>> np.round(cost.seconds * 1e6, 1).tolist(), np.round(cost.light_s * 1e6, 1).tolist()
    ([4.4, 15.8, 4060.5], [0.0, 2.3, 2386.1])
    """
    c = machine.kernels.constants("all_reduce", FORMAT, AllReduceConstants)
    fabric = machine.fabric
    gpus = np.asarray(gpus, dtype=np.float64)
    others = gpus - 1.0
    both_ways = 2.0 * others / gpus
    per_byte = _crowded(fabric, gpus, c.crowd) / _bandwidth(fabric, gpus)
    fixed = (gpus > 1.0) * c.floor_s + c.gpu_s * _ranks(gpus)
    bulk = both_ways / c.ring
    if fabric.topology == "switch":
        bulk = np.minimum(bulk, (1.0 + 1.0 / gpus) / c.switch)
    bulk = bulk * (gpus > 1.0)
    least = np.minimum(
        np.minimum(
            bytes_ * (others * per_byte / c.one_shot),
            bytes_ * (both_ways * per_byte / c.two_shot) + c.two_shot_s,
        ),
        bytes_ * (bulk * per_byte) + c.bulk_s,
    )
    if fabric.scale_up_gpus > LARGEST_HOST_DOMAIN:
        wide = both_ways * per_byte * np.where(gpus > RACK_HOST_GPUS, 1.0 / MULTICAST_SHARE, 1e6)
        least = np.minimum(least, bytes_ * wide)
    outside = _outside(fabric, gpus)
    seconds = least + bytes_ * (2.0 * outside / NIC_SHARE) + (fixed + _hops(fabric, gpus))
    own = machine.engine.all_reduce_gpus
    if own and fabric.scale_up_gpus > LARGEST_HOST_DOMAIN and np.any(gpus > own):
        seconds = np.where(gpus > own, nccl(machine, "nccl_all_reduce", bytes_, gpus).seconds, seconds)
    if np.any(gpus > fabric.scale_up_gpus):
        # the custom kernels write into peers' memory; beyond the domain NCCL takes over
        far = gpus > fabric.scale_up_gpus
        seconds = np.maximum(seconds, far * nccl(machine, "nccl_all_reduce", bytes_, gpus).seconds)
    if not machine.light:
        return Cost(seconds, 0.0)
    light = (gpus > 1.0) if fabric.topology == "switch" else both_ways
    return Cost(
        seconds,
        bytes_ * np.maximum(light / _bandwidth(fabric, gpus), outside),
    )


def all_gather(machine: Machine, bytes_: Real, gpus: Real) -> Cost:
    """Give every GPU of a group the parts of all; `bytes_` is the size of the whole.

    See `nccl` for the form.

    >>> from planner.simulate.operators.example import h200
    >>> known = dict(floor_s=5e-6, gpu_s=1e-6, ramp_s=1.6e-5, share=0.7, crowd=0.1)
    >>> cost = all_gather(h200(all_gather=known), 2**20, 8)
    >>> round(float(cost.seconds) * 1e6, 1), round(float(cost.light_s) * 1e6, 1)
    (20.6, 2.0)
    """
    return nccl(machine, "all_gather", bytes_, gpus)


def reduce_scatter(machine: Machine, bytes_: Real, gpus: Real) -> Cost:
    """Sum a tensor of `bytes_` in all over a group and leave each GPU its part. See `nccl`."""
    return nccl(machine, "reduce_scatter", bytes_, gpus)


def all_to_all(machine: Machine, bytes_: Real, gpus: Real) -> Cost:
    """Send each GPU of a group its own part of the `bytes_` that every GPU holds. See `nccl`."""
    return nccl(machine, "all_to_all", bytes_, gpus)


def nccl(machine: Machine, operator: str, bytes_: Real, gpus: Real) -> Cost:
    """A collective of NCCL: all_gather, reduce_scatter, all_to_all or nccl_all_reduce.

        t = floor_s + gpu_s (n - 1) + b / share + sqrt(ramp_s b),   b = (n - 1)/n bytes / bandwidth

    and twice the bytes for an all-reduce; beyond 16 GPUs ranks count to the power 3/4. Across domains, a
    GPU's part of what its domain exchanges with the others goes through its NIC.

    Raises LookupError if no kernels file has the operator.
    """
    c = machine.kernels.constants(operator, FORMAT, NcclConstants)
    fabric = machine.fabric
    gpus = np.asarray(gpus, dtype=np.float64)
    ways = 2.0 if operator == "nccl_all_reduce" else 1.0
    moved = ways * (gpus - 1.0) / (gpus * _bandwidth(fabric, gpus))
    crowded = moved * _crowded(fabric, gpus, c.crowd)
    fixed = (gpus > 1.0) * c.floor_s + c.gpu_s * _ring(gpus) + _hops(fabric, gpus)
    outside = _outside(fabric, gpus)
    if operator == "all_to_all":  # nothing is shared: every GPU's own bytes leave
        outside = outside * fabric.scale_up_gpus
    out = ways * outside
    light = np.maximum(moved / 2.0 if ways == 2.0 else moved, out / ways)
    seconds_ = bytes_ * (crowded / c.share + out / NIC_SHARE) + np.sqrt(bytes_ * (crowded * c.ramp_s)) + fixed
    return Cost(seconds_, bytes_ * light if machine.light else 0.0)


def dispatch(machine: Machine, sent: Exchanged, gpus: Real, kernel: str = "") -> Cost:
    """Send tokens to the ranks of their experts.

        copies = tokens (n - 1)/n times: topk (low latency), or the distinct ranks of topk experts
        t      = floor_s + gpu_s (n - 1)^(3/4) + copies (copy_s + token_bytes / (share bandwidth))

    for the cheaper of the kernels that were measured: low-latency and high-throughput (DeepEP), and
    those that write through NVLink (TensorRT-LLM). NCCL's all-to-all where there is none.

    Parameters
    ----------
    machine
        Where it runs.
    sent
        What travels from one rank.
    gpus
        Ranks of the group; 1 costs nothing. Beyond the scale-up domain the copies that leave it
        (one per domain where a kernel forwards them, else one per expert) pass through the NIC.
    kernel
        One of `EXCHANGE_KERNELS`, to have that one whatever it costs.

    Returns
    -------
    Cost
        Seconds, of the broadcast shape. Light: one copy per distinct rank, or domain, on the wire.

    Raises LookupError if no kernels file has a kernel for it.

    >>> from planner.simulate.operators.example import h200
    >>> machine = h200(dispatch_ht=dict(floor_s=6e-5, gpu_s=0.0, copy_s=0.0, share=0.8))
    >>> cost = dispatch(machine, Exchanged(tokens=4096, hidden=7168, topk=8, bytes_per_element=2.0), gpus=8)
    >>> round(float(cost.seconds) * 1e6), round(float(cost.light_s) * 1e6)
    (809, 600)
    """
    return _exchange(machine, "dispatch", sent, gpus, kernel)


def combine(machine: Machine, back: Exchanged, gpus: Real, kernel: str = "") -> Cost:
    """Bring the experts' outputs back to the ranks of their tokens and sum them. See `dispatch`."""
    return _exchange(machine, "combine", back, gpus, kernel)


def send(machine: Machine, bytes_: Real, across: npt.ArrayLike) -> Cost:
    """Hand `bytes_` to one GPU of the next pipeline stage; through the NIC where `across`.

    Inside a domain as half of an all-to-all of two.

    >>> from planner.simulate.operators.example import h200
    >>> known = dict(floor_s=6e-6, gpu_s=0.0, ramp_s=1e-5, share=0.7, crowd=0.1)
    >>> cost = send(h200(all_to_all=known), 2.0**24, np.array([False, True]))
    >>> np.round(cost.seconds * 1e6, 1).tolist(), np.round(cost.light_s * 1e6, 1).tolist()
    ([78.6, 373.0], [37.3, 335.5])
    """
    inside = all_to_all(machine, 2.0 * bytes_, 2.0)
    out = bytes_ * (1.0 / machine.fabric.scale_out_bytes_per_s)
    far = np.asarray(across, dtype=np.float64)
    floor_s = machine.kernels.constants("all_to_all", FORMAT, NcclConstants).floor_s
    return Cost(
        np.maximum(inside.seconds, far * (out * (1.0 / NIC_SHARE) + (floor_s + HOP_S))),
        np.maximum(inside.light_s, far * out) if machine.light else 0.0,
    )


def _exchange(machine: Machine, operator: str, moved: Exchanged, gpus: Real, kernel: str) -> Cost:
    fabric, tokens, topk, token_bytes = machine.fabric, moved.tokens, moved.topk, moved.token_bytes
    gpus = np.asarray(gpus, dtype=np.float64)
    domain = float(fabric.scale_up_gpus)
    hit = 1.0 - (1.0 - 1.0 / gpus) ** topk  # chance that a token needs a given rank
    ranks = (gpus - 1.0) * hit
    bandwidth = _bandwidth(fabric, gpus)
    # of the domains beside its own: how many a token needs
    beside = np.maximum(gpus / domain - 1.0, 0.0)
    domains = beside * (1.0 - (1.0 - np.minimum(domain / gpus, 1.0)) ** topk)
    experts_beside = topk * np.maximum(1.0 - domain / gpus, 0.0)
    per_nic = token_bytes / fabric.scale_out_bytes_per_s
    hops = _hops(fabric, gpus)
    least: Real | None = None
    for name in (kernel,) if kernel else _exchange_kernels(machine):
        try:
            c = machine.kernels.constants(f"{operator}_{name}", FORMAT, ExchangeConstants)
        except LookupError:
            continue
        copies, far = (topk * (1.0 - 1.0 / gpus), experts_beside) if name == "ll" else (ranks, domains)
        # links and NIC carry their copies at the same time (within 40 % of DeepEP on 2 to 8 nodes)
        near = copies * (c.copy_s + token_bytes / (bandwidth * c.share))
        per_token = np.maximum(near, far * (per_nic / NIC_SHARE))
        taken = tokens * per_token + ((gpus > 1.0) * c.floor_s + c.gpu_s * _ranks(gpus) + hops)
        least = taken if least is None else np.minimum(least, taken)
    if least is None:
        least = all_to_all(machine, tokens * (token_bytes * gpus * hit), gpus).seconds
    if not machine.light:
        return Cost(least, 0.0)
    in_domain = np.minimum(gpus, domain)
    inside = (in_domain - 1.0) * hit * token_bytes / bandwidth
    return Cost(least, tokens * np.maximum(inside, domains * per_nic))


def reach(fabric: Fabric, gpus: int = 1) -> Reach:
    """What lies between the GPUs of a group; host bridges are the worst of it wherever there are any.

    >>> fabric = Fabric(scale_up_gpus=72, scale_up_bytes_per_s=9e11, scale_out_bytes_per_s=5e10)
    >>> reach(fabric, 64), reach(fabric, 96)
    ('rack', 'network')
    """
    if fabric.topology == "pcie":
        return "pcie"
    if gpus > fabric.scale_up_gpus:
        return "network"
    if fabric.topology == "mesh":
        return "mesh"
    return "rack" if fabric.scale_up_gpus > LARGEST_HOST_DOMAIN else "host"


def _exchange_kernels(machine: Machine) -> tuple[str, ...]:
    """DeepEP needs NVLink (or XGMI); kernels that write through it, an engine that launches them."""
    within = reach(machine.fabric)
    if within == "pcie":
        return ()
    return EXCHANGE_KERNELS if within in machine.engine.can.nvlink_kernels else EXCHANGE_KERNELS[:-1]


def _bandwidth(fabric: Fabric, gpus: Real) -> Real:
    """Bytes per second one way that each GPU of a group has inside the domain."""
    full = fabric.scale_up_bytes_per_s
    if fabric.topology != "mesh":
        return full
    links = max(fabric.scale_up_gpus - 1.0, 1.0)
    return full * np.clip((np.asarray(gpus) - 1.0) / links, 1.0 / links, 1.0)


def _crowded(fabric: Fabric, gpus: Real, crowd: float) -> Real:
    """How many times slower a byte moves when GPUs share host bridges."""
    return 1.0 + crowd * np.maximum(np.asarray(gpus) - 2.0, 0.0) if fabric.topology == "pcie" else 1.0


def _ranks(gpus: Real) -> Real:
    """What `gpu_s` is multiplied by: (n - 1)^(3/4), as measured latencies grow slower than the GPUs."""
    root = np.sqrt(np.asarray(gpus) - 1.0)
    return root * np.sqrt(root)


def _ring(gpus: Real) -> Real:
    """The same of NCCL: n - 1, as a ring passes every rank, and as slowly as the others beyond 16.

    All-reduce of 8 KiB, GB300: 10, 15.6, 28 and 50 us on 2, 4, 8 and 16 GPUs (AIConfigurator).
    """
    others = np.asarray(gpus) - 1.0
    beyond = np.sqrt(np.maximum(others / MEASURED_RING, 1.0))
    return np.minimum(others, MEASURED_RING) * beyond * np.sqrt(beyond)


def _outside(fabric: Fabric, gpus: Real) -> Real:
    """Seconds per byte of a group's tensor to bring one GPU's part of it to the other domains."""
    beyond = np.maximum(1.0 - fabric.scale_up_gpus / np.asarray(gpus), 0.0)
    return beyond * (1.0 / (fabric.scale_up_gpus * fabric.scale_out_bytes_per_s))


def _hops(fabric: Fabric, gpus: Real) -> Real:
    """Seconds of network latency: a hop for every doubling of the domains, one at least; 0 within one."""
    domains = np.maximum(np.asarray(gpus) / fabric.scale_up_gpus, 1.0)
    return HOP_S * np.maximum(np.log2(domains), 1.0) * (domains > 1.0)
