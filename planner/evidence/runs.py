"""Files of measured runs.

A row is one run of a deployment at a fixed number of requests in flight. Columns:

    mode             colocated or disaggregated
    model, system, engine, engine_versions
    gemm_dtype, moe_dtype      bf16, fp8, fp8_block, nvfp4, mxfp4, int4_wo
    isl, osl, concurrency      tokens; requests in flight over the whole deployment
    tp, pp, attention_dp, moe_tp, moe_ep              co-located rows
    prefill_workers, prefill_tp, ... decode_workers, decode_tp, ...   disaggregated rows
    ttft_ms, tpot_ms           what was measured (mean or median)

and, where they are known:

    prefill_pp, decode_pp      pipelines of the pools of a disaggregated row; pp of both otherwise
    max_batch                  limit of the decode batch, sequences per attention rank
    max_batched_tokens         prompt tokens in one pass
    memory_fraction            share of GPU memory that weights, activations and cache may fill
    mtp                        drafted tokens per step
    mtp_acceptance             share of the first of them that is taken; what is known of the model otherwise
    draft_cost                 share of a step that a draft model takes per token; else the model's heads
    shared_prefix              tokens of each prompt that are in the cache already
    poll_steps                 decode steps between two looks for new requests
    lengths                    fixed, or drawn between 80 and 100 % of those stated; blank: as benchmarks do
    requests                   of the run
    requests_per_s             an open loop: requests come at this rate, and concurrency stays empty
    arrivals                   closed, burst (all requests of the run at once; concurrency may be empty) or
                               poisson (at requests_per_s)
    remark                     "immature build" where the run says nothing of later builds: no fit takes it
    ttft_p90_ms, ttft_p99_ms, e2e_ms, output_tokens_per_s     more that was measured

Each of what was measured is judged where it stands. Other columns are not read.
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
IMMATURE = "immature build"  # beginning of the remark of a run that no fit takes
NAMES = ("model", "system", "engine")
# what the columns may hold: lengths as in `planner.inputs.fields`, more GPUs and longer times than anyone has
PROMPTS = Range(low=1, high=4 * 1024**2, whole=True)
ANSWERS = Range(low=1, high=1024**2, whole=True)
IN_FLIGHT = Range(low=1, high=1e7)
WIDTHS = Range(low=1, high=1024, whole=True, blank=1.0)
WORKERS = Range(low=1, high=1e5, whole=True, blank=1.0)
LIMITS = Range(low=1, high=1e8, blank=math.nan)
SHARES = Range(low=0.05, high=1, blank=math.nan)
DRAFTED = Range(low=0, high=3, whole=True, blank=0.0)
TAKEN = Range(low=0, high=1, blank=math.nan)
PREFIXES = Range(low=0, high=4 * 1024**2, blank=0.0)
POLLS = Range(low=0, high=1e4, blank=math.nan)
RATES = Range(low=1e-6, high=1e6, blank=math.nan)
TOKEN_RATES = Range(low=1e-3, high=1e12, blank=math.nan)
TIMES_MS = Range(low=1e-3, high=1e9, blank=math.nan)
LENGTHS = ("fixed", "drawn", "")
ARRIVALS = ("closed", "burst", "poisson")
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
    prefill_pp: float
    decode_pp: float
    max_batch: float  # nan, as all below, where the file does not say
    max_batched_tokens: float
    memory_fraction: float
    mtp: int
    mtp_acceptance: float
    draft_cost: float
    shared_prefix: float
    poll_steps: float
    requests: float
    requests_per_s: float  # nan: a closed loop or a burst
    burst: bool  # all requests of the run come at once
    ttft_s: float
    tpot_s: float
    ttft_p90_s: float
    ttft_p99_s: float
    e2e_s: float
    output_tokens_per_s: float
    immature: bool  # the build was: what it measured says nothing of later ones
    fixed: bool = False  # lengths are known to be as stated

    @property
    def colocated(self) -> bool:
        """Whether prefill and decode share the GPUs."""
        return self.mode == "colocated"

    @property
    def gpus(self) -> float:
        """GPUs of the whole deployment."""
        decode = self.decode.tp * self.decode.attention_dp * self.decode_pp
        if self.colocated:
            return self.decode_workers * decode
        prefill = self.prefill.tp * self.prefill.attention_dp * self.prefill_pp
        return self.decode_workers * decode + self.prefill_workers * prefill

    @property
    def shape(self) -> tuple[object, ...]:
        """What tells one deployment from another where model, system, engine and formats are the same.

        As text, since nan is not equal to itself.
        """
        limits = map(str, self._limits)
        return (self.mode, self.isl, self.osl, self.prefill, self.decode, *limits, *self.drafting)

    @property
    def drafting(self) -> tuple[str, ...]:
        """What drafts, and how well. As text, for the same reason."""
        return str(self.mtp), str(self.mtp_acceptance), str(self.draft_cost)

    @property
    def _limits(self) -> tuple[float, ...]:
        return (
            self.prefill_pp,
            self.decode_pp,
            self.max_batch,
            self.max_batched_tokens,
            self.memory_fraction,
            self.shared_prefix,
            self.burst,
        )

    @property
    def drawn(self) -> bool:
        """Whether lengths were drawn below the nominal ones."""
        return not self.fixed and self.isl in DRAWN_LENGTHS and self.osl in DRAWN_LENGTHS

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
    return rows(table(path))


def table(path: Path, *more: str) -> Table:
    """A CSV file that has the columns of a run, and `more`. Raises InputError as `read` does."""
    found = csv_files.read(path, (*NAMES, "isl", "osl", *more))
    for name in NAMES:
        found.names(name)
    return found


def rows(table: Table) -> list[Row]:
    """Rows of a table that has the columns. Raises InputError naming line and column of what cannot be."""
    return [_row(table, i) for i in range(len(table.rows))]


def _row(table: Table, i: int) -> Row:
    line = table.rows[i]

    def figure(column: str, within: Range) -> float:
        value = within.number(csv_files.plain(line.get(column, ""), column))
        if value is None:
            raise table.wrong(i, column, within.accepted)
        return value

    def widths(prefix: str) -> Widths:
        return Widths(**{field.name: figure(prefix + field.name, WIDTHS) for field in fields(Widths)})

    mode = MODES.get((line.get("mode") or "colocated").strip())
    if mode is None:
        raise table.wrong(i, "mode", "colocated or disaggregated")
    split = mode == "disaggregated"
    alone = "decode_workers" if (line.get("decode_workers") or "").strip() else "prefill_workers"
    rate = figure("requests_per_s", RATES)
    requests = figure("requests", LIMITS)
    unsaid = not (line.get("concurrency") or "").strip() and math.isfinite(requests)  # so all of them
    usual = "poisson" if math.isfinite(rate) else "burst" if unsaid else "closed"
    arrivals = (line.get("arrivals") or usual).strip()
    if arrivals not in ARRIVALS:
        raise table.wrong(i, "arrivals", "closed, burst or poisson")
    lengths = (line.get("lengths") or "").strip()
    if lengths not in LENGTHS:
        raise table.wrong(i, "lengths", "fixed or drawn")
    if arrivals == "poisson" and not math.isfinite(rate):
        raise table.wrong(i, "requests_per_s", f"{RATES.accepted} where arrivals is poisson")
    if arrivals == "poisson":
        in_flight = math.nan
    else:
        rate, in_flight = math.nan, requests if unsaid else figure("concurrency", IN_FLIGHT)

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
        concurrency=in_flight,
        prefill=widths("prefill_" if split else ""),
        decode=widths("decode_" if split else ""),
        prefill_workers=figure("prefill_workers" if split else alone, WORKERS),
        decode_workers=figure("decode_workers" if split else alone, WORKERS),
        prefill_pp=figure("prefill_pp" if line.get("prefill_pp") else "pp", WIDTHS),
        decode_pp=figure("decode_pp" if line.get("decode_pp") else "pp", WIDTHS),
        max_batch=figure("max_batch", LIMITS),
        max_batched_tokens=figure("max_batched_tokens", LIMITS),
        memory_fraction=figure("memory_fraction", SHARES),
        mtp=int(figure("mtp", DRAFTED)),
        mtp_acceptance=figure("mtp_acceptance", TAKEN),
        draft_cost=figure("draft_cost", TAKEN),
        shared_prefix=figure("shared_prefix", PREFIXES),
        poll_steps=figure("poll_steps", POLLS),
        requests=in_flight if arrivals == "burst" and math.isnan(requests) else requests,
        requests_per_s=rate,
        # as many in flight as there are requests: none waits for the end of another to be sent
        burst=arrivals == "burst" or requests <= in_flight,
        ttft_s=figure("ttft_ms", TIMES_MS) / 1e3,
        tpot_s=figure("tpot_ms" if line.get("tpot_ms") else "itl_ms", TIMES_MS) / 1e3,
        ttft_p90_s=figure("ttft_p90_ms", TIMES_MS) / 1e3,
        ttft_p99_s=figure("ttft_p99_ms", TIMES_MS) / 1e3,
        e2e_s=figure("e2e_ms", TIMES_MS) / 1e3,
        output_tokens_per_s=figure("output_tokens_per_s", TOKEN_RATES),
        immature=(line.get("remark") or "").startswith(IMMATURE),
        fixed=lengths == "fixed",
    )
