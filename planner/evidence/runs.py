"""Files of measured runs.

A row is one run of a deployment at a fixed number of requests in flight. Columns:

    mode             colocated or disaggregated
    model, system, engine, engine_versions
    gemm_dtype, moe_dtype      bf16, fp8, fp8_block, nvfp4, mxfp4, int4_wo
    isl, osl, concurrency      tokens; requests in flight over the whole deployment
    tp, pp, attention_dp, moe_tp, moe_ep              co-located rows
    prefill_workers, prefill_tp, ... decode_workers, decode_tp, ...   disaggregated rows
    ttft_ms, tpot_ms           what was measured (mean or median)

Other columns are not read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from planner.evidence import csv_files
from planner.evidence.csv_files import Range, Table
from planner.words import Way

# Public benchmark runs at these lengths draw each length between 80 and 100 % of the nominal one; others
# send fixed lengths.
DRAWN_LENGTHS = (1024, 8192)
DRAWN_MEAN = 0.9
DRAWN_SPREAD = 0.2 / 0.9
NAMES = ("model", "system", "engine")
# what the columns may hold: lengths as in `planner.inputs.fields`, more GPUs and longer times than anyone has
PROMPTS = Range(low=1, high=4 * 1024**2, whole=True)
ANSWERS = Range(low=1, high=1024**2, whole=True)
IN_FLIGHT = Range(low=1, high=1e7)
WIDTHS = Range(low=1, high=1024, whole=True, blank=1.0)
WORKERS = Range(low=1, high=1e5, whole=True, blank=1.0)
TIMES_MS = Range(low=1e-3, high=1e9, blank=math.nan)
MODES: Mapping[str, Way] = {"colocated": "colocated", "disaggregated": "disaggregated"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """How an instance is spread over its GPUs."""

    tp: float
    attention_dp: float
    moe_tp: float
    moe_ep: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured run."""

    id: str
    mode: Way
    model: str
    system: str
    engine: str
    version: str
    gemm: str  # as the file has it: `planner.evidence.deployment` tells which formats it knows
    moe: str
    isl: int
    osl: int
    concurrency: float
    prefill: Widths
    decode: Widths
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
        decode = self.decode.tp * self.decode.attention_dp * self.pp
        if self.colocated:
            return decode
        prefill = self.prefill.tp * self.prefill.attention_dp * self.pp
        return self.decode_workers * decode + self.prefill_workers * prefill

    @property
    def drawn(self) -> bool:
        """Whether lengths were drawn below the nominal ones."""
        return self.isl in DRAWN_LENGTHS and self.osl in DRAWN_LENGTHS

    @property
    def length_mean(self) -> float:
        """Mean length over the nominal one."""
        return DRAWN_MEAN if self.drawn else 1.0

    @property
    def length_spread(self) -> float:
        """Longest less shortest length, over the mean."""
        return DRAWN_SPREAD if self.drawn else 0.0


def read(path: Path) -> list[Row]:
    """Rows of a CSV file.

    Raises InputError naming the file, line and column of what cannot be read.
    """
    table = csv_files.read(path, (*NAMES, "isl", "osl", "concurrency"))
    for name in NAMES:
        table.names(name)
    return [_row(table, i) for i in range(len(table.rows))]


def _row(table: Table, i: int) -> Row:
    line = table.rows[i]

    def figure(column: str, within: Range) -> float:
        value = within.number(line.get(column, ""))
        if value is None:
            raise table.wrong(i, column, within.accepted)
        return value

    def widths(prefix: str) -> Widths:
        return Widths(**{field.name: figure(prefix + field.name, WIDTHS) for field in fields(Widths)})

    mode = MODES.get((line.get("mode") or "colocated").strip())
    if mode is None:
        raise table.wrong(i, "mode", "colocated or disaggregated")
    split = mode == "disaggregated"

    return Row(
        id=line.get("id") or str(table.lines[i]),
        mode=mode,
        model=line["model"],
        system=line["system"],
        engine=line["engine"],
        version=line.get("engine_versions") or "",
        gemm=line.get("gemm_dtype") or "bf16",
        moe=line.get("moe_dtype") or line.get("gemm_dtype") or "bf16",
        isl=int(figure("isl", PROMPTS)),
        osl=int(figure("osl", ANSWERS)),
        concurrency=figure("concurrency", IN_FLIGHT),
        prefill=widths("prefill_" if split else ""),
        decode=widths("decode_" if split else ""),
        prefill_workers=figure("prefill_workers", WORKERS),
        decode_workers=figure("decode_workers", WORKERS),
        pp=figure("pp", WIDTHS),
        ttft_s=figure("ttft_ms", TIMES_MS) / 1e3,
        tpot_s=figure("tpot_ms", TIMES_MS) / 1e3,
    )
