"""What opens the application, with what, and where it prints instead."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from commands import one_line

from planner.inputs.catalog import load as load_catalog
from planner.inputs.scenario import Scenario
from tui.cli import app, main
from tui.files import storage

Opened = tuple[storage.Session, dict[str, object]]  # what the application was run with


class TestOpening:
    """What the application is opened with, on a terminal."""

    @pytest.fixture(autouse=True)
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[Opened]:
        seen: list[Opened] = []

        def run(session: storage.Session, **options: object) -> int:
            seen.append((session, options))
            return 0

        monkeypatch.setattr(app, "on_terminal", lambda: True)
        monkeypatch.setattr("tui.app.run", run)
        return seen

    def test_flags_win_over_the_last_session(self, opened: list[Opened]) -> None:
        storage.save(storage.Session(scenario=Scenario(model="llama-3.1-8b"), theme="textual-light"))
        assert main.main([]) == 0
        assert main.main(["--isl", "4k", "--ascii", "--no-mouse"]) == 0
        (last, options), (asked, others) = opened
        assert (last.scenario.model, last.theme) == ("llama-3.1-8b", "textual-light") and options["mouse"]
        assert (asked.scenario.model, asked.scenario.traffic.isl) == (Scenario().model, 4096)
        assert (others["ascii"], others["mouse"], asked.base) == (True, False, Scenario())

    def test_a_browser_has_a_session_of_its_own(
        self, opened: list[Opened], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pins = {"A": Scenario(mix=True)}
        storage.save(storage.Session(scenario=Scenario(model="llama-3.1-8b"), pins=pins))
        monkeypatch.setattr(app, "web_driver", lambda: True)
        assert main.main([]) == 0
        (session, options) = opened[0]
        assert session.scenario == Scenario() and not session.pins and not options["keep"]

    def test_the_session_comes_back_with_its_name_and_what_it_began_with(self, opened: list[Opened]) -> None:
        storage.save(storage.Session(scenario=Scenario(mix=True), name="chat", recent=("chat",)))
        assert main.main([]) == 0
        storage.save(storage.Session(scenario=Scenario(mix=True), name="gone"))
        assert main.main([]) == 0
        (last, _), (other, _) = opened
        assert last.scenario.mix and (last.name, last.recent) == ("chat", ("chat",))
        assert last.base == load_catalog().scenario("chat")
        assert (other.name, other.base) == ("", Scenario())

    def test_pins_come_back_and_what_is_damaged_is_told_and_kept(self, opened: list[Opened]) -> None:
        gone = Scenario(model="gone")
        pins = {"A": Scenario(mix=True), "C": gone}
        storage.save(storage.Session(scenario=Scenario(headroom=0.1), pins=pins, baseline="A"))
        assert main.main([]) == 0
        last, _ = opened[0]
        assert last.scenario.headroom == 0.1 and last.pins == {"A": Scenario(mix=True)}
        assert last.baseline == "A" and last.damage.startswith("pin C: model: 'gone'")
        aside = storage.session_path().with_name("session.damaged.json")
        assert str(aside) in last.damage and aside.is_file()
        assert not storage.session_path().exists()
        assert main.main([]) == 0  # nothing is left to complain of
        assert opened[1][0].damage == ""
        storage.session_path().write_text("{", encoding="utf-8")
        assert main.main(["--isl", "4k"]) == 0
        asked, _ = opened[2]
        assert asked.scenario.traffic.isl == 4096 and "not JSON" in asked.damage
        assert aside.read_text(encoding="utf-8") == "{"

    def test_a_theme_by_word_and_an_unknown_one(
        self, opened: list[Opened], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main.main(["--theme", "light"]) == 0
        assert main.main(["--theme", "nord"]) == 0
        assert [session.theme for session, _ in opened] == ["ratematch-light", "nord"]
        assert main.main(["--theme", "ligth"]) == 2
        assert "did you mean light" in one_line(capsys)

    def test_the_tour_has_a_scenario_of_its_own(self, opened: list[Opened]) -> None:
        storage.save(storage.Session(scenario=Scenario(model="llama-3.1-8b")))
        assert main.main(["--demo"]) == 0
        assert main.main(["--demo", "--isl", "4k"]) == 0
        (toured, options), (asked, _) = opened
        assert options["demo"] and (toured.name, toured.scenario.traffic.isl) == ("prefill-heavy", 16384)
        assert asked.scenario.traffic.isl == 4096

    def test_over_ssh_it_spares_the_line(self, opened: list[Opened], monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("TEXTUAL_FPS", "TEXTUAL_ANIMATIONS"):
            monkeypatch.setenv(name, "")  # so that it is put back
            monkeypatch.delenv(name)
        assert main.main([]) == 0
        assert "TEXTUAL_FPS" not in os.environ
        monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22")
        assert main.main([]) == 0
        assert (os.environ["TEXTUAL_FPS"], os.environ["TEXTUAL_ANIMATIONS"]) == ("15", "none")
        monkeypatch.setenv("TEXTUAL_FPS", "30")  # the user's word counts
        assert main.main([]) == 0
        assert os.environ["TEXTUAL_FPS"] == "30"

    @pytest.mark.parametrize(
        ("environ", "plain"),
        [
            ({"TERM": "linux", "LANG": "C.UTF-8"}, True),
            ({"TERM": "xterm", "LANG": "C.UTF-8"}, False),
            ({"TERM": "xterm", "LC_ALL": "C"}, True),
        ],
    )
    def test_ascii_where_the_terminal_draws_no_more(
        self,
        opened: list[Opened],
        monkeypatch: pytest.MonkeyPatch,
        environ: dict[str, str],
        plain: bool,
    ) -> None:
        for name in ("TERM", "LANG", "LC_ALL", "LC_CTYPE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(app, "ascii_output", lambda wanted=False: wanted)  # whatever pytest's output is
        assert main.main([]) == 0
        assert opened[0][1]["ascii"] is plain

    def test_a_session_whose_preset_is_gone_does_not_stop_it(self, opened: list[Opened]) -> None:
        storage.save(storage.Session(scenario=Scenario(model="gone")))
        assert main.main([]) == 0
        assert opened[0][0].scenario == Scenario()


def test_the_start_loads_no_openssl_and_leaves_it_to_whoever_wants_it() -> None:
    code = (
        "import sys\n"
        "from tui.cli import app\n"
        "app._without_openssl()\n"
        "import asyncio.sslproto\n"
        "assert 'ssl' not in sys.modules and asyncio.sslproto.ssl is None\n"
        "async def one(): return 1\n"
        "assert asyncio.run(one()) == 1\n"
        "import ssl\n"
        "ssl.create_default_context()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
