"""A plan as Markdown, for a document or a ticket. Pure: a `Plan` in, a string out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.output.columns import markdown
from planner.output.report import COMMAND, sections
from planner.output.tables import scenario_line
from planner.output.verdict import answer_sentence

if TYPE_CHECKING:
    from planner.planning.result import Plan


def to_markdown(plan: Plan) -> str:
    """The plan for a document or a ticket: the answer, then the sections of `planner.output.report`."""
    out = [f"**{answer_sentence(plan)}**", "", scenario_line(plan.scenario)]
    for section in sections(plan):
        out += ["", f"### {section.title}"]
        if section.title == COMMAND:
            out += ["", *(f"    {sentence}" for sentence in section.sentences)]
        elif section.sentences:
            out += ["", *(f"- {sentence}" for sentence in section.sentences)]
        if section.rows:
            out += ["", *markdown(section.rows, section.align)]
    return "\n".join(out) + "\n"
