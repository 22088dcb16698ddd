"""What a real terminal does to the application: fast typing, resizing, hang-ups, strange names."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from terminals import ROOT, Terminal

from planner.inputs.fields import BY_KEY
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.units import three_digits
from tui.cli.main import main
from tui.panes.inputs import COMMON

pytestmark = pytest.mark.slow  # many applications and terminals

SMALL = ["--model", "llama-3.1-8b", "--system", "h100", "--gpus", "8", "--isl", "2k", "--osl", "256"]
SMALL += ["--engine", "sglang", "--ftl", "1s", "--ttl", "30ms"]
PLANNED = r"tok/s/GPU"
Open = Callable[..., Terminal]


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Open]:
    opened: list[Terminal] = []

    def start(*arguments: str, **options) -> Terminal:
        terminal = Terminal([*SMALL, *arguments], tmp_path, **options)
        opened.append(terminal)
        return terminal

    yield start
    for terminal in opened:
        terminal.close()


def session(tmp_path: Path) -> dict:
    """The scenario that was kept."""
    path = tmp_path / "state" / "ratematch" / "session.json"
    return json.loads(path.read_text(encoding="utf-8"))["scenario"]


def row(text: str, label: str) -> str:
    """What stands in a row of the form."""
    found = re.search(rf"│ ?{label} ?[≤•]*•?[ ‹]+([^ │›]*)", text)
    return found[1] if found else ""


def answer(isl: int) -> str:
    """Tokens/s per GPU of the plan, as the card writes it."""
    from planner.planning.plan import plan

    scenario = Scenario(
        model="llama-3.1-8b",
        system="h100",
        engine="sglang",
        traffic=Traffic(isl=isl, osl=256),
        limits=Limits(ftl_s=1.0, ttl_s=0.03),
        fleet=Fleet(gpus=8),
    )
    chosen = plan(scenario).chosen
    assert chosen is not None
    return three_digits(chosen.tokens_per_s_per_gpu)


def test_sixteen_keys_in_a_second_are_all_echoed_and_no_answer_is_ever_stale(open_terminal: Open) -> None:
    """Typed 60 ms apart while plans are being made; what is shown as up to date is that scenario's plan."""
    terminal = open_terminal()
    terminal.wait_for("up to date", PLANNED)
    terminal.bracket_frames()
    terminal.type("j" * COMMON.index("isl"))
    terminal.until(
        lambda text: terminal.whole and b"\x1b[?2026h" in terminal.sent and "ISL: " in text, "framed frames"
    )
    threads = terminal.threads
    keys = [*"4096", "\x7f", "\x7f", "\x7f", "\x7f", *"1024", "\x7f", *"48"]
    assert len(keys) == 15
    keys.append("\r")
    terminal.type("\r")  # opens the row, all of its value marked
    wanted, text = [], ""
    for key in keys[:-1]:
        text = text[:-1] if key == "\x7f" else text + key
        wanted.append(text)
    echoed: list[str] = []
    claims: set[tuple[str, str]] = set()

    def look() -> None:
        if not terminal.whole:
            return
        shown = row(terminal.text, "ISL")
        if shown and (not echoed or echoed[-1] != shown):
            echoed.append(shown)
        done = re.search(r"h100 · ([\d.,k]+)/256.*● up to date", terminal.text)
        rate = re.search(
            r"◆ (?:split|co-loc\.)[^│]*?[✓▲✗][^│]*?[✓▲✗] +([\d.,k]+)", terminal.text.split("Plan ─")[-1]
        )
        if done and rate:
            claims.add((done[1], rate[1]))

    for key in keys[:-1]:
        terminal.type(key)
        terminal.read(0.06)
        look()

    def last_is_echoed(text: str) -> object:
        look()
        return terminal.whole and row(text, "ISL") == wanted[-1]

    terminal.until(last_is_echoed, "the echo of what was typed last")  # before enter shows it as `10.2k`
    terminal.type(keys[-1])
    last = BY_KEY["isl"].format(10248)

    def last_is_planned(text: str) -> object:
        look()
        return terminal.whole and re.search(rf"{re.escape(last)}/256.*● up to date", text)

    terminal.until(last_is_planned, "the plan of what was typed last")
    # every key: nothing was lost or came in another order (two may share one frame)
    steps = iter(wanted)
    typed = [shown for shown in echoed if shown.isdigit()]
    assert typed and all(any(shown == step for step in steps) for shown in typed), (echoed, wanted)
    assert wanted[-1] == "10248"
    # no stale answer: whatever was called up to date is the plan of the lengths in the title
    isl = BY_KEY["isl"]
    claimed = dict(claims)
    assert last in claimed and len(claims) == len(claimed), claims
    for length, rate in claims:
        assert rate == answer(isl.parse(length)), (length, rate)
    assert terminal.threads <= threads + 1
    terminal.type("q")
    assert terminal.leave() == 0  # a thread left behind would keep it


def test_pins_and_form_are_there_again_after_a_restart(open_terminal: Open, tmp_path: Path) -> None:
    terminal = open_terminal()
    terminal.wait_for("up to date")
    terminal.type("p")
    terminal.wait_for("Pinned as A")
    terminal.type("j" * COMMON.index("gpus") + "\x1b[D")
    terminal.wait_for(" 4 h100", "up to date")
    terminal.process.send_signal(signal.SIGHUP)
    assert terminal.leave() == 129
    again = Terminal([], tmp_path)
    try:
        again.wait_for(" 4 h100", "up to date", "Compare ▲1")
        again.type("3")
        again.wait_for("pin A", r"req/s +\d", "now")
        again.type("q")
        assert again.leave() == 0
    finally:
        again.close()


def test_a_storm_of_sizes_leaves_it_drawing(open_terminal: Open) -> None:
    terminal = open_terminal()
    terminal.wait_for("up to date")
    sizes = random.Random(7)
    for _ in range(30):
        terminal.size(sizes.randint(10, 60), sizes.randint(40, 200))
        os.kill(terminal.process.pid, signal.SIGWINCH)
        terminal.read(0.02)
    for rows, columns in ((10, 40), (60, 200), (36, 120)):
        terminal.size(rows, columns)
        os.kill(terminal.process.pid, signal.SIGWINCH)
        terminal.wait_for("ratematch")  # drawn anew: the screen of another size begins empty
    terminal.wait_for("ratematch", "up to date", "Inputs", PLANNED, "q quit")
    assert b"Traceback" not in terminal.sent
    terminal.type("q")
    assert terminal.leave() == 0


def test_whatever_was_written_over_the_screen_it_is_drawn_whole_again(open_terminal: Open) -> None:
    """By ctrl+l, and after it was stopped, by ctrl+z's signal or outright, and goes on."""
    terminal = open_terminal()
    terminal.wait_for("up to date", PLANNED)

    def written_over() -> None:
        terminal.emulator.feed(b"\x1b[H" + b"another program\r\n" * 40)
        assert "up to date" not in terminal.text

    def drawn(text: str) -> bool:
        return "another" not in text and all(
            part in text for part in ("up to date", "Inputs", "limit", "quit")
        )

    written_over()
    terminal.type("\x0c")
    terminal.until(drawn, "the screen, by ctrl+l")
    for stop in (signal.SIGTSTP, signal.SIGSTOP):
        terminal.process.send_signal(stop)
        os.waitid(os.P_PID, terminal.process.pid, os.WSTOPPED)
        written_over()
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until(drawn, "the screen, after fg")


def test_a_terminal_that_vanishes_ends_it_and_the_session_is_kept(
    open_terminal: Open, tmp_path: Path
) -> None:
    terminal = open_terminal()
    terminal.wait_for("up to date")
    terminal.type("j" * COMMON.index("gpus") + "\x1b[D")
    terminal.wait_for(" 4 h100")
    terminal.hang_up()
    assert terminal.leave() in (129, -signal.SIGHUP)
    assert session(tmp_path)["gpus"] == 4


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGHUP, 129), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_told_to_go_it_puts_the_terminal_back(
    open_terminal: Open, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    terminal = open_terminal()
    terminal.wait_for("up to date")
    terminal.process.send_signal(number)
    assert terminal.leave() == code
    assert terminal.sent.rindex(b"\x1b[?1049l") > terminal.sent.rindex(b"\x1b[?1049h")
    assert termios.tcgetattr(terminal.slave) == terminal.before
    assert b"Traceback" not in terminal.sent and session(tmp_path)["gpus"] == 8


def test_an_interrupt_from_outside_puts_the_terminal_back(open_terminal: Open) -> None:
    terminal = open_terminal()
    terminal.wait_for("up to date")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.leave() == 130
    assert terminal.sent.rindex(b"\x1b[?1049l") > terminal.sent.rindex(b"\x1b[?1049h")
    assert termios.tcgetattr(terminal.slave) == terminal.before
    assert b"Traceback" not in terminal.sent


@pytest.mark.parametrize("told", ["\x11", signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=str)
def test_told_to_go_while_it_is_made_it_goes_in_good_order(
    open_terminal: Open, tmp_path: Path, told: str | signal.Signals
) -> None:
    terminal = open_terminal()
    terminal.until(lambda _: terminal.sent, "the first byte")
    if isinstance(told, str):
        terminal.type(told)
    else:
        terminal.process.send_signal(told)
    assert terminal.leave() == (0 if isinstance(told, str) else 128 + told)
    assert terminal.sent.rindex(b"\x1b[?1049l") > terminal.sent.rindex(b"\x1b[?1049h")
    assert termios.tcgetattr(terminal.slave) == terminal.before
    assert (
        b"ratematch:" not in terminal.sent and not (tmp_path / "state" / "ratematch" / "errors.log").exists()
    )


def test_ctrl_c_says_how_to_leave(open_terminal: Open) -> None:
    terminal = open_terminal()
    terminal.wait_for("up to date")
    terminal.type("\x03")
    terminal.wait_for(r"q quits; ctrl\+q too")
    assert terminal.process.poll() is None
    terminal.type("q")
    assert terminal.leave() == 0


@pytest.mark.parametrize(
    "term", ["nonsense-9000", *(pytest.param(term, marks=pytest.mark.slow) for term in ["", None])]
)
def test_a_terminal_of_unknown_name_still_draws(open_terminal: Open, term: str | None) -> None:
    terminal = open_terminal(environ={"TERM": term})
    terminal.wait_for("Inputs", "up to date")
    terminal.type("q")
    assert terminal.leave() == 0
    assert b"Traceback" not in terminal.sent


@pytest.mark.parametrize(
    "environ",
    [
        {"LANG": "C"},
        *(
            pytest.param(environ, marks=pytest.mark.slow)
            for environ in [{"TERM": "linux"}, {"LC_ALL": "POSIX"}]
        ),
    ],
)
def test_where_no_unicode_can_be_drawn_all_is_ascii(open_terminal: Open, environ: dict[str, str]) -> None:
    terminal = open_terminal(environ=environ)
    text = terminal.wait_for("Inputs", "up to date")
    assert text.isascii(), sorted({char for char in text if not char.isascii()})
    terminal.type("q")
    assert terminal.leave() == 0


def test_no_mouse_leaves_the_mouse_alone(open_terminal: Open) -> None:
    terminal = open_terminal("--no-mouse")
    terminal.wait_for("up to date")
    assert b"\x1b[?1000h" not in terminal.sent and b"\x1b[?1003h" not in terminal.sent
    terminal.type("q")
    assert terminal.leave() == 0


def test_no_color_sends_no_colour_and_no_background(open_terminal: Open) -> None:
    terminal = open_terminal(environ={"NO_COLOR": "1"})
    terminal.wait_for("up to date")
    codes = {code for look in re.findall(rb"\x1b\[([0-9;]*)m", terminal.sent) for code in look.split(b";")}
    assert codes <= set(b",0,1,2,3,4,7,9".split(b",")), codes  # weight, lines, reverse
    terminal.type("q")
    assert terminal.leave() == 0


def test_the_first_paint_waits_for_neither_scipy_nor_plotext(open_terminal: Open, tmp_path: Path) -> None:
    """What is loaded when the first frame is handed to the terminal, in a run like any other."""
    found = tmp_path / "loaded.json"
    code = f"""
import json, pathlib, sys
from textual.drivers.linux_driver import LinuxDriver
from tui.cli import main
plain, path = LinuxDriver.write, pathlib.Path({str(found)!r})

def spy(self, data):
    if "Inputs" in data and not path.exists():
        heavy = {{"numpy", "scipy", "plotext", "pandas", "markdown_it"}} & set(sys.modules)
        path.write_text(json.dumps(sorted(heavy)))
    plain(self, data)

LinuxDriver.write = spy
sys.exit(main.main(sys.argv[1:]))
"""
    terminal = open_terminal(program=("-c", code))
    terminal.wait_for("up to date", PLANNED)
    assert json.loads(found.read_text(encoding="utf-8")) == []
    terminal.type("q")
    assert terminal.leave() == 0


@pytest.mark.parametrize("size", [(24, 80), pytest.param((36, 120), marks=pytest.mark.slow)])
def test_a_terminal_that_cannot_move_its_cursor_gets_the_plan_as_text(tmp_path: Path, size: Any) -> None:
    shown = Terminal([*SMALL], tmp_path, *size, environ={"TERM": "dumb"})
    try:
        assert shown.leave() == 0
        assert b"TERM=dumb" in shown.sent and b"Deploy" in shown.sent and b"\x1b" not in shown.sent
    finally:
        shown.close()


@pytest.mark.parametrize(
    "size",
    [
        {"COLUMNS": "999999999", "LINES": "999999999"},
        *(
            pytest.param({"COLUMNS": columns, "LINES": lines}, marks=pytest.mark.slow)
            for columns, lines in [
                ("-5", "-5"),
                ("many", "x"),
                ("0", "0"),
                ("1", "1"),
                ("9" * 5000, "9" * 5000),
            ]
        ),
    ],
)
def test_an_odd_size_in_the_environment_ends_nothing(open_terminal: Open, size: dict[str, str]) -> None:
    terminal = open_terminal(environ=size)
    terminal.until(lambda _: b"\x1b[?2004h" in terminal.sent, "a first frame")
    terminal.type("\x11")
    assert terminal.leave() == 0 and b"Traceback" not in terminal.sent


DRIVERS = ["nothing", "no.such:Driver", ":", "os:path", "textual.drivers.linux_driver:Nope"]


@pytest.mark.parametrize("driver", [*DRIVERS, "textual.drivers.web_driver:WebDriver"])
def test_a_driver_that_is_none_is_one_line(
    driver: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEXTUAL_DRIVER", driver)  # the last one has no server at the other end here
    assert main(SMALL) == 2
    said = capsys.readouterr()
    assert (
        re.fullmatch(r"ratematch: TEXTUAL_DRIVER: .* is not accepted; .*unset it.*\n", said.err)
        and not said.out
    )


def test_another_driver_needs_a_terminal_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEXTUAL_DRIVER", "textual.drivers.headless_driver:HeadlessDriver")
    assert main(SMALL) == 0
    assert "Deploy" in capsys.readouterr().out


@pytest.mark.parametrize("closed", ["<&-", ">&-", pytest.param("<&- >&- 2>&-", marks=pytest.mark.slow)])
def test_a_stream_that_the_shell_closed_is_a_clean_end(closed: str) -> None:
    words = " ".join([sys.executable, "-m", "tui.cli", *SMALL])
    done = subprocess.run(["sh", "-c", f"{words} {closed}"], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_error_never_goes_to_the_output() -> None:
    words = " ".join([sys.executable, "-m", "tui.cli", "plan", "--isl", "x"])
    done = subprocess.run(["sh", "-c", f"{words} 2>&-"], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
