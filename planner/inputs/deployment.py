"""A deployment that is there already, or of which a part is settled: what a plan may not change."""

from __future__ import annotations

from planner.inputs.layout_label import Widths, parse
from planner.values import dataclass
from planner.words import Phase, Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Layouts, by their names, and numbers of instances; None is left to the plan.

    >>> Deployment(prefill_layout="TP4", prefill_instances=4, decode_layout="DEP16").least_gpus
    32
    """

    prefill_layout: str | None = None
    prefill_instances: int | None = None
    decode_layout: str | None = None
    decode_instances: int | None = None
    colocated_layout: str | None = None
    colocated_instances: int | None = None

    def layout(self, phase: Phase) -> Widths | None:
        """The layout of a phase's instances. Raises InputError for a name that says nothing."""
        name = self._layouts[phase]
        return None if name is None else parse(name, f"{phase}-layout")

    def instances(self, phase: Phase) -> int | None:
        """How many of them there are."""
        return {
            "prefill": self.prefill_instances,
            "decode": self.decode_instances,
            "colocated": self.colocated_instances,
        }[phase]

    @property
    def _layouts(self) -> dict[Phase, str | None]:
        return {
            "prefill": self.prefill_layout,
            "decode": self.decode_layout,
            "colocated": self.colocated_layout,
        }

    @property
    def given(self) -> bool:
        """Whether anything is."""
        return self != Deployment()

    @property
    def counted(self) -> bool:
        """Whether a number of instances is given."""
        return any(self.instances(phase) is not None for phase in self._layouts)

    @property
    def way(self) -> Way | None:
        """The way of serving that alone has a given part: that is the plan, the other what it is held to."""
        split = self._has("prefill") or self._has("decode")
        if split == self._has("colocated"):
            return None
        return "disaggregated" if split else "colocated"

    def _has(self, phase: Phase) -> bool:
        return self._layouts[phase] is not None or self.instances(phase) is not None

    @property
    def complete(self) -> bool:
        """Whether all of a way is given, so that `least_gpus` is what it takes."""
        way = self.way
        phases = () if way is None else _WAYS[0] if way == "disaggregated" else _WAYS[1]
        return bool(phases) and all(
            self._layouts[phase] is not None and self.instances(phase) is not None for phase in phases
        )

    @property
    def least_gpus(self) -> int:
        """GPUs that the given parts take at the least, of the way that takes more."""
        split, colocated = (
            sum(self._gpus(phase) for phase in phases if self._has(phase)) for phases in _WAYS
        )
        return max(split, colocated)

    def _gpus(self, phase: Phase) -> int:
        layout, instances = self.layout(phase), self.instances(phase)
        return (1 if layout is None else layout.gpus) * (1 if instances is None else instances)


_WAYS: tuple[tuple[Phase, ...], ...] = (("prefill", "decode"), ("colocated",))
