"""Measured DSA attention blocks: ``dsa_prefill_module.csv`` and ``dsa_decode_module.csv``.

Columns beside system, engine and latency_us: model, kv_cache_dtype, gemm_type, num_heads,
batch_size, isl (new tokens of each sequence) and step (tokens in its cache). A row times a whole
block, projections included, so the GEMMs of the same system must be fitted first; what they leave
is the indexer's and the sparse kernel's.

Rows that ran something else (`variant`) are predicted as what they ran: layers that reuse another
layer's indices without an indexer, SGLang's short prompts as plain MLA. What SGLang's host adds to
them is fitted, as in `planner.evidence.calibrate.kernels.mla_modules`; no plan uses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from planner.arrays import FloatArray
from planner.evidence.calibrate.fit import Calibration, Group, column, row_keys, span, split_by
from planner.evidence.calibrate.kernels.attention import BLACKWELL, CACHE_FORMATS
from planner.evidence.calibrate.kernels.gemm import DTYPES
from planner.evidence.calibrate.kernels.mla_modules import BlockConstants, around
from planner.evidence.csv_files import Rows
from planner.inputs.precision import FORMATS
from planner.simulate.operators.attention import mla, sparse
from planner.simulate.operators.attention.causal import CACHE_READ_SHARE
from planner.simulate.operators.attention.layer import Heads
from planner.simulate.operators.gemm import gemm
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.roofline import Cost
from planner.words import CacheFormat, Pass, WeightFormat


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


Variant: TypeAlias = Literal["", "dense", "reuse"]  # what a row ran instead of the whole block, "" for that

BLOCKS = {
    "deepseek": Block(hidden=7168, q_lora=1536, nope=128, value=128, index_heads=64),
    "glm": Block(hidden=6144, q_lora=2048, nope=192, value=256, index_heads=32),
}


# In prefill of SGLang and vLLM the host launches each kernel, which hides the indexer's floor and splits:
# they are those fitted to TensorRT-LLM's rows
HIDDEN_FLOORS = {"index_floor_s": 3e-5, "index_split_s": 3e-7}
# floor of the sparse kernel, that of MLA's decode kernels; the rest of a block's floor is the indexer's
FLOOR_S = 1e-5
SGLANG_DENSE_TOKENS = 2048  # prompts up to this length run as plain MLA
# Context that SGLang scores in one piece: prompts of 65,536 tokens cost its host as much as short ones,
# those of 131,072 a third more
ONE_PIECE = 1e5
SGLANG_GRAPH_BATCH = 256  # sequences up to which CUDA graphs replay a decode step


def _block(model: str) -> Block:
    return BLOCKS["glm" if "glm" in model.lower() else "deepseek"]


def _outer(machine: Machine, b: Block, fmt: WeightFormat, tokens: FloatArray, heads: FloatArray) -> Cost:
    """The GEMMs that every block has: down, up of the queries, output."""
    f = FORMATS[fmt]
    return (
        gemm(machine, f, tokens, b.q_lora + b.latent + b.rope, b.hidden, graph=True)
        + gemm(machine, f, tokens, heads * (b.nope + b.rope), b.q_lora, graph=True)
        + gemm(machine, f, tokens, b.hidden, heads * b.value, graph=True)
    )


def _absorbed(machine: Machine, b: Block, tokens: FloatArray, heads: FloatArray) -> Cost:
    """Absorption of keys and values (bf16)."""
    plain = FORMATS["bf16"]
    return gemm(machine, plain, tokens, heads * b.latent, b.nope, graph=True) + gemm(
        machine, plain, tokens, heads * b.value, b.latent, graph=True
    )


def _indexing(machine: Machine, b: Block, fmt: WeightFormat, tokens: FloatArray) -> Cost:
    """The GEMMs of the indexer."""
    return gemm(machine, FORMATS[fmt], tokens, b.index_heads * b.index_dim, b.q_lora, graph=True) + gemm(
        machine, FORMATS["bf16"], tokens, b.index_dim + b.index_heads, b.hidden, graph=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Rows of one model and GEMM format within a group."""

    rows: FloatArray
    block: Block
    fmt: WeightFormat
    batch: FloatArray
    new: FloatArray
    past: FloatArray
    heads: FloatArray

    def in_pieces(self) -> FloatArray:
        """1 where the context is longer than what is scored in one piece."""
        return np.asarray(self.new + self.past > ONE_PIECE, dtype=np.float64)

    def cost(self, machine: Machine, kv: CacheFormat, phase: Pass, kind: Variant = "") -> Cost:
        b, tokens, heads = self.block, self.batch * self.new, self.heads
        outer = _outer(machine, b, self.fmt, tokens, heads)
        if kind == "dense":
            f, expanded = FORMATS[self.fmt], b.nope + b.value
            up = gemm(machine, f, tokens, heads * expanded, b.latent, graph=True)
            full = Heads(query=heads, kv=heads, qk_dim=b.nope + b.rope, v_dim=b.value)
            return outer + up + mla.prefill(machine, kv, full, self.batch, self.new, self.past)
        mean = self.past + 0.5 * self.new
        attended = outer + _absorbed(machine, b, tokens, heads)
        attended = attended + sparse.sparse_mla(
            machine,
            kv,
            mla.LatentHeads(query=heads, latent=b.latent, rope=b.rope),
            tokens,
            sparse.mean_attended(mean, b.topk, self.new),
            slots=b.topk,
            phase=phase,
            queries=self.new,
        )
        if kind == "reuse":
            return attended
        index = sparse.Indexer(heads=b.index_heads, dim=b.index_dim)
        scored = sparse.indexer(machine, kv, index, tokens, mean, phase=phase, queries=self.new)
        return attended + scored + _indexing(machine, b, self.fmt, tokens)


def _predict(parts: list[_Part], size: int, kv: CacheFormat, phase: Pass, machine: Machine) -> Cost:
    c = machine.kernels.constants(sparse.OPERATORS[phase], kv, sparse.SparseConstants)
    taken, light = np.empty(size), np.empty(size)
    for part in parts:
        cost = part.cost(machine, kv, phase)
        host_s = c.host_s + (part.fmt != "bf16") * c.host_quantised_s
        taken[part.rows] = np.maximum(cost.seconds, host_s + part.in_pieces() * c.host_pieces_s)
        light[part.rows] = cost.light_s
    return Cost(taken, light)


def _parts(rows: Rows) -> list[_Part]:
    parts = []
    for (model, gemm_type), same in split_by(rows, "model", "gemm_type").items():
        parts.append(
            _Part(
                rows=np.array([r["model"] == model and r["gemm_type"] == gemm_type for r in rows]),
                block=_block(model),
                fmt=DTYPES[gemm_type],
                batch=column(same, "batch_size"),
                new=column(same, "isl"),
                past=column(same, "step"),
                heads=column(same, "num_heads"),
            )
        )
    return parts


def _known(rows: Rows) -> Iterator[tuple[tuple[str, str, CacheFormat], Rows]]:
    """Rows of formats that are known, by (system, engine, cache format)."""
    for (system, engine, dtype), found in split_by(rows, "system", "engine", "kv_cache_dtype").items():
        part = [row for row in found if row["gemm_type"] in DTYPES]
        if dtype in CACHE_FORMATS and part:
            yield (system, engine, CACHE_FORMATS[dtype]), part


def groups(rows: Rows, phase: Pass) -> Iterator[Group]:
    """One group per system, engine and cache format, over all models and GEMM formats."""
    for (system, engine, kv), found in _known(rows):
        part = [row for row in found if _usable(row, phase)]
        if part:
            yield group(system, engine, kv, part, phase)


def group(system: str, engine: str, kv: CacheFormat, rows: Rows, phase: Pass) -> Group:
    """Rows of one system, engine and cache format as the whole block."""
    measured_s = column(rows, "latency_us") * 1e-6
    return Group(
        system=system,
        operator=sparse.OPERATORS[phase],
        engine=engine,
        dtype=kv,
        kind=sparse.SparseConstants,
        predict=partial(_predict, _parts(rows), len(rows), kv, phase),
        measured_s=measured_s,
        keys=row_keys(rows),
        range=span(rows, "batch_size", "isl", "step", "num_heads"),
        fixed=_fixed(engine, phase, kv) | _one_block(system, engine, phase),
        start={"host_s": 0.95 * float(np.quantile(measured_s, 0.1))},
    )


def variant_groups(rows: Rows, phase: Pass) -> Iterator[Group]:
    """One group per system, engine, cache format, GEMM format and variant."""
    for (system, engine, kv), found in _known(rows):
        by_kind: dict[tuple[Variant, WeightFormat], list[Mapping[str, str]]] = {}
        for row in found:
            kind = variant(row, phase)
            if kind:
                by_kind.setdefault((kind, DTYPES[row["gemm_type"]]), []).append(row)
        for (kind, fmt), part in by_kind.items():
            operator = f"{sparse.OPERATORS[phase]}_{kind}_{fmt}"
            measured_s = column(part, "latency_us") * 1e-6
            yield Group(
                system=system,
                operator=operator,
                engine=engine,
                dtype=kv,
                kind=BlockConstants,
                predict=partial(_predict_variant, operator, kind, _parts(part), len(part), kv, phase),
                measured_s=measured_s,
                keys=row_keys(part),
                range=span(part, "batch_size", "isl", "step", "num_heads"),
                start={"host_s": 0.95 * float(np.quantile(measured_s, 0.1))},
            )


def _predict_variant(
    operator: str,
    kind: Variant,
    parts: list[_Part],
    size: int,
    kv: CacheFormat,
    phase: Pass,
    machine: Machine,
) -> Cost:
    c = machine.kernels.constants(operator, kv, BlockConstants)
    whole = machine.kernels.constants(sparse.OPERATORS[phase], kv, sparse.SparseConstants)
    taken, light = np.empty(size), np.empty(size)
    for part in parts:
        tokens, pieces_s = part.batch * part.new, part.in_pieces() * whole.host_pieces_s
        cost = around(c, part.cost(machine, kv, phase, kind), tokens, part.heads, pieces_s)
        taken[part.rows], light[part.rows] = cost.seconds, cost.light_s
    return Cost(taken, light)


def _fixed(engine: str, phase: Pass, kv: CacheFormat) -> dict[str, float]:
    """Constants that the rows of an engine, phase and cache format cannot tell."""
    # the floors of the indexer and of the sparse kernel only occur as a sum
    fixed = {"floor_s": FLOOR_S}
    if phase == "decode":
        # one query per sequence: index keys, scores and the table to clear grow alike (`index_score_s`)
        fixed |= {"index_clear_s": 0.0, "index_memory": CACHE_READ_SHARE}
    else:
        # gathering latents grows as the padding of a tile does (`pad_heads`)
        fixed |= {"memory": CACHE_READ_SHARE}
    if not (engine == "vllm" and phase == "prefill" and kv == "fp8"):
        fixed |= {"narrow_s": 0.0}  # no other takes the decode kernel for prompts with few heads
    if engine != "sglang" or phase == "decode":
        fixed |= {"host_pieces_s": 0.0}  # no other engine scores long contexts in pieces
    if engine == "trtllm":
        fixed |= {"host_quantised_s": 0.0}  # launches GEMMs of all formats alike
    elif phase == "decode":
        fixed |= {"host_s": 0.0, "host_quantised_s": 0.0}  # CUDA graphs replay the block
    else:
        fixed |= HIDDEN_FLOORS
    return fixed


def _one_block(system: str, engine: str, phase: Pass) -> dict[str, float]:
    """0 for what only SGLang's top k on Blackwell takes: one block looks through a sequence's scores.

    Its rows of long contexts have one or two sequences: time by score would count them by the batch.
    """
    return {} if (engine, phase) == ("sglang", "decode") and system in BLACKWELL else {"index_token_s": 0.0}


def _usable(row: Mapping[str, str], phase: Pass) -> bool:
    """Whether a row ran what is modelled here.

    GLM-5.2 has layers that reuse another layer's indices, and its rows time one of those. SGLang
    takes the dense kernel for prompts within the top k, and in decode no CUDA graph beyond 256
    sequences, where the host's launches take most of the time.
    """
    if variant(row, phase):
        return False
    return row["engine"] != "sglang" or phase == "prefill" or float(row["batch_size"]) <= SGLANG_GRAPH_BATCH


def variant(row: Mapping[str, str], phase: Pass) -> Variant:
    """What a row ran instead of the whole block, "" where it ran that.

    NVIDIA's checkpoint of GLM-5.2 keeps the indexer in the layer that was measured.
    """
    short = phase == "prefill" and float(row["isl"]) + float(row["step"]) <= SGLANG_DENSE_TOKENS
    if row["engine"] == "sglang" and short:
        return "dense"
    return "reuse" if "GLM-5.2" in row["model"] and "NVFP4" not in row["model"] else ""


CALIBRATIONS = tuple(
    Calibration(csv=f"dsa_{phase}_module.csv", groups=partial(how, phase=phase))
    for how in (groups, variant_groups)  # variants are made of kernels that must be fitted before
    for phase in sparse.OPERATORS
)
