"""Everything the user set, as frozen values. What-if is `dataclasses.replace`."""

from __future__ import annotations

from planner.inputs.deployment import Deployment as Deployment
from planner.inputs.fleet import Fleet as Fleet
from planner.inputs.traffic import Traffic as Traffic
from planner.values import dataclass
from planner.words import At, Cache, Drawn, Goal, Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Latency limits of one request, seconds."""

    ftl_s: float = 10.0  # first token latency (TTFT)
    ttl_s: float = 0.05  # token-to-token latency (TPOT, ITL)
    ftl_at: At = "auto"  # what of the first token is limited; auto: the mean of steady arrivals, else P95
    ttl_at: At = "auto"  # the same of the token interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A question to the planner. Model, system and engine are names in the catalog."""

    model: str = "llama-3.1-70b"
    system: str = "h200"
    engine: str = "trtllm"
    weights: Weights = "auto"
    kv: Cache = "auto"
    traffic: Traffic = Traffic()
    limits: Limits = Limits()
    fleet: Fleet = Fleet()
    deployment: Deployment = Deployment()  # what of the answer is given
    goal: Goal = "throughput"
    frontier: Drawn = "auto"  # what the picture counts; the plan itself does not ask
    headroom: float = 0.0  # share of each pool's capacity kept free
    mtp: int = 0  # speculative tokens per step from the model's prediction heads, or from a draft model
    memory_fraction: float | None = None  # share of GPU memory the engine may fill; None: its own default
    mla_cache: bool = False  # keep up-projected KV of earlier chunks (removes MLA's chunking penalty)
    robust: bool = True  # counts for the expected throughput, each pool's rate wrong by its error
    slack: float = 0.02  # share of the best plan's value that may be given up for an earlier first token
    mix: bool = False  # several layouts per pool, co-located instances on idle GPUs
    time_limit_s: float = 10.0  # for the integer program
    mtp_acceptance: float | None = None  # of the first drafted token; None: what is known of the model
    draft_cost: float | None = None  # a draft model's share of the model; None: the model's own heads
