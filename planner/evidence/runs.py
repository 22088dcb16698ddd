"""Measured deployments: rows of an end-to-end file, and what the simulator says of each.

A row is one run of a deployment at a fixed number of requests in flight. Columns:

    mode             colocated or disaggregated
    model, system, engine, engine_versions
    gemm_dtype, moe_dtype      bf16, fp8, fp8_block, nvfp4, mxfp4, int4_wo
    isl, osl, concurrency      tokens; requests in flight over the whole deployment
    tp, pp, attention_dp, moe_tp, moe_ep              co-located rows
    prefill_workers, prefill_tp, ... decode_workers, decode_tp, ...   disaggregated rows
    ttft_ms, tpot_ms           what was measured (mean or median)
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.arrays import FloatArray
from planner.errors import InputError
from planner.evidence import csv_files
from planner.inputs.catalog import Catalog
from planner.inputs.engine import EngineProfile
from planner.inputs.kernels import deployed
from planner.inputs.precision import FORMATS, Precision
from planner.simulate import colocated, decode, forward, kv_transfer, memory
from planner.simulate.operators.machine import Machine
from planner.simulate.operators.sources import Lookups
from planner.simulate.setup import Setup
from planner.simulate.space import EXCHANGES, Layouts
from planner.simulate.waiting import Client, Scheduler, Server, serve

WIDTHS = ("tp", "attention_dp", "moe_tp", "moe_ep")
# Public benchmark runs at these lengths draw each length between 80 and 100 % of the nominal one and
# send ten requests for each in flight; others send fixed lengths.
DRAWN_LENGTHS = (1024, 8192)
DRAWN_MEAN = 0.9
DRAWN_SPREAD = 0.2 / 0.9
WAVES = 10.0
PASS_TOKENS = 8192  # prompt tokens an engine puts into one pass when many prompts wait
GRID = 24  # batches at which a decode step is evaluated; between them it is interpolated


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured run."""

    id: str
    mode: str
    model: str
    system: str
    engine: str
    version: str
    gemm: str
    moe: str
    isl: int
    osl: int
    concurrency: float
    prefill: tuple[float, float, float, float]  # tp, attention_dp, moe_tp, moe_ep
    decode: tuple[float, float, float, float]
    prefill_workers: float
    decode_workers: float
    pp: float
    ttft_s: float  # nan where not measured
    tpot_s: float

    @property
    def colocated(self) -> bool:
        """Whether prefill and decode share the GPUs."""
        return self.mode == "colocated"

    @property
    def gpus(self) -> float:
        """GPUs of the whole deployment."""
        decode = self.decode[0] * self.decode[1] * self.pp
        if self.colocated:
            return decode
        prefill = self.prefill[0] * self.prefill[1] * self.pp
        return self.decode_workers * decode + self.prefill_workers * prefill

    @property
    def drawn(self) -> bool:
        """Whether lengths were drawn below the nominal ones."""
        return self.isl in DRAWN_LENGTHS and self.osl in DRAWN_LENGTHS


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What `serve` needs of every row that can be predicted, and where each row's engine is."""

    rows: tuple[Row, ...]
    missing: tuple[tuple[Row, str], ...]  # rows that cannot be predicted, and why
    engines: tuple[EngineProfile, ...]
    client: Client
    server: Server


def read(path: Path) -> list[Row]:
    """Rows of a CSV file.

    Raises InputError naming the file, line and column of what cannot be read.
    """
    table = csv_files.read(path)
    if not table:
        raise InputError("file", str(path), "a CSV file with a header and at least one row")
    lacking = [c for c in ("model", "system", "engine", "isl", "osl", "concurrency") if c not in table[0]]
    if lacking:
        raise InputError("file", str(path), f"a CSV file with the columns {', '.join(lacking)}")
    return [_row(line, number, path) for number, line in enumerate(table, start=2)]


def _row(line: Mapping[str, str], number: int, path: Path) -> Row:
    def figure(column: str, default: float | None = None) -> float:
        text = (line.get(column) or "").strip()
        if not text and default is not None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if value <= 0:
            raise InputError(f"{path.name}, line {number}, {column}", text, "a number above 0")
        return value

    mode = (line.get("mode") or "colocated").strip()
    if mode not in ("colocated", "disaggregated"):
        raise InputError(f"{path.name}, line {number}, mode", mode, "colocated or disaggregated")
    split = mode == "disaggregated"

    def layout(prefix: str) -> tuple[float, float, float, float]:
        tp, dp, moe_tp, ep = (figure(prefix + name, 1.0) for name in WIDTHS)
        return tp, dp, moe_tp, ep

    return Row(
        id=line.get("id") or str(number),
        mode=mode,
        model=line["model"],
        system=line["system"],
        engine=line["engine"],
        version=line.get("engine_versions") or "",
        gemm=line.get("gemm_dtype") or "bf16",
        moe=line.get("moe_dtype") or line.get("gemm_dtype") or "bf16",
        isl=int(figure("isl")),
        osl=int(figure("osl")),
        concurrency=figure("concurrency"),
        prefill=layout("prefill_" if split else ""),
        decode=layout("decode_" if split else ""),
        prefill_workers=figure("prefill_workers", 1.0),
        decode_workers=figure("decode_workers", 1.0),
        pp=figure("pp", 1.0),
        ttft_s=figure("ttft_ms", float("nan")) / 1e3,
        tpot_s=figure("tpot_ms", float("nan")) / 1e3,
    )


def setup(row: Row, catalog: Catalog, engine: EngineProfile) -> Setup:
    """The simulator's setup of a row.

    A checkpoint published in block-scaled fp8 is what a row that says fp8 ran.
    """
    model, system = catalog.model(row.model), catalog.system(row.system)

    def known(name: str) -> str:
        if name not in FORMATS:
            raise InputError("dtype", name, f"one of {', '.join(FORMATS)}")
        if name == "fp8" and model.checkpoint == "fp8_block":
            return "fp8_block"
        return "mxfp4_wo" if name == "mxfp4" and "fp4" not in system.gpu.peak_flops else name

    return Setup(
        machine=Machine(
            gpu=system.gpu,
            fabric=system.fabric,
            kernels=Lookups(source=deployed(catalog.kernels(system, engine.name), engine)),
            engine=engine,
        ),
        model=model,
        precision=Precision(
            gemm=FORMATS[known(row.gemm)],
            moe=FORMATS[known(row.moe)],
            kv="bf16" if row.gemm == "bf16" else "fp8",
        ),
    )


def _layout(widths: tuple[float, float, float, float], pp: float, moe: bool) -> Layouts:
    tp, dp, moe_tp, ep = widths if moe else (widths[0], 1.0, widths[0], 1.0)
    shape = (1, 1, 1)
    return Layouts(
        tp=np.full(shape, tp),
        pp=np.full(shape, pp),
        attention_dp=np.full(shape, dp),
        moe_tp=np.full(shape, moe_tp),
        moe_ep=np.full(shape, ep),
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    """One deployment's costs at one pair of lengths: shared by the rows that differ in concurrency."""

    batch: FloatArray
    step_s: FloatArray
    prompt_s: float
    marginal_s: float
    largest_batch: float
    transfer_s: float


def _simulate(s: Setup, row: Row, most: float) -> _Measured:
    """Decode steps up to `most` sequences per rank, a prompt alone, and one more of many prompts."""
    scale = DRAWN_MEAN if row.drawn else 1.0
    isl, osl = round(row.isl * scale), max(round(row.osl * scale), 2)
    at = _layout(row.decode, row.pp, s.model.is_moe)
    first = _layout(row.prefill, row.pp, s.model.is_moe)
    exchange, first_exchange = (EXCHANGES[int(x.exchange().ravel()[0])] for x in (at, first))
    batch = np.geomspace(1.0, max(most, 1.0 + 1e-6), GRID)
    grid = batch.reshape(1, -1, 1)
    ledger = decode.step(s, at, exchange, grid, isl, osl)
    step = at.pp * forward.pace(s, at, ledger.layers(), ledger.head, grid, grid).seconds
    prompts = np.array([1.0, max(1.0, PASS_TOKENS / isl)]).reshape(1, 1, -1)
    work = colocated.prompt_side(s, first.tp, prompts, isl) + forward.experts(
        s, first, first_exchange, prompts * isl
    )
    work = forward.interleave(s, first, first_exchange, work)
    stretch = s.machine.engine.prefill_stretch
    pace = forward.pace(s, first, work.layers(), work.head, prompts * isl, prompts, stretch)
    alone, many = np.broadcast_to(pace.seconds, prompts.shape).ravel()
    moved = 0.0
    if not row.colocated:
        link = s.machine.fabric.scale_out_bytes_per_s
        added = kv_transfer.added_ftl_s(s.model, s.precision, first, isl, float(alone), link)
        moved = float(np.ravel(added)[0])
    room = memory.largest_batch(s.machine, s.model, s.precision, at, isl, osl)
    return _Measured(
        batch=batch,
        step_s=np.broadcast_to(step, grid.shape).ravel(),
        prompt_s=float(row.pp * alone),
        marginal_s=float(many / prompts.ravel()[1]),
        largest_batch=max(float(np.ravel(room)[0]), 1.0),
        transfer_s=moved,
    )


def gather(rows: Iterable[Row], catalog: Catalog, engines: Mapping[str, EngineProfile] | None = None) -> Runs:
    """Simulate every row's deployment.

    Parameters
    ----------
    engines
        Profiles to use instead of the catalog's, by name: calibration tries them.
    """
    profiles = functools.cache(functools.partial(profile, catalog))
    setups: dict[tuple[str, ...], Setup] = {}
    groups: dict[tuple[object, ...], list[tuple[Row, EngineProfile, Setup]]] = {}
    missing: list[tuple[Row, str]] = []
    for row in rows:
        try:
            engine = profiles(row.engine, row.version)
            engine = (engines or {}).get(engine.name, engine)
            key = (row.model, row.system, engine.name, row.gemm, row.moe)
            if key not in setups:
                setups[key] = setup(row, catalog, engine)
        except (InputError, LookupError) as error:
            missing.append((row, str(error)))
            continue
        shape = (*key, row.mode, row.isl, row.osl, row.prefill, row.decode, row.pp)
        groups.setdefault(shape, []).append((row, engine, setups[key]))
    kept: list[tuple[Row, EngineProfile, _Measured]] = []
    for members in groups.values():
        one, _, ready = members[0]
        most = max(_per_rank(row) for row, _, _ in members)
        try:
            measured = _simulate(ready, one, most)
        except LookupError as error:
            missing += [(row, str(error)) for row, _, _ in members]
            continue
        kept += [(row, engine, measured) for row, engine, _ in members]
    return _stack(kept, missing)


def profile(catalog: Catalog, engine: str, version: str) -> EngineProfile:
    """The profile of an engine: that of an older build where the version says so."""
    current = catalog.engine(engine)
    family = current.kernels or current.name
    for name in catalog.names("engine"):
        other = catalog.engine(name)
        if (other.kernels or name) == family and any(version.startswith(v) for v in other.versions):
            return other
    return current


def _per_rank(row: Row) -> float:
    """Requests in flight per decoding rank."""
    return max(row.concurrency / (row.decode_workers * row.decode[1]), 1.0)


def _stack(kept: Sequence[tuple[Row, EngineProfile, _Measured]], missing: Sequence[tuple[Row, str]]) -> Runs:
    def column(values: Iterable[float]) -> FloatArray:
        return np.array(list(values), dtype=float)

    rows = [row for row, _, _ in kept]
    scale = column(DRAWN_MEAN if r.drawn else 1.0 for r in rows)
    return Runs(
        rows=tuple(rows),
        missing=tuple(missing),
        engines=tuple(engine for _, engine, _ in kept),
        client=Client(
            decode_requests=column(_per_rank(r) for r in rows),
            prefill_requests=column(
                max(r.concurrency / (r.prefill_workers * r.prefill[1]), 1.0) for r in rows
            ),
            steps=np.maximum(column(r.osl for r in rows) * scale - 1, 1.0),
            waves=np.full(len(rows), WAVES),
            spread=column(DRAWN_SPREAD if r.drawn else 0.0 for r in rows),
        ),
        server=Server(
            batch=np.array([m.batch for _, _, m in kept]).reshape(-1, GRID),
            step_s=np.array([m.step_s for _, _, m in kept]).reshape(-1, GRID),
            prompt_s=column(m.prompt_s for _, _, m in kept),
            marginal_s=column(m.marginal_s for _, _, m in kept),
            largest_batch=column(m.largest_batch for _, _, m in kept),
            colocated=column(float(r.colocated) for r in rows),
            transfer_s=column(m.transfer_s for _, _, m in kept),
        ),
    )


def predict(runs: Runs) -> tuple[FloatArray, FloatArray]:
    """(TTFT, TPOT) of every row of `runs`, seconds."""

    def column(name: str) -> FloatArray:
        return np.array([getattr(engine, name) for engine in runs.engines], dtype=float)

    if not runs.rows:
        return np.empty(0), np.empty(0)
    scheduler = Scheduler(
        exposure=column("exposure"),
        bunching=column("bunching"),
        turns=column("turns"),
        arrival_s=column("arrival_s"),
        handover_s=column("handover_s"),
        request_s=column("prefill_request_s"),
    )
    return serve(runs.client, runs.server, scheduler)
