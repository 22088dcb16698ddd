"""Tables of times as nested lists: one look-up of a step or a pass costs less than a microsecond.

numpy takes longer for one number than Python for the few products that a number needs here.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from planner.arrays import FloatArray
from planner.simulate.lockstep import fullest
from planner.simulate.times import PassTable, StepTable

if TYPE_CHECKING:
    from planner.replay.fleet import Kind

Cells = tuple[list[float], list[float]]  # of each cell: intercept and slope


def _cells(at: FloatArray, value: FloatArray) -> Cells:
    """Piecewise linear: intercept and slope between each pair of points."""
    slope = np.diff(value) / np.diff(at)
    return (value[:-1] - slope * at[:-1]).tolist(), slope.tolist()


class Steps:
    """Decode steps of an instance by the sequences that it holds and their mean context."""

    __slots__ = ("_batch", "_bounds", "_context", "_imbalance", "_ranks", "_step", "rows")

    def __init__(self, table: StepTable, ranks: int, imbalance: float) -> None:
        self._batch, self._step, self._context = table.batch, table.step_s, table.context
        self._ranks, self._imbalance = ranks, imbalance
        self._bounds: list[float] = table.context[1:-1].tolist()
        self.rows: dict[int, Cells] = {}

    def row(self, sequences: int) -> Cells:
        """Cells over contexts of the step in which the instance has so many sequences, the fullest rank's."""
        found = self.rows.get(sequences)
        if found is None:
            mean = max(sequences / self._ranks, 1.0)
            at = mean + self._imbalance * float(fullest(float(self._ranks), mean))
            upper = int(np.clip(np.searchsorted(self._batch, at), 1, len(self._batch) - 1))
            low, high = self._batch[upper - 1], self._batch[upper]
            share = max((at - low) / max(high - low, 1e-12), 0.0)
            step = self._step[upper - 1] * (1.0 - share) + self._step[upper] * share
            found = self.rows[sequences] = _cells(self._context, step)
        return found

    def even(self, context: float) -> float:
        """Context up to which steps grow evenly."""
        cell = bisect_right(self._bounds, context)
        return self._bounds[cell] if cell < len(self._bounds) else math.inf

    def seconds(self, sequences: int, context: float) -> float:
        """One step."""
        intercepts, slopes = self.rows.get(sequences) or self.row(sequences)
        cell = bisect_right(self._bounds, context)
        return intercepts[cell] + slopes[cell] * context


class Passes:
    """Passes over prompts of an instance: see `planner.simulate.times.PassTable`."""

    __slots__ = ("_alone", "_attention", "_new", "_past", "_rest", "_tokens", "stages", "token_s")

    def __init__(self, table: PassTable) -> None:
        self.token_s, self.stages = table.token_s, table.stages
        self._tokens: list[float] = table.tokens[1:-1].tolist()
        self._rest = _cells(table.tokens, table.rest_s)
        self._new: list[float] = table.new[1:-1].tolist()
        self._past: list[float] = table.past[1:-1].tolist()
        self._alone = _bilinear(table.new, table.past, table.alone_s)
        self._attention = _bilinear(table.new, table.past, table.attention_s)

    def even(self, past: float) -> float:
        """Cached tokens up to which times grow evenly."""
        cell = bisect_right(self._past, past)
        return self._past[cell] if cell < len(self._past) else math.inf

    def rest_s(self, tokens: float) -> float:
        """A pass of so many tokens of a rank without attention."""
        cell = bisect_right(self._tokens, tokens)
        return self._rest[0][cell] + self._rest[1][cell] * tokens

    def alone_s(self, new: float, past: float) -> float:
        """A pass over one prompt."""
        at = self._alone[bisect_right(self._new, new)][bisect_right(self._past, past)]
        return at[0] + at[1] * new + (at[2] + at[3] * new) * past

    def attention_s(self, new: float, past: float) -> float:
        """What a prompt adds to a pass beside `rest_s`."""
        at = self._attention[bisect_right(self._new, new)][bisect_right(self._past, past)]
        return at[0] + at[1] * new + (at[2] + at[3] * new) * past


class Tables(NamedTuple):
    """What all instances of a kind look up."""

    passes: Passes
    steps: Steps | None

    @classmethod
    def of(cls, kind: Kind) -> Tables:
        """Those of one kind: as long to make as hundreds of passes take to look up."""
        steps, uneven = kind.steps, kind.scheduling.sequence_imbalance
        return cls(Passes(kind.passes), None if steps is None else Steps(steps, kind.ranks, uneven))


def _bilinear(x: FloatArray, y: FloatArray, z: FloatArray) -> list[list[tuple[float, float, float, float]]]:
    """Of each cell the coefficients of ``a + b x + (c + d x) y``."""
    dx, dy = np.diff(x)[:, None], np.diff(y)[None, :]
    low, right, up, both = z[:-1, :-1], z[1:, :-1], z[:-1, 1:], z[1:, 1:]
    b0, b1 = (right - low) / dx, (both - up) / dx
    a0, a1 = low - b0 * x[:-1, None], up - b1 * x[:-1, None]
    c, d = (a1 - a0) / dy, (b1 - b0) / dy
    a, b = a0 - c * y[None, :-1], b0 - d * y[None, :-1]
    whole = np.stack([a, b, c, d], axis=-1).tolist()
    return [[tuple(cell) for cell in line] for line in whole]


def steps_until(elapsed: float, first_s: float, growth_s: float) -> int:
    """Whole steps, at least one, after which `elapsed` seconds have passed; step j takes first + j growth.

    >>> steps_until(0.0, 1.0, 0.0), steps_until(2.0, 1.0, 0.0), steps_until(2.1, 1.0, 0.1)
    (1, 2, 2)
    """
    if growth_s > 1e-15:
        half = first_s - 0.5 * growth_s
        guess = (math.sqrt(half * half + 2.0 * growth_s * elapsed) - half) / growth_s
    else:
        guess = elapsed / first_s
    return max(math.ceil(guess - 1e-9), 1)


def taken_s(steps: int, first_s: float, growth_s: float) -> float:
    """Time of so many steps, step j taking first + j growth."""
    return steps * (first_s + 0.5 * growth_s * (steps - 1))
