"""Design points: rows of a struct of arrays, and the blocks a sweep computes them in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.arrays import BoolArray, FloatArray, IndexArray, IntArray, Real, distinct
from planner.simulate import forward
from planner.simulate.forward import Ledger
from planner.simulate.operators.roofline import Cost
from planner.simulate.operators.setup import Setup
from planner.simulate.space import EXCHANGES, LayoutChoice, Layouts
from planner.values import dataclass
from planner.words import Batching, Exchange, Phase

# Arrays of 256 KiB. With 2 MiB of second-level cache: 3.0 M points/s, 2.1 M at a quarter, 2.9 M at twice.
BLOCK_POINTS = 32768
MODES: tuple[Batching, ...] = ("", "inflight", "piggyback")


class Stopped(Exception):
    """The caller asked for the sweep to end: a newer question is waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What prefill computes of a mean prompt.

    Of prompts of unequal lengths L, with c tokens each in a cache, attention costs as much as if all were
    of the mean length behind ``c + (E[L^2] / E[L] - E[L]) / 2`` tokens.
    """

    new: int  # tokens that no cache holds
    prefix: float = 0.0  # tokens that each of them attends to besides


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Simulated design points of one phase that fit in memory; arrays of shape ``(points,)``.

    `layout` indexes `layouts`. Batches count sequences in flight per instance; requests_per_s is
    of one instance. light_s is the speed of light of the latency that the phase is judged by:
    of `ftl_s` for prefill, of `ttl_s` otherwise. prompt_share is how much of its time an instance is busy
    with prompts at that rate, so that one of them takes ``prompt_share / requests_per_s`` from the next.
    """

    phase: Phase
    layouts: Layouts
    layout: npt.NDArray[np.int32]
    gpus: IntArray  # of one instance
    mode: npt.NDArray[np.int8]  # index into MODES
    batch: FloatArray
    chunk_tokens: FloatArray  # 0 where no prompt is processed
    ftl_s: FloatArray  # nan in decode
    ttl_s: FloatArray  # nan in prefill
    requests_per_s: FloatArray
    light_s: FloatArray
    prompt_share: FloatArray  # 1 in prefill, 0 in decode
    out_of_memory: int = 0  # points of the grid that did not fit and were not simulated

    def __len__(self) -> int:
        return len(self.layout)

    @property
    def sharding(self) -> Layouts:
        """How each point is sharded, arrays of shape ``(points,)``."""
        return self.layouts.take(self.layout)

    def take(self, rows: npt.NDArray[np.integer] | BoolArray) -> Points:
        """Some of the points, in the order of `rows`, or those that a mask keeps."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in (*_COLUMNS, "gpus")}
        return replace(self, **columns)

    def rows_of(self, layout: LayoutChoice, mode: Batching) -> IndexArray:
        """The points of one layout that batch in one way."""
        at = self.layouts
        same = (at.tp == layout.tp) & (at.pp == layout.pp) & (at.attention_dp == layout.attention_dp)
        same &= (at.moe_tp == layout.moe_tp) & (at.moe_ep == layout.ep)
        return np.flatnonzero(same[self.layout] & (self.mode == MODES.index(mode)))

    def labels(self) -> tuple[str, ...]:
        """The short name of each point's layout."""
        used, of_point = np.unique(self.layout, return_inverse=True)
        names = [self.layouts.choice(int(layout), self.phase == "prefill").label for layout in used]
        return tuple(names[i] for i in of_point)


def join(*parts: Points) -> Points:
    """The points of several sweeps of the same phase over the same layouts, one after the other."""
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in (*_COLUMNS, "gpus")
    }
    return replace(parts[0], **columns)


_VALUES = ("batch", "chunk_tokens", "ftl_s", "ttl_s", "requests_per_s", "light_s", "prompt_share")
_COLUMNS = ("layout", "mode", *_VALUES)
assert {f.name for f in fields(Points)} == {*_COLUMNS, "phase", "layouts", "gpus", "out_of_memory"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some layouts and the batches to try on them.

    Layouts that differ only in pipeline depth share a stage, and all stages of one attention TP share
    what depends on that alone: `of_stage` and `of_tp` say which row of those smaller tables is whose.
    """

    rows: IndexArray  # of all layouts, shape (layouts,)
    at: Layouts  # (layouts, 1, 1)
    stage: Layouts  # (stages, 1, 1)
    of_stage: IndexArray  # of each layout
    of_tp: IndexArray  # of each stage, into `widths(at)`
    exchange: Exchange
    batch: FloatArray  # (1, batches, 1): as far as any of the layouts goes, or further
    largest: FloatArray  # of each layout, (layouts, 1, 1)
    second: list[Cost] = field(default_factory=list)  # reading of all weights, once a pass has asked for it

    def join(self, setup: Setup, mixing: Cost, routed: Ledger, too_many: BoolArray | bool = False) -> Cost:
        """All layers of the block's passes, shape (layouts, batches, inner).

        Parameters
        ----------
        mixing
            Layers beside the experts, a row for each of `widths(at)`.
        routed
            Experts and the traffic to them, a row for each stage.
        too_many
            As of `planner.simulate.forward.experts`.
        """
        work, moved = routed.apart()
        work = mixing.take(self.of_tp, self.batch.size) + work
        split = forward.in_halves(setup, self.stage, self.exchange, too_many)
        if split.any():
            if not self.second:
                self.second.append(forward.second_reading(setup, self.stage, self.exchange))
            whole = forward.overlapped(work, moved, self.second[0], split)
        else:
            whole = work + moved
        return whole.take(self.of_stage)

    @property
    def allowed(self) -> BoolArray:
        """The batches that each layout may have, shape (layouts, batches, 1)."""
        return np.asarray(self.batch <= self.largest)

    def own(self, values: FloatArray) -> FloatArray:
        """The block's own of a value for each of all layouts, as ``(layouts, 1, 1)``."""
        return values[self.rows].reshape(-1, 1, 1)

    def spread(self, table: Cost) -> Cost:
        """A row for each layout from a table with one for each of `widths(at)`."""
        return table.take(self.of_tp[self.of_stage], self.batch.size)


def widths(at: Layouts) -> IntArray:
    """The distinct attention TP widths, ascending, as ``(widths, 1, 1)``."""
    return distinct(at.tp).reshape(-1, 1, 1)


def blocks(
    at: Layouts,
    largest: FloatArray,
    grid: FloatArray,
    inner: int,
    should_stop: Callable[[], bool] | None,
    beyond: Callable[[float], float] = float,
) -> Iterator[Block]:
    """Cut the space layouts x batches x `inner` into blocks that fit the cache.

    Stages of one exchange kind come together, those with room for similar batches next to each
    other, so that a block's grid ends where its largest batch does, or where `beyond` puts that.

    Raises Stopped between blocks when `should_stop()` turns true.
    """
    keys = np.zeros(len(at), dtype=np.int64)  # one number each: of rows `np.unique` takes ten times as long
    for width in (at.tp, at.attention_dp, at.moe_tp, at.moe_ep):
        keys = keys * (width.max(initial=0) + 1) + width
    stages, of_stage = np.unique(keys, return_inverse=True)
    of_tp = np.searchsorted(widths(at).ravel(), at.tp)
    room = np.zeros(len(stages))
    np.maximum.at(room, of_stage, largest)
    stage_kind = np.zeros(len(stages), dtype=np.int8)
    stage_kind[of_stage] = at.exchange()
    # layouts with room for anything, stage by stage
    usable = np.flatnonzero(largest >= 1)
    usable = usable[np.argsort(of_stage[usable], kind="stable")]
    ends = np.searchsorted(of_stage[usable], np.arange(len(stages) + 1))
    members = [usable[ends[s] : ends[s + 1]] for s in range(len(stages))]
    for kind, name in enumerate(EXCHANGES):
        waiting = [s for s in np.argsort(room, kind="stable") if stage_kind[s] == kind and len(members[s])]
        while waiting:
            # stages ascend in room, so the last of a block sets its grid
            taken, layouts = 0, 0
            while taken < len(waiting) and (not taken or layouts * len(grid) * inner < BLOCK_POINTS):
                layouts += len(members[waiting[taken]])
                taken += 1
            block, waiting = waiting[:taken], waiting[taken:]
            if should_stop is not None and should_stop():
                raise Stopped
            rows = np.concatenate([members[s] for s in block])
            first = np.array([members[s][0] for s in block])
            sizes = [len(members[s]) for s in block]
            upto = max(1, int(np.searchsorted(grid, beyond(room[block].max()), side="right")))
            yield Block(
                rows=rows,
                at=at.take(rows).spread(2),
                stage=at.take(first).spread(2),
                of_stage=np.repeat(np.arange(len(block)), sizes),
                of_tp=of_tp[first],
                exchange=name,
                batch=grid[:upto].reshape(1, -1, 1),
                largest=largest[rows].reshape(-1, 1, 1),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Columns of one block, each broadcastable to the block's shape, and which points exist."""

    rows: IndexArray
    exists: BoolArray
    mode: int
    batch: Real
    chunk_tokens: Real
    ftl_s: Real
    ttl_s: Real
    requests_per_s: Real
    light_s: Real
    prompt_share: Real


class Table:
    """The points of a sweep, block after block.

    What fits is kept while a block is still in the processor's cache. The columns are rows of one array
    with room for every point of the grid: pages that stay empty cost nothing, and an array of that size
    comes from the system in few large ones.

    Parameters
    ----------
    at
        Every layout of the sweep.
    tried
        Points of the grid for each of them, were memory endless.
    """

    def __init__(self, at: Layouts, tried: int) -> None:
        self._at, self._most, self._size = at, len(at) * tried, 0
        self._layout, self._mode = np.empty(self._most, dtype=np.int32), np.empty(self._most, dtype=np.int8)
        self._values = np.empty((len(_VALUES), self._most))

    def add(self, part: Collected) -> None:
        """Append the points of a block that exist."""
        shape = part.exists.shape
        keep = np.flatnonzero(part.exists)
        new = slice(self._size, self._size + len(keep))
        self._layout[new] = part.rows[keep // (part.exists.size // shape[0])]
        self._mode[new] = part.mode
        for name, column in zip(_VALUES, self._values[:, new], strict=True):
            values = getattr(part, name)
            if np.ndim(values):
                # the mode "raise" would copy
                np.take(np.broadcast_to(values, shape).ravel(), keep, out=column, mode="clip")
            else:
                column[:] = values
        self._size = new.stop

    def points(self, phase: Phase) -> Points:
        """All of them."""
        layout = self._layout[: self._size]
        return Points(
            phase=phase,
            layouts=self._at,
            layout=layout,
            gpus=self._at.gpus[layout],
            mode=self._mode[: self._size],
            out_of_memory=self._most - self._size,
            **dict(zip(_VALUES, self._values[:, : self._size], strict=True)),
        )
