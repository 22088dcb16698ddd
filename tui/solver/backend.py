"""What the screens ask for answers: the planner, the catalog's names, the time, and how patiently."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from planner.values import dataclass
from planner.words import PresetKind
from tui.solver.asker import DEBOUNCE_S
from tui.solver.worker import PlanFn, Planner

if TYPE_CHECKING:
    from planner.planning.result import Plan

NamesFn = Callable[[PresetKind], Sequence[str]]


def real_names(kind: PresetKind) -> Sequence[str]:
    """The catalog's names of a kind, imported when asked."""
    from planner.inputs import catalog

    return tuple(catalog.load().names(kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The application's way to the planner; tests bring their own."""

    plan_fn: PlanFn = field(default_factory=Planner)
    again_fn: Callable[..., Plan] | None = None  # what is known later of a plan; that of a real planner
    looks_ahead: bool = False  # plans what the next key may ask for; a real planner does
    names_fn: NamesFn = real_names
    clock: Callable[[], float] = time.monotonic  # seconds
    debounce_s: float = DEBOUNCE_S  # edits that follow each other faster wait for the last of them
    warm_up: Callable[[], object] | None = None  # run first on the solver's thread: slow imports

    def __post_init__(self) -> None:
        """A planner that can asks its replay, once the answer is drawn, and looks ahead."""
        if self.again_fn is None and isinstance(self.plan_fn, Planner):
            object.__setattr__(self, "again_fn", self.plan_fn.asking)
            object.__setattr__(self, "looks_ahead", True)
