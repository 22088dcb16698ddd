"""The calibration harness: it finds the constants behind noisy data and keeps others' tables."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from planner.calibrate.fit import (
    Fit,
    Group,
    bind,
    column,
    entry,
    fit_group,
    significant,
    span,
    split_by,
    trial_machine,
    write_kernels,
)
from planner.precision import FORMATS
from planner.simulate.gemm import GemmConstants, gemm
from planner.system import Fabric, Gpu, System
from planner.tables import read_toml

SYSTEM = System(
    name="test",
    label="test",
    family="hopper",
    gpu=Gpu(
        memory_bytes=141e9,
        hbm_bytes_per_s=4.8e12,
        peak_flops={"bf16": 989e12, "fp8": 1979e12},
        sms=132,
        watts=700.0,
    ),
    fabric=Fabric(scale_up_gpus=8, scale_up_bytes_per_s=450e9, scale_out_bytes_per_s=50e9),
    usd_per_gpu_hour=1.0,
    watts_per_gpu=700.0,
    kernels="test",
    sources={},
)
TRUE = {
    "compute": 0.72,
    "memory": 0.81,
    "serial": 0.2,
    "floor_s": 4e-6,
    "depth_s": 4e-10,
    "input_s": 5e-13,
    "output_s": 2e-13,
    "host_s": 1e-6,
}


def synthetic(noise: float, rows: int = 250, seed: int = 1) -> Group:
    random = np.random.default_rng(seed)
    m, n, k = (2.0 ** random.integers(low, high, rows) for low, high in ((0, 15), (7, 16), (7, 16)))
    predict = bind(gemm, FORMATS["fp8"], m, n, k)
    group = Group(
        system="test",
        operator="gemm",
        engine="trtllm",
        dtype="fp8",
        kind=GemmConstants,
        predict=predict,
        measured_s=np.ones(rows),
        keys=[f"{i}" for i in range(rows)],
        range="",
    )
    exact = predict(trial_machine(SYSTEM, group, TRUE)).seconds
    return dataclasses.replace(group, measured_s=exact * np.exp(noise * random.standard_normal(rows)))


@pytest.fixture(scope="module")
def fitted() -> Fit:
    fit = fit_group(synthetic(0.03), SYSTEM, folds=2)
    assert fit is not None
    return fit


def test_recovers_known_constants_from_noisy_measurements(fitted: Fit) -> None:
    for name in ("compute", "memory", "floor_s", "depth_s", "input_s", "output_s"):
        assert fitted.constants[name] == pytest.approx(TRUE[name], rel=0.15), name


def test_left_out_error_is_that_of_the_noise(fitted: Fit) -> None:
    assert fitted.n == 250
    assert 0.015 < fitted.mape < 0.04  # mean absolute value of 3 % noise is 2.4 %
    assert fitted.median_ape < fitted.mape


def test_outliers_do_not_move_the_constants(fitted: Fit) -> None:
    group = synthetic(0.03)
    spoilt = group.measured_s.copy()
    spoilt[::25] *= 10.0
    fit = fit_group(dataclasses.replace(group, measured_s=spoilt), SYSTEM, folds=2)
    assert fit is not None
    assert fit.constants["compute"] == pytest.approx(fitted.constants["compute"], rel=0.1)
    assert fit.mape > fitted.mape  # and the error it reports does not hide them


def test_fixed_constants_stay(fitted: Fit) -> None:
    fit = fit_group(dataclasses.replace(synthetic(0.03), fixed={"memory": 0.5}), SYSTEM, folds=2)
    assert fit is not None
    assert fit.constants["memory"] == 0.5
    assert fit.mape > fitted.mape


def test_rows_faster_than_light_are_dropped() -> None:
    group = synthetic(0.0)
    quick = group.measured_s.copy()
    quick[:10] = 1e-12
    fit = fit_group(dataclasses.replace(group, measured_s=quick), SYSTEM, folds=2)
    assert fit is not None
    assert (fit.n, fit.dropped) == (240, 10)
    assert fit.mape < 0.01
    assert fit_group(dataclasses.replace(group, measured_s=quick * 1e-9), SYSTEM) is None


def test_order_of_rows_does_not_matter(fitted: Fit) -> None:
    group = synthetic(0.03)
    shape = [v[::-1] for v in group.predict.__closure__[0].cell_contents[1:]]  # type: ignore[attr-defined]
    again = dataclasses.replace(
        group,
        predict=bind(gemm, FORMATS["fp8"], *shape),
        measured_s=group.measured_s[::-1],
        keys=group.keys[::-1],
    )
    fit = fit_group(again, SYSTEM, folds=2)
    assert fit is not None
    assert fit.mape == pytest.approx(fitted.mape, rel=1e-3)


def test_writer_merges_by_operator_engine_and_format(tmp_path: Path, fitted: Fit) -> None:
    path = tmp_path / "test.toml"
    path.write_text(
        'relative = "b200"\n[moe.trtllm.fp8]\nn = 3\n[gemm.vllm.fp8]\nn = 4\n[gemm.trtllm.fp8]\nn = 5\n'
    )
    write_kernels(path, [fitted], relative="h100")
    table = read_toml(path)
    assert table["relative"] == "b200"  # the file's own choice stays
    assert table["moe"]["trtllm"]["fp8"]["n"] == 3
    assert table["gemm"]["vllm"]["fp8"]["n"] == 4
    assert table["gemm"]["trtllm"]["fp8"]["n"] == 250
    assert GemmConstants(**table["gemm"]["trtllm"]["fp8"]["constants"]).compute == pytest.approx(
        0.72, rel=0.15
    )


def test_writer_starts_a_file(tmp_path: Path, fitted: Fit) -> None:
    path = tmp_path / "deep" / "new.toml"
    write_kernels(path, [fitted], relative="h100")
    assert read_toml(path)["relative"] == "h100"
    assert list(path.parent.iterdir()) == [path]  # no scratch file is left


def test_constants_are_written_with_four_digits(fitted: Fit) -> None:
    written = entry(fitted)["constants"]
    assert all(value == significant(value) for value in written.values())
    assert significant(1.23456e-7) == 1.235e-07
    assert significant(0.0) == 0.0


def test_rows_are_read_and_split() -> None:
    rows = [{"a": "1", "b": "x"}, {"a": "", "b": "y"}, {"a": "3", "b": "x"}]
    assert column(rows, "a").tolist() == [1.0, 0.0, 3.0]
    assert column(rows, "missing", blank=7.0).tolist() == [7.0, 7.0, 7.0]
    assert [len(part) for part in split_by(rows, "b").values()] == [2, 1]
    assert span(rows, "a") == "a 0..3"
