"""How much hangs on what the study does not say: every claim under each mix of assumptions.

The format of the cache, whether a pipeline's filling is charged to every batch (as Algorithm 1 counts)
or it is kept full, and how much of the fixed latency of measured kernels its simulator has.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.inputs import catalog as presets
from planner.inputs.catalog import Catalog
from planner.output.columns import aligned, markdown
from planner.paper.claims import claim
from planner.paper.parts import Count, Each, OnPoints, here
from planner.paper.reproduction import CHECKS
from planner.paper.settings import STUDY, Setting
from planner.paper.sweeps import Sweeps
from planner.units import three_digits
from planner.words import CacheFormat, Outcome

CACHES: tuple[CacheFormat, ...] = ("fp4", "fp8")
LATENCIES = (1.0, 0.5, 0.25, 0.1, 0.0)
HEAD = ("KV cache", "prefill pipelines", "kernel latencies", "pass", "claims that pass")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """One mix of assumptions and what becomes of each claim: "pass", "fail" or "open" by its number."""

    setting: Setting
    verdicts: Mapping[int, Outcome]

    @property
    def passing(self) -> tuple[int, ...]:
        """Claims that pass, ascending."""
        return tuple(number for number, verdict in self.verdicts.items() if verdict == "pass")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What `ratematch paper --assumptions` reports."""

    mixes: tuple[Mix, ...]
    design_points: int
    seconds: float

    @property
    def always(self) -> tuple[int, ...]:
        """Claims that pass in every mix."""
        return tuple(c for c in self.mixes[0].verdicts if all(c in m.passing for m in self.mixes))

    @property
    def never(self) -> tuple[int, ...]:
        """Claims that pass in none."""
        return tuple(c for c in self.mixes[0].verdicts if not any(c in m.passing for m in self.mixes))


def settings() -> tuple[Setting, ...]:
    """Every mix: cache, filling charged or not, measured kernels with a part of their latencies or perfect.

    >>> [s.name for s in settings()][:2], len(settings())
    (['fp4, charged, 1', 'fp4, charged, 0.5'], 24)
    """
    found = []
    for kv, full, latencies in itertools.product(CACHES, (False, True), (*LATENCIES, None)):
        kernels = "perfect" if latencies is None else f"{latencies:g}"
        name = f"{kv}, {'full' if full else 'charged'}, {kernels}"
        found.append(
            Setting(
                name=name,
                title=name,
                kv=kv,
                full=full,
                perfect=latencies is None,
                latencies=1.0 if latencies is None else latencies,
            )
        )
    return tuple(found)


def run(
    catalog: Catalog | None = None,
    mixes: Sequence[Setting] | None = None,
    *,
    on_sweep: Callable[[int], None] | None = None,
    each: Each | None = None,
) -> Assumptions:
    """Judge every claim under each of `mixes` (all of `settings` by default); about a second and a half each.

    `on_sweep` is called with the number of design points so far after every sweep, or after every mix where
    `each` makes them elsewhere.
    """
    start = time.perf_counter()
    found = catalog or presets.load()
    count = Count(on_sweep)
    asked = tuple(mixes or settings())
    done: list[Mix] = []
    for mix, points in (each or here(count.add))(_mix, asked, found):
        count.part(points)
        done.append(mix)
    return Assumptions(mixes=tuple(done), design_points=count.points, seconds=time.perf_counter() - start)


def _mix(setting: Setting, catalog: Catalog, on_points: OnPoints = None) -> tuple[Mix, int]:
    """One mix, and how many design points it took."""
    sweeps = Sweeps(catalog, on_points, setting=setting)
    verdicts = {c.id: claim.judge(c, CHECKS[c.id], (sweeps,)).verdict for c in claim.load()}
    return Mix(setting=setting, verdicts=verdicts), sweeps.design_points


def to_dict(done: Assumptions) -> dict[str, Any]:
    """Everything as plain data."""
    return {
        "mixes": [
            {
                "kv": m.setting.kv,
                "full_pipelines": m.setting.full,
                "perfect_kernels": m.setting.perfect,
                "latencies": None if m.setting.perfect else m.setting.latencies,
                "verdicts": {str(number): verdict for number, verdict in m.verdicts.items()},
            }
            for m in done.mixes
        ],
        "always": list(done.always),
        "never": list(done.never),
        "design_points": done.design_points,
        "seconds": done.seconds,
    }


def summary(done: Assumptions) -> str:
    """The spread in two sentences."""
    counts = [len(m.passing) for m in done.mixes]
    return (
        f"{min(counts)} to {max(counts)} of {len(done.mixes[0].verdicts)} claims pass under "
        f"{len(done.mixes)} mixes of assumptions. In all of them: {_list(done.always)}; in none: "
        f"{_list(done.never)}."
    )


def cells(mix: Mix) -> tuple[str, ...]:
    """One row under `HEAD`."""
    s = mix.setting
    kernels = "perfect kernels" if s.perfect else f"x {three_digits(s.latencies)}" if s.latencies else "none"
    pipelines = "kept full" if s.full else "filling charged"
    return (s.kv.upper(), pipelines, kernels, str(len(mix.passing)), _list(mix.passing))


def to_text(done: Assumptions) -> str:
    """A table for the terminal and the summary."""
    rows = [HEAD, *(cells(mix) for mix in done.mixes)]
    return "\n".join([*aligned(rows, "lllll"), "", summary(done)])


def to_markdown(done: Assumptions) -> str:
    """The page `docs/paper-assumptions.md`."""
    return _PAGE.format(
        summary=summary(done),
        points=done.design_points,
        seconds=done.seconds,
        study=STUDY.kv.upper(),
        table="\n".join(markdown([HEAD, *(cells(mix) for mix in done.mixes)])),
    )


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


_PAGE = """# What the study's findings hang on

Written by `ratematch paper --assumptions --out docs`; the claims, their checks and what each of them gives
stand in [paper.md](paper.md).

{summary}

The study does not say in which format it caches, how it counts the filling of a pipeline, nor how much of
the fixed latency of real kernels its simulator has. Each row takes one choice of these for everything that
a claim is checked on. "Filling charged": a prefill instance serves batch over FTL, as Algorithm 1 counts;
"kept full": a new batch follows at once. "x 0.25": a quarter of every time that a measured kernel or
collective takes whatever the tokens (launch, first tokens, depth, group size), bandwidths and rates as
measured. The verdicts of paper.md are those of the row {study}, filling charged, x 1.

{table}

{points:,} design points in {seconds:.0f} s.
"""
