"""The ONE description of every input: form rows, flags, validation, TOML and sensitivity read it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner import units
from planner.errors import InputError, unknown
from planner.inputs.scenario import Scenario

Names = Callable[[], Sequence[str]]  # the catalog's names, looked up when asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input.

    key       flag, TOML key and JSON key ("isl", "ftl")
    path      where the value lives in a Scenario ("traffic.isl")
    kind      tokens, seconds, count, rate, share, usd, choice or switch
    steps     the values that arrow keys visit, ascending, SI units (or the choices)
    catalog   "model", "system" or "engine" when the choices are preset names
    none      the word that stands for None, where None is allowed
    """

    key: str
    path: str
    label: str
    unit: str
    kind: str
    help: str
    group: str
    low: float = 0.0
    high: float = math.inf
    integer: bool = False
    steps: tuple[Any, ...] = ()
    choices: tuple[str, ...] = ()
    catalog: str = ""
    none: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def accepted(self) -> str:
        """What may be typed, as the end of an error message."""
        if self.kind == "choice":
            return f"one of {', '.join(self.choices)}" if self.choices else f"a {self.catalog} preset"
        if self.kind == "switch":
            return "on or off"
        low, high = self.format(self.low), self.format(self.high) if self.high < math.inf else ""
        span = f"from {low} to {high}" if high else f"of at least {low}"
        example = {
            "tokens": ", such as 16k or 4096",
            "seconds": ", such as 20ms or 1.5s",
            "share": ", such as 10%",
        }
        tail = f", or {self.none}" if self.none else ""
        whole = "a whole number" if self.integer else "a value"
        return f"{whole} {span}{example.get(self.kind, '')}{tail}"

    def parse(self, text: str, names: Sequence[str] = ()) -> Any:
        """The value behind what was typed.

        Parameters
        ----------
        text
            As typed; units as in `planner.units`.
        names
            Known preset names, for a field with a catalog.

        Raises
        ------
        InputError
            Naming the field, the text and what is accepted.
        """
        text = text.strip()
        if self.none and text.lower() == self.none:
            return None
        if self.kind == "choice":
            known = names or self.choices
            for name in known:
                if name.lower() == text.lower():
                    return name
            if self.catalog:
                raise unknown(self.key, text, known)
            raise InputError(self.key, text, self.accepted)
        if self.kind == "switch":
            if text.lower() in ("on", "true", "yes", "1"):
                return True
            if text.lower() in ("off", "false", "no", "0"):
                return False
            raise InputError(self.key, text, self.accepted)
        try:
            value = units.parse_quantity(text, self.kind)
        except ValueError:
            raise InputError(self.key, text, self.accepted) from None
        return self.check(value, text)

    def check(self, value: Any, shown: object = None) -> Any:
        """The value if it lies in the range (whole where it must be).

        Raises InputError otherwise.
        """
        shown = value if shown is None else shown
        if value is None and self.none:
            return None
        if self.kind == "switch":
            if isinstance(value, bool):
                return value
            raise InputError(self.key, shown, self.accepted)
        if self.kind == "choice":
            if isinstance(value, str) and (not self.choices or value in self.choices):
                return value
            raise InputError(self.key, shown, self.accepted)
        # nan lies in no range; an integer of any length can be compared, but not made a float
        known = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not known or not self.low <= value <= self.high or value == math.inf:
            raise InputError(self.key, shown, self.accepted)
        if self.integer and abs(value - round(value)) > 1e-9 * max(1.0, abs(value)):
            raise InputError(self.key, shown, self.accepted)
        return round(value) if self.integer else float(value)

    def format(self, value: Any) -> str:
        """The value as a form shows it and as `parse` reads it back."""
        if value is None:
            return self.none
        if self.kind == "switch":
            return "on" if value else "off"
        if self.kind == "tokens":
            return units.format_tokens(value)
        if self.kind == "seconds":
            return units.format_seconds(value)
        if self.kind == "share":
            return f"{units.three_digits(100 * value)} %"
        if self.kind in ("count", "rate", "usd"):
            return units.three_digits(value) if not self.integer else f"{value:,}"
        return str(value)

    def get(self, scenario: Scenario) -> Any:
        """This field's value in a scenario."""
        value: Any = scenario
        for name in self.path.split("."):
            value = getattr(value, name)
        return value

    def set(self, scenario: Scenario, value: Any) -> Scenario:
        """A scenario with this field changed; the value is not checked here."""
        head, _, tail = self.path.partition(".")
        if not tail:
            return dataclasses.replace(scenario, **{head: value})
        part = dataclasses.replace(getattr(scenario, head), **{tail: value})
        return dataclasses.replace(scenario, **{head: part})

    def step(self, value: Any, by: int, names: Sequence[str] = ()) -> Any:
        """The value `by` steps along, within the range; choices and switches go round."""
        if self.kind == "switch":
            return not value
        if self.kind == "choice":
            ring = list(names or self.choices)
            if not ring:
                return value
            at = ring.index(value) if value in ring else 0
            return ring[(at + by) % len(ring)]
        stops: list[Any] = list(self.steps)
        if value is None:  # "any" lies beyond the last stop
            return stops[by] if by < 0 else None
        if by > 0:
            later = [s for s in stops if s > value * (1 + 1e-9)]
            if len(later) < by and self.none:
                return None
            return later[min(by, len(later)) - 1] if later else value
        earlier = [s for s in stops if s < value * (1 - 1e-9)]
        return earlier[max(by, -len(earlier))] if earlier else value


_POWERS = tuple(2**i for i in range(4, 21))
_HALF_POWERS = tuple(sorted({*_POWERS, *(3 * 2**i for i in range(4, 19))}))
_ONE_TWO_FIVE = tuple(m * 10.0**e for e in range(-4, 3) for m in (1, 1.5, 2, 3, 4, 5, 6, 8))
_GPUS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 72, 96, 128, 144, 192, 256, 288, 384, 512, 576, 768, 1024, 2048)

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
        choices=("auto", "bf16", "fp8", "fp4"),
        help="Format of the weights. auto: the narrowest that the GPU multiplies in.",
    ),
    Field(
        key="kv",
        path="kv",
        label="kv cache",
        unit="",
        kind="choice",
        group="Workload",
        choices=("auto", "bf16", "fp8", "fp4"),
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
        help="Requests per second to serve, for the goals fewest-gpus and cost.",
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
        help="Tokens drafted per step by the model's own multi-token-prediction heads.",
    ),
    Field(
        key="ftl",
        path="limits.ftl_s",
        label="FTL",
        unit="",
        kind="seconds",
        group="Limits",
        low=1e-4,
        high=3600,
        steps=tuple(s for s in _ONE_TWO_FIVE if 0.01 <= s <= 100),
        aliases=("ttft",),
        help="First token latency (TTFT) at most this; above 10 s no one waits.",
    ),
    Field(
        key="ttl",
        path="limits.ttl_s",
        label="TTL",
        unit="",
        kind="seconds",
        group="Limits",
        low=1e-4,
        high=60,
        steps=tuple(s for s in _ONE_TWO_FIVE if 5e-4 <= s <= 1),
        aliases=("tpot", "itl"),
        help="Token-to-token latency (TPOT) at most this; 1/TTL is tokens/s per user.",
    ),
    Field(
        key="gpus",
        path="fleet.gpus",
        label="GPUs",
        unit="",
        kind="count",
        group="Fleet",
        low=1,
        high=16384,
        integer=True,
        none="any",
        steps=_GPUS,
        help="GPUs for both pools together. any: as many as the best ratio needs.",
    ),
    Field(
        key="system",
        path="system",
        label="system",
        unit="",
        kind="choice",
        catalog="system",
        group="Fleet",
        help="GPU and fabric.",
    ),
    Field(
        key="engine",
        path="engine",
        label="engine",
        unit="",
        kind="choice",
        catalog="engine",
        group="Fleet",
        help="Serving software: its kernels and host overheads.",
    ),
    Field(
        key="instance-gpus",
        path="fleet.instance_gpus",
        label="instance",
        unit="GPUs",
        kind="count",
        group="Fleet",
        low=1,
        high=1024,
        integer=True,
        none="any",
        steps=(1, 2, 4, 8, 16, 32, 64, 72, 128),
        help="Largest single instance. any: up to one scale-up domain, or 64 GPUs on small domains.",
    ),
    Field(
        key="price",
        path="fleet.usd_per_gpu_hour",
        label="price",
        unit="$/GPU-h",
        kind="usd",
        group="Fleet",
        low=0,
        high=1000,
        none="preset",
        steps=tuple(round(0.25 * i, 2) for i in range(1, 41)),
        help="Rental price per GPU-hour; preset: the system's own.",
    ),
    Field(
        key="goal",
        path="goal",
        label="goal",
        unit="",
        kind="choice",
        group="Goal",
        choices=("throughput", "fewest-gpus", "cost"),
        help="throughput: most tokens/s in the budget. fewest-gpus: smallest fleet for --rate. "
        "cost: cheapest tokens.",
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
)
BY_KEY: Mapping[str, Field] = {f.key: f for f in FIELDS}
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
    for field in FIELDS:
        field.check(field.get(scenario))
    if scenario.goal == "fewest-gpus" and scenario.traffic.requests_per_s is None:
        raise InputError("rate", "any", "the goal fewest-gpus needs a request rate, such as --rate 20")
    return scenario
