"""GEMMs and elementwise kernels: never faster than light, never cheaper for more work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.inputs import catalog
from planner.inputs.precision import FORMATS
from planner.simulate.operators.constants import bounds
from planner.simulate.operators.example import h200
from planner.simulate.operators.gemm import OPERATOR, GemmConstants, elementwise, gemm, peak_flops
from planner.simulate.operators.machine import Machine

CATALOG = catalog.load()
SYSTEMS = CATALOG.names("system")
ENGINES = ("trtllm", "sglang", "vllm")
sizes = st.floats(0, 17).map(lambda x: 2.0**x)


def on(system: str, engine: str) -> Machine:
    spec = CATALOG.system(system)
    return dataclasses.replace(
        h200(), gpu=spec.gpu, fabric=spec.fabric, kernels=CATALOG.kernels(spec, engine)
    )


machines = st.builds(on, st.sampled_from(SYSTEMS), st.sampled_from(ENGINES))
formats = st.sampled_from(sorted(FORMATS)).map(FORMATS.__getitem__)


def drawn(kind: type) -> st.SearchStrategy[dict[str, float]]:
    """Any constants that a fit may give."""
    return st.fixed_dictionaries(
        {n: st.sampled_from((b.low, b.start, b.high)) for n, b in bounds(kind).items()}
    )


@given(machines, formats, sizes, sizes, sizes)
@settings(max_examples=60, deadline=None)
def test_no_measured_gemm_beats_light(machine, fmt, tokens, n, k) -> None:
    cost = gemm(machine, fmt, tokens, n, k)
    assert 0 < cost.light_s < cost.seconds
    assert gemm(machine, fmt, tokens, n, k, graph=True).seconds <= cost.seconds


@given(drawn(GemmConstants), formats, sizes, sizes, sizes)
@settings(max_examples=60, deadline=None)
def test_no_legal_constants_beat_light(constants, fmt, tokens, n, k) -> None:
    cost = gemm(h200(gemm=constants), fmt, tokens, n, k, graph=True)
    assert cost.light_s <= cost.seconds * (1 + 1e-12)


@given(machines, formats, sizes, sizes, sizes, st.floats(1.0, 3.0))
@settings(max_examples=60, deadline=None)
def test_more_work_never_takes_less_time(machine, fmt, tokens, n, k, more) -> None:
    before = gemm(machine, fmt, tokens, n, k).seconds
    for grown in ((tokens * more, n, k), (tokens, n * more, k), (tokens, n, k * more)):
        assert gemm(machine, fmt, *grown).seconds >= before * (1 - 1e-12)


@given(formats, sizes, sizes, sizes)
@settings(max_examples=30, deadline=None)
def test_a_faster_gpu_is_not_slower(fmt, tokens, n, k) -> None:
    machine = on("b200", "trtllm")
    gpu = machine.gpu
    better = (
        dataclasses.replace(gpu, hbm_bytes_per_s=gpu.hbm_bytes_per_s * 2),
        dataclasses.replace(gpu, peak_flops={rate: 2 * peak for rate, peak in gpu.peak_flops.items()}),
    )
    for faster in better:
        sped_up = gemm(dataclasses.replace(machine, gpu=faster), fmt, tokens, n, k)
        assert sped_up.seconds <= gemm(machine, fmt, tokens, n, k).seconds * (1 + 1e-12)


def test_scalars_and_arrays_broadcast() -> None:
    machine = on("h200", "trtllm")
    tokens = np.array([1.0, 64.0, 4096.0])
    table = gemm(machine, FORMATS["fp8"], tokens[:, None], np.array([1024.0, 8192.0]), 4096)
    assert np.shape(table.seconds) == np.shape(table.light_s) == (3, 2)
    alone = gemm(machine, FORMATS["fp8"], 64.0, 8192.0, 4096)
    assert table.seconds[1, 1] == pytest.approx(alone.seconds, rel=1e-14)


def test_decode_streams_weights_at_the_width_of_the_format() -> None:
    machine = on("b200", "trtllm")
    light = {name: gemm(machine, fmt, 1, 16384, 16384).light_s for name, fmt in FORMATS.items()}
    assert light["fp8"] == pytest.approx(light["bf16"] / 2, rel=1e-3)
    assert light["nvfp4"] == pytest.approx(light["bf16"] * 0.5625 / 2, rel=1e-3)
    # weight-only formats compute at the bf16 rate
    wide = gemm(machine, FORMATS["int4_wo"], 65536, 8192, 8192).light_s
    assert wide == gemm(machine, FORMATS["bf16"], 65536, 8192, 8192).light_s


def test_peak_falls_back_to_bf16() -> None:
    machine = on("a100", "vllm")
    assert peak_flops(machine, "fp8") == peak_flops(machine, "bf16") == machine.gpu.peak_flops["bf16"]


def test_a_launch_hides_a_short_kernel_unless_a_graph_replays_it() -> None:
    constants = dict.fromkeys(bounds(GemmConstants), 0.0) | {"compute": 1.0, "memory": 1.0, "host_s": 1e-4}
    machine = h200(gemm=constants)
    assert gemm(machine, FORMATS["bf16"], 1, 128, 128).seconds == 1e-4
    assert gemm(machine, FORMATS["bf16"], 1, 128, 128, graph=True).seconds < 1e-6


def test_odd_rows_are_slow_only_where_nothing_pads_them() -> None:
    own = dict.fromkeys(bounds(GemmConstants), 0.0) | {"compute": 0.8, "memory": 0.8, "ragged": 0.5}
    machine = h200(gemm=own)
    rows = np.array([1024.0, 1025.0])
    even, odd = gemm(machine, FORMATS["fp8"], rows, 8192, 8192, padded=False).seconds
    assert odd == pytest.approx(2.0 * even, rel=2e-3)
    even, odd = gemm(machine, FORMATS["fp8"], rows, 8192, 8192).seconds
    assert odd == pytest.approx(even, rel=2e-3)


def test_rows_quantised_one_by_one_take_their_time() -> None:
    own = dict.fromkeys(bounds(GemmConstants), 0.0) | {"compute": 1.0, "memory": 1.0, "ragged": 1.0}
    plain, slow = (gemm(h200(gemm=own | {"row_s": s}), FORMATS["fp8"], 2048, 256, 256) for s in (0.0, 5e-9))
    assert slow.seconds - plain.seconds == pytest.approx(2048 * 5e-9)
    assert slow.light_s == plain.light_s


def test_kernels_files_may_leave_out_what_few_kernels_have() -> None:
    needed = [f.name for f in dataclasses.fields(GemmConstants) if f.default is dataclasses.MISSING]
    c = GemmConstants(**dict.fromkeys(needed, 0.5))
    assert (c.ragged, c.row_s, c.host_ragged_s, c.host_many_s) == (1.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("grow", [lambda x: x, lambda x: x + 1e6])
def test_elementwise_moves_memory(grow: Callable[[float], float]) -> None:
    machine = on("h200", "trtllm")
    cost = elementwise(machine, grow(1e6))
    assert cost.light_s == pytest.approx(grow(1e6) / 4.8e12)
    assert cost.seconds > cost.light_s
    assert elementwise(machine, 0.0).seconds > 0


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_has_gemms_for_its_own_formats(system: str) -> None:
    machine = on(system, "trtllm")
    for fmt in FORMATS.values():
        machine.kernels.constants(OPERATOR, fmt.name, GemmConstants)


@pytest.mark.parametrize(
    ("system", "low", "high"), [("h200", 0.6, 0.9), ("b200", 0.5, 0.85), ("a100", 0.7, 0.95)]
)
def test_large_products_reach_the_measured_share_of_peak(system: str, low: float, high: float) -> None:
    cost = gemm(on(system, "trtllm"), FORMATS["bf16"], 8192, 8192, 8192)
    assert low < cost.light_s / cost.seconds < high
