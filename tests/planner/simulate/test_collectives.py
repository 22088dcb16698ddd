"""Collectives: the speed of light, growth with bytes, and what changes at the edge of a domain."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.inputs import catalog
from planner.simulate.operators import collectives
from planner.simulate.operators.collectives import (
    AllReduceConstants,
    ExchangeConstants,
    Exchanged,
    NcclConstants,
)
from planner.simulate.operators.constants import bounds
from planner.simulate.operators.example import h200
from planner.simulate.operators.machine import Machine

ENGINES = ("trtllm", "sglang", "vllm")
SYSTEMS = catalog.load().names("system")
KINDS = {
    "all_reduce": AllReduceConstants,
    "nccl_all_reduce": NcclConstants,
    "all_gather": NcclConstants,
    "reduce_scatter": NcclConstants,
    "all_to_all": NcclConstants,
    **{f"{half}_{name}": ExchangeConstants for half in ("dispatch", "combine") for name in ("ll", "ht")},
}


def moved(tokens, bytes_per_element):
    """What DeepSeek exchanges: 8 experts for each token, 7168 wide."""
    return Exchanged(tokens=tokens, hidden=7168, topk=8, bytes_per_element=bytes_per_element)


# each operator as a function of machine, size and GPUs, the size being bytes or tokens
OPERATORS = {
    "all_reduce": collectives.all_reduce,
    "all_gather": collectives.all_gather,
    "reduce_scatter": collectives.reduce_scatter,
    "all_to_all": collectives.all_to_all,
    "dispatch": lambda m, size, n: collectives.dispatch(m, moved(size, 1.0), n),
    "combine": lambda m, size, n: collectives.combine(m, moved(size, 2.0), n),
    "send": lambda m, size, n: collectives.send(m, size, n > m.fabric.scale_up_gpus),
}
SIZES = np.array([0.0, 1.0, 300.0, 8e3, 2e5, 3e6, 5e7, 2e9])
GROUPS = np.array([1.0, 2, 3, 4, 8, 16, 36, 64, 72, 128, 256])[:, None]


@functools.cache
def machine_of(system: str, engine: str) -> Machine:
    presets = catalog.load()
    spec = presets.system(system)
    return Machine(
        gpu=spec.gpu, fabric=spec.fabric, kernels=presets.kernels(spec, engine), engine=presets.engine(engine)
    )


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """A preset system under an engine, with its constants or with any legal ones."""
    machine = machine_of(draw(st.sampled_from(SYSTEMS)), draw(st.sampled_from(ENGINES)))
    if draw(st.booleans()):
        return machine
    legal = {
        name: {k: draw(st.floats(b.low, b.high)) for k, b in bounds(kind).items()}
        for name, kind in KINDS.items()
    }
    return dataclasses.replace(machine, kernels=h200(**legal).kernels)


def with_fabric(machine: Machine, **changes: float) -> Machine:
    return dataclasses.replace(machine, fabric=dataclasses.replace(machine.fabric, **changes))


OPERATOR = st.sampled_from(sorted(OPERATORS))


@given(machines(), OPERATOR)
@settings(max_examples=40, deadline=None)
def test_nothing_beats_light_and_more_bytes_never_take_less(machine, name):
    cost = OPERATORS[name](machine, SIZES, GROUPS)
    assert np.shape(cost.seconds) == (len(GROUPS), len(SIZES))
    assert np.all(np.isfinite(cost.seconds)) and np.all(cost.light_s >= 0)
    assert np.all(cost.seconds >= cost.light_s * (1 - 1e-12))
    assert np.all(np.diff(cost.seconds, axis=1) >= 0) and np.all(np.diff(cost.light_s, axis=1) >= 0)


@given(machines(), OPERATOR, st.floats(1.0, 8.0))
@settings(max_examples=40, deadline=None)
def test_a_faster_fabric_never_takes_longer(machine, name, factor):
    usual = OPERATORS[name](machine, SIZES, GROUPS).seconds
    fabric = machine.fabric
    up = with_fabric(machine, scale_up_bytes_per_s=fabric.scale_up_bytes_per_s * factor)
    out = with_fabric(machine, scale_out_bytes_per_s=fabric.scale_out_bytes_per_s * factor)
    for better in (up, out):
        assert np.all(OPERATORS[name](better, SIZES, GROUPS).seconds <= usual * (1 + 1e-12))


@given(machines(), st.sampled_from(sorted(set(OPERATORS) - {"send"})))
@settings(max_examples=40, deadline=None)
def test_leaving_the_domain_is_never_faster(machine, name):
    """The same group in domains of 4, 8, 16 ... GPUs: the wider the domain, the less it takes."""
    machine = with_fabric(machine, topology="switch")
    taken = [OPERATORS[name](with_fabric(machine, scale_up_gpus=d), SIZES, 64.0).seconds for d in (2, 4, 8)]
    whole = OPERATORS[name](with_fabric(machine, scale_up_gpus=64), SIZES, 64.0).seconds
    assert np.all(taken[0] >= taken[1] * (1 - 1e-12)) and np.all(taken[1] >= taken[2] * (1 - 1e-12))
    assert np.all(taken[2] >= whole * (1 - 1e-12))


@pytest.mark.parametrize("name", sorted(set(OPERATORS) - {"send"}))
def test_one_gpu_has_no_one_to_talk_to(name):
    cost = OPERATORS[name](machine_of("h200", "trtllm"), SIZES, 1.0)
    assert np.all(cost.seconds == 0) and np.all(cost.light_s == 0)


def test_a_message_through_the_nic_takes_at_least_its_bytes():
    machine = machine_of("h200", "vllm")
    near, far = (collectives.send(machine, 2.0**30, across) for across in (False, True))
    assert far.seconds > 5 * near.seconds
    assert far.light_s == pytest.approx(2.0**30 / machine.fabric.scale_out_bytes_per_s)


def test_small_groups_on_a_mesh_have_few_links():
    """Two of eight GPUs on XGMI share one link of seven."""
    machine = machine_of("mi300x", "vllm")
    assert machine.fabric.topology == "mesh"
    pair = collectives.all_gather(machine, 2.0**30, 2.0)
    link = machine.fabric.scale_up_bytes_per_s / 7
    assert pair.light_s == pytest.approx(2.0**29 / link)
    switched = collectives.all_gather(with_fabric(machine, topology="switch"), 2.0**30, 2.0)
    assert pair.seconds > 6 * switched.seconds


def test_host_bridges_crowd():
    """On cards an all-reduce over 4 GPUs takes about twice that over 2; on NVSwitch hardly more.

    64 MiB on RTX PRO 6000: 1.84, 3.56 and 5.07 ms over 2, 4 and 8. L40S has half of its bus, and takes
    3.54 ms over two.
    """
    bytes_ = 2.0**26
    four, two = (
        [float(collectives.all_reduce(machine_of(s, "vllm"), bytes_, n).seconds) for s in ("l40s", "h200")]
        for n in (4.0, 2.0)
    )
    assert 1.7 * two[0] < four[0] < 2.5 * two[0] and four[1] < 1.7 * two[1]
    assert two[0] == pytest.approx(3.54e-3, rel=0.1)


def test_small_all_reduces_cost_latency_and_large_ones_bandwidth():
    """Decode of Llama-70B at batch 8 reduces 128 KiB: microseconds, not the bandwidth time."""
    machine = machine_of("h200", "trtllm")
    cost = collectives.all_reduce(machine, np.array([2.0**17, 2.0**30]), 8.0)
    assert 3e-6 < cost.seconds[0] < 12e-6 and cost.seconds[0] > 10 * cost.light_s[0]
    bus = 2 * 7 / 8 * 2.0**30 / cost.seconds[1]
    assert 0.8 * 450e9 < bus < 1.2 * 450e9  # reduction in the switch beats the ring's bound


def test_latency_grows_slowly_over_a_rack():
    machine = machine_of("gb200", "trtllm")
    eight, rack = (collectives.all_reduce(machine, 16384.0, n).seconds for n in (8.0, 72.0))
    assert eight < rack < 5 * eight


def test_exchange_sends_a_token_once_to_a_rank():
    """With 8 experts per token on 2 ranks a token leaves once at most; light counts that copy."""
    machine = machine_of("h200", "trtllm")
    cost = collectives.dispatch(machine, moved(4096, 2.0), np.array([2.0, 8.0]))
    one_copy = 4096 * 7168 * 2 / machine.fabric.scale_up_bytes_per_s
    assert 0.95 * one_copy < cost.light_s[0] <= one_copy
    assert cost.light_s[1] == pytest.approx(7 * (1 - (7 / 8) ** 8) * one_copy)


def test_the_cheaper_exchange_kernel_is_taken():
    machine, tokens = machine_of("h200", "trtllm"), np.array([1.0, 64.0, 4096.0])
    least = collectives.combine(machine, moved(tokens, 2.0), 8.0).seconds
    each = [collectives.combine(machine, moved(tokens, 2.0), 8.0, k).seconds for k in ("ll", "ht")]
    assert np.all(least == np.minimum(*each))
    assert each[0][0] < each[1][0] and each[1][2] < each[0][2]


def test_exchange_falls_back_on_nccl():
    own = {"floor_s": 1e-5, "gpu_s": 1e-9, "ramp_s": 1e-5, "share": 0.7, "crowd": 0.1}
    machine = h200(all_to_all=own)
    cost = collectives.dispatch(machine, moved(4096, 2.0), 8.0)
    assert cost.seconds >= cost.light_s > 0
    with pytest.raises(LookupError):
        collectives.dispatch(h200(), moved(4096, 2.0), 8.0)


def test_two_nodes_of_low_latency_exchange():
    """DeepEP on 2 nodes of 8 H100: 128 tokens per rank in fp8 took 102 us, mostly through the NIC."""
    machine = machine_of("h100", "sglang")
    cost = collectives.dispatch(machine, moved(128, 1.0), 16.0, "ll")
    assert float(cost.seconds) == pytest.approx(102e-6, rel=0.15)


def test_which_exchange_kernels_a_fabric_has():
    """Kernels that write through NVLink: on a rack, and on a host where the engine launches them there."""
    rack, node, other = (
        machine_of(system, engine)
        for system, engine in (("gb200", "trtllm"), ("b200", "trtllm"), ("b200", "sglang"))
    )
    for machine, launched in ((rack, True), (node, True), (other, False)):
        through = collectives.combine(machine, moved(64, 2.0), 8.0, "nvlink").seconds
        usual = collectives.combine(machine, moved(64, 2.0), 8.0).seconds
        assert usual == through if launched else usual > through
    cards = machine_of("l40s", "vllm")
    assert collectives.dispatch(cards, moved(64, 1.0), 8.0).seconds == pytest.approx(
        collectives.all_to_all(cards, 64 * 7168 * 8 * (1 - (7 / 8) ** 8), 8.0).seconds
    )


def test_nccl_grows_with_every_rank_of_a_rack():
    # GB300, 8 KiB on 2, 4, 8 and 16 GPUs
    gpus = np.array([2.0, 4.0, 8.0, 16.0])
    taken = collectives.nccl(machine_of("gb300", "trtllm"), "nccl_all_reduce", 8192.0, gpus).seconds
    assert 1e6 * taken == pytest.approx([10.0, 15.6, 28.0, 50.2], rel=0.15)


def test_engines_that_do_not_span_the_rack_run_on_nccl():
    gpus = np.array([4.0, 8.0, 16.0])
    found = {}
    for name in ENGINES:
        engine = catalog.load().engine(name)
        machine = dataclasses.replace(machine_of("gb300", name), engine=engine)
        found[name] = collectives.all_reduce(machine, 8192.0, gpus).seconds
        fallen = found[name] == collectives.nccl(machine, "nccl_all_reduce", 8192.0, gpus).seconds
        assert fallen.tolist() == [False, False, bool(engine.all_reduce_gpus)], name
    # measured at 16: 5.4 us with TensorRT-LLM's multicast, 50 us where SGLang and vLLM fall back
    assert 1e6 * found["trtllm"][2] == pytest.approx(5.4, rel=0.15)
    assert 1e6 * found["vllm"][2] == pytest.approx(50.0, rel=0.15)
    one_host = dataclasses.replace(machine_of("b200", "vllm"), engine=catalog.load().engine("vllm"))
    engine = dataclasses.replace(one_host.engine, all_reduce_gpus=4)
    narrow = dataclasses.replace(one_host, engine=engine)  # eight on one board are no rack
    own, same = (collectives.all_reduce(m, 8192.0, 8.0).seconds for m in (one_host, narrow))
    assert own == same
