"""The ONE description of every input: form rows, flags, validation, TOML and sensitivity read it."""

from __future__ import annotations

from collections.abc import Mapping

from planner.errors import InputError, unknown
from planner.inputs import deployment_fields, failure_fields
from planner.inputs.field import Field as Field
from planner.inputs.fleet_fields import FLEET
from planner.inputs.scenario import Deployment, Fleet, Limits, Scenario, Traffic
from planner.inputs.traffic_fields import TRAFFIC, untraced

_POWERS = tuple(2**i for i in range(4, 21))
_HALF_POWERS = tuple(sorted({*_POWERS, *(3 * 2**i for i in range(4, 19))}))
_ONE_TWO_FIVE = tuple(m * 10.0**e for e in range(-4, 3) for m in (1, 1.5, 2, 3, 4, 5, 6, 8))

FIELDS: tuple[Field, ...] = (
    Field(
        key="model",
        path="model",
        label="model",
        unit="",
        kind="choice",
        catalog="model",
        group="Workload",
        help="What is served: a preset name, or a config.json imported with `ratematch import-model`.",
    ),
    Field(
        key="weights",
        path="weights",
        label="weights",
        unit="",
        kind="choice",
        group="Workload",
        choices=("auto", "bf16", "fp8", "fp4", "fp8_block", "nvfp4", "mxfp4", "int8", "int4"),
        steps=("auto", "bf16", "fp8", "fp4"),
        spellings={
            **{f"{name}_wo": name for name in ("int4", "int8", "mxfp4", "nvfp4")},
            **dict.fromkeys(("w4a16", "awq", "gptq"), "int4"),
            **dict.fromkeys(("w8a8", "w8a16"), "int8"),
            **dict.fromkeys(("fp16", "float16", "half", "bfloat16"), "bf16"),
        },
        help="Format of the weights. auto: the narrowest that the GPU multiplies in, never wider than the "
        "published checkpoint; a format that the GPU has no units for is weight-only.",
    ),
    Field(
        key="kv",
        path="kv",
        label="kv cache",
        unit="",
        kind="choice",
        group="Workload",
        choices=("auto", "bf16", "fp8", "fp4"),
        spellings={
            **dict.fromkeys(("fp8_e4m3", "fp8_e5m2", "fp8_ds_mla"), "fp8"),  # --kv-cache-dtype of engines
            **dict.fromkeys(("fp16", "float16", "half", "bfloat16"), "bf16"),
            **dict.fromkeys(("nvfp4", "fp4_e2m1"), "fp4"),
        },
        help="Format of the KV cache. auto: fp8 where the GPU has FP8 units. fp4 needs FP4 units; its "
        "kernels are taken for as fast as those of fp8, with fewer bytes to read.",
    ),
    Field(
        key="isl",
        path="traffic.isl",
        label="ISL",
        unit="tok",
        kind="tokens",
        group="Workload",
        low=1,
        high=4 * 1024**2,
        integer=True,
        steps=_HALF_POWERS,
        aliases=("input",),
        effective=untraced,
        idle="beside a trace, which has its own lengths",
        help="Input sequence length: prompt tokens per request.",
    ),
    Field(
        key="osl",
        path="traffic.osl",
        label="OSL",
        unit="tok",
        kind="tokens",
        group="Workload",
        low=2,
        high=1024**2,
        integer=True,
        steps=_HALF_POWERS,
        aliases=("output",),
        effective=untraced,
        idle="beside a trace, which has its own lengths",
        help="Output sequence length: tokens generated per request; the first one comes from prefill.",
    ),
    Field(
        key="rate",
        path="traffic.requests_per_s",
        label="rate",
        unit="req/s",
        kind="rate",
        group="Workload",
        low=1e-6,
        high=1e7,
        none="any",
        steps=tuple(m * 10.0**e for e in range(-2, 5) for m in (1, 2, 5)),
        first=1.0,
        help="Requests per second to serve, whatever the goal: all that a plan says is at this rate.",
    ),
    Field(
        key="mtp",
        path="mtp",
        label="MTP",
        unit="tok",
        kind="count",
        group="Workload",
        low=0,
        high=3,
        integer=True,
        steps=(0, 1, 2, 3),
        help="Tokens drafted per step: by the model's own multi-token-prediction heads, or by a draft model "
        "of --draft-cost.",
    ),
    Field(
        key="ftl",
        path="limits.ftl_s",
        label="FTL",
        unit="",
        kind="seconds",
        with_unit=True,
        group="Limits",
        low=1e-4,
        high=3600,
        steps=tuple(s for s in _ONE_TWO_FIVE if 0.01 <= s <= 100),
        aliases=("ttft",),
        help="First token latency (TTFT) at most this; few users wait longer than 10 s.",
    ),
    Field(
        key="ttl",
        path="limits.ttl_s",
        label="TTL",
        unit="",
        kind="seconds",
        with_unit=True,
        group="Limits",
        low=1e-4,
        high=60,
        steps=tuple(s for s in _ONE_TWO_FIVE if 5e-4 <= s <= 1),
        speed=True,
        aliases=("tpot", "itl"),
        help="Token-to-token latency (TPOT) at most this, or tokens/s per user (50tok/s), which is 1/TTL.",
    ),
    *FLEET,
    Field(
        key="goal",
        path="goal",
        label="goal",
        unit="",
        kind="choice",
        group="Goal",
        choices=("throughput", "fewest-gpus", "cost", "watts", "tokens-per-watt"),
        help="throughput: most tokens/s in the budget. fewest-gpus: smallest fleet for --rate. "
        "cost: cheapest tokens. watts: least GPU power for --rate. tokens-per-watt: most tokens per joule.",
    ),
    Field(
        key="headroom",
        path="headroom",
        label="headroom",
        unit="",
        kind="share",
        group="Goal",
        low=0,
        high=0.9,
        steps=(0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
        help="Share of each pool's capacity kept free for bursts and for the model's own error.",
    ),
    Field(
        key="robust",
        path="robust",
        label="robust",
        unit="",
        kind="switch",
        group="Goal",
        help="Counts for the expected throughput, when each pool's rate is wrong by its error. "
        "off: the study's match, as if rates were known.",
    ),
    Field(
        key="slack",
        path="slack",
        label="slack",
        unit="",
        kind="share",
        group="Goal",
        low=0,
        high=0.5,
        steps=(0.0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2),
        help="Share of the best plan's value that may be given up for an earlier first token (FTL), "
        "then for fewer GPUs.",
    ),
    Field(
        key="mix",
        path="mix",
        label="mix",
        unit="",
        kind="switch",
        group="Goal",
        help="Allow several layouts per pool, and co-located instances on GPUs the split leaves idle.",
    ),
    Field(
        key="mla-cache",
        path="mla_cache",
        label="MLA cache",
        unit="",
        kind="switch",
        group="Goal",
        help="Keep the up-projected KV of earlier chunks, so that chunked MLA prefill repeats no work.",
    ),
    Field(
        key="time-limit",
        path="time_limit_s",
        label="time limit",
        unit="",
        kind="seconds",
        group="Goal",
        low=0.01,
        high=3600,
        steps=(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
        help="Time for the integer program; when it ends, the best plan so far and its gap are shown.",
    ),
    Field(
        key="mtp-acceptance",
        path="mtp_acceptance",
        label="acceptance",
        unit="",
        kind="share",
        group="Drafting",
        low=0,
        high=1,
        none="model",
        needs="mtp",
        steps=tuple(round(0.05 * i, 2) for i in range(8, 21)),
        help="How often the first drafted token is taken. model: as measured of the model, else 85 %; later "
        "drafts are taken less often.",
    ),
    Field(
        key="draft-cost",
        path="draft_cost",
        label="draft cost",
        unit="",
        kind="share",
        group="Drafting",
        low=0,
        high=1,
        none="heads",
        needs="mtp",
        steps=(0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3),
        help="A draft model or EAGLE head: one drafted token takes this share of a step, its weights and "
        "cache the same share of the model's. heads: the model's own.",
    ),
    *TRAFFIC,
    *deployment_fields.FIELDS,
    *failure_fields.FIELDS,
)
BY_KEY: Mapping[str, Field] = {f.key: f for f in FIELDS}
_PARTS = (("traffic", Traffic), ("limits", Limits), ("fleet", Fleet), ("deployment", Deployment))
_ALIASES = {alias: f.key for f in FIELDS for alias in f.aliases}


def lookup(key: str) -> Field:
    """The field of a key or alias. Raises InputError naming the nearest known key."""
    name = key.strip().lower().replace("_", "-")
    name = _ALIASES.get(name, name)
    if name not in BY_KEY:
        raise unknown("field", key, (*BY_KEY, *_ALIASES))
    return BY_KEY[name]


def check(scenario: Scenario) -> Scenario:
    """The scenario, if every field lies in its range and the fields agree with each other.

    Raises InputError for the first that does not. Preset names are the catalog's to check.
    """
    if not isinstance(scenario, Scenario):
        raise InputError("scenario", _kind(scenario), "a planner.Scenario")
    for name, part in _PARTS:
        if not isinstance(getattr(scenario, name), part):
            raise InputError(name, _kind(getattr(scenario, name)), f"a planner.{part.__name__}")
    for field in FIELDS:
        field.check(field.get(scenario))
    deployment_fields.check(scenario)
    failure_fields.check(scenario)
    if scenario.fleet.systems is not None and scenario.deployment.given:
        raise InputError("fleet", scenario.fleet.systems, "none beside layouts or instances that are given")
    traffic = scenario.traffic
    if traffic.trace is not None and traffic.arrivals != "auto":
        raise InputError("arrivals", traffic.arrivals, "auto beside a trace, whose arrivals are its own")
    needs_rate = scenario.goal in ("fewest-gpus", "watts")
    if needs_rate and traffic.requests_per_s is None and traffic.trace is None:
        raise InputError("rate", "any", f"the goal {scenario.goal} needs a request rate, such as --rate 20")
    if scenario.mix and scenario.goal in ("watts", "tokens-per-watt"):
        raise InputError("mix", "on", f"off beside the goal {scenario.goal}: a pool's watts have one layout")
    endless = traffic.requests_per_s is None and traffic.trace is None and scenario.fleet.gpus is None
    if traffic.arriving != "steady" and endless:
        raise InputError(
            "arrivals", traffic.arrivals, "steady, or GPUs or a rate beside it: an endless fleet never queues"
        )
    return scenario


def has_effect(field: Field, scenario: Scenario) -> bool:
    """Whether a field's value says something in a scenario, or was set where it does not."""
    if field.needs and not BY_KEY[field.needs].get(scenario):
        return bool(field.get(scenario) != field.get(Scenario()))
    return field.effective is None or field.effective(scenario)


def idle_reason(field: Field, scenario: Scenario) -> str:
    """Why a field's value says nothing in a scenario; "" where it says something.

    >>> idle_reason(BY_KEY["routing"], Scenario()), idle_reason(BY_KEY["isl"], Scenario())
    ('no effect unless requests queue: set a rate, or arrivals', '')
    """
    if has_effect(field, scenario):
        return ""
    if field.needs:
        needed = BY_KEY[field.needs]
        return f"no effect while {needed.label} is {needed.format(needed.get(scenario))}"
    return f"no effect {field.idle}".rstrip()


def _kind(value: object) -> str:
    return type(value).__name__
