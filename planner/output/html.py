"""A plan as one HTML file for a colleague: everything is in it, and it may load nothing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from planner.output.chart_svg import to_svg
from planner.output.report import CHART, COMMAND, TIMES, Section, sections
from planner.output.tables import scenario_line
from planner.output.verdict import answer_sentence

if TYPE_CHECKING:
    from planner.planning.result import Plan

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --muted: #595959; --line: #dddddd; --paper: #ffffff;
  --bar: #1f6fb2; --mark: #f3f6fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --muted: #a8a8a8; --line: #3a3a3a;
  --paper: #151515; --bar: #5aa6e6; --mark: #1f2730; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.35rem; line-height: 1.35; margin: 0 0 .5rem; }
h2 { font-size: 1.02rem; margin: 2rem 0 .5rem; padding-top: .5rem; border-top: 1px solid var(--line); }
p, li { margin: .25rem 0; } ul { margin: 0; padding-left: 1.2rem; }
.asked, footer { color: var(--muted); }
.table { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .8rem .15rem 0; text-align: left; white-space: nowrap; vertical-align: top; }
td:last-child { white-space: normal; }
th { color: var(--muted); font-weight: 600; border-bottom: 1px solid var(--line); }
.r { text-align: right; }
.bar { display: inline-block; height: .7em; background: var(--bar); vertical-align: baseline; }
pre span { display: inline-block; max-width: 100%; }
pre { background: var(--mark); padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; border: 1px solid var(--line); }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # whatever is in it, nothing is loaded or run
WIDEST_BAR = 12.0  # em


def to_html(plan: Plan) -> str:
    """The verdict, both ways in words and numbers, the frontiers as a picture, the command to repeat it."""
    from planner import __version__

    title = escape(answer_sentence(plan))
    asked = escape(scenario_line(plan.scenario))
    body = "\n".join(_section(section, plan) for section in sections(plan))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(plan.scenario.model)} on {escape(plan.scenario.system)}: serving plan</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="asked">{asked}</p>
{body}
</main>
<footer><p>ratematch {escape(__version__)}. Every number is a prediction; the ranges hold four
of five measurements of such deployments.</p></footer>
</body>
</html>
"""


def _words(command: str) -> str:
    """A command that breaks between its words: browsers break `--engine` behind its hyphens."""
    return " ".join(f"<span>{escape(word)}</span>" for word in command.split(" "))


def _section(section: Section, plan: Plan) -> str:
    out = ["<section>", f"<h2>{escape(section.title)}</h2>"]
    if section.title == COMMAND:
        out += [f"<pre>{_words(sentence)}</pre>" for sentence in section.sentences]
    elif len(section.sentences) == 1:
        out.append(f"<p>{escape(section.sentences[0])}</p>")
    elif section.sentences:
        out += ["<ul>", *(f"<li>{escape(sentence)}</li>" for sentence in section.sentences), "</ul>"]
    if section.title.startswith(CHART):
        out.append(to_svg(plan))
    if len(section.rows) > 1:
        out.append(_table(section.rows, section.align, bars=section.title == TIMES))
    return "\n".join([*out, "</section>"])


def _table(rows: Sequence[Sequence[str]], align: str, *, bars: bool) -> str:
    """The first row is the head; with `bars` the second column is a share and gets a bar."""
    sides = ["" if side == "l" else ' class="r"' for side in align]
    head = "".join(
        f'<th scope="col"{side}>{escape(cell)}</th>' for cell, side in zip(rows[0], sides, strict=True)
    )
    body = []
    for row in rows[1:]:
        cells = [f"<td{side}>{escape(cell)}</td>" for cell, side in zip(row, sides, strict=True)]
        if bars:
            size = float(row[1].removesuffix("%").strip()) / 100 * WIDEST_BAR
            cells.append(f'<td><span class="bar" style="width:{size:.2f}em"></span></td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    end = '<th scope="col"></th>' if bars else ""
    return (
        f'<div class="table"><table>\n<thead><tr>{head}{end}</tr></thead>\n<tbody>\n'
        + "\n".join(body)
        + "\n</tbody></table></div>"
    )
