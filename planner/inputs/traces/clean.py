"""Rows become requests: what is no request is left out, times are sorted and spread, all of it counted."""

from __future__ import annotations

import numpy as np

from planner.arrays import FloatArray, IntArray
from planner.inputs.requests import NO_SESSION, Requests
from planner.inputs.traces.raw import Raw, Source
from planner.inputs.traces.repairs import LONG_PROMPT, Repairs
from planner.inputs.traces.window import ranges

MOST_TOKENS = 10_000_000  # of a prompt or an output, if nothing else is said: no model has such a context
LONGEST_S = 10 * 365 * 86400.0  # a time is no further from the median
SLOW_TICK_S = 0.1  # finer clocks than this bend no queue
LEAST_ROWS = 20  # a tick is not seen in fewer


def requests_of(
    raw: Raw, source: Source, file_format: str, most_tokens: int | None
) -> tuple[Requests, Repairs]:
    """The requests of a file, in order of arrival and from time 0, and what was mended.

    Raises InputError where no row is a request.
    """
    most = MOST_TOKENS if most_tokens is None else most_tokens
    number = np.isfinite(raw.time_s) & np.isfinite(raw.isl) & np.isfinite(raw.osl)
    middle = np.median(raw.time_s[number]) if number.any() else 0.0
    far = number & (np.abs(raw.time_s / LONGEST_S - middle / LONGEST_S) > 1)
    number &= ~far
    short = number & ((raw.isl < 1) | (raw.osl < 1))
    long = number & ~short & (raw.isl + raw.osl > most)
    kept = np.flatnonzero(number & ~short & ~long)
    rows = len(raw.time_s) + raw.unreadable
    if not len(kept):
        raise source.wrong(f"a trace with at least one request; none of its {rows:,} rows is one")
    time_s = raw.time_s[kept]
    behind = int(np.count_nonzero(np.diff(time_s) < 0)) if raw.in_order else 0
    order = np.argsort(time_s, kind="stable")
    time_s, kept = time_s[order] - time_s[order[0]], kept[order]
    tick_s = tick(time_s)
    if tick_s:
        time_s = _spread(time_s, tick_s, source.seed)
        order = np.argsort(time_s, kind="stable")
        time_s, kept = time_s[order], kept[order]
    isl = raw.isl[kept].astype(np.int64)
    start, blocks, cut = _blocks(raw, kept, isl)
    repairs = Repairs(
        format=file_format,
        rows=rows,
        unreadable=raw.unreadable,
        no_number=int(np.count_nonzero(~(number | far))),
        far_off=int(np.count_nonzero(far)),
        too_short=int(np.count_nonzero(short)),
        too_long=int(np.count_nonzero(long)),
        out_of_order=behind,
        spread=len(kept) if tick_s else 0,
        tick_s=tick_s,
        blocks_cut=cut,
        blocks_unread=raw.blocks_unread,
        notes=raw.notes,
        unusual=int(np.count_nonzero(isl > LONG_PROMPT * np.median(isl))),
    )
    requests = Requests(
        arrival_s=time_s,
        isl=isl,
        osl=raw.osl[kept].astype(np.int64),
        session=np.full(len(kept), NO_SESSION) if raw.session is None else raw.session[kept],
        block_start=start,
        blocks=blocks,
        block_tokens=raw.block_tokens if len(start) else 0,
    )
    return requests, repairs


def tick(time_s: FloatArray) -> float:
    """The tick of a slow clock by which ascending times were taken, s; 0.0 where there is none.

    The stamps of one tick are equal, and those of different ticks multiples of it apart.

    >>> tick(np.repeat(np.arange(10.0) * 3, 4)), tick(np.arange(40.0) ** 1.5)
    (3.0, 0.0)
    """
    stamps = np.unique(time_s)
    if len(time_s) < LEAST_ROWS or not 2 < len(stamps) < 0.98 * len(time_s):
        return 0.0
    gaps = np.diff(stamps)
    found = float(np.median(gaps[gaps < 1.1 * float(np.quantile(gaps, 0.05))]))
    if found < SLOW_TICK_S:
        return 0.0
    apart = np.abs(gaps / found - np.round(gaps / found))
    return round(found, 3) if np.count_nonzero(apart < 0.01) > 0.95 * len(gaps) else 0.0


def _spread(time_s: FloatArray, tick_s: float, seed: int) -> FloatArray:
    """Requests of one stamp anywhere in its tick, in their order."""
    later = np.random.default_rng(seed).random(len(time_s)) * tick_s
    _, stamp = np.unique(time_s, return_inverse=True)
    spread: FloatArray = time_s + later[np.lexsort((later, stamp))]
    spread -= spread.min()
    return spread


def _blocks(raw: Raw, kept: IntArray, isl: IntArray) -> tuple[IntArray, IntArray, int]:
    """Blocks of the kept rows, no more than their prompts have, and how many rows were cut."""
    if not len(raw.block_start) or raw.block_tokens < 1:
        none = np.empty(0, dtype=np.int64)
        return none, none, 0
    has = np.diff(raw.block_start)[kept]
    fits = -(-isl // raw.block_tokens)
    count = np.minimum(has, fits)
    start = np.concatenate([[0], np.cumsum(count)])
    return start, raw.blocks[ranges(raw.block_start[kept], count)], int(np.count_nonzero(has > fits))
