"""A plan as Markdown, for a document or a ticket. Pure: a `Plan` in, a string out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.output.columns import markdown
from planner.output.reasons import change_text, reason_text
from planner.output.spelling import named, percent
from planner.output.tables import comparison_rows, latencies, limit_rows, scenario_line
from planner.output.verdict import answer_sentence
from planner.output.words import deployment, notes
from planner.units import format_tokens

if TYPE_CHECKING:
    from planner.planning.result import Plan


def to_markdown(plan: Plan) -> str:
    """The plan for a document or a ticket: the answer, the deployment, the comparison, the notes."""
    out = [f"**{answer_sentence(plan)}**", "", scenario_line(plan.scenario)]
    deployed = deployment(plan)
    if deployed is None and plan.infeasible is not None:
        reasons = [
            (named(r.limit), f"{r.points:,}", reason_text(plan.scenario, r)) for r in plan.infeasible.reasons
        ]
        out += ["", *markdown([("limit", "design points it stops first", "why"), *reasons], "lrl")]
        out += ["", *(f"- {change_text(plan.scenario, change)}" for change in plan.infeasible.relax)]
    if deployed is not None:
        head = (
            "pool",
            "instances",
            "layout",
            "GPUs",
            "batch",
            "chunk",
            "latency",
            "used",
            "memory",
            "evidence",
        )
        pools = [
            (
                named(pool.phase),
                f"{pool.instances:,}",
                pool.layout.label,
                f"{pool.gpus:,}",
                f"{pool.batch:,}",
                format_tokens(pool.chunk_tokens) if pool.chunk_tokens else "-",
                latencies(pool),
                percent(pool.utilisation),
                percent(pool.memory.used_share),
                pool.evidence.kind if pool.evidence else "-",
            )
            for pool in deployed.pools
        ]
        out += ["", *markdown([head, *pools], "lrlrrrlrrl")]
        out += ["", *markdown([("limit", "value", "used", "state"), *limit_rows(plan, deployed)], "lrrl")]
        out += ["", *markdown([("", "split", "co-located"), *comparison_rows(plan)], "lrr")]
    if told := notes(plan):
        out += ["", *(f"- {note}" for note in told)]
    return "\n".join(out) + "\n"
