"""The command palette: everything that can be done now, under the name of its area."""

from __future__ import annotations

import contextlib
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.fuzzy import FuzzySearch

from planner.errors import InputError
from planner.inputs.fields import BY_KEY, FIELDS, Field, has_effect
from planner.inputs.traces import shipped
from planner.output.layout_words import LEGEND
from planner.studies import presets as studies
from planner.values import dataclass
from planner.words import PresetKind
from tui import help_texts
from tui.files import export, library, storage
from tui.panes.plan_card import PlanCard
from tui.screens.main import MainScreen
from tui.widgets import themes

if TYPE_CHECKING:
    from tui.screens.file_actions import FileActions

AREAS = {  # binding id to area, for keys that the palette names; those not here are views
    "undo": "plan",
    "redo": "plan",
    "recompute": "plan",
    "fixes": "plan",
    "copy-command": "plan",
    "copy-markdown": "plan",
    "deploy": "plan",
    "pin": "plan",
    "quit": "view",
    "open": "scenario",
    "open-study": "scenario",
    "open-time": "scenario",
    "open-replay": "plan",
    "save": "scenario",
}
MOVES = ("knob-", "chart-left", "chart-right", "chart-first", "chart-last", "fix-", "row-", "pane-")
SKIPPED = ("export", "quit-always", "theme", "help-quit", "palette", "find")  # in full below, or not at all
CHOICES = ("goal", "weights", "kv")  # inputs whose values are worth a line each, beside those of the catalog
_SEARCH = FuzzySearch()  # scores places; it keeps nothing of that
LIMITS = ("ftl", "ttl", "gpus")
BESIDE: tuple[PresetKind, ...] = ("engine", "system", "model")  # what a plan is compared with, by name
FAINT = 1e-6  # the score of words that are in a meaning alone


@dataclass(frozen=True, slots=True)
class Command:
    """One line of the palette."""

    text: str
    run: Callable[[], Any]
    help: str = ""
    first: bool = True  # offered before anything is typed
    set: bool = False  # it is so already: found by its name alone


class Palette(CommandPalette):
    """Textual's, whose list takes keys before it has lines."""

    def _action_command_list(self, action: str) -> None:
        with contextlib.suppress(KeyError):  # of a line to go to
            super()._action_command_list(action)


def fit(query: str, text: str) -> tuple[float, Sequence[int]]:
    """How well a text has what is searched for, and where; 0 where it has not all letters in this order.

    Textual's own search tries every way to place the letters: twenty times `e` in a text with thirty would
    take hours. Here each place of the first letter is gone on from with the next that come.

    >>> fit("plan", "view: plan"), fit("vp", "view: plan")[1], fit("x", "view: plan")
    ((inf, [6, 7, 8, 9]), [0, 6], (0.0, []))
    """
    query, text = query.lower(), text.lower()
    at = text.find(query)
    if not query or len(query) > len(text):
        return 0.0, []
    end = at + len(query)
    if at >= 0 and text[:at].endswith(": ") and (end == len(text) or text.startswith(" (", end)):
        return math.inf, list(range(at, end))  # the very name of a thing, whatever others it has
    if at >= 0:
        whole = list(range(at, at + len(query)))
        # the beginning of a name before what stands in the middle of others
        lift = 2.0 if text == query else 1.75 if text[:at].endswith(": ") else 1.5
        if not text[end : end + 1].isalnum():  # a whole word: `ftl 2` is 2 s before 20 ms
            lift *= 1.1
        return _SEARCH.score(text, whole) * lift, whole
    found = (_from(start, query, text) for start, letter in enumerate(text) if letter == query[0])
    scored = [(_SEARCH.score(text, places), places) for places in found if places]
    return max(scored, default=(0.0, []))


def _from(start: int, query: str, text: str) -> list[int]:
    """The next place of each letter, from that of the first; none where one is missing."""
    places = [start]
    for letter in query[1:]:
        at = text.find(letter, places[-1] + 1)
        if at < 0:
            return []
        places.append(at)
    return places


def ranked(query: str, commands: Sequence[Command]) -> Iterator[tuple[Command, float, Sequence[int]]]:
    """What has the words typed: in its name first, then in what is said of it.

    Letters that are merely in the same order, far apart, count where no text has the words.
    """
    words = query.lower().split()
    named = [c for c in commands if all(word in c.text.lower() for word in words)]
    said = [c for c in commands if all(word in f"{c.text} {c.help}".lower() for word in words)]
    for command in named or said or commands:
        score, places = fit(query, command.text)
        if score > 0:
            yield command, score, places
        elif words and command in said:
            yield command, FAINT, []
    if named:
        texts = {command.text for command in named}
        for command in said:
            if command.text not in texts:
                yield command, FAINT, []


class Commands(Provider):
    """What the present screen allows."""

    @property
    def _app(self) -> FileActions:
        return cast("FileActions", self.app)

    async def discover(self) -> Hits:
        """Before a word is typed: what was chosen last, then what is near."""
        commands, chosen = list(self._commands()), self._app.chosen
        again = [
            command for text in chosen for command in commands if command.text == text and not command.set
        ]
        for command in (*again, *(c for c in commands if c.first and c.text not in chosen)):
            yield DiscoveryHit(
                Content(command.text),
                partial(self._run, command),
                text=command.text,
                help=_as_it_is(command.help),
            )

    def _run(self, command: Command) -> Any:
        self._app.chosen = storage.recently(command.text, self._app.chosen)
        return command.run()

    async def search(self, query: str) -> Hits:
        """What fits the words typed."""
        commands = list(self._commands())
        if isinstance(self.screen, MainScreen):
            names = {command.text for command in commands}
            commands += [typed for typed in self._typed(self.screen, query) if typed.text not in names]
        for command, score, places in ranked(query, commands):
            shown = Content(command.text)
            for at in places:
                shown = shown.stylize(self.match_style or "bold", at, at + 1)
            run = partial(self._run, command)
            yield Hit(score, shown, run, text=command.text, help=_as_it_is(command.help))

    def _commands(self) -> Iterator[Command]:
        if not isinstance(self.screen, MainScreen):
            return
        keys = list(self._keys(self.screen))
        yield from (key for key in keys if key.text.startswith("plan:"))
        yield from self._limits(self.screen)
        yield from (key for key in keys if key.text.startswith("scenario:"))
        yield from self._scenarios()
        yield from self._studies()
        if self.screen.view.plan is not None:
            for ending, holds in export.FORMATS.items():
                yield Command(f"export: {ending}, {holds}", partial(self._app.action_export, ending))
        yield from (key for key in keys if key.text.startswith("view:"))
        yield from self._values(self.screen)
        yield from self._beside(self.screen)
        yield from self._rows(self.screen)
        yield from self._words()
        yield from self._themes()

    def _keys(self, screen: MainScreen) -> Iterator[Command]:
        """Every key that works now, except those that only move."""
        seen = set()
        for node, binding, enabled, _ in screen.active_bindings.values():
            name = binding.id or ""
            if not enabled or not binding.description or binding.action in seen:
                continue
            if not name:  # Textual's own: scrolling, copying of selected text
                continue
            if name in SKIPPED or name.startswith(MOVES) or binding.key.startswith("ctrl+p"):
                continue
            seen.add(binding.action)
            area = AREAS.get(name, "view")
            key = self.app.get_key_display(binding)
            run = partial(self.app.run_action, binding.action, node)
            yield Command(
                f"{area}: {binding.description}",
                run,
                help=f"key {key}. {binding.tooltip}" if binding.tooltip else f"key {key}",
            )

    def _limits(self, screen: MainScreen) -> Iterator[Command]:
        """The steps of each limit, the nearest first; what would make the scenario feasible."""
        plain = self._app.glyphs.plain
        if screen.view.infeasible:
            card = screen.query_one(PlanCard)
            for at, way in enumerate(card.fix_texts):
                yield Command(plain(f"limit: {way}"), partial(card.fix, at), "makes it feasible")
        for key in LIMITS:
            field = BY_KEY[key]
            value = field.get(screen.history.present)
            near = {field.step(value, by) for by in (-1, 1)}
            for step in (*_from_near(field.steps, value), *((None,) if field.none else ())):
                if step != value:
                    text = plain(f"limit: {field.label} {_value(field, step)}")
                    yield Command(text, partial(_set, screen, field, step), first=step in near)

    def _values(self, screen: MainScreen) -> Iterator[Command]:
        """Every model, system and engine, and the choices of some rows: found by name, and set."""
        for field in FIELDS:
            names = self._app.names(field.catalog) if field.catalog else ()
            if field.key in CHOICES:
                names = field.choices
            elif field.key == "trace":
                names = tuple(shipped.SHIPPED)
            for name in names:
                text, told = f"{field.label}: {name}", _meaning(field, name)
                if name == field.get(screen.history.present):  # its row is shown
                    told = f"set already{f'. {told}' if told else ''}"
                    yield Command(text, partial(screen.go_to, field.key), told, first=False, set=True)
                else:
                    yield Command(text, partial(_set, screen, field, name), told, first=False)

    def _typed(self, screen: MainScreen, query: str) -> Iterator[Command]:
        """A row and its value, as in `ttl 30ms`; of one that is not accepted, why."""
        for field in FIELDS:
            called = {field.key, field.label.lower(), *field.aliases}
            name = next((name for name in called if query.lower().startswith(f"{name} ")), "")
            text = query[len(name) :].strip(" :=")
            if not name or not text or field.catalog or field.kind in ("file", "choice"):
                continue
            if not has_effect(field, screen.history.present):
                continue
            try:
                value = field.parse(text)
            except InputError as error:
                if text[0].isdigit():
                    go = partial(screen.go_to, field.key)
                    yield Command(f"{field.label}: {text}", go, self._app.glyphs.plain(str(error)))
            else:
                yield Command(f"{field.label}: {text}", partial(_set, screen, field, value), field.help)

    def _beside(self, screen: MainScreen) -> Iterator[Command]:
        """Another engine, system or model beside the plan, on the page that compares."""
        for kind in BESIDE:
            now = BY_KEY[kind].get(screen.history.present)
            for name in self._app.names(kind):
                if name != now:
                    run = partial(_beside, screen, kind, name)
                    yield Command(f"compare: with {kind} {name}", run, first=False)

    def _rows(self, screen: MainScreen) -> Iterator[Command]:
        """Every row of the form, to go to."""
        for field in FIELDS:
            if has_effect(field, screen.history.present):
                other = ", ".join(name for name in (field.key, *field.aliases) if name != field.label.lower())
                text = f"field: {field.label}{f' ({other})' if other else ''}"
                yield Command(text, partial(screen.go_to, field.key), field.help, first=False)

    def _words(self) -> Iterator[Command]:
        """Every word and number of the screen, with its meaning: the help, searched."""
        for number in help_texts.NUMBERS.values():
            formula = f" {number.formula}" if number.formula else ""
            meaning = f"{number.meaning}.{formula}"
            say = partial(self._app.notify, meaning, title=number.name, timeout=15)
            yield Command(f"word: {number.name}", say, meaning, first=False)
        for piece, meaning in LEGEND:
            say = partial(self._app.notify, meaning, title=piece, timeout=15)
            yield Command(f"word: {piece}", say, meaning, first=False)

    def _scenarios(self) -> Iterator[Command]:
        try:
            entries = library.entries(self._app.recent)
        except InputError:
            return
        for entry in entries:
            open_it = partial(self._app.open_scenario, entry.name)
            help = "damaged" if entry.problem else entry.note
            yield Command(f"scenario: {entry.name}", open_it, help, first=entry.recent or entry.own)

    def _studies(self) -> Iterator[Command]:
        """Those that `ratematch study` knows, whose answer the folder of their name has."""
        if not self._app.is_web:
            for name in studies.known():
                show = partial(self._app.action_open_study, name)
                yield Command(f"study: {name}", show, "its map, and a scenario from it", first=False)

    def _themes(self) -> Iterator[Command]:
        for name in sorted(self.app.available_themes, key=lambda name: (name not in themes.OURS, name)):
            if name != self.app.theme:
                shown = name.removeprefix("ratematch-")
                take = partial(setattr, self.app, "theme", name)
                yield Command(f"theme: {shown}", take, first=name in themes.OURS)


def _as_it_is(text: str) -> str | None:
    """Not markup, which the palette takes a help for where it is a text."""
    return cast("str", Content(text)) if text else None


def _from_near(steps: Sequence[Any], value: Any) -> list[Any]:
    """Ascending steps, those nearest to a value first; as they are where there is none.

    >>> _from_near((1, 2, 5, 10, 20), 5), _from_near((1, 2, 5, 10, 20), 7)
    ([5, 2, 10, 1, 20], [5, 10, 2, 20, 1])
    """
    if value is None:
        return list(steps)
    place = (bisect_left(steps, value) + bisect_right(steps, value) - 1) / 2
    return [steps[at] for at in sorted(range(len(steps)), key=lambda at: abs(at - place))]


def _value(field: Field, value: Any) -> str:
    unit = f" {field.unit}" if field.unit and value is not None else ""
    return f"{field.format(value)}{unit}"


def _meaning(field: Field, name: str) -> str:
    """What a row's help says of one of its choices."""
    said = re.search(rf"(?<![\w-]){re.escape(name)}: ([^.;]+)", field.help)
    return help_texts.in_rows(said[1]) if said else ""


async def _beside(screen: MainScreen, kind: PresetKind, name: str) -> None:
    await screen.action_tab("compare")
    screen.compare_with(kind, name)


def _set(screen: MainScreen, field: Field, value: Any) -> None:
    screen.take(field.set(screen.history.present, value))
