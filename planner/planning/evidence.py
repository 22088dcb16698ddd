"""What a pool rests on: whether runs behind the fit had its kind of layout on its GPU, engine and format.

The table is `evidence` of `Catalog.accuracy`, written beside the error bands. A cell of it is the phase, the
GPU, the engine and the format of some runs, the kind of their layout, the class of its width, and their
models. Of a pool and the cell nearest to it:

    measured        nothing differs
    neighbour       one thing does: the phase, the width (by one class), the format, the GPU (a sister of its
                    family), the model, or that tokens are drafted
    extrapolated    more do; or the kind of layout (a pipeline, say) or the engine is in no cell

A co-located run tells of prefill and of decode, so it counts for pools of either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from planner.arrays import BoolArray, IntArray
from planner.inputs.precision import Precision
from planner.planning import bands
from planner.planning.bands import LEVELS, Band
from planner.simulate.space import LayoutChoice, Layouts
from planner.values import dataclass
from planner.words import EvidenceKind, Level, Phase, Step, Way

if TYPE_CHECKING:
    from planner.planning.resolve import Question
    from planner.planning.result import Serving

WIDTHS = (8, 16, 36)  # GPUs of a pipeline stage up to which a width is of a class; one more class beyond
_ATTENTION, _EXPERTS = 3, 4  # TP, DP, both; none, TP, EP, both
_NAMES = (
    *("dense TP", "TP", "TEP", "TP-EPTP"),
    *("dense DP", "DP-TP", "DEP", "DP-EPTP"),
    *("dense TPDP", "TPDP-TP", "TPDP-EP", "TPDP-EPTP"),
)
KINDS = tuple(f"{pipeline}{name}" for name in _NAMES for pipeline in ("", "PP "))
CLASSES = tuple(
    f"{kind} {width}" for kind in KINDS for width in (*(f"<= {w}" for w in WIDTHS), f"> {WIDTHS[-1]}")
)
_WIDTHS = len(WIDTHS) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a pool rests on."""

    kind: EvidenceKind
    differs: tuple[Step, ...]  # from the nearest runs; () where none is near at all
    level: Level  # of the error band: at least that of the model, GPU and engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the fit has seen that is near a question."""

    nearest: Mapping[Phase, Mapping[int, tuple[Step, ...]]]  # by class of layout, what differs
    level: Level  # of model, GPU and engine
    moe: bool


def classes(at: Layouts, moe: bool) -> IntArray:
    """Which of CLASSES each layout is of; of the layouts' shape. `moe`: of a model with experts.

    >>> at = Layouts(**{name: np.array(row) for name, row in dict(
    ...     tp=[8, 1, 8], pp=[1, 1, 4], attention_dp=[1, 16, 1], moe_tp=[1, 1, 8],
    ...     moe_ep=[8, 16, 1]).items()})
    >>> [CLASSES[i] for i in classes(at, True)]
    ['TEP <= 8', 'DEP <= 16', 'PP TP <= 8']
    """
    attention = np.where(at.attention_dp == 1, 0, np.where(at.tp == 1, 1, 2))
    experts = np.where(at.moe_ep == 1, 1, np.where(at.moe_tp == 1, 2, 3)) * moe
    kind = (attention * _EXPERTS + experts) * 2 + (at.pp > 1)
    return np.asarray(kind * _WIDTHS + np.searchsorted(WIDTHS, at.stage_gpus), dtype=np.int64)


def format_name(formats: Precision, moe: bool) -> str:
    """The formats of a deployment as the table writes them: `bf16+mxfp4` where experts have their own."""
    own = f"+{formats.moe.name}" if moe and formats.moe.name != formats.gemm.name else ""
    return f"{formats.gemm.name}{own}{', KV fp4' if formats.kv == 'fp4' else ''}"


def seen(question: Question, table: Mapping[str, Any]) -> Seen | None:
    """The cells of the table that are near a question; None where it has none at all."""
    cells = table.get("evidence")
    if not cells:
        return None
    moe = question.pools["decode"].setup.model.is_moe
    return Seen(
        nearest={phase: _nearest(question, phase, cells) for phase in get_args(Phase)},
        level=bands.level(question, table),
        moe=moe,
    )


def _nearest(
    question: Question, phase: Phase, cells: Sequence[Mapping[str, Any]]
) -> dict[int, tuple[Step, ...]]:
    """What the runs nearest to each class of layouts have other than the pool of a phase."""
    pool = question.pools[phase]
    model, engine = pool.setup.model, pool.setup.machine.engine
    fmt, drafts = (
        format_name(pool.setup.precision, model.is_moe),
        phase != "prefill" and question.scenario.mtp,
    )
    found: dict[int, tuple[Step, ...]] = {}
    for cell in cells:
        sister = cell["family"] == pool.system.family
        if cell["engine"] != engine.family or not sister or engine.name == "ideal":
            continue
        differs: tuple[Step, ...] = ()
        if cell["phase"] not in ("colocated", phase):
            differs += ("phase",)
        if cell["format"] != fmt:
            differs += ("format",)
        if cell["system"] != pool.system.name:
            differs += ("GPU",)
        if drafts and not cell.get("drafts", False):
            differs += ("drafts",)
        for name, models in cell["layouts"].items():
            at = _CLASS.get(name)
            if at is None:
                continue
            steps = differs if model.name in models else (*differs, "model")
            kind, width = divmod(at, _WIDTHS)
            for other in range(max(width - 1, 0), min(width + 2, _WIDTHS)):
                near = steps if other == width else (*steps, "width")
                key = kind * _WIDTHS + other
                best = found.get(key)
                if best is None or _farness(near) < _farness(best):
                    found[key] = near
    return found


_CLASS = {name: at for at, name in enumerate(CLASSES)}


def _farness(differs: tuple[Step, ...]) -> tuple[int, bool]:
    """What is less is nearer: fewer things that differ, and of single ones the model."""
    return len(differs), differs != ("model",)


def of(question: Question, phase: Phase, layout: LayoutChoice) -> Evidence | None:
    """What a pool rests on; None where nothing is known of the runs behind the fit."""
    return None if question.seen is None else judged(question.seen, phase, layout)


def judged(known: Seen, phase: Phase, layout: LayoutChoice) -> Evidence:
    """What a pool of a layout rests on, of what the fit has seen."""
    fields = {"tp": layout.tp, "pp": layout.pp, "attention_dp": layout.attention_dp}
    at = Layouts(
        **{key: np.array([value]) for key, value in fields.items()},
        moe_tp=np.array([layout.moe_tp]),
        moe_ep=np.array([layout.ep]),
    )
    return _evidence(known, known.nearest[phase].get(int(classes(at, known.moe)[0])))


def _evidence(known: Seen, differs: tuple[Step, ...] | None) -> Evidence:
    """What rests on runs that differ by so much; None: on none that is near."""
    if differs is None or len(differs) > 1:
        return Evidence(kind="extrapolated", differs=differs or (), level=LEVELS[-1])
    if not differs:
        return Evidence(kind="measured", differs=(), level=known.level)
    # the level counts the model, the GPU and what no run had already
    least = LEVELS.index(known.level) if differs[0] in ("model", "GPU", "drafts") else 1
    return Evidence(kind="neighbour", differs=differs, level=LEVELS[max(least, LEVELS.index(known.level))])


def levels(known: Seen, phase: Phase, at: Layouts) -> IntArray:
    """The level of the error band of each layout of a phase, as an index into LEVELS; of its shape."""
    of_class = np.full(len(CLASSES), len(LEVELS) - 1, dtype=np.int64)
    for which, differs in known.nearest[phase].items():
        of_class[which] = LEVELS.index(_evidence(known, differs).level)
    return np.asarray(of_class[classes(at, known.moe)])


def measured(question: Question, phase: Phase, at: Layouts) -> BoolArray:
    """Which layouts of a phase were measured, with whatever model; of the layouts' shape."""
    known = question.seen
    if known is None:
        return np.zeros(at.tp.shape, dtype=np.bool_)
    alike = np.zeros(len(CLASSES), dtype=np.bool_)
    alike[[at for at, differs in known.nearest[phase].items() if set(differs) <= {"model"}]] = True
    return np.asarray(alike[classes(at, known.moe)])


def as_measured(evidence: Evidence | None) -> bool:
    """Whether a pool's layout was measured, with whatever model."""
    return evidence is not None and set(evidence.differs) <= {"model"} and evidence.kind != "extrapolated"


def widened(
    question: Question, table: Mapping[str, Any], servings: Mapping[Way, Serving | None]
) -> dict[str, Band]:
    """The bands of either way, as wide as the layouts that it chose ask for; never narrower."""
    asked: dict[Way, Level] = {}
    for way, serving in servings.items():
        levels = [pool.evidence.level for pool in (serving.pools if serving else ()) if pool.evidence]
        if levels:
            asked[way] = max(levels, key=LEVELS.index)
    return bands.bands(question, table, asked) if question.bands else {}
