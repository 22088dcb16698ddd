"""A planner that moves instances under a changing load, against static fleets: replayed request by request.

The experiment is public (github.com/ai-dynamo/dynamo, tests/planner, end-to-end performance tests): an 8B
model in FP8 on H200, prompts of 3,000 and answers of 300 tokens, 5 to 45 requests/s and back in ten minutes,
goodput within 200 ms and 10 ms, three fleets of four GPUs against Dynamo's planner, which looks every minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from planner.elastic import over_time, proof
from planner.elastic.policies import Policy
from planner.inputs.catalog import Catalog
from planner.inputs.requests import Requests, plain
from planner.inputs.scenario import Deployment, Fleet, Limits, Scenario
from planner.inputs.traffic import Traffic
from planner.paper.scenarios import DISTILLED
from planner.planning.resolve import Question, prepare
from planner.replay import build
from planner.replay.fleet import Options
from planner.replay.run import run
from planner.simulate import service
from planner.simulate.space import Layouts

LOW_PER_S, HIGH_PER_S, PERIOD_S = 5.0, 45.0, 600.0
LOOKS = 10  # of the planner in a period
START_S = 82.0  # of an 8B model from cached files: 18 s of weights and 64 s (presets/start_times.csv)
PASS_TOKENS = 8192.0  # of prompts, vLLM's default
STATIC: Mapping[str, tuple[int, int, int]] = {  # TP, prefill and decode instances
    "3:1 of TP1": (1, 3, 1),
    "1:1 of TP2": (2, 1, 1),
    "2:2 of TP1": (1, 2, 2),
}
BEST = "2:2 of TP1"
PLANNERS: Mapping[str, Policy] = {"planner": "elastic", "forecasts": "smoothing"}
SCENARIO: Scenario = replace(
    DISTILLED,
    weights="fp8",
    kv="auto",
    traffic=Traffic(isl=3000, osl=300),
    # "agreed P50 TTL and FTL" (appendix A of the study)
    limits=Limits(ftl_s=0.2, ttl_s=0.01, ftl_at="p50", ttl_at="p50"),
    deployment=Deployment(prefill_layout="TP1", decode_layout="TP1"),
    fleet=Fleet(gpus=None),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodput:
    """What became of the requests on one fleet."""

    share: float  # of them within both limits
    gpus: float  # mean over time


def load(seconds: float = PERIOD_S, seed: int = 0) -> Requests:
    """Requests whose rate swings once, from the low to the high and back; Poisson around it."""
    random = np.random.default_rng(seed)
    at = np.sort(random.uniform(0.0, seconds, random.poisson(HIGH_PER_S * seconds)))
    swing = 0.5 * (1.0 - np.cos(2.0 * np.pi * at / seconds))
    at = at[random.uniform(0.0, HIGH_PER_S, len(at)) < LOW_PER_S + (HIGH_PER_S - LOW_PER_S) * swing]
    traffic = SCENARIO.traffic
    return plain(at, np.full(len(at), traffic.isl), np.full(len(at), traffic.osl))


class Same:
    """A catalog, told from others by which object it is."""

    __slots__ = ("catalog",)

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def __hash__(self) -> int:
        return id(self.catalog)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.catalog is self.catalog


def measured(catalog: Catalog) -> Mapping[str, Goodput]:
    """The experiment, once for all settings: a controller is measured on an engine, and judged as served."""
    return _measured(Same(catalog))


@lru_cache(maxsize=1)
def _measured(of: Same) -> Mapping[str, Goodput]:
    return goodput(of.catalog, load())


def goodput(catalog: Catalog, requests: Requests, start_s: float = START_S) -> dict[str, Goodput]:
    """Each static fleet and the planners, on these requests.

    "planner" is the elastic plan of `planner.elastic`, which knows the load; "forecasts" sees only what came
    before, and waits for what starts.
    """
    question = prepare(SCENARIO, catalog)
    found = {name: _static(question, requests, *of) for name, of in STATIC.items()}
    settings = over_time.Settings(window_s=requests.seconds / LOOKS, start_s=start_s)
    plan = over_time.plan(SCENARIO, catalog, requests, settings)
    for name, policy in PLANNERS.items():
        proved = proof.prove(plan, plan.of(policy, "disaggregated"), requests)
        hours = requests.seconds / 3600.0
        found[name] = Goodput(share=proved.within_limits, gpus=proved.gpu_hours / hours)
    return found


def _static(question: Question, requests: Requests, tp: int, prefill: int, decode: int) -> Goodput:
    setup, asked = question.pools["prefill"].setup, question.scenario
    one = np.ones((1, 1, 1), dtype=np.int64)
    at = Layouts(tp=tp * one, pp=one, attention_dp=one, moe_tp=tp * one, moe_ep=one)
    of = service.Deployment(
        prefill=at,
        decode=at,
        colocated=False,
        isl=asked.traffic.isl,
        osl=asked.traffic.osl,
        pass_tokens=PASS_TOKENS,
    )
    fleet = build.of_deployment(
        setup, setup, of, prefill_instances=prefill, decode_instances=decode, requests=requests
    )
    limits = asked.limits
    result = run(fleet, requests, Options(ftl_limit_s=limits.ftl_s, ttl_limit_s=limits.ttl_s))
    return Goodput(share=float(result.good.mean()), gpus=float(fleet.gpus))
