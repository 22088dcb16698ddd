"""The terminal application.

Only what the first paint needs is imported here: numpy, scipy and plotext come in on the solver's
thread, after the screen is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.command import CommandPalette, Provider
from textual.driver import Driver
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import AwaitMount, Widget

from planner.inputs.scenario import Scenario
from planner.words import PresetKind
from tui import keyboard, state
from tui.files import storage
from tui.files.storage import Session
from tui.glyphs import ASCII, UNICODE
from tui.screens.file_actions import FileActions
from tui.screens.main import MainScreen
from tui.solver.backend import Backend
from tui.solver.worker import one_line
from tui.widgets import themes

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tui.screens.tour import Tour


KEY_WORDS = {"←": "left", "→": "right", "↑": "up", "↓": "down", "⌫": "bksp", "⏎": "enter", "⇥": "tab"}
LATER = "later.tcss"
KEEP_S = 1.0  # between looks whether the session of a page has changed
HANG_UPS = {"SIGHUP": 129, "SIGINT": 130, "SIGTERM": 143}  # signal to exit code


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
    session
        What it opens with: the scenario in the form, and what goes with it.
    ascii
        Draw with ASCII only.
    backend
        The way to the planner; tests bring their own.
    """

    TITLE = "ratematch"
    CSS_PATH: ClassVar = ["app.tcss", "screens/main.tcss"]  # what the first frame has
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = {_commands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "y", "copy_command", "copy", tooltip="Copy the command that gives this plan", id="copy-command"
        ),
        Binding("Y", "copy_markdown", "copy as Markdown", show=False, key_display="Y", id="copy-markdown"),
        Binding("e", "export", "export", tooltip="Write a report, its data or a picture", id="export"),
        Binding(
            "d",
            "deploy",
            "deploy",
            tooltip="Show what launches the plan: files of a target",
            id="deploy",
        ),
        Binding("o", "open_scenario", "open", tooltip="Open a scenario", id="open"),
        Binding("M", "open_study", "study's map", show=False, key_display="M", id="open-study"),
        Binding("T", "open_time", "a trace over time", show=False, key_display="T", id="open-time"),
        Binding("R", "open_replay", "replay the plan", show=False, key_display="R", id="open-replay"),
        Binding(
            "w,ctrl+s", "save_scenario", "save", key_display="w", tooltip="Save as one of yours", id="save"
        ),
        Binding("t", "toggle_theme", "theme", id="theme"),
        Binding("question_mark", "toggle_help", "help", key_display="?", id="help"),
        Binding(
            "ctrl+l",
            "repaint",
            "draw again",
            tooltip="Draw the screen again: another program has written on it",
            show=False,
            priority=True,
            id="repaint",
        ),
        Binding("q", "quit", "quit", id="quit"),
        Binding("ctrl+q", "quit", "quit", show=False, priority=True, id="quit-always"),
    ]

    def __init__(
        self,
        session: Session | None = None,
        *,
        ascii: bool = False,
        backend: Backend | None = None,
    ) -> None:
        super().__init__()
        session, backend = session or Session(scenario=Scenario()), backend or Backend()
        self.recent = session.recent
        self._damage = session.damage
        self.tour: Tour | None = None
        self.keeps = True  # the session, on the way out
        self._kept: Session | None = None  # as it was written last
        self._drawn = Size()  # of the last frame
        self.lost = 0  # exit code, once the terminal is gone
        self.glyphs = ASCII if ascii else UNICODE
        self.set_class(ascii, "-ascii")
        self.register_theme(themes.DARK)
        self.register_theme(themes.LIGHT)
        self.theme = session.theme if session.theme in self.available_themes else themes.DARK.name
        self._parsed = self.get_css_variables()
        self.stylesheet.set_variables(self._parsed)  # or the style sheets would be read twice
        if os.environ.get("SSH_CONNECTION"):
            self.animation_level = "none"
        self._names: dict[PresetKind, Sequence[str]] = {}
        self._names_fn = backend.names_fn
        backend = dataclasses.replace(
            backend, names_fn=self.names, warm_up=backend.warm_up or warm_up
        )  # names are asked for once
        self.main = MainScreen(session, backend=backend, glyphs=self.glyphs)

    async def run_async(self, *, headless: bool = False, **options: Any) -> Any:
        """Textual's; what tells it to end is heard before the terminal is changed."""
        if not headless:
            self._listen()
        return await super().run_async(headless=headless, **options)

    def _listen(self) -> None:
        """Hear of a terminal that goes away, and of whoever wants this to end."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for name, code in HANG_UPS.items():
            if (number := getattr(signal, name, None)) is not None:
                with contextlib.suppress(NotImplementedError, RuntimeError):
                    loop.add_signal_handler(number, self.hang_up, code)

    def on_mount(self) -> None:
        """Begin the tour if there is to be one."""
        self.app_resume_signal.subscribe(self, lambda _: self.action_repaint())  # after ctrl+z and fg
        if not self.is_headless:
            self._listen()  # the driver of `serve` has put its own in place
        if self._damage:
            title = "The last session is damaged"
            self.notify(self._damage, title=title, severity="warning", timeout=15)
        if self.keeps and self.is_web:  # a page goes without a word
            self.set_interval(KEEP_S, self._keep_up)
        if self.tour is not None:
            self.run_worker(self.tour.play(), name="tour", exit_on_error=False)

    def on_begun(self) -> None:
        """The first frame is drawn: read the styles of what comes after it."""
        self.stylesheet.read(Path(__file__).with_name(LATER))
        self.stylesheet.parse()

    def _keep_up(self) -> None:
        """Keep the session as it is, if it has changed."""
        if (session := self.session) != self._kept:
            self._kept = session
            with contextlib.suppress(OSError):
                storage.save(session)

    def hang_up(self, code: int) -> None:
        """The terminal is gone, or someone wants this to end: keep the session, then leave by all means.

        What leaves in good order may wait for a terminal that reads no more; two seconds are enough.
        """
        if self.lost:
            return
        self.lost = code
        if self.keeps:
            with contextlib.suppress(OSError):
                storage.save(self.session)
        last = threading.Timer(2.0, os._exit, (code,))
        last.daemon = True
        last.start()
        self.exit(return_code=code)

    async def on_event(self, event: events.Event) -> None:
        """During the tour, a key of the user's ends it; what another size shows is not known."""
        if isinstance(event, events.Resize):
            if isinstance(self._driver, keyboard.Bounded):
                event.size = event.virtual_size = self._driver.size_now(event.size)
            self._forget_shown()
            if event.size == self._drawn:  # there and back: what came between is gone from the terminal
                self.screen.refresh()
        if self.tour is not None and self.tour.ended_by(event):
            self.exit()
            return
        await super().on_event(event)

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Textual's. The first frame of another size is sent whole: one of the size before may have been
        drawn since the terminal told of it, and a terminal of this size wraps and scrolls that."""
        if (size := screen._compositor.size) != self._drawn:
            self._drawn = size
            self._forget_shown()
        super()._display(screen, renderable)

    def _forget_shown(self) -> None:
        """What the terminal shows is not known any more."""
        if (forget := getattr(self._driver, "forget", None)) is not None:
            forget()

    def action_repaint(self) -> None:
        """Send every cell of the screen, whatever the terminal shows."""
        self._forget_shown()
        self.screen.refresh()

    def get_driver_class(self) -> type[Driver]:
        """Textual's, with its input bounded."""
        return keyboard.bounded(super().get_driver_class())

    def get_default_screen(self) -> MainScreen:
        """The main screen."""
        return self.main

    def mount_all(
        self,
        widgets: Iterable[Widget],
        *,
        before: int | str | Widget | None = None,
        after: int | str | Widget | None = None,
    ) -> AwaitMount:
        """Nothing more once it is told to go: Textual asks that of widgets, not of the application."""
        if self._exit:
            return AwaitMount(self.screen, [])
        return super().mount_all(widgets, before=before, after=after)

    def refresh_css(self, animate: bool = True) -> None:
        """Textual's, unless the variables are those that the style sheets were read with."""
        variables = self.get_css_variables()
        if variables != self._parsed:
            self._parsed = variables
            super().refresh_css(animate=animate)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our hues, for themes that do not bring them."""
        return themes.hues(self.current_theme.dark)

    def names(self, kind: PresetKind) -> Sequence[str]:
        """The catalog's names of a kind, asked for once; none, with a word, if they cannot be read."""
        if kind not in self._names:
            try:
                self._names[kind] = tuple(self._names_fn(kind))
            except Exception as error:  # a broken file of the user's must not end the session
                self.notify(one_line(error), title=f"No {kind} names", severity="warning")
                return ()
        return self._names[kind]

    @property
    def scenario(self) -> Scenario:
        """What the form says."""
        return self.main.history.present

    @property
    def session(self) -> Session:
        """What a later start may take up again."""
        view = dataclasses.replace(self.main.view, scenario=self.scenario)
        return state.kept(view, theme=self.theme, recent=self.recent)

    def get_key_display(self, binding: Binding) -> str:
        """Keys in the footer as this terminal can draw them."""
        g = self.glyphs
        named = {
            "left_right": g.left_right,
            "up_down": g.up_down,
            "enter": g.enter,
            "tab": g.tab,
            "backspace": g.backspace,
        }
        if binding.key_display in named:
            return named[binding.key_display]
        text = super().get_key_display(binding)
        return "".join(KEY_WORDS.get(char, char) for char in text) if g.ascii else text

    def action_command_palette(self) -> None:
        """Everything that can be done now, in the screen's alphabet."""
        if not any(isinstance(screen, CommandPalette) for screen in self.screen_stack):
            words = f"A model, a GPU, an engine, a field, a page, a word{self.glyphs.ellipsis}"
            from tui.screens.palette import Palette

            self.push_screen(Palette(id="--command-palette", placeholder=words))

    def action_help_quit(self) -> None:
        """ctrl+c copies where something is typed, and ends nothing: say what does."""
        self.notify("q quits; ctrl+q too, while something is typed.")

    def action_toggle_theme(self) -> None:
        """Dark to light and back."""
        self.theme = themes.LIGHT.name if self.current_theme.dark else themes.DARK.name

    async def action_toggle_help(self) -> None:
        """The panel of keys and meanings."""
        if isinstance(self.screen, MainScreen):
            await self.screen.action_toggle_help()


def run(
    session: Session | None = None,
    *,
    ascii: bool = False,
    mouse: bool = True,
    demo: bool = False,
    keep: bool = True,
    backend: Backend | None = None,
) -> int:
    """Run the application until the user leaves; the exit code.

    `ascii` draws with ASCII only; without `mouse` the terminal keeps it. `demo` plays the tour of
    `tui.screens.tour`, and keeps nothing; nor does it without `keep`.

    On the way out the session is kept in the state folder (`tui.files.storage`); that it could not be
    kept is one line on stderr. An unexpected exception inside the application is raised here, after
    the terminal has been given back: Textual would print a page of traceback.
    """
    app = RatematchApp(session, ascii=ascii, backend=backend)
    if demo:
        from tui.screens.tour import Tour

        app.tour = Tour(app)
    app.keeps = keep and not demo
    app.error_console.quiet = not app.debug
    app.run(mouse=mouse)
    if app.lost:  # no one is left to talk to
        os._exit(app.lost)
    if app.keeps:
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
