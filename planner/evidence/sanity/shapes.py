"""The work at which tables of kernel constants are compared: shapes of well-known models, small to large."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np

from planner.arrays import FloatArray
from planner.inputs.precision import FORMATS, Format
from planner.simulate.operators import collectives, gemm, moe
from planner.simulate.operators.attention import causal, gqa, linear, mla, sparse
from planner.simulate.operators.attention.layer import Heads
from planner.simulate.operators.collectives import Exchanged
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.moe import Experts
from planner.simulate.operators.roofline import Cost
from planner.words import CacheFormat, Pass


class Work(NamedTuple):
    """One operator at its shapes."""

    names: tuple[str, ...]
    kind: type  # dataclass of its constants
    cost: Callable[[Machine, str], Cost]  # of a machine and a format: shape (names,)
    elements: FloatArray  # of activations that a narrower format must quantise, by shape


def _table(cases: Iterable[tuple[float, ...]]) -> FloatArray:
    return np.asarray(np.array(list(cases), dtype=np.float64).T)


# rows of a decode step and of a prompt chunk
TOKENS = (1.0, 16.0, 128.0, 1024.0, 8192.0)
LAUNCHED = 1024.0  # rows from which CUDA graphs no longer replay a pass
# columns and depth of matrices: gate and up of a 70B model on one GPU and on eight, MLA's output, a small one
MATRICES = ((57344.0, 8192.0), (7168.0, 8192.0), (7168.0, 16384.0), (5120.0, 2048.0))
# hidden, width, top k, experts, TP and EP of DeepSeek-V3, Qwen3-235B, Mixtral 8x7B and gpt-oss-120b
EXPERTS = (
    ("deepseek-v3 EP8", 7168.0, 2048.0, 8.0, 256.0, 1.0, 8.0),
    ("deepseek-v3 TP8", 7168.0, 2048.0, 8.0, 256.0, 8.0, 1.0),
    ("qwen3-235b TP4", 4096.0, 1536.0, 8.0, 128.0, 4.0, 1.0),
    ("mixtral TP2", 4096.0, 14336.0, 2.0, 8.0, 2.0, 1.0),
    ("gpt-oss TP1", 2880.0, 2880.0, 4.0, 128.0, 1.0, 1.0),
)
# sequences and tokens in the cache of each
CACHES = ((1.0, 1024.0), (16.0, 2048.0), (64.0, 8192.0), (256.0, 4096.0))
# sequences and new tokens of each
PROMPTS = ((1.0, 1024.0), (1.0, 8192.0), (8.0, 2048.0))
SHARDS = ((8.0, 1.0), (64.0, 8.0))  # query and KV heads of a GPU
LATENT_HEADS = (16.0, 128.0)
REDUCED = tuple(product((2.0, 4.0, 8.0), (16384.0, 2.0**20, 2.0**26)))
EXCHANGED = (1.0, 64.0, 1024.0)
STATE_HEADS = ((2.0, 4.0), (16.0, 64.0))  # key and value heads of a GPU, of 128: Qwen3.5-397B at TP 8 and 1
CONV_WIDTH = 4.0


def _gemms() -> Work:
    """Steps replayed from CUDA graphs, prompts launched by the host."""
    cases = list(product(TOKENS, MATRICES))
    m, n, k = _table((m, *shape) for m, shape in cases)

    def cost(machine: Machine, fmt: str) -> Cost:
        replayed, launched = (
            gemm.gemm(machine, _format(fmt), m, n, k, graph=graph) for graph in (True, False)
        )
        taken = np.where(m >= LAUNCHED, launched.seconds, replayed.seconds)
        return Cost(taken, launched.light_s)

    return Work(
        names=tuple(f"{m:g} x {n:g} x {k:g}" for m, (n, k) in cases),
        kind=gemm.GemmConstants,
        cost=cost,
        elements=m * k,
    )


def _experts(kernel: str = "") -> Work:
    cases = list(product(TOKENS, EXPERTS))
    tokens, hidden, width, topk, count, tp, ep = _table((m, *numbers) for m, (_, *numbers) in cases)
    shape = Experts(hidden=hidden, width=width, matrices=3.0, topk=topk, count=count)
    return Work(
        names=tuple(f"{m:g} tokens {name}" for m, (name, *_) in cases),
        kind=moe.MoeConstants,
        cost=lambda machine, fmt: moe.grouped_gemm(
            machine, _format(fmt), shape, tokens, tp=tp, ep=ep, kernel=kernel
        ),
        elements=tokens * (hidden + topk / ep * width / tp),
    )


def _decode(latent: bool) -> Work:
    heads = [(h, 1.0) for h in LATENT_HEADS] if latent else list(SHARDS)
    cases = list(product(CACHES, heads))
    batch, context, query, kv = _table((*c, *h) for c, h in cases)
    full = Heads(query=query, kv=kv, qk_dim=128, v_dim=128)
    absorbed = mla.LatentHeads(query=query, latent=512, rope=64)

    def cost(machine: Machine, fmt: str) -> Cost:
        if latent:
            return mla.decode(machine, _cache(fmt), absorbed, batch, context)
        return gqa.decode(machine, _cache(fmt), full, batch, context)

    return Work(
        names=tuple(f"batch {b:g}, {c:g} tokens, {q:g} heads" for (b, c), (q, _) in cases),
        kind=mla.LatentConstants if latent else gqa.DecodeConstants,
        cost=cost,
        elements=batch * query * 128.0,
    )


def _prefill(latent: bool) -> Work:
    heads = [(h, h) for h in LATENT_HEADS] if latent else list(SHARDS)
    cases = list(product(PROMPTS, heads))
    batch, new, query, kv = _table((*p, *h) for p, h in cases)
    shard = Heads(query=query, kv=kv, qk_dim=192 if latent else 128, v_dim=128)
    operator = mla.prefill if latent else gqa.prefill
    return Work(
        names=tuple(f"{b:g} x {n:g} tokens, {q:g} heads" for (b, n), (q, _) in cases),
        kind=causal.PrefillConstants,
        cost=lambda machine, fmt: operator(machine, _cache(fmt), shard, batch, new, 0.0),
        elements=batch * new * (query + 2.0 * kv) * 128.0,
    )


def _sparse(phase: Pass) -> Work:
    cases = list(product(CACHES if phase == "decode" else PROMPTS, LATENT_HEADS))
    batch, tokens, query = _table((*c, h) for c, h in cases)
    new, context = (np.ones_like(tokens), tokens) if phase == "decode" else (tokens, tokens / 2.0)
    index = sparse.Indexer(heads=64.0, dim=128.0)
    heads = mla.LatentHeads(query=query, latent=512, rope=64)

    def cost(machine: Machine, fmt: str) -> Cost:
        kv, rows = _cache(fmt), batch * new
        seen = sparse.mean_attended(context, 2048.0, new)
        scored = sparse.indexer(machine, kv, index, rows, context, phase=phase, queries=new)
        return scored + sparse.sparse_mla(
            machine, kv, heads, rows, seen, slots=2048.0, phase=phase, queries=new
        )

    return Work(
        names=tuple(f"{b:g} x {t:g} tokens, {h:g} heads" for (b, t), h in cases),
        kind=sparse.SparseConstants,
        cost=cost,
        elements=batch * new * query * 576.0,
    )


def _linear(name: str) -> Work:
    """Linear attention: prompts for the convolution and the scan, batches for their steps."""
    steps = name in (linear.CONV_STEP, linear.STEP)
    cases = list(product(((b, 1.0) for b, _ in CACHES) if steps else PROMPTS, STATE_HEADS))
    batch, new, key, value = _table((*c, *h) for c, h in cases)
    heads = linear.StateHeads(key=key, key_dim=128.0, value=value, value_dim=128.0)
    cost: Mapping[str, Callable[[Machine], Cost]] = {
        linear.CONV: lambda machine: linear.conv(machine, heads, batch, new),
        linear.SCAN: lambda machine: linear.scan(machine, heads, batch, new),
        linear.CONV_STEP: lambda machine: linear.conv_step(machine, heads, batch, CONV_WIDTH),
        linear.STEP: lambda machine: linear.step(machine, heads, batch),
    }
    return Work(
        names=tuple(f"{b:g} x {n:g} tokens, {v:g} value heads" for (b, n), (_, v) in cases),
        kind=linear.ScanConstants if name == linear.SCAN else linear.StreamConstants,
        cost=lambda machine, _: cost[name](machine),
        elements=np.zeros_like(batch),
    )


def _reduced(name: str) -> Work:
    gpus, size = _table(REDUCED)
    own = name == "all_reduce"
    return Work(
        names=tuple(f"{n:g} GPUs, {b:g} bytes" for n, b in REDUCED),
        kind=collectives.AllReduceConstants if own else collectives.NcclConstants,
        cost=lambda machine, _: (
            collectives.all_reduce(machine, size, gpus)
            if own
            else collectives.nccl(machine, name, size, gpus)
        ),
        elements=np.zeros_like(gpus),
    )


def _exchanged(operator: str, kernel: str) -> Work:
    tokens = np.array(EXCHANGED)
    moved = Exchanged(tokens=tokens, hidden=7168.0, topk=8.0, bytes_per_element=2.0)
    how = collectives.dispatch if operator == "dispatch" else collectives.combine
    return Work(
        names=tuple(f"{t:g} tokens over 8" for t in EXCHANGED),
        kind=collectives.ExchangeConstants,
        cost=lambda machine, _: how(machine, moved, 8.0, kernel),
        elements=np.zeros_like(tokens),
    )


def _format(name: str) -> Format:
    return next(fmt for fmt in FORMATS.values() if fmt.name == name)


def _cache(name: str) -> CacheFormat:
    return "fp8" if name == "fp8" else "fp4" if name == "fp4" else "bf16"


_MAKERS: Mapping[str, Callable[[], Work]] = {
    gemm.OPERATOR: _gemms,
    moe.OPERATOR: _experts,
    gqa.DECODE: partial(_decode, latent=False),
    mla.DECODE: partial(_decode, latent=True),
    gqa.PREFILL: partial(_prefill, latent=False),
    mla.PREFILL: partial(_prefill, latent=True),
    **{name: partial(_sparse, phase) for phase, name in sparse.OPERATORS.items()},
    **{name: partial(_linear, name) for name in (linear.CONV, linear.SCAN, linear.CONV_STEP, linear.STEP)},
    **{
        name: partial(_reduced, name)
        for name in ("all_reduce", "nccl_all_reduce", "all_gather", "reduce_scatter", "all_to_all")
    },
}


def work(operator: str) -> Work | None:
    """The shapes of an operator, by its name in kernels files; None for those that are not compared.

    >>> work("gemm").names[0], work("moe_triton").names[2], work("mla_decode_block")
    ('1 x 57344 x 8192', '1 tokens qwen3-235b TP4', None)
    """
    if operator in _MAKERS:
        return _MAKERS[operator]()
    base, _, kernel = operator.partition("_")
    if base == moe.OPERATOR:
        return _experts(kernel)
    if base in ("dispatch", "combine") and kernel in collectives.EXCHANGE_KERNELS:
        return _exchanged(base, kernel)
    return None
