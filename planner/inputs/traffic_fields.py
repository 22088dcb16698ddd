"""How requests come, how unlike they are, and what of their latency the limits bind."""

from __future__ import annotations

from planner.inputs.field import Field
from planner.inputs.scenario import Scenario

_SPREADS = (0.0, 0.2, 0.35, 0.5, 0.7, 1.0, 1.2, 1.5, 2.0, 2.5)
_AT = ("auto", "mean", "p50", "p90", "p95", "p99")


def _queues(scenario: Scenario) -> bool:
    return scenario.traffic.arriving != "steady"


def _traced(scenario: Scenario) -> bool:
    return scenario.traffic.trace is not None


def untraced(scenario: Scenario) -> bool:
    """Whether lengths are the scenario's own."""
    return scenario.traffic.trace is None


def _reused(scenario: Scenario) -> bool:
    return _traced(scenario) and scenario.traffic.reuse != "none"


def _bursty(scenario: Scenario) -> bool:
    return scenario.traffic.arriving == "bursty"


TRAFFIC: tuple[Field, ...] = (
    Field(
        key="trace",
        path="traffic.trace",
        label="trace",
        unit="",
        kind="file",
        group="Traffic",
        none="none",
        steps=("azure-conversations", "azure-code", "mooncake-conversations", "coding-agents"),
        help="Recorded requests, a file or one that comes with ratematch: lengths, and how the load changes "
        "over time. Its rate is served, or that asked for.",
    ),
    Field(
        key="arrivals",
        path="traffic.arrivals",
        label="arrivals",
        unit="",
        kind="choice",
        group="Traffic",
        choices=("auto", "steady", "poisson", "bursty"),
        help="How requests come. steady: one whenever there is room, as in the study, so that none waits. "
        "poisson: at any time. bursty: in bursts. auto: poisson where a rate is asked for, else steady.",
    ),
    Field(
        key="frontier",
        path="frontier",
        label="frontier",
        unit="",
        kind="choice",
        group="Traffic",
        choices=("auto", "saturation", "goodput"),
        help="What the frontier counts. saturation: all that its instances can do. goodput: "
        "requests/s that meet both limits where they come at their own time. auto: as the plan's come.",
    ),
    Field(
        key="burstiness",
        path="traffic.burstiness",
        label="burstiness",
        unit="",
        kind="count",
        group="Traffic",
        low=0.1,
        high=20,
        steps=(0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 13.0),
        effective=_bursty,
        idle="unless arrivals are bursty",
        help="Standard deviation of the gaps between bursty arrivals over their mean; 1 is poisson.",
    ),
    Field(
        key="ftl-at",
        path="limits.ftl_at",
        label="FTL at",
        unit="",
        kind="choice",
        group="Traffic",
        choices=_AT,
        effective=_queues,
        idle="unless requests queue: set a rate, or arrivals",
        aliases=("ttft-at",),
        help="What of the first tokens the FTL limit binds: their mean or a percentile. auto: P95 where "
        "requests queue.",
    ),
    Field(
        key="ttl-at",
        path="limits.ttl_at",
        label="TTL at",
        unit="",
        kind="choice",
        group="Traffic",
        choices=_AT,
        effective=_queues,
        idle="unless requests queue: set a rate, or arrivals",
        aliases=("tpot-at", "itl-at"),
        help="What of the token intervals the TTL limit binds. Batches are set so that a full one keeps "
        "the limit: all percentiles do.",
    ),
    Field(
        key="routing",
        path="traffic.routing",
        label="routing",
        unit="",
        kind="choice",
        group="Traffic",
        choices=("least-loaded", "central", "round-robin", "random"),
        effective=_queues,
        idle="unless requests queue: set a rate, or arrivals",
        help="Which instance takes a request: the one with the fewest, whichever is free first of one queue, "
        "each in turn, or any.",
    ),
    Field(
        key="reuse",
        path="traffic.reuse",
        label="prefix reuse",
        unit="",
        kind="choice",
        group="Traffic",
        choices=("none", "prefix-aware", "round-robin"),
        effective=_traced,
        idle="without a trace",
        help="What prefix caches find of what the trace's prompts share, in the memory that the plan leaves: "
        "with requests sent to where their prefix is, or in turn. none: as much as cached says.",
    ),
    Field(
        key="host-cache",
        path="traffic.host_gb",
        label="host cache",
        unit="GB",
        kind="count",
        group="Traffic",
        low=1,
        high=1e6,
        none="none",
        steps=(50.0, 100.0, 200.0, 400.0, 800.0, 1600.0),
        effective=_reused,
        idle="without prefix reuse of a trace",
        help="Host memory per GPU, in GB, for what prefix caches have no room for; read with prefix reuse. "
        "What is found there comes back over the GPU's link.",
    ),
    Field(
        key="cached",
        path="traffic.cached_share",
        label="cached",
        unit="",
        kind="share",
        group="Traffic",
        low=0,
        high=0.999,
        steps=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
        aliases=("cached-share",),
        help="Share of each prompt that a prefix cache holds already: prefill computes the rest, decode "
        "attends to all of it. Not read with prefix reuse.",
    ),
    Field(
        key="isl-spread",
        path="traffic.isl_spread",
        label="ISL spread",
        unit="",
        kind="count",
        group="Traffic",
        low=0,
        high=4,
        steps=_SPREADS,
        effective=untraced,
        idle="beside a trace, which has its own lengths",
        help="Standard deviation of the input lengths over their mean, lognormal. 0: all are alike; recorded "
        "traffic has 0.8 to 1.4.",
    ),
    Field(
        key="osl-spread",
        path="traffic.osl_spread",
        label="OSL spread",
        unit="",
        kind="count",
        group="Traffic",
        low=0,
        high=4,
        steps=_SPREADS,
        effective=untraced,
        idle="beside a trace, which has its own lengths",
        help="The same of the output lengths.",
    ),
    Field(
        key="images",
        path="traffic.images",
        label="images",
        unit="",
        kind="count",
        group="Images",
        low=0,
        high=64,
        steps=(0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
        help="Images of a request, on average, for models that see. Their tokens come beside ISL: prefill "
        "computes them too, and an encoder before it.",
    ),
    Field(
        key="image-tokens",
        path="traffic.image_tokens",
        label="image tokens",
        unit="tok",
        kind="tokens",
        group="Images",
        low=1,
        high=1024**2,
        integer=True,
        none="auto",
        steps=(64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384),
        needs="images",
        help="Prompt tokens that an image becomes. auto: the model's own number, or those of 1,024 x 1,024 "
        "pixels (1,024 where a token is 32 x 32 pixels).",
    ),
    Field(
        key="encoder",
        path="traffic.encoder",
        label="encoder",
        unit="",
        kind="choice",
        group="Images",
        choices=("auto", "in-place", "pool"),
        needs="images",
        help="Where images are encoded: on the GPUs that compute prompts (in-place), on a pool of their own, "
        "or whichever is better. Split and co-located serving alike.",
    ),
)
