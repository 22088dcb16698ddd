"""Flags made from `planner.inputs.fields`, and the scenario they describe. A new field is a new flag."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from planner.errors import InputError, InputErrors
from planner.inputs import deployment_fields
from planner.inputs.fields import BY_KEY, FIELDS, check
from planner.inputs.scenario import Scenario
from planner.inputs.typed import named

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog

FORMATS = {
    "json": "the plan as JSON, SI units",
    "csv": "both frontiers as CSV",
    "markdown": "the plan as Markdown",
    "html": "a report in one HTML file, with the frontier as a picture",
}
_VALUES = {
    "tokens": "TOKENS",
    "seconds": "TIME",
    "count": "N",
    "rate": "REQ/S",
    "share": "SHARE",
    "usd": "USD",
    "choice": "NAME",
    "layout": "LAYOUT",
    "file": "FILE",
    "fleet": "FLEET",
}
MOST_LINES = 20  # of unknown flags: what is beyond them is told when those are mended
LONGEST_FLAG = 80  # characters that are compared with what is known
_LAYOUT_FLAGS = ("--colocated-layout", "--prefill-layout", "--decode-layout")
_ENGINE_FLAGS = dict.fromkeys(  # how engines are told what a layout says
    (
        *("tp", "pp", "dp", "ep", "tp-size", "pp-size", "dp-size", "ep-size"),
        *("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size", "enable-expert-parallel"),
    ),
    _LAYOUT_FLAGS,
)
_ONE_ENGINE = ("--prefill-engine", "--decode-engine")
_SWITCH = {"on": True, "off": False}


class UsageError(Exception):
    """The command line itself cannot be read; `lines` has what a user sees, one for each mistake."""

    def __init__(self, line: str, *more: str) -> None:
        super().__init__(line)
        self.lines = (line, *more)


_PIECE = re.compile(r"\[[^][]*(?:\[[^][]*\][^][]*)*\]|\S+")  # of a usage line: what brackets hold stays whole
WIDEST = 100  # columns of help: longer lines are hard to read


class _Help(argparse.RawDescriptionHelpFormatter):
    """No wider than the terminal: prose, usage and lists; a command among the examples stays one line."""

    def __init__(self, prog: str) -> None:
        import shutil

        super().__init__(prog, width=min(shutil.get_terminal_size().columns - 2, WIDEST))

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        import textwrap

        parts = (
            "\n".join(_hanging(line, width) for line in part.splitlines())
            if "\n " in part
            else textwrap.fill(part, width, break_on_hyphens=False)
            for part in text.split("\n\n")
        )
        return "\n\n".join(parts)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        names = list(action.option_strings)
        if action.nargs == 0 or len(names) < 3:
            return super()._format_action_invocation(action)
        import textwrap

        said = f"{', '.join(names)} {self._format_args(action, action.dest.upper())}"
        return f"\n{' ' * self._current_indent}".join(
            textwrap.wrap(said, self._width, break_on_hyphens=False)
        )

    def _format_usage(self, usage: str | None, *_: Any) -> str:
        lines: list[str] = []
        for line in (usage or "").splitlines():
            pieces = _PIECE.findall(line)
            if lines and pieces[0].startswith("["):  # goes on with the one before
                pieces = _PIECE.findall(lines.pop()) + pieces
            lines.append(" ".join(pieces))
        said = "usage: "
        for line in lines:
            for piece in _PIECE.findall(line):
                at = len(said) - said.rfind("\n") - 1
                if at > 7 and at + len(piece) > self._width:
                    said = said.rstrip() + "\n" + " " * 11
                said += piece + " "
            said = said.rstrip() + "\n       "
        return said.rstrip() + "\n\n"


def _hanging(line: str, width: int) -> str:
    """A line of a list; what is too wide goes on under what its second column says."""
    if len(line) <= width or line.lstrip().startswith("ratematch"):
        return line
    import textwrap

    gap = re.match(r"  ? ?\S.*?  +(?=\S)|    +", line)
    under = " " * (gap.end() if gap and gap.end() < width // 2 else 4)
    return textwrap.fill(line, width, subsequent_indent=under, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """An argument parser that raises one line, and names the nearest flag when it knows none."""

    def __init__(self, prog: str, usage: str, description: str, examples: str) -> None:
        super().__init__(
            prog=prog,
            usage=f"{prog} {usage}",
            description=description,
            epilog=f"examples:\n{examples}",
            formatter_class=_Help,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The parsed arguments.

        Raises UsageError.
        """
        args, rest = self.parse_known_args(self._plainly(arguments))
        for action in self._actions:
            # what argparse makes of `--name=--`
            if action.nargs is None and isinstance(getattr(args, action.dest, None), list):
                self.error(f"argument --{action.dest}: expected one argument")
        if not rest:
            return args
        flags = [flag for flag in rest if flag.startswith("-")]
        if not flags:
            self.error(f"unexpected argument {rest[0]!r}")
        names = dict.fromkeys(flag.split("=")[0] for flag in flags)
        unknown = [self._unknown(name) for name in names][:MOST_LINES]
        unknown[-1] += f"; see `{self.prog} --help`"
        raise UsageError(*unknown, *_wrong_values(args))

    def _unknown(self, name: str) -> str:
        if name in self._option_string_actions:  # after `--` it is no flag
            return f"unexpected argument {name!r}"
        if name[2:] in FORMATS and self.prog == "ratematch":
            return f"{name} belongs to a command: ratematch plan {name}"
        if known := [flag for flag in _ENGINE_FLAGS.get(name[2:], ()) if self.knows(flag)]:
            return f"unknown flag {name}; a layout is one value: {known[0]} TP8, or DEP16, CPP4xTP8"
        if name in _ONE_ENGINE and self.knows("--engine"):
            return (
                f"unknown flag {name}; --engine is of both pools: no other one, or version, reads its cache"
            )
        import difflib

        near = difflib.get_close_matches(name[:LONGEST_FLAG], self._option_string_actions, n=2)
        return f"unknown flag {name}" + (f"; did you mean {' or '.join(near)}?" if near else "")

    def knows(self, flag: str) -> bool:
        """Whether there is such a flag."""
        return flag in self._option_string_actions

    def _plainly(self, arguments: Sequence[str]) -> list[str]:
        """`--isl -5k` and `--mix on` as single tokens: argparse would take them apart wrongly."""
        tokens: list[str] = []
        for token in arguments:
            flag = tokens[-1] if tokens else ""
            action = self._option_string_actions.get(flag)
            if action is not None and action.nargs is None and re.match(r"-[\d.]", token):
                tokens[-1] = f"{flag}={token}"
            elif isinstance(action, argparse.BooleanOptionalAction) and token.lower() in _SWITCH:
                on = _SWITCH[token.lower()] != flag.startswith("--no-")
                tokens[-1] = f"--{'' if on else 'no-'}{action.dest}"
            else:
                tokens.append(token)
        return tokens


def add_scenario(parser: Parser) -> None:
    """SCENARIO and one flag for each field."""
    parser.add_argument("scenario", metavar="SCENARIO", nargs="?", help="a preset's name or a TOML file")
    groups: dict[str, Any] = {}
    for field in FIELDS:
        group = groups.get(field.group) or parser.add_argument_group(field.group.lower())
        groups[field.group] = group
        flags = [f"--{name}" for name in (field.key, *field.aliases)]
        text = field.help.replace("%", "%%")
        if field.kind == "switch":
            group.add_argument(*flags, dest=field.key, action=argparse.BooleanOptionalAction, help=text)
            continue
        if field.catalog:
            text += f" `ratematch presets {field.catalog}s` lists them."
        elif field.choices:
            text += f" One of {', '.join(field.choices)}."
        group.add_argument(*flags, dest=field.key, metavar=_VALUES[field.kind], help=text)


def read_scenario(args: argparse.Namespace, catalog: Catalog, commands: Collection[str] = ()) -> Scenario:
    """The scenario of the command line: preset, file or defaults, then the flags.

    `commands` are words that may stand in the scenario's place by mistake.

    Raises InputError for values that cannot be used (InputErrors for several), UsageError for such a word.
    """
    scenario = named_scenario(args.scenario, catalog, commands)
    implied: dict[str, Any] = {}  # by the names of models and machines
    wrong: list[InputError] = []
    for field in FIELDS:
        given = getattr(args, field.key)
        if given is None:
            continue
        try:
            if isinstance(given, str) and field.catalog:
                given, more = named(field, given, catalog)
                implied = {**implied, **more}
            elif isinstance(given, str):
                given = field.parse(given)
        except InputError as error:
            wrong.append(error)
            continue
        scenario = field.set(scenario, given)
    if wrong:
        raise wrong[0] if len(wrong) == 1 else InputErrors(wrong)
    for key, value in implied.items():
        if getattr(args, key) is None:
            scenario = BY_KEY[key].set(scenario, value)
    sized = args.gpus is not None or "gpus" in implied
    return check(scenario if sized else deployment_fields.fitted(scenario))


def _wrong_values(args: argparse.Namespace) -> list[str]:
    """What is wrong with values of known flags, names of presets too, beside unknown flags."""
    from planner import load

    lines: list[str] = []
    scenario = all(hasattr(args, field.key) for field in FIELDS)  # else a model may be what a file calls it
    for field in FIELDS:
        text = getattr(args, field.key, None)
        if not isinstance(text, str) or (field.catalog and not scenario):
            continue
        try:
            if field.catalog:
                named(field, text, load())
            else:
                field.parse(text)
        except InputError as error:
            lines.append(str(error))
    return list(dict.fromkeys(lines))


def named_scenario(name: str | None, catalog: Catalog, commands: Collection[str] = ()) -> Scenario:
    """A preset or file; the defaults for None. Raises as `read_scenario`."""
    if name is None:
        return Scenario()
    if name in commands:
        raise UsageError(f"the command comes first: ratematch {name} [SCENARIO] [--field value ...]")
    try:
        return catalog.scenario(name)
    except InputError:
        import difflib

        from tui.cli.other_files import instead

        if other := instead(name):
            raise InputError("scenario", name, f"a scenario; {other}") from None
        near = difflib.get_close_matches(name, commands, n=1, cutoff=0.7)
        if near and not os.path.exists(name):  # noqa: PTH110 (never raises, whatever the name)
            raise UsageError(f"unknown command or scenario {name!r}; did you mean {near[0]}?") from None
        raise


def spelled_out(args: argparse.Namespace) -> list[str]:
    """SCENARIO and the flags that were given, as words for another process."""
    words = [args.scenario] if args.scenario else []
    for field in FIELDS:
        given = getattr(args, field.key)
        if isinstance(given, bool):
            words.append(f"--{'' if given else 'no-'}{field.key}")
        elif given is not None:
            words.append(f"--{field.key}={given}")
    return words
