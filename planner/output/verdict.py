"""The answer in words: which way to serve, by how much it beats the other, and how sure that is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from planner.output import words
from planner.output.reasons import change_text
from planner.output.spelling import count, money, percent
from planner.output.words import ALIKE, expected
from planner.planning import weigh
from planner.planning.bands import Range
from planner.planning.weigh import finding, gain_range
from planner.units import format_seconds, three_digits
from planner.values import dataclass
from planner.words import Finding, Goal, Way

if TYPE_CHECKING:
    from planner.planning.result import Plan, Serving

ROUNDING = 1e-6  # relative: what a rate may lack of a demand by rounding
TOLD_APART = 0.02  # of a ratio: where prediction and expectation differ by as much, a tie says both
IDLE = 0.5  # of a capacity: where less is asked for, fewer GPUs would do
NO_PLAN = "No plan meets the limits"
THRIFTY = ("watts", "tokens-per-watt")  # goals
NOT_AS_GIVEN = "The deployment that is given does not meet the limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which way to serve, and by how much it beats the other in what the goal counts."""

    split: bool  # of a mix, whether it splits anything
    partly: bool  # a mix of both ways
    against: Way  # that it is held to
    found: Finding
    goal: Goal
    given: bool  # a part of this way is given, so that it is the plan whatever the other brings
    serving: Serving  # what to deploy
    other: Serving | None  # the other way; None where it cannot meet the limits
    short: bool  # or where it can, but is not expected to serve as much as is asked for
    ratio: float  # to the other way: of output tokens/s, GPUs or money; nan without it
    sure: bool | None  # better beyond the error of the predictions; None: a tie, or nothing was measured
    requests_per_s: float | None  # that were asked for
    ttl_limit_s: float
    expected: Range | None  # tokens/s per GPU that hold in 80 % of cases; None where nothing was measured
    expected_ratio: float  # `ratio` of what is expected of both; that of a tie decides

    @property
    def tie(self) -> bool:
        """Whether there is nothing between the two ways."""
        return abs(self.ratio - 1) < ALIKE

    @property
    def sentence(self) -> str:
        """The answer in full, for a report."""
        name = "co-located serving" if self.against == "colocated" else "a split"
        way = f"{'Split' if self.split else 'Do not split'} prefill from decode{' in part' * self.partly}"
        if self.given:
            way = "As given"
        elif self.found == "tie" and not self.split:
            way = "A tie, so keep prefill and decode together"
            if not self.tie:  # what the error leaves open is said once, with the difference
                return f"{way}: {self._yield}, {self._left_open(name)}.{self._promise}"
        against = self._both(name) if self._unlike else self._versus(name)
        return f"{way}: {self._yield}, {against}{self._sure(' (', ')')}.{self._promise}"

    @property
    def headlines(self) -> tuple[str, ...]:
        """The answer in a few words, for a narrow place: the longest first."""
        name = "co-located" if self.against == "colocated" else "a split"
        serving, other = self.serving, self.other
        sure = self._sure(", ")
        if other is None and self.short:
            asked, little = self.requests_per_s or 0.0, f"{self._way}: {name} is not expected to"
            return f"{little} serve {three_digits(asked)} requests/s", f"{little} keep up"
        if other is None:
            return (f"{self._way}: {self._alone(name)} can{'' if self.partly else 'not'} meet these limits",)
        if self._unlike:
            counted = "cost" if self.goal == "cost" else "energy" if self.goal in THRIFTY else "throughput"
            mine = f"{self._way}: {self._by(self.expected_ratio)}"
            full = f"{mine} {counted} expected than of {name}"
            return f"{full}{sure}", full, f"{mine} expected"
        if self.goal == "fewest-gpus":
            mine = f"{self._way}: {count(serving.gpus, 'GPU')}"
            if self.tie:
                return (f"{mine}, the same as {name}",)
            return (f"{mine}, {name} needs {other.gpus:,}{sure}", f"{mine} against {other.gpus:,}{sure}")
        if self.goal == "cost":
            mine, theirs = money(serving.usd_per_million_tokens), money(other.usd_per_million_tokens)
            if self.tie:
                return (f"{self._way}: ${mine} per million tokens, the same as {name}",)
            return (
                f"{self._way}: ${mine} per million tokens, {name} ${theirs}{sure}",
                f"{self._way}: ${mine}/Mtok against ${theirs}{sure}",
            )
        if (drawn := self._drawn(serving)) and self._drawn(other):
            if self.tie:
                return (f"{self._way}: {drawn}, the same as {name}",)
            mine, theirs = (self._drawn(way, brief=True) for way in (serving, other))
            return (
                f"{self._way}: {drawn}, {name} {theirs}{sure}",
                f"{self._way}: {mine} against {theirs}{sure}",
                f"{self._way}: {mine} against {theirs}",
            )
        if self.tie:
            return (f"{self._way}: the same throughput as {name}",)
        if self.kept:
            by = f"{max(self.ratio, 1 / self.ratio):.2f}×"
            better = "this makes" if self.ratio > 1 else f"{name} makes"
            return (
                f"{self._way}: {better} {by} the throughput, which is within the error",
                f"{self._way}: {better} {by}, within the error",
                f"{self._way} ({f'{by} {name}' if self.ratio > 1 else f'{name[2:]} {by}'}, within error)",
            )
        mine = f"{self._way}: {self.ratio:.2f}×"
        full = f"{mine} the throughput of {name}"
        within = f"{full} at TTL ≤ {format_seconds(self.ttl_limit_s)}{sure}"
        return within, f"{full}{sure}", f"{mine} {name}{sure}"

    @property
    def kept(self) -> bool:
        """Whether prefill and decode stay together because what speaks for either way is within the error."""
        return self.found == "tie" and not self.split and not self.given and not self.tie

    @property
    def _way(self) -> str:
        if self.given:
            return "As given"
        if self.found == "tie" and not self.split:
            return "A tie, co-locate"
        return f"Split{' in part' * self.partly}" if self.split else "Do not split"

    @property
    def _yield(self) -> str:
        serving, gpus = self.serving, count(self.serving.gpus, "GPU")
        if self.goal == "fewest-gpus" and self.requests_per_s is not None:
            return f"{gpus} for {three_digits(self.requests_per_s)} requests/s"
        if self.goal == "cost":
            return f"${money(serving.usd_per_million_tokens)} per million output tokens"
        if drawn := self._drawn(serving):
            load = ""
            if self.requests_per_s is not None:
                load = f" for {three_digits(self.requests_per_s)} requests/s"
            return f"{drawn}{load}, {gpus}"
        if self.requests_per_s is not None:
            most, asked = (three_digits(v) for v in (serving.capacity_requests_per_s, self.requests_per_s))
            return f"a capacity of {most} requests/s on {gpus} for the {asked} asked for"
        return (
            f"{three_digits(serving.tokens_per_s_per_gpu * serving.gpus)} output tokens/s on {gpus} "
            f"({three_digits(serving.tokens_per_s_per_gpu)} per GPU)"
        )

    def _drawn(self, serving: Serving, *, brief: bool = False) -> str:
        """What the goal counts of watts: `8.48 kW of GPU power`, `1.16 J per output token`; else ""."""
        if self.goal not in THRIFTY or serving.power is None:
            return ""
        if self.goal == "watts":
            return f"{three_digits(serving.power.watts / 1e3)} kW{'' if brief else ' of GPU power'}"
        return f"{three_digits(serving.power.joules_per_token)} J{'/token' if brief else ' per output token'}"

    @property
    def _promise(self) -> str:
        """What to count on, where throughput is the answer: the best of many predictions is too good."""
        if self.goal != "throughput":
            return ""
        if self.requests_per_s is not None:
            idle = self.requests_per_s < IDLE * self.serving.capacity_requests_per_s
            return " The goal fewest-gpus says how few would do." if idle else ""
        if self.expected is None:
            return ""
        low, high = (three_digits(value) for value in self.expected)
        expects = three_digits(self.serving.expected_tokens_per_s_per_gpu)
        return f" Expect {expects} per GPU, {low} to {high} in 4 of 5 cases."

    def _versus(self, name: str) -> str:
        if self.other is None and self.short:
            return f"and {name} meets the limits but is not expected to serve as much"
        if self.other is None:
            return f"and {self._alone(name)} can{'' if self.partly else 'not'} meet the limits"
        if self.tie:
            return f"the same as {name}"
        if self.ratio >= 2:
            return f"{three_digits(self.ratio)} times as much as {name}"
        return f"{self._by(self.ratio)} than {name}"

    def _alone(self, name: str) -> str:
        return "neither way alone" if self.partly else name

    @property
    def _unlike(self) -> bool:
        """Whether this way is better by what is expected of both, and not by what is predicted."""
        if self.found == "tie" or self.given or not abs(self.expected_ratio - 1) >= ALIKE:
            return False
        return self.tie or (self.ratio < 1) != (self.expected_ratio < 1)

    def _left_open(self, name: str) -> str:
        """What lies between the ways of a tie: as predicted, and as expected where that says otherwise."""
        apart = abs(self.expected_ratio - self.ratio) >= TOLD_APART
        return f"{self._both(name) if apart else self._versus(name)}, which is within the error"

    def _both(self, name: str) -> str:
        return f"{self._versus(name)} as predicted and {self._by(self.expected_ratio)} as expected"

    def _by(self, ratio: float) -> str:
        if abs(ratio - 1) < ALIKE:
            return "the same"
        less = "fewer" if self.goal == "fewest-gpus" else "less"
        return f"{percent(abs(ratio - 1))} {'more' if ratio > 1 else less}"

    def _sure(self, before: str, after: str = "") -> str:
        if self.sure is None:
            return ""
        return f"{before}{'beyond' if self.sure else 'within'} the error{after}"


def verdict(plan: Plan) -> Verdict | None:
    """The answer in words; None where no plan meets the limits."""
    serving, scenario = plan.deployed, plan.scenario
    if serving is None:
        return None
    _, other = ways(plan)
    ratio = expects = math.nan
    if other is not None:
        expects = weigh.gain(scenario, serving, other)
        if scenario.goal in ("fewest-gpus", "cost", *THRIFTY):  # the less the better
            expects = 1 / expects if expects else math.nan
        if scenario.goal == "fewest-gpus":
            ratio = serving.gpus / other.gpus
        elif scenario.goal == "cost":
            mine, theirs = serving.usd_per_million_tokens, other.usd_per_million_tokens
            ratio = mine / theirs if theirs else 1.0  # GPUs that cost nothing: neither costs more
        elif serving.power and other.power and scenario.goal in THRIFTY:
            ratio = serving.power.joules_per_token / other.power.joules_per_token
        else:
            ratio = gain(plan, serving, other)
    found, judged = advantage(plan), found_of(plan)
    return Verdict(
        split=plan.way == "disaggregated",
        partly=plan.mixed and len({pool.phase for pool in serving.pools}) > 2,
        against=_against(plan),
        given=scenario.deployment.way is not None,
        found=judged,
        goal=scenario.goal,
        serving=serving,
        other=other,
        short=other is None and not plan.mixed and plan.short_of_demand == _against(plan),
        ratio=ratio,
        sure=None if found is None or (judged == "tie" and abs(ratio - 1) < ALIKE) else judged != "tie",
        requests_per_s=scenario.traffic.requests_per_s,
        ttl_limit_s=scenario.limits.ttl_s,
        expected=next((item.range for item in expected(plan, serving) if not item.in_seconds), None),
        expected_ratio=expects,
    )


def found_of(plan: Plan) -> Finding:
    """Which way is better, or a tie: a gain within its error is one. Of a mix, over what it is held to."""
    if not plan.mixed:
        return finding(plan.scenario, plan.bands, plan.disaggregated, plan.colocated)
    one, other = ways(plan)
    mine, theirs = plan.bands.get(plan.way), plan.bands.get(_against(plan))
    bands = {"disaggregated": mine, "colocated": theirs} if mine and theirs else {}
    if other is not None and finding(plan.scenario, bands, one, other) == "tie":
        return "tie"
    return "split" if plan.way == "disaggregated" else "colocated"


def answer_sentence(plan: Plan) -> str:
    """Split or not, what it brings, and by how much it beats the other way; or what a plan would take."""
    answer = verdict(plan)
    if answer is not None:
        return answer.sentence
    relax = plan.infeasible.relax if plan.infeasible else ()
    changes = ", or ".join(change_text(plan.scenario, change) for change in relax)
    missed = NO_PLAN if plan.scenario.deployment.way is None else NOT_AS_GIVEN
    return f"{missed}.{f' It takes {changes}.' if changes else ''}"


def gain(plan: Plan, serving: Serving, other: Serving) -> float:
    """Output tokens/s of one serving over another's; per GPU when the fleet has no limit and no cap."""
    ratio = serving.capacity_tokens_per_s_per_gpu / other.capacity_tokens_per_s_per_gpu
    fleet = plan.scenario.fleet
    return ratio if fleet.gpus is None and not fleet.capped else ratio * serving.gpus / other.gpus


def advantage(plan: Plan) -> Range | None:
    """Range that holds the chosen way's throughput over the other's in 80 % of cases: what `found_of` weighs.

    Of what is expected of either, errors considered. Per GPU where GPUs or money are what counts.
    None where there is but one way, or nothing was measured.
    """
    one, two = ways(plan)
    if one is None or two is None:
        return None
    mine, theirs = plan.bands.get(plan.way), plan.bands.get(_against(plan))
    return gain_range(weigh.gain(plan.scenario, one, two), mine, theirs)


def advantage_sentence(plan: Plan) -> str:
    """What the error leaves of the advantage over the other way; "" where that is not known."""
    found = advantage(plan)
    if found is None:
        return ""
    low, high = (three_digits(value) for value in found)
    goal = plan.scenario.goal
    each = " per GPU" if goal in ("fewest-gpus", "cost") else " per watt" if goal in THRIFTY else ""
    return f"The chosen way makes {low} to {high} times the other's throughput{each}."


def expectation_sentences(plan: Plan, serving: Serving) -> tuple[str, ...]:
    """Whether the two ways differ by more than the error, what the plan gave up for it, and its sources."""
    said = (
        advantage_sentence(plan),
        *words.knee_sentences(plan, serving)[:1],
        *robust_sentences(plan),
        words.band_source(plan),
        words.power_source(plan, serving),
        words.within_measured_sentence(plan),
    )
    return tuple(filter(None, said))


def robust_sentences(plan: Plan) -> list[str]:
    """What a demand lacks, what the split is expected to serve, and the study's match."""
    split, study, deployed = plan.disaggregated, plan.study, plan.deployed
    if not plan.scenario.robust or not plan.bands:
        return []
    found, demand = [], plan.scenario.traffic.requests_per_s
    expects = math.inf if deployed is None else deployed.expected_requests_per_s
    if demand is not None and expects < demand * (1 - ROUNDING):
        found.append(
            f"It serves {three_digits(demand)} requests/s as predicted, and is expected to serve "
            f"{three_digits(expects)}: nothing within these limits is expected to serve them all."
        )
    if split is None or study is None:
        return found
    expected = three_digits(split.expected_requests_per_s)
    theirs = " and ".join(f"{pool.instances:,} × {pool.layout.label}" for pool in study.pools)
    return [
        *found,
        f"With each pool off by its error the split is expected to serve {expected} requests/s, "
        f"{three_digits(split.capacity_requests_per_s)} were both as predicted.",
        f"The study's match, which takes the rates as known: {theirs}, FTL {format_seconds(study.ftl_s)}, "
        f"expected {three_digits(study.expected_requests_per_s)} of {three_digits(study.requests_per_s)} "
        f"requests/s.",
    ]


def ways(plan: Plan) -> tuple[Serving | None, Serving | None]:
    """What is deployed and the way that it is held to; None where either cannot meet the limits."""
    other = plan.colocated if _against(plan) == "colocated" else plan.disaggregated
    return plan.deployed, other


def _against(plan: Plan) -> Way:
    """The other way; of a mix of both ways the better one without it."""
    phases = {pool.phase for pool in plan.deployed.pools} if plan.deployed is not None else set()
    if plan.mixed and "colocated" in phases and "prefill" in phases and plan.choice:
        return plan.choice
    return "disaggregated" if plan.way == "colocated" else "colocated"
