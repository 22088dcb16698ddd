"""`ratematch plan --compare` and `--what-if`: plans beside the one that was asked for."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import planner
from planner.errors import InputError, printable
from planner.inputs import varied
from planner.inputs.fields import BY_KEY, check
from tui.cli.flags import UsageError, read_scenario
from tui.cli.terminal import DONE, NO_PLAN, ascii_output, say

if TYPE_CHECKING:
    from planner.inputs.catalog import Catalog
    from planner.inputs.scenario import Scenario
    from planner.planning.what_if import Change
    from planner.words import Settling

MOST = 8  # columns that a table can show
LONGEST_NAME = 24  # characters


def side_by_side(args: argparse.Namespace, catalog: Catalog, how: Settling) -> int:
    """A plan for each of the named, as a table or JSON; each asks its replay as `how` says.

    Raises InputError for a word that names nothing, UsageError for too few or too many.
    """
    from planner.output import compare
    from planner.output.as_json import dumps
    from tui.cli.plan import solve

    _text_or_json(args, "--compare")
    words = list(dict.fromkeys(varied.split_words(args.compare)))
    if len(words) == 1:
        words.insert(0, "")  # what it is compared with: the scenario itself
    if not 1 < len(words) <= MOST:
        raise UsageError(f"--compare takes 1 to {MOST} scenarios, engines, systems, models or FIELD=VALUE")
    asked = [read_scenario(_asked(word, args, catalog), catalog) for word in words]
    columns = []
    for word, scenario in zip(words, asked, strict=True):
        name = printable(word or args.scenario or "as asked", LONGEST_NAME)
        try:
            columns.append(compare.Column(name=name, plan=solve(scenario, catalog, how)))
        except InputError as error:  # an engine that does not run on this GPU stands among those that do
            columns.append(compare.Column(name=name, plan=None, problem=str(error)))
    if all(column.plan is None for column in columns):
        raise UsageError(*dict.fromkeys(column.problem for column in columns))
    if args.format == "json":
        say(dumps({"compare": compare.to_list(columns)}))
    else:
        _say(compare.text(columns), args)
    return DONE if any(column.plan and column.plan.deployed for column in columns) else NO_PLAN


def _asked(word: str, args: argparse.Namespace, catalog: Catalog) -> argparse.Namespace:
    """The command line that a word stands for."""
    if not word:
        return args
    key, text = varied.meaning(word, catalog)
    if key != "scenario" and BY_KEY[key].kind == "switch":
        return argparse.Namespace(**{**vars(args), key: BY_KEY[key].parse(text)})
    return argparse.Namespace(**{**vars(args), key: text})


def what_if(args: argparse.Namespace, catalog: Catalog, how: Settling) -> int:
    """What each single change of an input brings to a plan.

    Where that asked its replay (`how`) the changes keep as much headroom as it had to, and are not replayed.

    Raises InputError for a field or value that is not known.
    """
    from planner.output import compare
    from planner.output.as_json import dumps
    from planner.output.data import to_dict
    from planner.planning import what_if as changes
    from planner.planning.asked import alike
    from tui.cli.plan import solve

    _text_or_json(args, "--what-if")
    words = varied.split_words(args.what_if)
    if words and args.scenario is None and "=" not in words[0] and varied.known_field(words[0]) is None:
        args = argparse.Namespace(**{**vars(args), "scenario": words.pop(0)})
    scenario = read_scenario(args, catalog)
    names: dict[str, Sequence[str]] = {key: catalog.names(key) for key in ("engine", "system")}
    wanted = list(_wanted(words, scenario, names, catalog)) or changes.changes(scenario, names)
    plan = solve(scenario, catalog, how)
    beside = alike(plan, lambda one: planner.plan(check(one), catalog))
    effects = list(changes.effects(plan, wanted, beside))
    if args.format == "json":
        say(dumps({**to_dict(plan), "what_if": compare.what_if_list(effects)}))
    else:
        _say(compare.what_if_text(plan, effects), args)
    return DONE if plan.deployed is not None else NO_PLAN


def _wanted(
    words: Sequence[str], scenario: Scenario, names: dict[str, Sequence[str]], catalog: Catalog
) -> Iterator[Change]:
    """The changes that words ask for: FIELD=VALUE, or a FIELD at the values around its own."""
    from planner.inputs.typed import named
    from planner.planning import what_if as changes

    for word in words:
        name, sign, text = word.partition("=")
        field = varied.known_field(name)
        if field is None:
            raise InputError("what-if", word, "FIELD or FIELD=VALUE, such as ttl, engine or ttl=15ms")
        if not sign:
            yield from changes.of_field(field, scenario, names.get(field.key, ()))
            continue
        value, implied = named(field, text, catalog) if field.catalog else (field.parse(text), {})
        moved = field.set(scenario, value)
        for key, other in implied.items():
            moved = BY_KEY[key].set(moved, other)
        yield changes.Change(field=field.key, value=value, scenario=moved)


def _text_or_json(args: argparse.Namespace, flag: str) -> None:
    if args.format not in (None, "json"):
        raise UsageError(f"{flag} goes with --json, or without a format: not with --{args.format}")


def _say(text: str, args: argparse.Namespace) -> None:
    from planner.output.spelling import ascii_only

    say(ascii_only(text) if ascii_output(args.ascii) else text)
