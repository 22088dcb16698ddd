"""Constants that are not measured ones as they stand: of perfect kernels, scaled, or looked up once.

Each is a `planner.inputs.kernels.ConstantsSource`, so that it takes the place of any other in a `Machine`.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from planner.inputs.kernels import ConstantsSource, Provenance
from planner.simulate.operators.constants import bounds
from planner.values import dataclass

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Constants that a kernel or a collective takes whatever the tokens of a pass
FIXED = (
    *("floor_s", "index_floor_s", "first_s", "depth_s", "split_s", "index_split_s"),
    *("gpu_s", "two_shot_s", "bulk_s", "ramp_s"),
)

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True, slots=True, kw_only=True)
class PerfectKernels:
    """Every constant at the ideal that its declaration names: all of the peak, next to none of the rest."""

    def constants(self, operator: str, dtype: str, kind: type[T]) -> T:
        """The ideal of each constant, whatever the operator."""
        return kind(**{name: found.ideal for name, found in bounds(kind).items()})

    def provenance(self, operator: str, dtype: str) -> Provenance:
        """Measured nowhere."""
        return Provenance(
            operator=operator.partition(":")[0],
            engine="perfect",
            dtype=dtype,
            system="any",
            measurements=0,
            mape=float("nan"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledKernels:
    """Another source's kernels with a part of their fixed latencies, launched at no cost of the host."""

    source: ConstantsSource
    latencies: float = 1.0  # factor on the constants of `FIXED`

    def constants(self, operator: str, dtype: str, kind: type[T]) -> T:
        """The source's, scaled."""
        found = self.source.constants(operator, dtype, kind)
        changed = {name: getattr(found, name) * self.latencies for name in FIXED if hasattr(found, name)}
        if hasattr(found, "host_s"):
            changed["host_s"] = 0.0
        return replace(found, **changed)

    def provenance(self, operator: str, dtype: str) -> Provenance:
        """That of the source."""
        return self.source.provenance(operator, dtype)


@dataclass(slots=True, kw_only=True)
class Lookups:
    """One simulation's view of a source: looks each set of constants up once, and knows which it asked for.

    Operators ask in every block of a sweep. Made by whoever simulates, for that simulation alone, on one
    thread; `used` tells afterwards what it rests on.

    >>> from planner.simulate.operators.example import h200
    >>> from planner.simulate.operators.attention.linear import StreamConstants
    >>> found = Lookups(source=h200(conv={"memory": 0.8, "serial": 0.5, "floor_s": 3e-6}).kernels)
    >>> found.constants("conv", "bf16", StreamConstants).memory
    0.8
    >>> [source.label for source in found.used()]
    ['conv bf16 from trtllm on h200, 0 points']
    """

    source: ConstantsSource
    before: frozenset[tuple[str, str]] = frozenset()  # asked for by what is not simulated again
    _found: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    def constants(self, operator: str, dtype: str, kind: type[T]) -> T:
        """The source's, looked up at the first call."""
        key = (operator, dtype)
        if key not in self._found:
            self._found[key] = self.source.constants(operator, dtype, kind)
        found: T = self._found[key]
        return found

    def provenance(self, operator: str, dtype: str) -> Provenance:
        """That of the source; not counted as used."""
        return self.source.provenance(operator, dtype)

    @property
    def asked(self) -> frozenset[tuple[str, str]]:
        """Operators and formats asked for so far."""
        return self.before.union(self._found)

    def used(self) -> tuple[Provenance, ...]:
        """Where the constants asked for come from, by operator and format."""
        return tuple(self.source.provenance(*key) for key in sorted(self.asked))
