"""Every deployment along both frontiers and of other layouts, as a table to sort and search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, get_args

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from planner import units
from planner.errors import InputError
from planner.inputs.deployment import Deployment
from planner.inputs.fields import BY_KEY, check
from planner.inputs.layout_label import parse
from planner.inputs.scenario import Scenario
from planner.output.spelling import money
from planner.units import format_seconds, three_digits
from planner.values import dataclass
from planner.words import EvidenceKind, Phase, Way
from tui.glyphs import UNICODE, Glyphs
from tui.help_texts import page
from tui.panes.page import Page
from tui.state import View
from tui.widgets.grid import Column, Grid, Row

if TYPE_CHECKING:
    from planner.planning.evidence import Seen
    from planner.planning.result import Frontier, Plan, Serving

COLUMNS = (
    Column(title="kind", right=False, need=6),
    Column(title="prefill", right=False, need=7),
    Column(title="decode", right=False, need=8),
    Column(title="GPUs", need=4),
    Column(title="tok/s/GPU", need=10, down=True),
    Column(title="tok/s/user", need=2, down=True),
    Column(title="FTL", need=6),
    Column(title="TTL", need=9),
    Column(title="$/Mtok", need=6),
    Column(title="ctx:gen", need=1),
    Column(title="req/s", need=4, down=True),
    Column(title="evidence", right=False, need=5),
    Column(title="system", right=False, need=7, rare=True),  # of a fleet of several: where the row runs
)
TITLE = "Candidate plans"
NO_PLAN_ROWS = "no deployment meets the limits"
KINDS: Mapping[Way, str] = {"disaggregated": "split", "colocated": "co-loc."}


class PlanGrid(Grid):
    """The table of candidate plans."""

    HELP = page(
        """
    ## All candidate plans

    The best deployment at each interactivity, split or co-located, and the best of each layout at the
    limits. The tick meets the TTL
    limit, the diamond is the plan. Every row meets the FTL limit. **tok/s/GPU** counts the GPUs in use, both
    pools; **ctx:gen** is prefill GPUs over decode GPUs; layouts come with their number of instances;
    **evidence** is that of the less known pool; on a fleet of several systems **system** is where the row
    runs, `h200>h100` that of prefill and that of decode, and **evidence** is of layouts there.
    Rows that would read alike are one.

    `space` pins a row for page 3, `x` exports what is shown. `s` and a letter sorts (again: the other
    way), `/` filters, `c` and a letter hides or shows a column, `enter` adopts the row's layouts: the plan
    keeps them, until `u` undoes it. Where the row misses the TTL limit, its TTL becomes the limit.
    """,
        "table",
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pin_row", "pin row", tooltip="Keep the row's plan for page 3", id="table-pin"),
        Binding(
            "x", "app.export_table", "export rows", tooltip="Write what is shown as CSV", id="table-export"
        ),
    ]

    class Pinned(Message):
        """The user wants a row kept for comparison."""

        def __init__(self, candidate: Candidate) -> None:
            super().__init__()
            self.candidate = candidate

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While the help is open, space turns its pages."""
        if action == "pin_row" and self.screen.query("HelpPanel"):
            return False
        return super().check_action(action, parameters)

    def action_pin_row(self) -> None:
        """Keep the row under the cursor."""
        if self.rows:
            self.post_message(self.Pinned(self.rows[self.cursor].item))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What a row stands for."""

    ttl_s: float
    deployment: Deployment  # its layouts
    meets: bool  # the TTL limit

    def of(self, scenario: Scenario) -> Scenario:
        """The scenario with the row's layouts; where the row misses the TTL limit, its TTL is the limit.

        Raises InputError where that cannot be asked.
        """
        if scenario.fleet.systems is not None:
            one = "none where a row is taken or pinned: its layouts are fixed on one system"
            raise InputError("fleet", scenario.fleet.systems, one)
        field = BY_KEY["ttl"]
        adopted = replace(scenario, deployment=self.deployment)
        if not self.meets:
            adopted = field.set(adopted, field.check(units.rounded(self.ttl_s, math.ceil, 4)))
        return check(adopted)


class TablePage(Page):
    """Page 2."""

    class Adopted(Message):
        """The user wants the layouts of a row."""

        def __init__(self, candidate: Candidate) -> None:
            super().__init__()
            self.candidate = candidate

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self._key: object = None

    def compose(self) -> ComposeResult:
        """Only the table."""
        grid = PlanGrid(COLUMNS, glyphs=self.glyphs, id="plans")
        grid.border_title = TITLE
        yield grid

    def show(self, view: View) -> None:
        """Fill the table where the frontiers, the limit or the plan have changed."""
        given = view.scenario.deployment.given
        self.query_one(Grid).border_title = f"{TITLE}, layouts fixed: u undoes" if given else TITLE
        key = (view.frontiers, view.plan, view.scenario.limits, view.current, view.scenario.traffic.osl)
        if self._key is not None and _same(key, self._key):
            return
        self._key = key
        none = NO_PLAN_ROWS if view.frontiers else f"computing{self.glyphs.ellipsis}"
        self.query_one(Grid).fill(plan_rows(view, self.glyphs), none)

    def stops(self) -> list[Widget]:
        """The table."""
        return [self.query_one(Grid)]

    @on(Grid.Chosen)
    def choose(self, message: Grid.Chosen) -> None:
        """The row's layouts."""
        message.stop()
        self.post_message(self.Adopted(message.item))


def _same(a: object, b: object) -> bool:
    """Whether two keys hold the very same things (frontiers hold arrays: they cannot be compared)."""
    assert isinstance(a, tuple) and isinstance(b, tuple)
    return a[0] is b[0] and a[1] is b[1] and a[2:] == b[2:]


def plan_rows(view: View, g: Glyphs) -> list[Row]:
    """The points of both frontiers and the best of each layout at the limits.

    The plan first, then what meets the TTL limit by throughput, then the rest.
    """
    if view.frontiers is None:
        return []
    from planner.output.limits import meets

    limit = view.scenario.limits.ttl_s
    rows: dict[tuple[object, ...], tuple[tuple[bool, bool, float], Row]] = {}
    plan = view.plan
    first: list[tuple[Way, Frontier]] = []
    mine = None
    if plan is not None and plan.chosen is not None and view.frontiers[0] is plan.frontier_disaggregated:
        mine = _of_plan(plan.chosen, fleet=bool(plan.alone))
        if plan.choice and mine is not None:
            first.append((plan.choice, mine))
    for way, source in [*first, *_sources(view)]:
        chosen = source is mine
        for at in range(len(source)):
            good = meets(float(source.ttl_s[at]), limit)
            row = _row(way, source, at, g, view, meets=good, chosen=chosen)
            rate = float(source.tokens_per_s_per_gpu[at])
            worth = rate if view.budget is None else rate * float(source.gpus[at])
            rows.setdefault(row.cells, ((not chosen, not good, -worth), row))
    return [row for _, row in sorted(rows.values(), key=lambda item: item[0])]


def _sources(view: View) -> list[tuple[Way, Frontier]]:
    """Both frontiers, and what the plan knows beside them where it is the plan of these frontiers."""
    assert view.frontiers is not None
    found = list(zip(KINDS, view.frontiers, strict=True))
    plan = view.plan
    if plan is not None and plan.alternatives and view.frontiers[0] is plan.frontier_disaggregated:
        ways = (plan.disaggregated, plan.colocated)
        for kind, more, way in zip(KINDS, plan.alternatives, ways, strict=True):
            if plan.alone and way is not None:  # they are of the systems that the way itself is on
                more = replace(more, systems=(_systems(way),) * len(more))
            found.append((kind, more))
    return found


def _systems(serving: Serving) -> tuple[str, ...]:
    """What a serving runs on, prefill first."""
    return tuple(dict.fromkeys(pool.system for pool in serving.pools))


def _of_plan(serving: Serving, *, fleet: bool) -> Frontier | None:
    """The plan as a point of its own: what it counts on need not lie on the frontier. None for a mix."""
    import numpy as np

    from planner.planning import result

    labels = {pool.phase: pool.layout.label for pool in serving.pools}
    if len(labels) < len(serving.pools):
        return None
    return result.Frontier(
        ttl_s=np.array([serving.ttl_s]),
        tokens_per_s_per_gpu=np.array([serving.tokens_per_s_per_gpu]),
        ctx_gen_ratio=np.array([serving.ctx_gen_ratio]),
        gpus=np.array([serving.gpus]),
        prefill=(labels.get("prefill", ""),),
        decode=(labels.get("decode") or labels["colocated"],),
        ftl_s=np.array([serving.ftl_s]),
        usd_per_million_tokens=np.array([serving.usd_per_million_tokens]),
        systems=(_systems(serving),) if fleet else (),
    )


def _row(way: Way, f: Frontier, at: int, g: Glyphs, view: View, *, meets: bool, chosen: bool) -> Row:
    counts = instances(f, at)
    systems = f.systems[at] if f.systems else ()
    chosen_on = _systems(view.plan.chosen) if view.plan is not None and view.plan.chosen is not None else ()
    on = () if systems == chosen_on else systems  # of the plan's own systems it knows itself
    kind = evidence_kind(view.plan, f.prefill[at], f.decode[at], on)
    place = ">".join(systems)
    rate = float(f.tokens_per_s_per_gpu[at] * f.gpus[at]) / max(view.scenario.traffic.osl - 1, 1)
    ttl_s, user, ratio = (float(x[at]) for x in (f.ttl_s, f.tokens_per_s_per_user, f.ctx_gen_ratio))
    values = (
        KINDS[way],
        f.prefill[at],
        f.decode[at],
        int(f.gpus[at]),
        float(f.tokens_per_s_per_gpu[at]),
        user,
        float(f.ftl_s[at]),
        ttl_s,
        float(f.usd_per_million_tokens[at]),
        ratio,
        rate,
        kind,
        place,
    )
    cells = (
        KINDS[way],
        f"{counts[0]}{g.times}{f.prefill[at]}" if f.prefill[at] and counts else f.prefill[at] or "-",
        f"{counts[1]}{g.times}{f.decode[at]}" if counts else f.decode[at],
        f"{f.gpus[at]:,}",
        three_digits(values[4]),
        three_digits(user),
        g.plain(format_seconds(values[6])),
        g.plain(format_seconds(ttl_s)),
        money(values[8]),
        three_digits(ratio) if math.isfinite(ratio) else "-",
        three_digits(rate),
        kind,
        place,
    )
    mark, hue = (g.chosen, "chosen") if chosen else (g.ok, "good") if meets else (g.cloud, "cloud")
    deployment = (
        Deployment(prefill_layout=f.prefill[at], decode_layout=f.decode[at])
        if way == "disaggregated"
        else Deployment(colocated_layout=f.decode[at])
    )
    item = Candidate(ttl_s=ttl_s, deployment=deployment, meets=meets)
    return Row(cells=cells, values=values, item=item, mark=mark, hue=hue, faint=not meets)


def instances(f: Frontier, at: int) -> tuple[int, int] | None:
    """Instances of prefill and decode of a point (0 and all, co-located); None where they are not whole.

    From its GPUs, their ratio and the size of its layouts: at an ideal ratio there are no whole instances.
    """
    gpus, ratio = float(f.gpus[at]), float(f.ctx_gen_ratio[at])
    if not f.prefill[at]:
        return _whole(0.0, gpus / _size(f.decode[at]))
    decode = gpus / (1 + ratio)
    return _whole((gpus - decode) / _size(f.prefill[at]), decode / _size(f.decode[at]))


def _whole(*counts: float) -> tuple[int, int] | None:
    whole = tuple(round(count) for count in counts)
    if any(abs(count - near) > 1e-3 for count, near in zip(counts, whole, strict=True)):
        return None
    return whole[0], whole[1]


@lru_cache(maxsize=1024)
def _size(label: str) -> int:
    """GPUs of an instance; without end where the label is not one of ours."""
    try:
        return parse(label).gpus
    except InputError:
        return 10**9


KNOWN: tuple[EvidenceKind, ...] = get_args(EvidenceKind)  # the surest first


def evidence_kind(plan: Plan | None, prefill: str, decode: str, systems: Sequence[str] = ()) -> str:
    """What the less known layout of a deployment rests on; "" where nothing is known.

    `systems` of a fleet, where they are not the plan's: that of prefill, that of decode, or one for both.
    """
    if plan is None:
        return ""
    there = {one.system: one.seen for one in plan.alone}
    seen = [there.get(system) for system in systems] or [plan.seen]
    if any(one is None for one in seen):
        return ""
    first, last = seen[0], seen[-1]
    assert first is not None and last is not None
    if not prefill:
        return _kind(last, "colocated", decode)
    return max(_kind(first, "prefill", prefill), _kind(last, "decode", decode), key=KNOWN.index)


def _kind(seen: Seen, phase: Phase, label: str) -> EvidenceKind:
    from planner.planning.evidence import judged
    from planner.simulate.space import LayoutChoice

    try:
        at = parse(label)
    except InputError:
        return KNOWN[-1]
    layout = LayoutChoice(
        tp=at.tp, pp=at.pp, ep=at.ep, attention_dp=at.attention_dp, moe_tp=at.moe_tp, label=label
    )
    return judged(seen, phase, layout).kind
