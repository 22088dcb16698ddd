"""Measured DSA attention blocks: ``dsa_prefill_module.csv`` and ``dsa_decode_module.csv``.

Columns beside system, engine and latency_us: model, kv_cache_dtype, gemm_type, num_heads,
batch_size, isl (new tokens of each sequence) and step (tokens in its cache). A row times a whole
block, projections included, so the GEMMs of the same system must be fitted first; what they leave
is the indexer's and the sparse kernel's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from planner.calibrate.attention import CACHE_FORMATS
from planner.calibrate.fit import Calibration, Group, Rows, column, row_keys, span, split_by
from planner.calibrate.gemm import DTYPES
from planner.precision import FORMATS
from planner.simulate import sparse_attention
from planner.simulate.gemm import gemm
from planner.simulate.machine import Machine
from planner.simulate.roofline import Cost, FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Dimensions of one model's attention block, as in its config.json."""

    hidden: int
    q_lora: int
    nope: int
    value: int
    index_heads: int
    latent: int = 512
    rope: int = 64
    index_dim: int = 128
    topk: int = 2048


BLOCKS = {
    "deepseek": Block(hidden=7168, q_lora=1536, nope=128, value=128, index_heads=64),
    "glm": Block(hidden=6144, q_lora=2048, nope=192, value=256, index_heads=32),
}


# Where the host's launches hide them, the kernels' floors are those that TensorRT-LLM's rows give
HIDDEN_FLOORS = {"index_floor_s": 3e-5, "index_split_s": 3e-7, "floor_s": 1e-5}
SGLANG_DENSE_TOKENS = 2048
SGLANG_GRAPH_BATCH = 256


def _block(model: str) -> Block:
    return BLOCKS["glm" if "glm" in model.lower() else "deepseek"]


def _projections(machine: Machine, b: Block, fmt: str, tokens: FloatArray, heads: FloatArray) -> Cost:
    """The GEMMs of a block: down, up, absorption of keys and values (bf16), output, and the indexer's."""
    f, plain = FORMATS[fmt], FORMATS["bf16"]
    return (
        gemm(machine, f, tokens, b.q_lora + b.latent + b.rope, b.hidden, graph=True)
        + gemm(machine, f, tokens, heads * (b.nope + b.rope), b.q_lora, graph=True)
        + gemm(machine, plain, tokens, heads * b.latent, b.nope, graph=True)
        + gemm(machine, plain, tokens, heads * b.value, b.latent, graph=True)
        + gemm(machine, f, tokens, b.hidden, heads * b.value, graph=True)
        + gemm(machine, f, tokens, b.index_heads * b.index_dim, b.q_lora, graph=True)
        + gemm(machine, plain, tokens, b.index_dim + b.index_heads, b.hidden, graph=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Rows of one model and GEMM format within a group."""

    rows: FloatArray
    block: Block
    fmt: str
    batch: FloatArray
    new: FloatArray
    past: FloatArray
    heads: FloatArray

    def cost(self, machine: Machine, kv: str, phase: str) -> Cost:
        b, tokens = self.block, self.batch * self.new
        mean = self.past + 0.5 * self.new
        projections = _projections(machine, b, self.fmt, tokens, self.heads)
        scored = sparse_attention.indexer(
            machine, tokens, mean, b.index_heads, b.index_dim, b.topk, kv=kv, phase=phase, queries=self.new
        )
        attended = sparse_attention.sparse_mla(
            machine,
            kv,
            tokens,
            np.minimum(mean, b.topk),
            self.heads,
            b.latent,
            b.rope,
            slots=b.topk,
            phase=phase,
            queries=self.new,
        )
        return projections + scored + attended


def _predict(parts: list[_Part], size: int, kv: str, phase: str, machine: Machine) -> Cost:
    taken, light = np.empty(size), np.empty(size)
    for part in parts:
        cost = part.cost(machine, kv, phase)
        taken[part.rows], light[part.rows] = cost.seconds, cost.light_s
    c = machine.kernels.constants(sparse_attention.OPERATORS[phase], kv, sparse_attention.SparseConstants)
    return Cost(np.maximum(taken, c.host_s), light)


def groups(rows: Rows, phase: str) -> Iterator[Group]:
    """One group per system, engine and cache format, over all models and GEMM formats."""
    for (system, engine, dtype), found in split_by(rows, "system", "engine", "kv_cache_dtype").items():
        kv = CACHE_FORMATS.get(dtype)
        part = [row for row in found if row["gemm_type"] in DTYPES and _usable(row, phase)]
        if kv is None or not part:
            continue
        parts = []
        for (model, gemm_type), same in split_by(part, "model", "gemm_type").items():
            chosen = np.array([r["model"] == model and r["gemm_type"] == gemm_type for r in part])
            parts.append(
                _Part(
                    rows=chosen,
                    block=_block(model),
                    fmt=DTYPES[gemm_type],
                    batch=column(same, "batch_size"),
                    new=column(same, "isl"),
                    past=column(same, "step"),
                    heads=column(same, "num_heads"),
                )
            )
        measured_s = column(part, "latency_us") * 1e-6
        yield Group(
            system=system,
            operator=sparse_attention.OPERATORS[phase],
            engine=engine,
            dtype=kv,
            kind=sparse_attention.SparseConstants,
            predict=partial(_predict, parts, len(part), kv, phase),
            measured_s=measured_s,
            keys=row_keys(part),
            range=span(part, "batch_size", "isl", "step", "num_heads"),
            fixed=_fixed(engine, phase),
            start={"host_s": 0.95 * float(np.quantile(measured_s, 0.1))},
        )


def _fixed(engine: str, phase: str) -> dict[str, float]:
    """Constants that the rows cannot tell: floors under the host's time; decode clears no table."""
    hidden = HIDDEN_FLOORS if engine == "vllm" or (engine == "sglang" and phase == "prefill") else {}
    return {**hidden, **({"index_clear_s": 0.0} if phase == "decode" else {})}


def _usable(row: Mapping[str, str], phase: str) -> bool:
    """Whether a row ran what is modelled here.

    GLM-5.2 has layers that reuse another layer's indices, and its rows time one of those. SGLang
    takes the dense kernel for prompts within the top k, and in decode no CUDA graph beyond 256
    sequences, where the host's launches take most of the time.
    """
    if "GLM-5.2" in row["model"]:
        return False
    if row["engine"] != "sglang":
        return True
    if phase == "prefill":
        return float(row["isl"]) + float(row["step"]) > SGLANG_DENSE_TOKENS
    return float(row["batch_size"]) <= SGLANG_GRAPH_BATCH


CALIBRATIONS = tuple(
    Calibration(csv=f"dsa_{phase}_module.csv", groups=partial(groups, phase=phase))
    for phase in ("prefill", "decode")
)
