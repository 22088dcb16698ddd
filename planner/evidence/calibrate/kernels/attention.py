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
from planner.evidence.calibrate.fit import Calibration, Group, bind, column, row_keys, span, split_by
from planner.evidence.csv_files import Rows
from planner.simulate.operators.attention import causal, gqa, linear, mla
from planner.simulate.operators.attention.layer import Heads
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost
from planner.words import CacheFormat

CACHE_FORMATS: Mapping[str, CacheFormat] = {"bfloat16": "bf16", "bf16": "bf16", "fp8": "fp8"}
# DeepSeek-V3: the head dimensions of every MLA measurement
MLA_QK_DIM, MLA_V_DIM, MLA_LATENT, MLA_ROPE = 192, 128, 512, 64
# whose MLA kernels have tiles of 16 and 64 heads (`planner.simulate.operators.attention.mla.SMALL_TILE`)
BLACKWELL = ("b200", "gb200", "b300", "gb300")

Predict = Callable[[Machine], Cost]


def _groups(
    rows: Rows,
    operator: str,
    kind: type,
    predictor: Callable[[Rows, CacheFormat], Predict],
    ranges: tuple[str, ...],
    fixed: Mapping[str, float],
    blackwell: tuple[str, ...] = (),
) -> Iterator[Group]:
    """One group per system, engine and cache format; constants `blackwell` are 0 on other chips."""
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
            fixed=fixed if system in BLACKWELL else {**fixed, **dict.fromkeys(blackwell, 0.0)},
        )


def _columns(rows: Rows, *names: str) -> list[FloatArray]:
    return [column(rows, name) for name in names]


def _context(rows: Rows) -> FloatArray:
    """Tokens in the cache of a decode measurement, the new one included."""
    return column(rows, "isl") + column(rows, "step")


def _heads(rows: Rows) -> Heads:
    query, kv, dim, window = _columns(rows, "num_heads", "num_key_value_heads", "head_dim", "window_size")
    return Heads(query=query, kv=kv, qk_dim=dim, v_dim=dim, window=window)


def _prefill(rows: Rows, kv: CacheFormat) -> Predict:
    return bind(gqa.prefill, kv, _heads(rows), *_columns(rows, "batch_size", "isl", "step"))


def _decode(rows: Rows, kv: CacheFormat) -> Predict:
    return bind(gqa.decode, kv, _heads(rows), column(rows, "batch_size"), _context(rows))


def mla_expanded(heads: FloatArray) -> Heads:
    """DeepSeek-V3's heads as prefill has them."""
    return Heads(query=heads, kv=heads, qk_dim=MLA_QK_DIM, v_dim=MLA_V_DIM)


def mla_absorbed(heads: FloatArray) -> mla.LatentHeads:
    """DeepSeek-V3's heads as decode has them."""
    return mla.LatentHeads(query=heads, latent=MLA_LATENT, rope=MLA_ROPE)


def _mla_prefill(rows: Rows, kv: CacheFormat) -> Predict:
    heads = mla_expanded(column(rows, "num_heads"))
    return bind(mla.prefill, kv, heads, *_columns(rows, "batch_size", "isl", "step"))


def _mla_decode(rows: Rows, kv: CacheFormat) -> Predict:
    heads = mla_absorbed(column(rows, "num_heads"))
    return bind(mla.decode, kv, heads, column(rows, "batch_size"), _context(rows))


def _linear(rows: Rows) -> Iterator[Group]:
    """The convolution and the recurrence of linear attention, each in prefill and in decode."""
    for (system, engine, phase, source), part in split_by(
        rows, "system", "engine", "phase", "kernel_source"
    ).items():
        key, key_dim, value, value_dim = _columns(
            part, "num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim"
        )
        heads = linear.StateHeads(key=key, key_dim=key_dim, value=value, value_dim=value_dim)
        batch = column(part, "batch_size")
        conv = source.startswith("causal_conv1d")
        kind: type = linear.StreamConstants
        if phase == "context":
            tokens = column(part, "seq_len")
            operator = linear.CONV if conv else linear.SCAN
            predict = bind(linear.conv if conv else linear.scan, heads, batch, tokens)
            kind = kind if conv else linear.ScanConstants
        elif conv:
            operator = linear.CONV_STEP
            predict = bind(linear.conv_step, heads, batch, column(part, "d_conv"))
        else:
            operator = linear.STEP
            predict = bind(linear.step, heads, batch)
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
            operator=gqa.PREFILL,
            kind=causal.PrefillConstants,
            predictor=_prefill,
            ranges=("batch_size", "isl", "num_heads", "head_dim"),
            fixed={},
        ),
    ),
    Calibration(
        csv="attention_decode.csv",
        groups=partial(
            _groups,
            operator=gqa.DECODE,
            kind=gqa.DecodeConstants,
            predictor=_decode,
            ranges=("batch_size", "step", "num_heads", "head_dim"),
            fixed={},
        ),
    ),
    Calibration(
        csv="mla_prefill.csv",
        groups=partial(
            _groups,
            operator=mla.PREFILL,
            kind=causal.PrefillConstants,
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
            operator=mla.DECODE,
            kind=mla.LatentConstants,
            predictor=_mla_decode,
            ranges=("batch_size", "step", "num_heads"),
            fixed={},
            blackwell=("reread",),
        ),
    ),
    Calibration(csv="gated_delta_net.csv", groups=_linear),
)
