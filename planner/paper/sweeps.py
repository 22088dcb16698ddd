"""The sweeps and frontiers behind the study in one setting, each made once for all figures and claims."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from planner.arrays import FloatArray, IntArray
from planner.inputs.catalog import Catalog
from planner.inputs.lengths import equal_shares
from planner.inputs.scenario import Limits, Scenario
from planner.inputs.trace import Trace
from planner.match import pareto, rate_match
from planner.paper.settings import IDEAL, SERVED, Setting
from planner.planning import bands, sweep
from planner.planning.frontiers import worth_matching
from planner.planning.resolve import Question, prepare
from planner.planning.result import Frontier
from planner.planning.servings import tokens_per_request
from planner.simulate import colocated, decode, kv_transfer, prefill
from planner.simulate.operators.setup import Setup
from planner.simulate.operators.sources import Lookups
from planner.simulate.points import MODES, Points, join
from planner.simulate.space import Layouts
from planner.words import Phase, Way

T = TypeVar("T")

# How co-located instances batch. "steady" is piggybacking as the study has it: the same mix of prompt and
# decode tokens in every pass (`balanced` in `planner.simulate.colocated`).
StudyBatching: TypeAlias = Literal["inflight", "piggyback", "steady"]

# The axis of the study ends where decode batches reach "single digits" (section 5.1 of the text).
SINGLE_DIGITS = 9.0
LENGTHS = 9  # equal shares of a trace's prompts, each simulated at its mean length


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """A frontier with the instances along it, and what is read off it at interactivities (tokens/s)."""

    frontier: Frontier
    points: Points  # a row for each point of the frontier: decode instances of a split, else co-located
    prefill: Points | None = None  # one row: the prefill instance of the whole curve

    def __len__(self) -> int:
        return len(self.frontier)

    @property
    def user(self) -> FloatArray:
        """Tokens/s per user, strictly ascending."""
        return self.frontier.tokens_per_s_per_user

    @property
    def per_gpu(self) -> FloatArray:
        """Tokens/s per GPU, strictly descending."""
        return self.frontier.tokens_per_s_per_gpu

    @property
    def ratio(self) -> FloatArray:
        """Prefill GPUs per decode GPU; nan where co-located."""
        return self.frontier.ctx_gen_ratio

    @property
    def end(self) -> float:
        """The fastest interactivity, 0 without points."""
        return float(self.user[-1]) if len(self) else 0.0

    @property
    def axis_end(self) -> float:
        """Interactivity where the batch of an instance first is in single digits; else the fastest."""
        small = np.flatnonzero(self.points.batch <= SINGLE_DIGITS)
        return float(self.user[small[0]]) if len(small) else self.end

    def at(self, user: FloatArray) -> FloatArray:
        """Most tokens/s per GPU at an interactivity of at least `user`; 0 beyond the end."""
        return self.column(self.per_gpu, user, 0.0)

    def column(self, values: FloatArray | IntArray, user: FloatArray, past_end: float = np.nan) -> FloatArray:
        """Values of the curve's points, taken at the first as fast; `past_end` where none is."""
        if not len(self):
            return np.full(np.shape(user), past_end)
        rows = np.searchsorted(self.user, user * (1 - 1e-12))
        return np.where(rows < len(self), values[np.minimum(rows, len(self) - 1)], past_end)


class Sweeps:
    """Sweeps on demand in one setting, kept. `design_points` counts every point simulated."""

    def __init__(
        self,
        catalog: Catalog,
        on_points: Callable[[int], None] | None = None,
        *,
        setting: Setting = SERVED,
    ) -> None:
        """`on_points` is called with the number of points of each sweep."""
        self.catalog = catalog
        self.setting = setting
        self.design_points = 0
        self._on_points = on_points
        self._kept: dict[tuple[object, ...], Any] = {}

    def once(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """What `make` returns, made at the first call with this key."""
        if key not in self._kept:
            self._kept[key] = make()
        return cast(T, self._kept[key])

    def in_domain(self, gpus: int) -> Sweeps:
        """The same on scale-up domains of so many GPUs; its points count here too."""

        def make() -> Sweeps:
            return Sweeps(self.catalog, self._add, setting=replace(self.setting, domain_gpus=gpus))

        return self.once(("domain", gpus), make)

    def _add(self, points: int) -> None:
        self.design_points += points
        if self._on_points is not None:
            self._on_points(points)

    def _counted(self, points: Points) -> Points:
        self._add(len(points))
        return points

    def question(self, scenario: Scenario) -> Question:
        """The scenario with its names resolved, as the setting has it."""
        return self.once(("question", scenario), lambda: self._question(scenario))

    def _question(self, scenario: Scenario) -> Question:
        rates = self.catalog.system(scenario.system).gpu.peak_flops
        if self.setting.kv and self.setting.kv in rates and scenario.weights == "fp4":
            scenario = replace(scenario, kv=self.setting.kv)
        if not self.setting.serving:
            scenario = replace(scenario, engine=IDEAL)
        found = prepare(scenario, self.catalog)
        pool = found.pools["prefill"]
        served = pool.setup.machine
        machine = self.setting.machine(served, self.catalog.kernels(pool.system, served.engine.name))
        skew = None if self.setting.serving else 0.0
        return found.on(replace(pool, setup=replace(pool.setup, machine=machine, skew=skew)))

    def setup(self, scenario: Scenario) -> Setup:
        """Model, formats and machine of a scenario."""
        return self.question(scenario).pools["prefill"].setup

    def _simulated(self, scenario: Scenario) -> Setup:
        """The setup of one simulation, which looks each constant up once."""
        setup = self.setup(scenario)
        return setup.on_kernels(Lookups(source=setup.machine.kernels))

    def band(self, scenario: Scenario, way: Way) -> bands.Band | None:
        """How far measured serving strays from the prediction; None where no serving is predicted."""
        if not self.setting.serving:
            return None
        return bands.bands(self.question(scenario), self.catalog.accuracy()).get(way)

    def layouts(self, scenario: Scenario, phase: Phase) -> Layouts:
        """Every layout of a phase up to the largest instance."""
        return sweep.layouts(self.question(scenario), phase, None)

    def simulate_prefill(self, scenario: Scenario, at: Layouts) -> Points:
        """Prefill of the part of the prompt that no cache holds, on some layouts.

        A serving engine keeps a pipeline full and projects the latents of earlier chunks up again, unless
        the scenario keeps them. The study's Algorithm 1 counts ``batch / FTL``, which charges the filling
        of the pipeline to every batch, and it charges projections only to piggybacking (its section 4.1).
        """
        setup = self._simulated(scenario)
        if not self.setting.serving:
            setup = replace(setup, mla_cache=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            points = self._counted(prefill.simulate(setup, at, scenario.traffic.new_tokens))
        if self.setting.serving or self.setting.full:
            return points
        return replace(points, requests_per_s=points.batch / points.ftl_s)

    def with_transfer(self, scenario: Scenario, points: Points) -> Points:
        """Prefill points with the FTL that users of a split see: in serving the KV transfer adds to it."""
        if not self.setting.serving:
            return points
        return replace(points, ftl_s=sweep.split_ftl_s(self.question(scenario), points))

    def prefill_points(self, scenario: Scenario) -> Points:
        """Prefill instances worth matching under any FTL limit and budget; KV transfer in their FTL."""

        def make() -> Points:
            simulated = self.simulate_prefill(scenario, self.layouts(scenario, "prefill"))
            points = self.with_transfer(scenario, simulated)
            return _worth_matching(points, points.ftl_s)

        traffic = replace(scenario.traffic, osl=2)
        key = replace(scenario, traffic=traffic, mtp=0, limits=Limits())
        return self.once(("prefill", key), make)

    def decode_points(self, scenario: Scenario) -> Points:
        """Decode instances worth matching under any TTL limit and budget."""

        def make() -> Points:
            setup, at, traffic = self._simulated(scenario), self.layouts(scenario, "decode"), scenario.traffic
            with np.errstate(divide="ignore", invalid="ignore"):
                simulated = decode.simulate(setup, at, traffic.isl, traffic.osl, mtp=scenario.mtp)
            points = self._counted(simulated)
            return _worth_matching(points, points.ttl_s)

        traffic = replace(scenario.traffic, cached_share=0.0)
        key = replace(scenario, traffic=traffic, mla_cache=False, limits=Limits())
        return self.once(("decode", key), make)

    def colocated_points(self, scenario: Scenario, batching: StudyBatching | None = None) -> Points:
        """Co-located instances within the FTL limit worth having, of one way of batching or of all.

        The study has two, in-flight and steady. Serving adds the planner's own piggybacking. KeyError for
        one that the setting has not.
        """
        found = self.once(("colocated", scenario), lambda: self._colocated_points(scenario))
        if batching is not None:
            return found[batching]
        return self.once(("all co-located", scenario), lambda: join(*found.values()))

    def _colocated_points(self, scenario: Scenario) -> dict[StudyBatching, Points]:
        setup, at, traffic = self._simulated(scenario), self.layouts(scenario, "colocated"), scenario.traffic
        with np.errstate(divide="ignore", invalid="ignore"):
            points = self._counted(colocated.simulate(setup, at, traffic.isl, traffic.osl))
            steady = self._counted(colocated.simulate(setup, at, traffic.isl, traffic.osl, balanced=True))
        ways: tuple[StudyBatching, ...] = ("inflight", "piggyback") if self.setting.serving else ("inflight",)
        found: dict[StudyBatching, Points] = {
            way: points.take(points.mode == MODES.index(way)) for way in ways
        }
        found["steady"] = steady
        in_time = {way: of.take(of.ftl_s <= scenario.limits.ftl_s) for way, of in found.items()}
        return {way: _worth_matching(of, of.ttl_s) for way, of in in_time.items()}

    def split(self, scenario: Scenario) -> Curve:
        """The frontier of a split, fleet without limit."""

        def make() -> Curve:
            return split_curve(self.prefill_points(scenario), self.decode_points(scenario), scenario)

        return self.once(("split", scenario), make)

    def colocated(self, scenario: Scenario, batching: StudyBatching | None = None) -> Curve:
        """The co-located frontier: of one way of batching, or the envelope of all."""

        def make() -> Curve:
            points = self.colocated_points(scenario, batching)
            tokens = tokens_per_request(scenario.traffic.osl)
            return _curve(points, points.requests_per_s * tokens / points.gpus)

        return self.once(("co-located frontier", scenario, batching), make)

    def in_fleet(self, scenario: Scenario, gpus: int) -> Curve:
        """The best split of a fleet of so many GPUs, one layout per pool, whole instances.

        `per_gpu` counts every GPU of the fleet, idle ones too; `gpus` of the frontier those in use.
        """

        def make() -> Curve:
            pre, dec = self.prefill_points(scenario), self.decode_points(scenario)
            pre = pre.take(pre.ftl_s <= scenario.limits.ftl_s)
            found = rate_match.match_budget(
                pre.gpus, pre.requests_per_s, dec.gpus, dec.requests_per_s, budget=gpus
            )
            first = (
                pre.gpus[found.prefill] * found.n_prefill if len(pre) else np.zeros(len(dec), dtype=np.int64)
            )
            ratio = first / np.maximum(found.n_decode * dec.gpus, 1)
            per_gpu = found.requests_per_s * tokens_per_request(scenario.traffic.osl) / gpus
            ratio = np.where(found.prefill >= 0, ratio, np.nan)
            return _curve(dec, per_gpu, ratio, found.gpus, pre, found.prefill)

        return self.once(("in fleet", scenario, gpus), make)

    def under_trace(self, scenario: Scenario, trace: Trace) -> Curve:
        """The frontier of a split under a trace; `scenario` gives model, system and limits.

        Prefill: each layout serves each length with its best batch and chunks within the FTL limit, and
        the layout with the fewest GPU-seconds over all lengths is taken. Decode: steady state of
        `planner.inputs.trace.Trace.steady_decode`.
        """
        at = self.layouts(scenario, "prefill")
        gpu_seconds = np.zeros(len(at))
        longest_ftl = np.zeros(len(at))
        for isl in equal_shares(trace.isl, LENGTHS):
            one = replace(scenario, traffic=replace(scenario.traffic, isl=round(float(isl))))
            points = self.with_transfer(one, self.simulate_prefill(one, at))
            in_time = points.ftl_s <= scenario.limits.ftl_s
            cost = np.where(in_time, points.gpus / points.requests_per_s, np.inf)
            gpu_seconds += _least(cost, points.layout, len(at)) / LENGTHS
            longest_ftl = np.maximum(longest_ftl, _least(points.ftl_s, points.layout, len(at)))
        best = np.array([np.argmin(gpu_seconds)])
        serving = replace(
            self.prefill_points(scenario).take(np.zeros(1, dtype=np.intp)),
            layout=best.astype(np.int32),
            gpus=at.gpus[best],
            batch=np.array([np.nan]),  # another for each length
            chunk_tokens=np.array([np.nan]),
            ftl_s=longest_ftl[best],
            requests_per_s=at.gpus[best] / gpu_seconds[best],
        )
        isl, osl = trace.steady_decode()
        steady = replace(scenario, traffic=replace(scenario.traffic, isl=isl, osl=osl))
        return split_curve(serving, self.decode_points(steady), steady)

    def kv_flow(self, scenario: Scenario) -> tuple[float, FloatArray]:
        """KV bytes/s out of each prefill and into each decode GPU that holds distinct cache, of a split."""
        setup, curve = self.setup(scenario), self.split(scenario)

        def per_gpu(points: Points) -> FloatArray:
            model, formats, isl = setup.model, setup.precision, scenario.traffic.isl
            rate = points.requests_per_s
            return np.asarray(kv_transfer.bytes_per_s_per_gpu(model, formats, points.sharding, isl, rate))

        assert curve.prefill is not None
        return float(per_gpu(curve.prefill)[0]), per_gpu(curve.points)


def split_curve(pre: Points, dec: Points, scenario: Scenario) -> Curve:
    """Algorithms 1 and 2: the best prefill instance within the FTL limit, matched to every decode one.

    Throughput is that of perfect balance; `gpus` is the smallest deployment within 3 % of it.
    """
    best = rate_match.best_prefill(pre.ftl_s, pre.gpus, pre.requests_per_s, scenario.limits.ftl_s)
    if best < 0 or not len(dec):
        return _curve(dec.take(np.empty(0, dtype=np.intp)), np.empty(0))
    matched = rate_match.match_unbounded(
        int(pre.gpus[best]),
        float(pre.requests_per_s[best]),
        dec.gpus,
        dec.requests_per_s,
        osl=scenario.traffic.osl,
    )
    curve = _curve(
        dec,
        matched.ideal_tokens_per_s_per_gpu,
        matched.ctx_gen_ratio,
        matched.gpus,
        pre,
        np.full(len(dec), best),
    )
    return replace(curve, prefill=pre.take(np.array([best])))


def _curve(
    points: Points,
    per_gpu: FloatArray,
    ratio: FloatArray | None = None,
    gpus: IntArray | None = None,
    pre: Points | None = None,
    prefill_row: IntArray | None = None,
) -> Curve:
    """The points that no other beats in interactivity and throughput, with the prefill of each in a split."""
    top = pareto.pareto(1.0 / points.ttl_s, per_gpu)
    along = points.take(top)
    rows = np.full(len(top), -1) if prefill_row is None else prefill_row[top]
    labels, ftl_s = np.full(len(top), "", dtype=object), along.ftl_s.copy()
    if pre is not None:
        labels[rows >= 0] = pre.take(rows[rows >= 0]).labels()
        ftl_s[rows >= 0] = pre.ftl_s[rows[rows >= 0]]
    frontier = Frontier(
        ttl_s=along.ttl_s,
        tokens_per_s_per_gpu=per_gpu[top],
        ctx_gen_ratio=np.full(len(top), np.nan) if ratio is None else ratio[top],
        gpus=along.gpus if gpus is None else gpus[top],
        prefill=tuple(labels),
        decode=along.labels(),
        ftl_s=ftl_s,
        prefill_row=rows,
        decode_row=top,
    )
    return Curve(frontier=frontier, points=along)


def _least(values: FloatArray, layout: npt.NDArray[np.int32], layouts: int) -> FloatArray:
    """The least value of each layout, infinite where it has none."""
    found = np.full(layouts, np.inf)
    np.minimum.at(found, layout, values)
    return found


def _worth_matching(points: Points, latency_s: FloatArray) -> Points:
    """Those that matching under some limit on that latency and some budget could take."""
    return points.take(worth_matching(points, np.arange(len(points)), latency_s))
