"""The study in parts, a setting each: made here one after the other, or by workers elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

from planner.inputs.catalog import Catalog
from planner.paper.settings import Setting

OnPoints: TypeAlias = "Callable[[int], None] | None"


class Each(Protocol):
    """Whoever makes the parts, such as `planner.studies.cluster.Dask.each`."""

    def __call__(
        self, do: Callable[[Setting, Catalog], Any], parts: Sequence[Setting], catalog: Catalog
    ) -> Iterator[Any]:
        """What `do` makes of each setting, in their order."""


class Count:
    """Design points so far, told to `on_sweep`."""

    def __init__(self, on_sweep: OnPoints) -> None:
        self.points = 0
        self._made = 0  # of whole parts
        self._on_sweep = on_sweep

    def add(self, points: int) -> None:
        """A sweep was made here."""
        self.points += points
        if self._on_sweep is not None:
            self._on_sweep(self.points)

    def part(self, points: int) -> None:
        """A part is whole; its sweeps were made here, or elsewhere and are news."""
        self._made += points
        self.add(self._made - self.points)


def here(on_points: Callable[[int], None]) -> Each:
    """Makes the parts in this process, telling of each sweep."""

    def each(do: Callable[..., Any], parts: Sequence[Setting], catalog: Catalog) -> Iterator[Any]:
        return (do(part, catalog, on_points=on_points) for part in parts)

    return each
