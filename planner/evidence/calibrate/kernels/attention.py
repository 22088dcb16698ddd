"""Measured attention kernels. Columns beside system, engine and latency_us, in microseconds:

    attention_prefill.csv  kv_cache_dtype, batch_size, isl, num_heads, num_key_value_heads, head_dim,
                           window_size (blank or 0: none)
    attention_decode.csv   the same and step: the context is isl + step
    mla_prefill.csv        kv_cache_dtype, num_heads, batch_size, isl, step
    mla_decode.csv         the same; the context is isl + step
    gated_delta_net.csv    phase (context or generation), kernel_source, batch_size, seq_len,
                           num_k_heads, head_k_dim, num_v_heads, head_v_dim, d_conv

Rows of a kv_cache_dtype other than bfloat16 and fp8 are passed over. Kernels that compute in bf16
or in fp8 on an fp8 cache take nearly the same time and are fitted together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from planner.arrays import FloatArray
from planner.evidence.calibrate.fit import Calibration, Group, Rows, bind, column, row_keys, span, split_by
from planner.simulate.operators.attention import gqa_mla, linear
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost

CACHE_FORMATS = {"bfloat16": "bf16", "bf16": "bf16", "fp8": "fp8"}
# DeepSeek-V3: the head dimensions of every MLA measurement
MLA_QK_DIM, MLA_V_DIM, MLA_LATENT, MLA_ROPE = 192, 128, 512, 64

Predict = Callable[[Machine], Cost]


def _groups(
    rows: Rows,
    operator: str,
    kind: type,
    predictor: Callable[[Rows, str], Predict],
    ranges: tuple[str, ...],
    fixed: Mapping[str, float],
) -> Iterator[Group]:
    """One group per system, engine and cache format."""
    for (system, engine, dtype), part in split_by(rows, "system", "engine", "kv_cache_dtype").items():
        kv = CACHE_FORMATS.get(dtype)
        if kv is None:
            continue
        yield Group(
            system=system,
            operator=operator,
            engine=engine,
            dtype=kv,
            kind=kind,
            predict=predictor(part, kv),
            measured_s=column(part, "latency_us") * 1e-6,
            keys=row_keys(part),
            range=span(part, *ranges),
            fixed=fixed,
        )


def _columns(rows: Rows, *names: str) -> list[FloatArray]:
    return [column(rows, name) for name in names]


def _context(rows: Rows) -> FloatArray:
    """Tokens in the cache of a decode measurement, the new one included."""
    return column(rows, "isl") + column(rows, "step")


def _prefill(rows: Rows, kv: str) -> Predict:
    names = ("batch_size", "isl", "step", "num_heads", "num_key_value_heads", "head_dim", "head_dim")
    return bind(gqa_mla.prefill, kv, *_columns(rows, *names, "window_size"))


def _decode(rows: Rows, kv: str) -> Predict:
    names = ("num_heads", "num_key_value_heads", "head_dim", "head_dim", "window_size")
    return bind(gqa_mla.decode, kv, column(rows, "batch_size"), _context(rows), *_columns(rows, *names))


def _mla_prefill(rows: Rows, kv: str) -> Predict:
    shape = _columns(rows, "batch_size", "isl", "step", "num_heads")
    return bind(gqa_mla.mla_prefill, kv, *shape, MLA_QK_DIM, MLA_V_DIM)


def _mla_decode(rows: Rows, kv: str) -> Predict:
    batch, heads = _columns(rows, "batch_size", "num_heads")
    return bind(gqa_mla.mla_decode, kv, batch, _context(rows), heads, MLA_LATENT, MLA_ROPE)


def _linear(rows: Rows) -> Iterator[Group]:
    """The convolution and the recurrence of linear attention, each in prefill and in decode."""
    for (system, engine, phase, source), part in split_by(
        rows, "system", "engine", "phase", "kernel_source"
    ).items():
        shape = _columns(part, "num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim")
        batch = column(part, "batch_size")
        conv = source.startswith("causal_conv1d")
        kind: type = linear.StreamConstants
        if phase == "context":
            tokens = column(part, "seq_len")
            operator = linear.CONV if conv else linear.SCAN
            predict = bind(linear.conv if conv else linear.scan, batch, tokens, *shape)
            kind = kind if conv else linear.ScanConstants
        elif conv:
            operator = linear.CONV_STEP
            predict = bind(linear.conv_step, batch, *shape, column(part, "d_conv"))
        else:
            operator = linear.STEP
            predict = bind(linear.step, batch, *shape)
        yield Group(
            system=system,
            operator=operator,
            engine=engine,
            dtype=linear.FORMAT,
            kind=kind,
            predict=predict,
            measured_s=column(part, "latency_us") * 1e-6,
            keys=row_keys(part),
            range=span(part, "batch_size", "seq_len", "num_v_heads"),
        )


CALIBRATIONS = (
    Calibration(
        csv="attention_prefill.csv",
        groups=partial(
            _groups,
            operator=gqa_mla.PREFILL,
            kind=gqa_mla.PrefillConstants,
            predictor=_prefill,
            ranges=("batch_size", "isl", "num_heads", "head_dim"),
            fixed={},
        ),
    ),
    Calibration(
        csv="attention_decode.csv",
        groups=partial(
            _groups,
            operator=gqa_mla.DECODE,
            kind=gqa_mla.DecodeConstants,
            predictor=_decode,
            ranges=("batch_size", "step", "num_heads", "head_dim"),
            fixed={},
        ),
    ),
    Calibration(
        csv="mla_prefill.csv",
        groups=partial(
            _groups,
            operator=gqa_mla.MLA_PREFILL,
            kind=gqa_mla.PrefillConstants,
            predictor=_mla_prefill,
            ranges=("batch_size", "isl", "num_heads"),
            # one set of dimensions, no window, as many KV heads as heads: these cannot be told apart
            fixed={"score_dims": 0.0, "window_pad": 0.0, "key_s": 0.0},
        ),
    ),
    Calibration(
        csv="mla_decode.csv",
        groups=partial(
            _groups,
            operator=gqa_mla.MLA_DECODE,
            kind=gqa_mla.LatentConstants,
            predictor=_mla_decode,
            ranges=("batch_size", "step", "num_heads"),
            fixed={},
        ),
    ),
    Calibration(csv="gated_delta_net.csv", groups=_linear),
)
