"""The terminal application.

Only what the first paint needs is imported here: numpy, scipy and plotext come in on the solver's
thread, after the screen is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.command import CommandPalette, Provider

from planner.inputs.scenario import Scenario
from tui.files import storage
from tui.glyphs import ASCII, UNICODE
from tui.screens.file_actions import FileActions
from tui.screens.main import MainScreen, NamesFn
from tui.solver.asker import DEBOUNCE_S
from tui.solver.worker import PlanFn, one_line, real_plan
from tui.widgets import themes

if TYPE_CHECKING:
    from tui.screens.tour import Tour


KEY_WORDS = {"←": "left", "→": "right", "↑": "up", "↓": "down", "⌫": "bksp", "⏎": "enter", "⇥": "tab"}
HANG_UPS = {"SIGHUP": 129, "SIGINT": 130, "SIGTERM": 143}  # signal to exit code


def real_names(kind: str) -> Sequence[str]:
    """The catalog's names of a kind ("model", "system", "engine", "scenario"), imported when asked."""
    from planner.inputs import catalog

    return tuple(catalog.load().names(kind))


def warm_up() -> None:
    """Imports that the first answer needs, done off the screen's thread."""
    from tui.charts import plotting

    plotting.warm()


def _commands() -> type[Provider]:
    from tui.screens.palette import Commands

    return Commands


class RatematchApp(FileActions):
    """Plan disaggregated serving, live.

    Parameters
    ----------
    scenario
        What the form starts with.
    base
        What backspace in a row goes back to; `scenario` itself if not given.
    name
        Of the scenario, for the title.
    plan_fn, names_fn, clock, debounce_s
        The planner, the catalog's names, the time and the patience; tests bring their own.
    ascii
        Draw with ASCII only.
    theme
        Name of a theme; the dark one of `tui.widgets.themes` if empty or unknown.
    recent
        Names of the scenarios opened or saved last.
    pins, baseline
        Scenarios pinned in an earlier session, by letter; the letter that others are compared with.
    word
        One line to begin with: what could not be taken up from the last session.
    """

    TITLE = "ratematch"
    CSS_PATH: ClassVar = ["app.tcss", "screens/main.tcss"]
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = {_commands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "y", "copy_command", "copy", tooltip="Copy the command that gives this plan", id="copy-command"
        ),
        Binding("Y", "copy_markdown", "copy as Markdown", show=False, key_display="Y", id="copy-markdown"),
        Binding("e", "export", "export", tooltip="Write JSON, CSV, Markdown or SVG", id="export"),
        Binding("o", "open_scenario", "open", tooltip="Open a scenario", id="open"),
        Binding(
            "w,ctrl+s", "save_scenario", "save", key_display="w", tooltip="Save as one of yours", id="save"
        ),
        Binding("t", "toggle_theme", "theme", id="theme"),
        Binding("question_mark", "toggle_help", "help", key_display="?", id="help"),
        Binding("q", "quit", "quit", id="quit"),
        Binding("ctrl+q", "quit", "quit", show=False, priority=True, id="quit-always"),
    ]

    def __init__(
        self,
        scenario: Scenario | None = None,
        *,
        base: Scenario | None = None,
        name: str = "",
        plan_fn: PlanFn = real_plan,
        names_fn: NamesFn = real_names,
        clock: Callable[[], float] = time.monotonic,
        debounce_s: float = DEBOUNCE_S,
        ascii: bool = False,
        theme: str = "",
        recent: tuple[str, ...] = (),
        pins: Mapping[str, Scenario] | None = None,
        baseline: str = "",
        word: str = "",
    ) -> None:
        super().__init__()
        self.recent = recent
        self._word = word
        self.tour: Tour | None = None
        self.lost = 0  # exit code, once the terminal is gone
        self.glyphs = ASCII if ascii else UNICODE
        self.set_class(ascii, "-ascii")
        self.register_theme(themes.DARK)
        self.register_theme(themes.LIGHT)
        self.theme = theme if theme in self.available_themes else themes.DARK.name
        if os.environ.get("SSH_CONNECTION"):
            self.animation_level = "none"
        self._names: dict[str, Sequence[str]] = {}
        self._names_fn = names_fn
        self.main = MainScreen(
            scenario or Scenario(),
            base=base,
            name=name,
            pins=pins or {},
            baseline=baseline,
            plan_fn=plan_fn,
            names_fn=self.names,
            clock=clock,
            glyphs=self.glyphs,
            debounce_s=debounce_s,
            warm_up=warm_up,
        )

    def on_mount(self) -> None:
        """Listen for a terminal that goes away, and begin the tour if there is to be one."""
        if not self.is_headless and threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for name, code in HANG_UPS.items():
                if (number := getattr(signal, name, None)) is not None:
                    with contextlib.suppress(NotImplementedError, RuntimeError):
                        loop.add_signal_handler(number, self.hang_up, code)
        if self._word:
            self.notify(
                self._word, title="The last session is damaged", severity="warning", timeout=15, markup=False
            )
        if self.tour is not None:
            self.run_worker(self.tour.play(), name="tour", exit_on_error=False)

    def hang_up(self, code: int) -> None:
        """The terminal is gone, or someone wants this to end: keep the session, then leave by all means.

        What leaves in good order may wait for a terminal that reads no more; two seconds are enough.
        """
        if self.lost:
            return
        self.lost = code
        with contextlib.suppress(OSError):
            storage.save(self.session)
        last = threading.Timer(2.0, os._exit, (code,))
        last.daemon = True
        last.start()
        self.exit(return_code=code)

    async def on_event(self, event: events.Event) -> None:
        """During the tour, a key of the user's ends it."""
        if self.tour is not None and self.tour.ended_by(event):
            self.exit()
            return
        await super().on_event(event)

    def get_default_screen(self) -> MainScreen:
        """The main screen."""
        return self.main

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our hues, for themes that do not bring them."""
        return themes.hues(self.current_theme.dark)

    def names(self, kind: str) -> Sequence[str]:
        """The catalog's names of a kind, asked for once; none, with a word, if they cannot be read."""
        if kind not in self._names:
            try:
                self._names[kind] = tuple(self._names_fn(kind))
            except Exception as error:  # a broken file of the user's must not end the session
                self.notify(one_line(error), title=f"No {kind} names", severity="warning", markup=False)
                return ()
        return self._names[kind]

    @property
    def scenario(self) -> Scenario:
        """What the form says."""
        return self.main.history.present

    @property
    def session(self) -> storage.Session:
        """What a later start may take up again."""
        view = self.main.view
        return storage.Session(
            scenario=self.scenario,
            theme=self.theme,
            name=view.name,
            recent=self.recent,
            pins={pin.letter: pin.scenario for pin in view.pins},
            baseline=view.baseline,
        )

    def get_key_display(self, binding: Binding) -> str:
        """Keys in the footer as this terminal can draw them."""
        g = self.glyphs
        named = {
            "left_right": g.left_right,
            "up_down": g.up_down,
            "enter": g.enter,
            "tab": g.tab,
        }
        if binding.key_display in named:
            return named[binding.key_display]
        text = super().get_key_display(binding)
        return "".join(KEY_WORDS.get(char, char) for char in text) if g.ascii else text

    def action_command_palette(self) -> None:
        """Everything that can be done now, in the screen's alphabet."""
        if not any(isinstance(screen, CommandPalette) for screen in self.screen_stack):
            words = f"Search for commands{self.glyphs.ellipsis}"
            self.push_screen(CommandPalette(id="--command-palette", placeholder=words))

    def action_toggle_theme(self) -> None:
        """Dark to light and back."""
        self.theme = themes.LIGHT.name if self.current_theme.dark else themes.DARK.name

    def action_toggle_help(self) -> None:
        """The panel of keys and meanings."""
        if isinstance(self.screen, MainScreen):
            self.screen.action_toggle_help()


def run(
    scenario: Scenario | None = None,
    *,
    base: Scenario | None = None,
    name: str = "",
    ascii: bool = False,
    mouse: bool = True,
    theme: str = "",
    recent: tuple[str, ...] = (),
    pins: Mapping[str, Scenario] | None = None,
    baseline: str = "",
    word: str = "",
    plan_fn: PlanFn = real_plan,
    names_fn: NamesFn = real_names,
    save_session: bool = True,
    demo: bool = False,
) -> int:
    """Run the application until the user leaves; the exit code.

    `demo` plays the tour of `tui.screens.tour` instead, and keeps nothing.

    On the way out the scenario is kept in the state folder (`tui.files.storage`); that it could not be
    kept is one line on stderr. An unexpected exception inside the application is raised here, after
    the terminal has been given back: Textual would print a page of traceback.
    """
    app = RatematchApp(
        scenario,
        base=base,
        name=name,
        plan_fn=plan_fn,
        names_fn=names_fn,
        ascii=ascii,
        theme=theme,
        recent=recent,
        pins=pins,
        baseline=baseline,
        word=word,
    )
    if demo:
        from tui.screens.tour import Tour

        app.tour, save_session = Tour(app), False
    app.error_console.quiet = not app.debug
    app.run(mouse=mouse)
    if app.lost:  # no one is left to talk to
        os._exit(app.lost)
    if save_session:
        try:
            storage.save(app.session)
        except OSError as error:
            print(f"ratematch: the session was not kept: {error.strerror or error}", file=sys.stderr)
    bug = getattr(app, "_exception", None)  # what App.run_test raises too; there is no public name
    if bug is not None:
        raise bug
    if app.main.solver.alive:  # in the integer program, which hears nothing; it must not outlive its memory
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(app.return_code or 0)
    return app.return_code or 0
