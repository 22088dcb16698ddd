"""Scenarios, the clipboard and exports: what is written, what is never lost, what is said."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import fakes
import pytest
from textual.widgets import Input, OptionList

from planner.errors import InputError
from planner.inputs import files
from planner.inputs.catalog import load
from planner.inputs.fields import BY_KEY
from planner.output.command import command_line
from tui.charts import plan_file
from tui.files import export, library, storage
from tui.glyphs import UNICODE
from tui.screens import file_actions
from tui.screens.ask import AskScreen
from tui.screens.choose import ChooseScreen
from tui.screens.export import ExportScreen

SIZE = (120, 36)


class Driver:
    """Short words for what a user does and sees."""

    def __init__(self, pilot: Any) -> None:
        self.pilot, self.app, self.main = pilot, pilot.app, pilot.app.main

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Replace what the dialog proposes."""
        self.app.screen.query_one(Input).value = text  # a path has a hundred keys, and each is waited for
        await self.pilot.pause()

    @property
    def toasts(self) -> list[tuple[str, str]]:
        """What has been said: severity and text."""
        return [(note.severity, f"{note.title}: {note.message}") for note in self.app._notifications]

    @property
    def word(self) -> str:
        """The line under the dialog's input, in one piece."""
        return fakes.text(self.app.screen.query_one("#ask-word")).replace("\n", "")


@pytest.fixture
async def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    async with fakes.app(name="chat").run_test(size=SIZE) as pilot:
        await fakes.settled(pilot)
        yield Driver(pilot)


def own(name: str, text: str) -> Path:
    """A scenario of the user's, as they might have written it."""
    path = library.own_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# Opening


async def test_a_preset_is_opened_by_typing_part_of_it(driver: Driver) -> None:
    await driver.press("o")
    assert isinstance(driver.app.screen, ChooseScreen)
    await driver.pilot.press(*"small-m")
    await driver.press("enter")
    assert driver.app.scenario == load().scenario("small-model")
    assert driver.main.view.name == "small-model" and driver.main.view.base == driver.app.scenario
    assert driver.app.recent == ("small-model",)
    await driver.press("u")  # and it is one step of undo
    assert driver.app.scenario == fakes.SCENARIO


async def test_escape_opens_nothing(driver: Driver) -> None:
    await driver.press("o", "down", "escape")
    assert driver.app.scenario == fakes.SCENARIO and driver.app.recent == ()


async def test_ones_own_and_the_recent_come_first(driver: Driver) -> None:
    own("zebra", 'schema = 1\nbase = "chat"\nnote = "stripes"\n')
    driver.app.recent = ("code-completion",)
    await driver.press("o")
    shown = [str(option.prompt) for option in driver.app.screen.query_one(OptionList).options]
    assert shown[0].startswith("code-completion") and "[recent]" in shown[0]
    assert shown[1].startswith("zebra") and "[yours]" in shown[1] and "stripes" in shown[1]
    paper = [line.startswith("paper-") for line in shown]
    assert any(paper) and paper == sorted(paper)  # those last
    await driver.pilot.press(*"stripes")  # a word of the note finds it too
    await driver.press("enter")
    assert driver.main.view.name == "zebra"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'schema = 1\nisl = "lo', "hurt.toml"),
        (b"schema = 1\nislx = 4\n", "did you mean isl"),
        pytest.param(b"\xff\xfe\x00", "a text file", marks=pytest.mark.slow),
        pytest.param(b"", "schema", marks=pytest.mark.slow),
        pytest.param(b'schema = 1\nbase = "hurt"\n', "leads back to itself", marks=pytest.mark.slow),
        pytest.param(b'schema = 1\nmodel = "gone-1"\n', "gone-1", marks=pytest.mark.slow),
    ],
)
async def test_a_damaged_file_is_one_line_and_loses_nothing(
    driver: Driver, content: bytes, said: str
) -> None:
    own("hurt", "").write_bytes(content)
    before = driver.main.view
    await driver.press("o")
    await driver.pilot.press(*"hurt")
    await driver.press("enter")
    (note,) = driver.toasts
    assert note[0] == "error" and said in note[1] and "\n" not in note[1]
    assert driver.main.view is before and driver.app.scenario == fakes.SCENARIO


async def test_a_file_that_is_gone_by_now_is_one_line(driver: Driver) -> None:
    path = own("brief", "schema = 1\n")
    await driver.press("o")
    path.unlink()
    await driver.pilot.press(*"brief")
    await driver.press("enter")
    assert driver.toasts[0][0] == "error" and driver.app.scenario == fakes.SCENARIO


# Saving


async def test_saving_writes_what_differs_and_the_catalog_finds_it(driver: Driver) -> None:
    driver.main.take(load().scenario("chat"), "chat")
    driver.main.query_one("#knob-gpus").focus()
    await driver.press("right")
    await driver.press("w")
    assert driver.app.screen.query_one(Input).value == "chat-mine"  # a preset is never written over
    await driver.type("EU prod")
    await driver.press("enter")
    path = library.own_path("eu-prod")
    assert "eu-prod.toml" in driver.toasts[0][1]
    text = path.read_text(encoding="utf-8")
    assert text.splitlines()[:2] == ["schema = 1", 'base = "chat"'] and len(text.splitlines()) == 3
    assert load().scenario("eu-prod") == driver.app.scenario
    view = driver.main.view
    assert view.name == "eu-prod" and view.base == view.scenario and driver.app.recent[0] == "eu-prod"


async def test_nothing_is_replaced_without_a_second_enter(driver: Driver) -> None:
    path = own("mine", "schema = 1\nisl = 512\n")
    await driver.press("ctrl+s")
    await driver.type("mine")
    assert "exists" in driver.word
    await driver.press("enter")
    assert isinstance(driver.app.screen, AskScreen) and "again replaces it" in driver.word
    assert path.read_text(encoding="utf-8") == "schema = 1\nisl = 512\n"
    await driver.press("end", "2", "backspace", "enter")  # an edit in between asks anew
    assert isinstance(driver.app.screen, AskScreen)
    assert path.read_text(encoding="utf-8") == "schema = 1\nisl = 512\n"
    await driver.press("enter")
    assert load().scenario("mine") == fakes.SCENARIO


async def test_saving_again_keeps_the_name_the_base_and_the_note(driver: Driver) -> None:
    own("mine", 'schema = 1\nbase = "chat"\nnote = "ours"\ngpus = 16\n')
    driver.app.open_scenario("mine")
    driver.main.take(BY_KEY["gpus"].set(driver.app.scenario, 32))
    await driver.press("w", "enter", "enter")
    text = library.own_path("mine").read_text(encoding="utf-8")
    assert 'base = "chat"' in text and 'note = "ours"' in text and "gpus = 32" in text
    assert load().scenario("mine") == driver.app.scenario


async def test_a_name_that_cannot_be_is_told_before_enter(driver: Driver) -> None:
    await driver.press("w")
    for name in ("../up", "chat", "", "a/b", ".hidden", "CHAT.toml", "naïve", "x" * 99):
        driver.app.screen.query_one(Input).value = "good"
        await driver.pilot.pause()
        assert "is not accepted" not in driver.word
        driver.app.screen.query_one(Input).value = name
        await driver.press("enter")
        assert isinstance(driver.app.screen, AskScreen) and "is not accepted" in driver.word, name
    assert not library.own_folder().exists()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space left on device"),
        pytest.param(errno.EROFS, "read-only file system", marks=pytest.mark.slow),
        pytest.param(errno.EACCES, "permission denied", marks=pytest.mark.slow),
    ],
)
async def test_a_disk_that_refuses_is_one_line_and_keeps_the_old_file(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    path = own("mine", "schema = 1\nisl = 512\n")
    real = Path.open

    def full(self: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if "x" in mode:
            real(self, mode, *rest, **options).close()  # the beginning still fits
            raise OSError(number, os.strerror(number), str(self))
        return real(self, mode, *rest, **options)

    before = driver.main.view
    await driver.press("w")
    await driver.type("mine")
    monkeypatch.setattr(Path, "open", full)
    await driver.press("enter", "enter")
    (note,) = driver.toasts
    assert note[0] == "error" and "Not saved" in note[1] and said in note[1] and "\n" not in note[1]
    assert path.read_text(encoding="utf-8") == "schema = 1\nisl = 512\n"
    assert [file.name for file in path.parent.iterdir()] == ["mine.toml"]  # and no half of a file beside it
    assert driver.main.view is before


async def test_a_file_in_the_folders_place_is_one_line(driver: Driver) -> None:
    library.own_folder().parent.mkdir(parents=True)
    library.own_folder().write_text("")
    await driver.press("w")
    await driver.type("mine")
    await driver.press("enter")
    assert driver.toasts[0][0] == "error" and driver.app.scenario == fakes.SCENARIO


async def test_an_invalid_form_is_not_saved(driver: Driver) -> None:
    driver.main.query_one("#knob-ttl").focus()
    await driver.press("enter", "7", "x", "tab", "w")
    assert driver.app.screen is driver.main and "Not saved" in driver.toasts[0][1]


def test_a_base_that_leads_back_is_passed_over() -> None:
    own("a", 'schema = 1\nbase = "chat"\nisl = 512\n')
    own("b", 'schema = 1\nbase = "a"\ngpus = 16\n')
    scenario = load().scenario("b")
    library.save(scenario, "a", base="b", replace=True)
    assert load().scenario("a") == scenario
    assert 'base = "chat"' in library.own_path("a").read_text(encoding="utf-8")


def test_without_a_known_base_the_whole_scenario_is_written() -> None:
    library.save(fakes.SCENARIO, "alone", base="from-a-file-elsewhere")
    assert load().scenario("alone") == fakes.SCENARIO


# The clipboard


async def test_the_command_is_copied_and_lies_in_a_file(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    await driver.press("y")
    path = storage.state_folder() / "command.txt"
    assert driver.app.clipboard == command_line(driver.app.scenario)
    assert path.read_text(encoding="utf-8") == driver.app.clipboard + "\n"
    assert str(path) in driver.toasts[0][1] and file_actions.TMUX in driver.toasts[0][1]
    await driver.press("Y")
    assert file_actions.TMUX not in driver.toasts[1][1]  # once is enough
    assert driver.app.clipboard.startswith("**") and "| pool |" in driver.app.clipboard
    assert (storage.state_folder() / "plan.md").read_text(encoding="utf-8") == driver.app.clipboard


async def test_a_state_folder_that_cannot_be_written_still_copies(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_atomically", full)
    await driver.press("y")
    assert driver.app.clipboard.startswith("ratematch plan")
    assert "no space left on device" in driver.toasts[0][1]


# Exports


@pytest.mark.parametrize("ending", [ending for ending in export.FORMATS if ending != "png"])
def test_each_format_is_made_of_the_plan(ending: str) -> None:
    if ending == export.SCREEN:
        return  # of the screen, below
    text = str(plan_file.content(fakes.plan(fakes.SCENARIO), ending))
    if ending == "json":
        assert json.loads(text)["choice"] == "disaggregated"
    else:
        start = {"csv": "kind,tokens_per_s_per_user,", "md": "**", "html": "<!doctype html>", "svg": "<svg"}
        assert text.startswith(start[ending])


@pytest.mark.parametrize("ending", ["html", export.SCREEN])
async def test_export_writes_it_here_and_says_where(driver: Driver, ending: str) -> None:
    await driver.press("e", *["down"] * list(export.FORMATS).index(ending))
    await driver.press("enter")
    await driver.pilot.pause()
    path = Path(f"ratematch-chat.{ending}").absolute()
    assert str(path) in driver.toasts[0][1]
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<") and "Export" not in text and "deepseek-r1" in text


async def test_a_png_without_its_library_is_one_line_that_says_how(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    driver.app._write_export(driver.main.view.plan, "png", Path("x.png"), False)
    await driver.pilot.pause()
    assert driver.toasts == [
        ("error", "Not written: a PNG needs matplotlib: pip install 'ratematch[figures]'")
    ]
    assert not Path("x.png").exists()


def test_a_png_is_drawn_where_its_library_is() -> None:
    pytest.importorskip("matplotlib")
    assert bytes(plan_file.content(fakes.plan(fakes.SCENARIO), "png")).startswith(b"\x89PNG")


async def test_the_first_key_replaces_the_name_that_is_offered(driver: Driver) -> None:
    await driver.press("w", "x")
    assert driver.app.screen.query_one(Input).value == "x"


async def test_the_folder_of_the_last_export_is_offered_again(driver: Driver, tmp_path: Path) -> None:
    def offered() -> str:
        return str(driver.app.screen.query_one(Input).value)

    await driver.press("e")
    await driver.type(f"{tmp_path}/reports/first")
    await driver.press("enter")
    await driver.pilot.pause()
    assert (tmp_path / "reports" / "first.html").exists()
    await driver.press("e")
    assert offered() == f"{tmp_path}/reports/ratematch-chat.html"
    await driver.type(f"{tmp_path}/")  # a folder has the name that is offered
    await driver.press("enter")
    await driver.pilot.pause()
    assert (tmp_path / "ratematch-chat.html").exists()
    await driver.press("e", "x", "enter")  # a bare name: here
    await driver.pilot.pause()
    await driver.press("e")
    assert Path("x.html").exists() and offered() == "ratematch-chat.html"


async def test_export_takes_a_path_and_never_replaces_silently(driver: Driver, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "plan.csv").write_text("precious")
    await driver.press("e", *["down"] * list(export.FORMATS).index("csv"))
    assert f"{UNICODE.up_down} format" in str(driver.app.screen.query_one("#ask").border_subtitle)
    await driver.type(f"{folder}/plan.csv")
    await driver.press("enter")
    assert isinstance(driver.app.screen, ExportScreen) and "again replaces it" in driver.word
    assert (folder / "plan.csv").read_text() == "precious"
    await driver.press("escape")
    assert (folder / "plan.csv").read_text() == "precious"
    await driver.press("e", *["down"] * list(export.FORMATS).index("csv"))
    await driver.type(f"{folder}/plan")  # the ending is added
    await driver.press("enter", "enter")
    await driver.pilot.pause()
    assert (folder / "plan.csv").read_text().startswith("kind,")
    await driver.press("e")
    await driver.type(f"{folder}/")  # a folder: the name that was proposed
    await driver.press("enter")
    await driver.pilot.pause()
    assert (folder / "ratematch-chat.html").is_file()


async def test_an_export_that_fails_is_one_line(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    await driver.press("e")
    await driver.type(f"{tmp_path}/file/plan.json")
    await driver.press("enter")
    await driver.pilot.pause()
    (note,) = driver.toasts
    assert (
        note[0] == "error"
        and "Not written: " in note[1]
        and f"{tmp_path}/file" in note[1]
        and "\n" not in note[1]
    )


async def test_without_a_plan_there_is_nothing_to_export(driver: Driver) -> None:
    driver.main.set_view(plan=None)
    await driver.press("e")
    assert driver.app.screen is driver.main and "no plan yet" in driver.toasts[0][1]


def test_a_target_that_cannot_be_is_refused() -> None:
    for text in ("", "  ", "a\0b", "~nobody-of-this-name/x"):
        with pytest.raises(InputError):
            export.target(text, "json", "plan")


async def test_the_session_holds_what_is_on_the_screen(driver: Driver) -> None:
    driver.app.open_scenario("chat")
    driver.main.take(dataclasses.replace(driver.app.scenario, headroom=0.1))
    session = driver.app.session
    assert (session.name, session.recent) == ("chat", ("chat",)) and session.scenario.headroom == 0.1
