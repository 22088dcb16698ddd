"""What the application does with files and the clipboard: open, save, copy, export."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import InputError, printable, printable_lines
from planner.inputs import files
from planner.output.command import command_line
from tui.charts import plan_file
from tui.files import export, library, running, storage
from tui.help_texts import in_rows
from tui.in_order import InOrder

if TYPE_CHECKING:
    from planner.inputs.scenario import Scenario
    from planner.output.running import Pool
    from planner.planning.result import Plan
    from tui.glyphs import Glyphs
    from tui.screens.ask import Answer
    from tui.screens.main import MainScreen
    from tui.solver.backend import NamesFn

TMUX = "In tmux the clipboard needs: set -g set-clipboard on"


class FileActions(InOrder):
    """The part of the application that reads and writes; what goes wrong is one line, and nothing is lost."""

    main: MainScreen
    glyphs: Glyphs
    names: NamesFn
    recent: tuple[str, ...] = ()
    runs: tuple[Pool, ...] | None = None  # what the user marked as running
    chosen: tuple[str, ...] = ()  # lines of the palette, the last first
    _tmux_told = False
    _folder: Path | None = None  # the user's choice for exports: the next is offered there

    # Scenarios

    def action_open_scenario(self) -> None:
        """Choose one of the scenarios: recent, the user's own, presets."""
        from tui.screens.choose import ChooseScreen

        try:
            entries = library.entries(self.recent)
        except InputError as error:
            self.show_error("No scenarios", str(error))
            return
        labels = {entry.name: _label(entry, self.glyphs) for entry in entries}
        screen = ChooseScreen("Open a scenario", list(labels), self.main.view.name, labels=labels)
        self.push_screen(screen, lambda name: self.open_scenario(name) if name else None)

    def open_scenario(self, name: str) -> None:
        """Take up a scenario of the catalog; a damaged file is told in a line and changes nothing."""
        try:
            scenario = library.read(name)
        except InputError as error:
            self.show_error(f"{name} cannot be opened", str(error))
            return
        self.recent = storage.recently(name, self.recent)
        self.main.take(scenario, name)

    def action_save_scenario(self) -> None:
        """Save the form as a scenario of the user's own."""
        from tui.screens.ask import AskScreen

        view = self.main.view
        if view.invalid:
            self.show_error("Not saved", view.problem)
            return
        name = view.name
        try:
            library.own_name(name)
        except InputError:  # a preset's: propose another
            s = view.scenario
            name = f"{name or s.model}-mine" if name else f"{s.model}-{s.system}"
        if self.is_web:
            self._hand_over(library.content(view.scenario), f"{name}.toml", "Saved")
            return
        screen = AskScreen(
            "Save as", name, lambda text: library.own_path(library.own_name(text)), glyphs=self.glyphs
        )
        self.push_screen(screen, self._save)

    def _save(self, answer: Answer | None) -> None:
        if answer is None:
            return
        view = self.main.view
        name = library.own_name(answer.text)
        try:
            path = library.save(view.scenario, name, base=view.name, replace=answer.replace)
        except (OSError, InputError) as error:
            self.show_error("Not saved", _reason(error))
            return
        self.recent = storage.recently(name, self.recent)
        self.main.set_view(base=view.scenario, name=name)
        self.notify(str(path), title="Saved")

    # Traces

    def action_open_trace(self) -> None:
        """Look at a trace of requests: one that comes with ratematch, or a file."""
        self._ask_trace("Open a trace", self.main.read_trace)

    def action_open_time(self) -> None:
        """Plan a trace over time, and open one of its windows as the scenario."""
        from tui.screens.over_time import TimeScreen

        def opened(scenario: Scenario | None) -> None:
            if scenario is not None:
                self.main.take(scenario)

        def asked(name: str) -> None:
            screen = TimeScreen(self.main.view.scenario, name, glyphs=self.glyphs)
            self.push_screen(screen, opened)

        self._ask_trace("Plan a trace over time", asked)

    def action_open_replay(self) -> None:
        """Replay the plan that is shown, request by request; on page 6 the requests of the trace there."""
        view = self.main.view
        if view.plan is None or not view.current or view.plan.deployed is None:
            self.notify("There is no plan to replay yet.", severity="warning")
            return
        from tui.screens.replay import ReplayScreen

        here = view.trace if self.main.tab == "traffic" else None
        trace = here.name if here is not None and not here.error else None
        self.push_screen(ReplayScreen(view.plan, view.scenario, trace=trace, glyphs=self.glyphs))

    def _ask_trace(self, title: str, then: Callable[[str], None]) -> None:
        from planner.inputs.traces import shipped
        from tui.screens.ask import AskScreen

        def find(text: str) -> Path:
            path = shipped.find(Path(text.strip()))
            known = ", ".join(shipped.SHIPPED)
            # whoever sits before a browser has no business in the files of this machine
            if text.strip() not in shipped.SHIPPED and (self.is_web or not _is_file(path)):
                raise InputError("trace", text, known if self.is_web else f"a file, or one of {known}")
            return path

        shown = self.main.view.trace
        name = shown.name if shown is not None else next(iter(shipped.SHIPPED))
        known = tuple(shipped.SHIPPED)
        screen = AskScreen(title, name, find, on_disk=False, verb="open", names=known, glyphs=self.glyphs)
        self.push_screen(screen, lambda answer: then(answer.text.strip()) if answer else None)

    # Studies

    def action_open_study(self, name: str = "") -> None:
        """Open the map of a study, and a scenario from it; `name` is what the question begins with."""
        from tui.screens.ask import AskScreen

        if self.is_web:  # whoever sits before the browser has no business in the folders of this machine
            self.notify("Studies lie in folders of the machine that made them.", severity="warning")
            return
        from tui.screens import study

        def shown(answer: Answer | None) -> None:
            if answer is not None:
                self.push_screen(study.StudyScreen(answer.path, glyphs=self.glyphs), taken)

        def taken(scenario: Scenario | None) -> None:
            if scenario is not None:
                self.main.take(scenario, "")

        screen = AskScreen(
            "Open a study's map",
            name,
            study.folder,
            wanted="the folder that `ratematch study` wrote",
            on_disk=False,
            verb="open",
            glyphs=self.glyphs,
        )
        self.push_screen(screen, shown)

    # The clipboard, which may not be there: always a file as well

    def action_copy_command(self) -> None:
        """Copy the command line that gives this plan."""
        self._copy(command_line(self.main.view.scenario), "command.txt")

    def action_copy_markdown(self) -> None:
        """Copy the plan for a document or a ticket."""
        plan = self._plan()
        if plan is not None:
            text = str(plan_file.content(plan, "md"))
            self._copy(text, "plan.md", f"The plan as Markdown, {_age(self.main)}")

    def _copy(self, text: str, file: str, said: str = "") -> None:
        self.copy_to_clipboard(text)
        if self.is_web:
            self.notify(said or text, title="Copied", timeout=8)
            return
        path, lines = storage.state_folder() / file, [said or text]
        try:
            files.write_atomically(path, text if text.endswith("\n") else text + "\n")
        except OSError as error:
            lines.append(f"Not in {path}: {files.why(error)}")
        else:
            lines.append(f"Also in {path}")
        if os.environ.get("TMUX") and not self._tmux_told:
            self._tmux_told = True
            lines.append(TMUX)
        self.notify("\n".join(lines), title="Copied", timeout=8)

    # What launches the plan

    def action_deploy(self) -> None:
        """Show the files of a target, the plan's own engine first; copy or save them."""
        plan = self._plan()
        if plan is None:
            return
        if plan.deployed is None:
            self.notify("No plan meets the limits.", severity="warning")
            return
        from tui.screens.deploy import TARGETS, DeployScreen

        engine = plan.scenario.engine.split("-")[0]
        first = next((target for target in TARGETS if target == engine), TARGETS[0])
        if self.runs is None and not self.is_web:
            self.runs = running.load()
        screen = DeployScreen(
            plan, first, self._copy_deployment, running=self.runs, mark=self._mark, glyphs=self.glyphs
        )
        self.push_screen(screen, lambda made: self._ask_folder(plan, *made) if made is not None else None)

    def _mark(self, pools: tuple[Pool, ...]) -> bool:
        """Keep what runs: in a browser for as long as it is open."""
        try:
            if not self.is_web:
                running.save(pools)
        except OSError as error:
            self.show_error("Not kept", _reason(error))
            return False
        self.runs = pools
        self.notify("Later plans say here what they change against it.", title="It runs")
        return True

    def _copy_deployment(self, text: str, target: str) -> None:
        self._copy(text, f"deployment-{target}.txt", f"The deployment by {target}, {_age(self.main)}")

    def _ask_folder(self, plan: Plan, target: str, texts: Mapping[str, str]) -> None:
        from tui.screens.ask import AskScreen

        name = f"{export.default_name(plan, self.main.view.name)}-{target}"
        if self.is_web:  # one download: who sits before the browser has no folder here
            whole = "\n".join(f"# ---- {file}\n{text}" for file, text in texts.items())
            self._hand_over(whole, f"{name}.txt", "Saved")
            return
        screen = AskScreen("Save the deployment", name, export.folder, hint="a folder: ", glyphs=self.glyphs)
        self.push_screen(screen, lambda answer: self._save_files(answer, texts))

    def _save_files(self, answer: Answer | None, texts: Mapping[str, str]) -> None:
        if answer is None:
            return
        try:
            for file, text in texts.items():
                files.write_file(answer.path / file, text, replace=False)
        except OSError as error:
            self.show_error("Not saved", _reason(error))
        else:
            self.notify(f"{answer.path}: {len(texts)} files", title="Saved")

    # Files

    def action_export(self, ending: str = "html") -> None:
        """Write the plan or the screen to a file."""
        from tui.screens.export import ExportScreen

        plan = self._plan()
        if plan is None:
            return
        name = export.default_name(plan, self.main.view.name)
        screen = ExportScreen(name, ending, folder=self._folder, browser=self.is_web, glyphs=self.glyphs)
        self.push_screen(
            screen, lambda answer: self._export(plan, screen.ending, answer) if answer is not None else None
        )

    def _export(self, plan: Plan, ending: str, answer: Answer) -> None:
        elsewhere = Path(answer.text.strip()).parent != Path() and not self.is_web
        self._folder = answer.path.parent if elsewhere else None
        # after the dialog has gone, so that it is not in the picture
        self.call_after_refresh(self._write_export, plan, ending, answer.path, answer.replace)

    def _write_export(self, plan: Plan, ending: str, path: Path, replace: bool) -> None:
        try:
            if ending == export.SCREEN:
                from tui.files.screen_svg import portable

                text: str | bytes = portable(self.export_screenshot(title="ratematch"))
            else:
                text = plan_file.content(plan, ending)
            if self.is_web:
                self._hand_over(text, path.name, f"Exported, {_age(self.main)}")
                return
            files.write_file(path, text, replace=replace)
        except plan_file.CannotMake as error:
            self.show_error("Not written", str(error))
        except OSError as error:
            self.show_error("Not written", _reason(error))
        else:
            self.notify(str(path), title=f"Exported, {_age(self.main)}")

    def action_export_table(self) -> None:
        """Write the table as it is shown: its rows and columns, as CSV."""
        from tui.panes.table import PlanGrid
        from tui.screens.ask import AskScreen

        plan, grid = self._plan(), self.main.query_one(PlanGrid)
        if plan is None or not grid.rows:
            return
        text, name = grid.csv(), f"{export.default_name(plan, self.main.view.name)}-table.csv"
        if self.is_web:
            self._hand_over(text, name, "Exported")
            return
        find = partial(export.target, ending="csv", suggested=name.removesuffix(".csv"))
        screen = AskScreen("Export the table", name, lambda text: find(text).absolute(), glyphs=self.glyphs)
        self.push_screen(screen, lambda answer: self._write_rows(answer, text))

    def _write_rows(self, answer: Answer | None, text: str) -> None:
        if answer is None:
            return
        try:
            files.write_file(answer.path, text, replace=answer.replace)
        except OSError as error:
            self.show_error("Not written", _reason(error))
        else:
            self.notify(str(answer.path), title="Exported")

    def _hand_over(self, text: str | bytes, name: str, done: str) -> None:
        """A download: whoever sits before the browser has no business in the folders of this machine."""
        if isinstance(text, bytes):
            self.deliver_binary(io.BytesIO(text), save_filename=name)
        else:
            self.deliver_text(io.StringIO(text), save_filename=name)
        self.notify(f"{name} goes to the browser's downloads", title=done)

    def _plan(self) -> Plan | None:
        plan = self.main.view.plan
        if plan is None:
            self.notify("There is no plan yet.", severity="warning")
        return plan

    def notify(self, message: str, *, title: str = "", **options: Any) -> None:
        """Textual's, of words from anywhere: nothing in them is obeyed, by the terminal or as markup."""
        if options.get("severity"):  # a complaint of the planner's; what was copied stays as it is
            message = in_rows(message)
        super().notify(printable_lines(message), title=printable(title), **{**options, "markup": False})

    def show_error(self, title: str, line: str) -> None:
        """What could not be done, and why, in one line."""
        self.notify(self.glyphs.plain(line), title=title, severity="error", timeout=10)


def _is_file(path: Path) -> bool:
    """Never raises, whatever the name."""
    return os.path.isfile(path)  # noqa: PTH113


def _age(main: MainScreen) -> str:
    return "up to date" if main.view.current else "as it was before the last edit"


def _reason(error: OSError | InputError) -> str:
    if isinstance(error, InputError):
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{files.why(error)}"


def _label(entry: library.Entry, g: Glyphs) -> str:
    marks = ", ".join(word for word, holds in (("recent", entry.recent), ("yours", entry.own)) if holds)
    text = f"{entry.name:<28}" + (f" [{marks}]" if marks else "")
    if entry.problem:
        return g.plain(f"{text} {g.bad} damaged")
    return g.plain(f"{text} {entry.note}".rstrip())
