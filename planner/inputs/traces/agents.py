"""Calls of coding agents, session by session: CSV with what of each prompt the session had sent before.

Columns: session, depth (0 the agent, 1 and more its sub-agents), t_s from the session's start, isl, osl,
hit_blocks64 (leading blocks of 64 tokens seen before). When sessions begin is not known: it is drawn.
Derived from github.com/callanjfox/kv-cache-tester.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from planner.inputs import conversations
from planner.inputs.requests import NO_SESSION
from planner.inputs.traces import cells
from planner.inputs.traces.raw import Raw, Source

NAME = "agent sessions CSV"
COLUMNS = ("session", "t_s", "isl", "osl", "hit_blocks64")
DEPTH = "depth"
HIT_TOKENS = 64  # of the blocks that are counted
BLOCK_TOKENS = 512  # of those made: prompts of 100,000 tokens have many
MOST_TOKENS = 10_000_000  # of a prompt that gets blocks
SPAN_S = 6 * 3600.0  # in which sessions begin; nine tenths of those recorded last no longer than this


def recognises(columns: Mapping[str, str]) -> bool:
    """Whether a header is of this format; `columns` has its names in lower case, and as they stand."""
    return all(name in columns for name in COLUMNS)


def read(source: Source, columns: Mapping[str, str]) -> Raw:
    """The rows of a file. Raises InputError for what is no CSV file."""
    kinds = {"session": cells.text, "t_s": cells.numbers, DEPTH: cells.numbers}
    wanted = {columns[name]: kinds.get(name, cells.tokens) for name in (*COLUMNS, DEPTH) if name in columns}
    found, unreadable = cells.csv_columns(source, wanted)
    session = cells.codes(found[columns["session"]])
    time_s, isl, osl, hits = (found[columns[name]] for name in COLUMNS[1:])
    depth = found[columns[DEPTH]] if DEPTH in columns else np.zeros(len(isl))
    usable = np.isfinite(isl) & (isl >= 1) & (isl <= MOST_TOKENS)
    tokens = np.where(usable, isl, 0).astype(np.int64)
    held = np.minimum(np.clip(np.nan_to_num(hits, nan=0.0), 0, MOST_TOKENS) * HIT_TOKENS, tokens)
    deeper = np.nan_to_num(depth) > 0
    chain = np.where((session == NO_SESSION) | ~usable, NO_SESSION, 2 * session + deeper)
    order = np.lexsort((np.nan_to_num(time_s, nan=0.0, posinf=0.0, neginf=0.0), session))
    start, blocks = conversations.chained(tokens[order], chain[order], held[order], BLOCK_TOKENS)
    count = int(session.max(initial=-1)) + 1
    begins = np.random.default_rng(source.seed).random(count) * SPAN_S
    return Raw(
        time_s=(time_s + np.append(begins, 0.0)[session])[order],
        isl=isl[order],
        osl=osl[order],
        session=session[order],
        block_start=start,
        blocks=blocks,
        block_tokens=BLOCK_TOKENS,
        unreadable=unreadable,
        in_order=False,
        notes=(f"{count:,} sessions begin at times drawn over {SPAN_S / 3600:g} h: the file has none",),
    )
