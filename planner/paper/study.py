"""The sweeps behind the study, each made once and shared by figures and claims."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np

from planner.arrays import FloatArray, IndexArray
from planner.inputs.catalog import Catalog
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.match import pareto
from planner.paper import pool
from planner.paper.pool import Curve, Pool
from planner.paper.settings import SERVED, Setting
from planner.planning import bands
from planner.planning.resolve import Question, prepare
from planner.simulate import colocated, decode, kv_transfer, prefill, space
from planner.simulate.operators.sources import Lookups
from planner.simulate.points import Points
from planner.simulate.setup import Setup

T = TypeVar("T")

FTL_CUT_S = 10.0  # "design points with an FTL > 10 seconds ... are excluded" (section 3.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model on one system under one traffic; the fleet is as large as the best ratio needs."""

    model: str
    isl: int
    osl: int
    system: str = "gb200"
    weights: str = "fp4"  # "modern Blackwell systems using FP4 precision" (section 3.1)
    kv: str = "fp8"  # as FP4 deployments of these models cache; a setting may have another
    ftl_s: float = FTL_CUT_S
    domain: int = 0  # GPUs of the scale-up domain; 0: the system's
    mtp: int = 0
    mla_cache: bool = False  # up-projected KV of earlier chunks is kept
    cached_share: float = 0.0  # of each prompt that a prefix cache holds

    @property
    def scenario(self) -> Scenario:
        """The same as a scenario of the planner."""
        return Scenario(
            model=self.model,
            system=self.system,
            engine="trtllm",
            weights=self.weights,
            kv=self.kv,
            traffic=Traffic(isl=self.isl, osl=self.osl),
            limits=Limits(ftl_s=self.ftl_s),
            fleet=Fleet(gpus=None),
            mtp=self.mtp,
            mla_cache=self.mla_cache,
        )


class Study:
    """Sweeps on demand in one setting, kept. `design_points` counts every point simulated."""

    def __init__(
        self,
        catalog: Catalog,
        on_sweep: Callable[[int], None] | None = None,
        *,
        setting: Setting = SERVED,
    ) -> None:
        self.catalog = catalog
        self.setting = setting
        self.design_points = 0
        self._on_sweep = on_sweep
        self._kept: dict[tuple[object, ...], Any] = {}

    def once(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """What `make` returns, made at the first call with this key."""
        if key not in self._kept:
            self._kept[key] = make()
        return cast(T, self._kept[key])

    def count(self, points: Points) -> Points:
        """Enter simulated points into the total."""
        self.design_points += len(points)
        if self._on_sweep is not None:
            self._on_sweep(self.design_points)
        return points

    def question(self, case: Case) -> Question:
        """The case with its names resolved and its domain in place."""
        return self.once(("question", replace(case, cached_share=0.0)), lambda: self._question(case))

    def _question(self, case: Case) -> Question:
        scenario = case.scenario
        rates = self.catalog.system(case.system).gpu.peak_flops
        if self.setting.kv and self.setting.kv in rates and case.weights == "fp4":
            scenario = replace(scenario, kv=self.setting.kv)
        found = prepare(scenario, self.catalog)
        machine = found.setup.machine
        if case.domain:
            machine = replace(machine, fabric=replace(machine.fabric, scale_up_gpus=case.domain))
        machine = self.setting.machine(machine, self.catalog.kernels(found.system, machine.engine.name))
        machine = replace(machine, kernels=Lookups(source=machine.kernels))
        skew = None if self.setting.serving else 0.0
        return replace(found, setup=replace(found.setup, machine=machine, skew=skew))

    def setup(self, case: Case) -> Setup:
        """Model, formats and machine of a case."""
        return self.question(case).setup

    def band(self, case: Case, mode: str) -> bands.Band | None:
        """How far measured serving strays from the prediction; None where no serving is predicted."""
        return bands.band(self.question(case), mode) if self.setting.serving else None

    def layouts(self, case: Case, phase: str) -> space.Layouts:
        """Every layout of a phase up to the largest instance."""
        domain = self.setup(case).machine.fabric.scale_up_gpus
        limit = space.instance_limit(domain, None, None)
        return space.layouts(self.setup(case).model, phase, max_gpus=limit, scale_up_gpus=domain)

    def prefill(self, case: Case) -> Pool:
        """Prefill instances worth matching under any FTL limit and budget; KV transfer in their FTL."""
        key = ("prefill", replace(case, osl=2, mtp=0, ftl_s=FTL_CUT_S))
        return self.once(key, lambda: self._prefill(case))

    def _prefill(self, case: Case) -> Pool:
        points = self.prefill_points(case, self.layouts(case, "prefill"))
        ftl = self.split_ftl(case, points)
        return pool.pool(points, _rows(pareto.prune(ftl, points.gpus, points.requests_per_s)), ftl)

    def prefill_points(self, case: Case, at: space.Layouts) -> Points:
        """Prefill of the part of the prompt that no cache holds.

        A serving engine keeps a pipeline full and projects the latents of earlier chunks up again, unless
        the case keeps them. The study's Algorithm 1 counts ``batch / FTL``, which charges the filling of
        the pipeline to every batch, and it charges projections only to piggybacking (its section 4.1).
        """
        isl = round(case.isl * (1 - case.cached_share))
        setup = self.setup(case)
        if not self.setting.serving:
            setup = replace(setup, mla_cache=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            points = self.count(prefill.simulate(setup, at, isl))
        if self.setting.serving or self.setting.full:
            return points
        return replace(points, requests_per_s=points.batch / points.ftl_s)

    def split_ftl(self, case: Case, points: Points) -> FloatArray:
        """First token latency of a split: prefill, and in serving what the KV transfer adds."""
        if not self.setting.serving:
            return points.ftl_s
        question = self.question(case)
        setup = question.setup
        at = points.layouts.take(points.layout)
        link = question.link_bytes_per_s
        added = kv_transfer.added_ftl_s(setup.model, setup.precision, at, case.isl, points.ftl_s, link)
        return np.asarray(points.ftl_s + added)

    def decode(self, case: Case) -> Pool:
        """Decode instances worth matching under any TTL limit and budget."""
        key = ("decode", replace(case, ftl_s=FTL_CUT_S, mla_cache=False, cached_share=0.0))
        return self.once(key, lambda: self._decode(case))

    def _decode(self, case: Case) -> Pool:
        setup, at = self.setup(case), self.layouts(case, "decode")
        with np.errstate(divide="ignore", invalid="ignore"):
            points = self.count(decode.simulate(setup, at, case.isl, case.osl, mtp=case.mtp))
        return pool.pool(points, _rows(pareto.prune(points.ttl_s, points.gpus, points.requests_per_s)))

    def colocated(self, case: Case) -> Pool:
        """Co-located instances within the FTL limit worth having, each way of batching for itself.

        The study has two: in-flight batching, and as `pool.STEADY` piggybacking with the same mix in every
        pass (`balanced` in `planner.simulate.colocated`). Serving adds the planner's own piggybacking.
        """
        return self.once(("colocated", case), lambda: self._colocated(case))

    def _colocated(self, case: Case) -> Pool:
        setup, at = self.setup(case), self.layouts(case, "colocated")
        with np.errstate(divide="ignore", invalid="ignore"):
            points = self.count(colocated.simulate(setup, at, case.isl, case.osl))
            steady = self.count(colocated.simulate(setup, at, case.isl, case.osl, balanced=True))
        ways = (pool.INFLIGHT, pool.PIGGYBACK) if self.setting.serving else (pool.INFLIGHT,)
        own = [_best(points, case.ftl_s, mode) for mode in ways]
        same = _best(steady, case.ftl_s, pool.PIGGYBACK)
        return pool.join(*own, replace(same, mode=np.full(len(same), pool.STEADY, dtype=np.int8)))

    def split(self, case: Case) -> Curve:
        """The frontier of prefill and decode apart, fleet without limit."""
        return pool.split_curve(self.prefill(case), self.decode(case), case.osl, case.ftl_s)

    def together(self, case: Case, mode: int | None = None) -> Curve:
        """The co-located frontier: of one mode, or the envelope of all."""
        return pool.colocated_curve(self.colocated(case), case.osl, case.ftl_s, mode)

    def budget(self, case: Case, gpus: int) -> Curve:
        """The frontier of a split in a fleet of so many GPUs."""
        return pool.budget_curve(self.prefill(case), self.decode(case), case.osl, case.ftl_s, gpus)

    def kv_flow(self, case: Case, curve: Curve) -> tuple[float, FloatArray]:
        """KV bytes/s out of each prefill and into each decode GPU that holds distinct cache."""
        setup = self.setup(case)

        def per_gpu(instances: Pool) -> FloatArray:
            return np.asarray(
                kv_transfer.bytes_per_s_per_gpu(
                    setup.model, setup.precision, instances.layouts, case.isl, instances.rate
                )
            )

        assert curve.prefill is not None
        return float(per_gpu(curve.prefill)[0]), per_gpu(curve.points)


def _best(points: Points, ftl_limit_s: float, mode: int) -> Pool:
    """The instances of one mode within the limit that matching could not miss."""
    rows = np.flatnonzero((points.mode == mode) & (points.ftl_s <= ftl_limit_s))
    best = pareto.prune(points.ttl_s[rows], points.gpus[rows], points.requests_per_s[rows])
    return pool.pool(points, _rows(rows[best]))


def _rows(found: Any) -> IndexArray:
    return np.asarray(found, dtype=np.intp)
