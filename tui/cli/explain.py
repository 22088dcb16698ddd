"""`ratematch explain`: a layout in words, and the flags that make it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from planner import load
from planner.errors import printable
from planner.inputs import layout_label
from planner.inputs.layout_label import Widths
from planner.output import layout_words
from planner.output.as_json import dumps
from planner.output.deploy import explain
from planner.output.spelling import ascii_only, named
from tui.cli.flags import Parser
from tui.cli.terminal import DONE, ascii_output, say

WIDTH = 80


def run(arguments: Sequence[str]) -> int:
    """The command. Raises InputError for a name that says no layout."""
    parser = Parser(
        "ratematch explain",
        "[LAYOUT ...] [--json]",
        "Say layouts in words: what is cut or copied over which GPUs, and the flags of each engine for it,\n"
        "or why it has none. Without a layout: the legend of all names.",
        "  ratematch explain CPP4xTP8-EP4TP2\n  ratematch explain DEP16 TEP8 --json\n  ratematch explain",
    )
    parser.add_argument("layouts", metavar="LAYOUT", nargs="*", help="a name as plans have it: TP8, DEP16")
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    parser.add_argument("--ascii", action="store_true", help="ASCII characters only")
    args = parser.read(arguments)
    named = [layout_label.parse(text) for text in args.layouts]
    if args.json:
        say(dumps({"layouts": [_data(at) for at in named], "legend": dict(layout_words.LEGEND)}))
        return DONE
    blocks = [_text(at) for at in named] or ["\n".join(layout_words.legend())]
    text = "\n\n".join(blocks)
    say(ascii_only(text) if ascii_output(args.ascii) else text)
    return DONE


def _text(at: Widths) -> str:
    lines = [line for text in layout_words.sentences(at) for line in textwrap.wrap(text, WIDTH)]
    for engine in explain.engines(at, load()):
        lines += ["", f"{engine.label} {engine.version}"]
        for phases, text in _told(engine):
            said = printable(f"{', '.join(phases)}: {text}")
            lines += textwrap.wrap(
                said,
                WIDTH,
                initial_indent="  ",
                subsequent_indent="    ",
                break_on_hyphens=False,
                break_long_words=False,
            )
    return "\n".join(lines)


def _told(engine: explain.EngineSays) -> list[tuple[list[str], str]]:
    """Phases that get the same text share a line."""
    shared: dict[str, list[str]] = {}
    for phase, said in engine.by_phase.items():
        shared.setdefault(said.flags or f"no: {said.reason}", []).append(named(phase))
    return [(phases, text) for text, phases in shared.items()]


def _data(at: Widths) -> dict[str, Any]:
    return {
        "label": layout_label.label(**at._asdict()),
        "gpus": at.gpus,
        "tp": at.tp,
        "pp": at.pp,
        "ep": at.ep,
        "attention_dp": at.attention_dp,
        "moe_tp": at.moe_tp,
        "words": layout_words.sentences(at),
        "engines": {
            engine.engine: {
                "version": engine.version,
                **{
                    phase: {"flags": said.flags or None, "reason": said.reason or None}
                    for phase, said in engine.by_phase.items()
                },
            }
            for engine in explain.engines(at, load())
        },
    }
