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

from planner.errors import InputError
from planner.evidence import csv_files
from planner.words import Way

# Public benchmark runs at these lengths draw each length between 80 and 100 % of the nominal one; others
# send fixed lengths.
DRAWN_LENGTHS = (1024, 8192)
DRAWN_MEAN = 0.9
DRAWN_SPREAD = 0.2 / 0.9
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
        if text.lower() in ("", "nan") and default is not None:  # how spreadsheets write what is missing
            return default
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0.0 < value < math.inf:
            raise InputError(f"{path.name}, line {number}, {column}", text, "a number above 0")
        return value

    def name(column: str) -> str:
        if not line[column]:
            raise InputError(f"{path.name}, line {number}, {column}", "", "a name")
        return line[column]

    def widths(prefix: str) -> Widths:
        return Widths(**{field.name: figure(prefix + field.name, 1.0) for field in fields(Widths)})

    mode = MODES.get((line.get("mode") or "colocated").strip())
    if mode is None:
        raise InputError(f"{path.name}, line {number}, mode", line["mode"], "colocated or disaggregated")
    split = mode == "disaggregated"

    return Row(
        id=line.get("id") or str(number),
        mode=mode,
        model=name("model"),
        system=name("system"),
        engine=name("engine"),
        version=line.get("engine_versions") or "",
        gemm=line.get("gemm_dtype") or "bf16",
        moe=line.get("moe_dtype") or line.get("gemm_dtype") or "bf16",
        isl=int(figure("isl")),
        osl=int(figure("osl")),
        concurrency=figure("concurrency"),
        prefill=widths("prefill_" if split else ""),
        decode=widths("decode_" if split else ""),
        prefill_workers=figure("prefill_workers", 1.0),
        decode_workers=figure("decode_workers", 1.0),
        pp=figure("pp", 1.0),
        ttft_s=figure("ttft_ms", float("nan")) / 1e3,
        tpot_s=figure("tpot_ms", float("nan")) / 1e3,
    )
