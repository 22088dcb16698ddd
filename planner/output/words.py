"""What is worth saying of a plan, and how it is said: decided here, once.

Each function gives a small value or a sentence. The reports and the screen render them: they choose the
place, the glyph and the form that fits, never what is tight, a tie, beyond the error or worth telling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from planner.output.queue_words import queued_sentences
from planner.output.spelling import count, instances, named, percent
from planner.planning.bands import Range
from planner.units import format_seconds, format_si, three_digits
from planner.values import dataclass
from planner.words import Level, Step

if TYPE_CHECKING:
    from planner.inputs.scenario import Scenario
    from planner.planning.bands import Band
    from planner.planning.result import (
        Mix,
        Plan,
        PoolPlan,
        Serving,
    )
    from planner.planning.what_if import Effect

ALIKE = 0.005  # ways that differ by less are the same, and a mix that brings less is not worth telling
NO_EFFECT = 0.0005  # a gain below this shows as 0 %: the change has no effect
EXPECTED = "What to expect in 4 of 5 cases"  # the heading of `expected`

STEP_TEXT: Mapping[Step, str] = {  # what the nearest runs have other than a pool
    "phase": "in another phase",
    "width": "at another width",
    "format": "in another format",
    "GPU": "on a sister GPU",
    "model": "with another model",
    "drafts": "without drafted tokens",
}
LEVEL_TEXT: Mapping[Level, str] = {  # what the runs behind the ranges have of the plan
    "both": "runs of this model and of this GPU are among them",
    "one": "none of this model, or of this GPU, or of this engine is among them",
    "neither": "none of this model on any GPU or of this GPU with any model is among them",
}


def binding_pool(serving: Serving) -> PoolPlan:
    """The pool that holds the others back: the one whose capacity is used most (decode on a tie)."""
    return max(reversed(serving.pools), key=lambda pool: round(pool.utilisation, 6))


# What to expect.


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A prediction, and the range that holds it in 80 % of cases."""

    name: str  # "first token (FTL)"
    short: str  # "FTL"
    value: float  # s, tokens/s, W or J
    range: Range
    unit: Literal["s", "W", ""] = ""

    @property
    def in_seconds(self) -> bool:
        """Whether it is a duration."""
        return self.unit == "s"

    @property
    def text(self) -> str:
        """`18 ms`."""
        return self._form(self.value)

    @property
    def range_text(self) -> str:
        """`15.4 ms to 24.1 ms`; where that is not the prediction, `expected 137 to 274`."""
        low, high = self.range
        return f"{'' if self.holds else 'expected '}{self._form(low)} to {self._form(high)}"

    @property
    def holds(self) -> bool:
        """Whether the prediction itself lies within the range."""
        return self.range[0] <= self.value <= self.range[1]

    def _form(self, value: float) -> str:
        if self.in_seconds:
            return format_seconds(value)
        return format_si(value, self.unit) if self.unit else three_digits(value)


def expected(plan: Plan, serving: Serving) -> list[Expected]:
    """FTL, TTL and throughput per GPU with their ranges, in this order; [] where nothing was measured."""
    band = plan.bands.get(plan.way)
    if band is None:
        return []
    return [
        Expected(
            name=name,
            short=short,
            value=value,
            range=(value * factors[0], value * factors[1]),
            unit="s",
        )
        for name, short, value, factors in (
            ("first token (FTL)", "FTL", serving.ftl_s, band.ftl),
            ("token to token (TTL)", "TTL", serving.ttl_s, band.ttl),
        )
    ] + [
        Expected(
            name="tokens/s per GPU",
            short="tok/s/GPU",
            value=serving.capacity_tokens_per_s_per_gpu,
            range=capacity_range(serving, band),
        )
    ]


def expected_power(plan: Plan, serving: Serving) -> list[Expected]:
    """GPU power and joules per token with their ranges; [] where nothing was measured. Computes the watts."""
    band, power = plan.bands.get(plan.way), serving.power
    if band is None or power is None:
        return []
    joules = power.joules_range(tokens_factors(plan.scenario, serving, band))
    name = "J per output token"
    return [
        Expected(name="GPU power", short="GPU power", value=power.watts, range=power.watts_range, unit="W"),
        Expected(name=name, short="J/token", value=power.joules_per_token, range=joules),
    ]


def tokens_factors(scenario: Scenario, serving: Serving, band: Band) -> Range:
    """What of the predicted tokens/s holds 4 of 5 cases: all of them where a rate is asked for."""
    if scenario.traffic.requests_per_s is not None:
        return 1.0, 1.0
    return serving.range or band.throughput


def capacity_range(serving: Serving, band: Band) -> Range:
    """Output tokens/s per GPU that its capacity holds in 4 of 5 cases."""
    low, high = serving.range or band.throughput
    most = serving.capacity_tokens_per_s_per_gpu
    return most * low, most * high


def served_range(scenario: Scenario, serving: Serving, band: Band) -> Range:
    """The same of what is served: no more than comes, where a rate is asked for."""
    low, high = capacity_range(serving, band)
    if scenario.traffic.requests_per_s is None:
        return low, high
    return min(low, serving.tokens_per_s_per_gpu), min(high, serving.tokens_per_s_per_gpu)


def power_source(plan: Plan, serving: Serving) -> str:
    """What stands behind the ranges of `expected_power`; "" where there are none."""
    if serving.power is None or plan.way not in plan.bands:
        return ""
    return "Watts: from published runs of H100 and B200, each GPU left out of the fit."


def band_source(plan: Plan) -> str:
    """What stands behind the ranges, in a sentence; "" where nothing was measured."""
    band = plan.bands.get(plan.way)
    if band is None:
        return ""
    why = LEVEL_TEXT[band.level]
    if band.of_layouts:
        unknown = "a model and a GPU" if band.level == "neither" else "a model or a GPU"
        why = f"as wide as for {unknown} that none of them has, for not all layouts were measured"
    return f"From {band.rows:,} measured runs left out of the fit; {why}."


# What it rests on.


def evidence_text(pool: PoolPlan) -> str:
    """`measured`, `neighbour: measured on a sister GPU`; "" where that is not known."""
    known = pool.evidence
    if known is None or known.kind == "measured":
        return known.kind if known else ""
    if not known.differs:
        return f"{known.kind}: no such layout was measured on such a GPU with this engine"
    *first, last = (STEP_TEXT[step] for step in known.differs)
    return f"{known.kind}: measured {', '.join(first)}{' and ' if first else ''}{last} only"


def within_measured_sentence(plan: Plan) -> str:
    """The best plan of layouts that were measured; "" where the plan is one or nothing is known."""
    best, serving = plan.within_measured, plan.deployed
    if best is None or best.is_best or serving is None:
        return ""
    if not best.choice:
        return "No layouts that were measured on this GPU, engine and format meet the limits."
    pools = " and ".join(f"{pool.instances:,} × {pool.layout.label}" for pool in best.pools)
    gpus = "" if best.gpus == serving.gpus else f" on {count(best.gpus, 'GPU')} against {serving.gpus:,}"
    mine, theirs = serving.expected_tokens_per_s_per_gpu, best.expected_tokens_per_s_per_gpu
    unlike = best.tokens_per_s_per_gpu * best.gpus > serving.tokens_per_s_per_gpu * serving.gpus * (1 + ALIKE)
    expects = f" ({three_digits(theirs)} and {three_digits(mine)} expected)" if unlike else ""
    return (
        f"Within the layouts that were measured: {named(best.choice)}, {pools}, "
        f"{three_digits(best.tokens_per_s_per_gpu)} tokens/s per GPU against "
        f"{three_digits(serving.tokens_per_s_per_gpu)}{expects}{gpus}."
    )


# What else is worth telling.


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """The cache's way from prefill to decode. Per GPU."""

    out_bytes_per_s: float  # of each prefill GPU
    in_bytes_per_s: float  # of each decode GPU
    link_bytes_per_s: float  # of one GPU towards the other pool; nan where not known
    added_ftl_s: float  # what it adds to the first token

    @property
    def link_share(self) -> float:
        """Of the link, at its busier end; nan where the link is not known."""
        return max(self.out_bytes_per_s, self.in_bytes_per_s) / self.link_bytes_per_s

    @property
    def link_text(self) -> str:
        """`0.038 %`: the share in two digits, for the load of a link is no more certain."""
        return f"{three_digits(float(f'{100 * self.link_share:.2g}'))} %"


def transfer(plan: Plan, serving: Serving) -> Transfer | None:
    """What moving the cache takes; None where nothing is moved."""
    out, into = serving.kv_egress_bytes_per_s_per_gpu, serving.kv_ingress_bytes_per_s_per_gpu
    if not (math.isfinite(out) and math.isfinite(into)):
        return None
    return Transfer(
        out_bytes_per_s=out,
        in_bytes_per_s=into,
        link_bytes_per_s=plan.link_bytes_per_s,
        added_ftl_s=serving.kv_transfer_s,
    )


def load_sentences(plan: Plan, serving: Serving) -> list[str]:
    """What requests see when many are in flight, and which limit that passes; [] for a mix of layouts."""
    load = serving.load
    if load is None:
        return []
    first, token, alone = map(format_seconds, (load.ftl_s, load.ttl_s, load.alone_ftl_s))
    if load.queued is not None:
        return queued_sentences(load, load.queued)
    lines = [
        f"With {load.requests_in_flight:,.0f} requests in flight, {three_digits(load.requests_per_s)} "
        f"a second, the mean first token takes {first} and a token {token}, queues included; "
        f"a request alone waits {alone}."
    ]
    limits = plan.scenario.limits
    over = [
        f"{name} of {format_seconds(limit)}"
        for name, value, limit in (("FTL", load.ftl_s, limits.ftl_s), ("TTL", load.ttl_s, limits.ttl_s))
        if value > limit
    ]
    if over:
        lines.append(f"That is above the {' and the '.join(over)}: keep some headroom.")
    return lines


def transfer_sentences(plan: Plan, serving: Serving) -> list[str]:
    """The ratio of the pools and the cache's way between them; [] where nothing is split."""
    lines = []
    if math.isfinite(serving.ctx_gen_ratio):
        lines.append(f"Prefill to decode GPUs: {three_digits(serving.ctx_gen_ratio)} to 1.")
    moved = transfer(plan, serving)
    if moved is None:
        return lines
    text = (
        f"KV cache leaves each prefill GPU at {format_si(moved.out_bytes_per_s, 'B/s')} and reaches each "
        f"decode GPU at {format_si(moved.in_bytes_per_s, 'B/s')}"
    )
    if math.isfinite(moved.link_share):
        link = format_si(moved.link_bytes_per_s, "B/s")
        text += f": at most {moved.link_text} of the {link} of the link between them"
    lines.append(f"{text}.")
    if moved.added_ftl_s > 0:
        lines.append(f"Moving the cache adds {format_seconds(moved.added_ftl_s)} to the first token.")
    return lines


def usd_of_all_tokens(scenario: Scenario, serving: Serving) -> float:
    """Dollars per million tokens, prompts counted too."""
    output = scenario.traffic.osl - 1  # as throughput counts them: the first comes from prefill
    seen = serving.encoder.tokens if serving.encoder is not None else 0  # of images
    return serving.usd_per_million_tokens * output / (scenario.traffic.isl + seen + output)


def knee_sentences(plan: Plan, serving: Serving) -> tuple[str, ...]:
    """What is given up for an earlier first token, in full and in brief; () where it is no earlier."""
    knee = serving.knee
    if knee is None or serving.ftl_s >= knee.best_ftl_s * (1 - ALIKE):
        return ()
    sooner, later = format_seconds(serving.ftl_s), format_seconds(knee.best_ftl_s)
    if knee.costs < NO_EFFECT:
        return (
            f"The first token comes after {sooner} instead of {later}, at no cost.",
            f"FTL {sooner}, not {later}, at no cost",
        )
    share = f"{100 * knee.costs:.1f} %"
    most, goal = percent(plan.scenario.slack), plan.scenario.goal
    counted, fewer = "what the goal counts", "of the goal"
    if goal == "throughput":
        counted, fewer = "the throughput", "fewer tok/s"
    return (
        f"A first token after {sooner} instead of {later} costs {share} of {counted}: slack allows {most}.",
        f"FTL {sooner}, not {later}, for {share} {fewer}",
    )


def engine_sentence(plan: Plan) -> str:
    """Which builds of the engine its constants are fitted to; "" where that is not known."""
    engine = plan.engine
    if engine is None or not engine.version:
        return ""
    return f"{engine.label}: host and scheduling constants fitted to runs of builds up to {engine.version}."


def mix_offer(plan: Plan) -> Mix | None:
    """What several layouts per pool would bring, where they were not asked for and bring something."""
    return None if plan.mix is None or plan.scenario.mix or plan.mix.gain < ALIKE else plan.mix


def mix_sentence(plan: Plan) -> str:
    """The offer in words; "" where there is none."""
    mix = mix_offer(plan)
    if mix is None:
        return ""
    pools = ", ".join(f"{named(pool.phase)} {instances(pool)}" for pool in mix.serving.pools)
    return f"{100 * mix.gain:.1f} % more requests/s than one layout per pool: {pools} (--mix)."


def best_change(found: Sequence[Effect]) -> Effect | None:
    """The change with the largest gain; None where none gains anything worth telling.

    What is asked for is no lever: shorter prompts or answers, or a smaller load, are left out.
    """
    usable = [e for e in found if e.change.field not in ("isl", "osl", "rate") and e.gain >= ALIKE]
    return max(usable, key=lambda e: e.gain, default=None)


def optimality(serving: Serving) -> str:
    """How good the instance counts are, in a few words: `optimal`, or `best so far, gap 3 %`."""
    solver = serving.solver
    if solver.status == "optimal":
        return "optimal"
    return f"best so far, gap {_gap(solver.gap)}" if math.isfinite(solver.gap) else "best so far"


def optimality_sentence(serving: Serving) -> str:
    """The same in a sentence."""
    solver = serving.solver
    if solver.status == "optimal":
        return "Instance counts: proven optimal by the integer program."
    bound = _gap(solver.gap) if math.isfinite(solver.gap) else "an unknown share"
    return f"Instance counts: best found in {format_seconds(solver.seconds)}, within {bound} of the optimum."


def _gap(share: float) -> str:
    return f"{three_digits(100 * share)} %"
