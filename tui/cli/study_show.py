"""`ratematch study show`: a study's answer as maps, marginals and a sentence."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import InputError
from planner.output.spelling import ascii_only
from tui.cli.flags import Parser
from tui.cli.terminal import DONE, Failure, ascii_output, say, writing

if TYPE_CHECKING:
    from rich.text import Text

    from planner.studies.decides import Marginal
    from planner.studies.maps import Map
    from planner.studies.table import Table

PAGE = 100  # columns of a picture


class _Slices(argparse.Action):
    """A flag that may be repeated."""

    def __call__(self, parser: object, namespace: object, values: object, option: object = None) -> None:
        """Adds one more."""
        setattr(namespace, self.dest, (*(getattr(namespace, self.dest) or ()), values))


def run(arguments: Sequence[str]) -> int:
    """The command. Raises InputError for a folder, a column or a value that is not there."""
    parser = Parser(
        "ratematch study show",
        "DIR [--x KEY] [--y KEY] [--value COLUMN] [--by KEY,...] [--where KEY=VALUE] [--out FILE] [--json]",
        "Draw what a study found: a map of one value over two inputs for each value of the others, what\n"
        "each input does alone, and the finding in a sentence. A tie is a gain within its error.",
        "  ratematch study show pays --x isl --y osl --value gain\n"
        "  ratematch study show pays --where model=deepseek-r1 --where ttl=20ms\n"
        "  ratematch study show pays --value chosen_usd_per_million_tokens --by system --out cost.svg",
    )
    parser.add_argument("folder", metavar="DIR", help="what `ratematch study` wrote")
    parser.add_argument("--x", metavar="KEY", help="the input from left to right")
    parser.add_argument("--y", metavar="KEY", help="the input from bottom to top")
    parser.add_argument(
        "--value",
        metavar="COLUMN",
        help="gain (the default), verdict, split, tie or colocated (their shares), or any column of numbers",
    )
    parser.add_argument(
        "--by", metavar="KEY,...", help="a map for each value of these; all others by default"
    )
    parser.add_argument(
        "--where", metavar="KEY=VALUE", action=_Slices, help="only these rows; may be repeated"
    )
    parser.add_argument("--out", metavar="FILE", help="write it as .svg, .png or .html")
    parser.add_argument("--json", action="store_true", help="the maps and marginals as JSON")
    parser.add_argument("--ascii", action="store_true", help="ASCII characters only")
    args = parser.read(arguments)
    from planner.output.as_json import dumps
    from planner.studies import decides, finding, table

    rows = table.read(Path(args.folder))
    for slice_ in args.where or ():
        name, separator, value = str(slice_).partition("=")
        if not separator:
            raise InputError("where", slice_, "key=value, such as --where model=deepseek-r1")
        rows = rows.where(name, value)
    by = None if args.by is None else [name for name in args.by.split(",") if name]
    alone = decides.marginals(rows)
    told = finding.finding(rows, alone)
    foot = [told, *_why(rows), _about(rows)]
    drawn = _maps(rows, args.x, args.y, args.value, by)
    if args.json:
        say(dumps(_data(rows, drawn, alone, told)))
        return DONE
    if args.out is not None:
        _save(Path(args.out), rows, drawn, alone, foot)
        say(args.out)
        say(told)
        return DONE
    plain = ascii_output(args.ascii)
    width = shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else PAGE
    from tui.charts import heat_map

    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    say(heat_map.to_text(_blocks(drawn, alone, foot, width, plain), colour=colour), colours=colour)
    return DONE


def _maps(rows: Table, x: str | None, y: str | None, value: str | None, by: list[str] | None) -> list[Map]:
    """The maps asked for; none where nothing was asked for and what varies makes none."""
    from planner.studies import maps

    try:
        return maps.maps(rows, maps.asked(rows, x, y, value, by))
    except InputError:
        if x or y or value or by:
            raise
        return []


def _about(rows: Table) -> str:
    """Which study, by which version, when, and how much of it."""
    from planner.errors import printable

    about, stored = rows.about, rows.stored
    part = "" if stored == about.scenarios else f"{stored:,} of "
    made = about.made.replace("T", " ").replace("+00:00", " UTC")
    text = f"{about.name}: {part}{about.scenarios:,} scenarios, ratematch {about.version}, {made}"
    return printable(text, PAGE)


def _blocks(
    drawn: Sequence[Map], alone: Sequence[Marginal], foot: Sequence[str], width: int, plain: bool
) -> list[Text]:
    from rich.text import Text

    from tui.charts import heat_map

    blocks: list[Text] = []
    for one in drawn:
        blocks += [*heat_map.lines(one, width, ascii=plain), Text("")]
    if drawn:
        blocks += [heat_map.legend(drawn[0].value, ascii=plain), *_pooled(drawn), Text("")]
    for marginal in alone:
        blocks += [*map(Text, _marginal(marginal, plain)), Text("")]
    lines = (line for text in foot for line in textwrap.wrap(text, min(width, PAGE)))
    return [*blocks, *(Text(ascii_only(line) if plain else line) for line in lines)]


def _why(rows: Table) -> list[str]:
    """Why some rows have no answer."""
    from planner.studies import finding

    heads = {"none": "No plan", "failed": "Cannot be asked"}
    found = finding.reasons(rows)
    return [f"{heads[verdict]} in {count:,}, such as: {text}." for verdict, count, text in found]


def _pooled(drawn: Sequence[Map]) -> list[Text]:
    """What a cell has of several scenarios."""
    from rich.text import Text

    from planner.studies.columns import VERDICTS

    most = max(int(one.rows.max()) for one in drawn)
    if most < 2 or drawn[0].value in VERDICTS:
        return []
    told = f"of up to {most:,} scenarios in a cell the median and the commonest verdict; --by KEY parts them"
    return [Text(told)]


def _marginal(marginal: Marginal, plain: bool) -> list[str]:
    """One input alone: how often each verdict, and the median gain."""
    from planner.studies.columns import VERDICTS

    head = marginal.label
    if marginal.explains == marginal.explains:
        head += f" alone explains {100 * marginal.explains:.0f} % of what varies"
    if marginal.trend == marginal.trend:
        head += f", rank correlation {marginal.trend:+.2f}"
    wide = max(12, *(len(part.label) for part in marginal.parts))
    shown = [i for i in range(len(VERDICTS)) if any(part.shares[i] for part in marginal.parts)]
    lines = [head, f"  {'':{wide}}" + "".join(f"{VERDICTS[i]:>11}" for i in shown) + f"{'gain':>8}"]
    for part in marginal.parts:
        shares = "".join(f"{100 * part.shares[i]:>9.0f} %" for i in shown)
        gain = f"{part.gain:.2f}" if part.gain == part.gain else "-"
        lines.append(f"  {part.label:<{wide}}{shares}{gain:>8}")
    return [ascii_only(line) for line in lines] if plain else lines


def _save(path: Path, rows: Table, drawn: list[Map], alone: Sequence[Marginal], foot: Sequence[str]) -> None:
    from tui.charts import heat_map

    if path.suffix not in heat_map.PICTURES:
        raise InputError("out", str(path), f"a name that ends in {', '.join(heat_map.PICTURES)}")
    if path.suffix == ".png" and not drawn:
        raise InputError("out", str(path), "two inputs to draw a map of, as --x and --y")
    page = path.suffix == ".html" or not drawn  # a picture has the maps alone
    blocks = _blocks(drawn, alone if page else (), foot, PAGE, False)
    try:
        with writing("out", path):
            heat_map.save(drawn, blocks, path, rows.about.note or rows.about.name)
    except heat_map.NoDrawing as error:
        raise Failure(str(error)) from None


def _data(rows: Table, drawn: Sequence[Map], alone: Sequence[Marginal], told: str) -> dict[str, Any]:
    from planner.output.as_json import clean
    from planner.studies import finding
    from planner.studies.columns import VERDICTS
    from planner.studies.maps import NOTHING

    found: dict[str, Any] = clean(
        {
            "study": rows.about.name,
            "scenarios": rows.about.scenarios,
            "rows": len(rows),
            "finding": told,
            "shares": finding.shares(rows),
            "maps": [
                {
                    "title": one.title,
                    "value": one.value,
                    "x": {"key": one.x.field.key, "values": list(one.x.values)},
                    "y": {"key": one.y.field.key, "values": list(one.y.values)},
                    "values": one.values.tolist(),
                    "verdicts": [
                        [None if v == NOTHING else VERDICTS[v] for v in line]
                        for line in one.verdicts.tolist()
                    ],
                    "rows": one.rows.tolist(),
                }
                for one in drawn
            ],
            "marginals": [
                {
                    "key": marginal.name,
                    "explains": marginal.explains,
                    "rank_correlation": marginal.trend,
                    "values": [
                        {
                            "label": part.label,
                            "scenarios": part.scenarios,
                            "median_gain": part.gain,
                            **dict(zip(VERDICTS, part.shares, strict=True)),
                        }
                        for part in marginal.parts
                    ],
                }
                for marginal in alone
            ],
        }
    )
    return found
