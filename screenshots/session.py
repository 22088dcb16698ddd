"""Records the tour (`ratematch --demo`) with the real planner, as what opens the README.

`session.svg` plays in a browser: a frame for each key, rows that recur drawn once. `session.cast` is what the
terminal was sent, for players of asciicasts.

python screenshots/session.py [FOLDER]
"""

from __future__ import annotations

import asyncio
import codecs
import json
import os
import pty
import select
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fcntl import ioctl
from html import escape
from pathlib import Path
from termios import TIOCSWINSZ

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from planner.inputs.catalog import load  # noqa: E402
from tui.app import RatematchApp  # noqa: E402
from tui.files.screen_svg import FONTS  # noqa: E402
from tui.files.storage import Session  # noqa: E402
from tui.screens.tour import SCENARIO, STEPS, Step, Tour  # noqa: E402

SIZE = (100, 30)
KEY_S, LOOK_S = 0.35, 3.0  # a frame after a key, and one to look at
CELL, LINE, SIZE_PX, MARGIN = 8.4, 17.0, 14, 10.0  # px of a cell, a row, the letters, around the screen
LARGEST = 1_000_000  # bytes of both files together

Run = tuple[int, str, str, str, bool]  # column, text, its colour, that behind it, bold


@dataclass(frozen=True, slots=True)
class Frame:
    """The screen for a while, and what is said under it."""

    rows: tuple[tuple[Run, ...], ...]
    seconds: float
    caption: str


async def frames() -> list[Frame]:
    """The tour, a frame for each key and a longer one for each step."""
    found: list[Frame] = []
    app = RatematchApp(Session(scenario=load().scenario(SCENARIO), name=SCENARIO))
    app.animation_level = "none"

    def take(step: Step, seconds: float) -> None:
        strips = app.screen._compositor.render_strips()
        found.append(Frame(tuple(_row(strip) for strip in strips), seconds, step.caption))

    app.tour = Tour(
        app,
        pause_s=0.4,
        key_s=0.2,
        captions=False,
        look=lambda step: take(step, LOOK_S),
        pressed=lambda step: take(step, KEY_S),
    )
    async with app.run_test(size=SIZE) as pilot:
        while app.is_running and app.return_code is None:
            await pilot.pause(0.1)
    if found[-1].caption != STEPS[-1].caption:
        raise RuntimeError("the tour did not come to its end")
    first = next(at for at, frame in enumerate(found) if frame.seconds == LOOK_S)
    return found[first:]  # what does not play shows the answer, not the wait for it


def _row(segments: Sequence[Segment]) -> tuple[Run, ...]:
    """A row of the screen as runs of one look; blanks count where something is behind them."""
    runs: list[Run] = []
    at = 0
    for text, style, _ in segments:
        hue, behind, bold = _look(style)
        if runs and runs[-1][2:] == (hue, behind, bold) and runs[-1][0] + cell_len(runs[-1][1]) == at:
            runs[-1] = (runs[-1][0], runs[-1][1] + text, hue, behind, bold)
        else:
            runs.append((at, text, hue, behind, bold))
        at += cell_len(text)
    return tuple(runs)


def _look(style: Style | None) -> tuple[str, str, bool]:
    style = style or Style.null()
    hue, behind = (
        color.get_truecolor().hex if color is not None and not color.is_default else ""
        for color in (style.color, style.bgcolor)
    )
    return (behind, hue, bool(style.bold)) if style.reverse else (hue, behind, bool(style.bold))


def animation(shown: Sequence[Frame]) -> str:
    """The frames one after another, for ever."""
    behind = Counter(run[3] for row in shown[0].rows for run in row for _ in run[1] if run[3])
    paper = behind.most_common(1)[0][0] if behind else "#11161c"
    hues = sorted({run[2] for frame in shown for row in frame.rows for run in row})
    looks = {hue: f"c{at}" for at, hue in enumerate(hues)}
    width, height = SIZE[0] * CELL + 2 * MARGIN, (SIZE[1] + 2) * LINE + 2 * MARGIN
    whole = sum(frame.seconds for frame in shown)
    rows: dict[tuple[Run, ...], str] = {}
    drawn, rules, start = [], [], 0.0
    for i, frame in enumerate(shown):
        uses = []
        for at, row in enumerate(frame.rows):
            name = rows.setdefault(row, f"r{len(rows)}")
            uses.append(f'<use href="#{name}" y="{at * LINE:g}"/>')
        words = escape(frame.caption)
        caption = f'<text class="say" x="0" y="{(SIZE[1] + 1.2) * LINE:g}">{words}</text>'
        drawn.append(f'<g id="f{i}">{"".join(uses)}{caption}</g>')
        end = start + frame.seconds
        rules.append(
            f"#f{i}{{visibility:{'visible' if i == 0 else 'hidden'};"
            f"animation:k{i} {whole:g}s step-end infinite}}"
            f"@keyframes k{i}{{0%{{visibility:{'visible' if i == 0 else 'hidden'}}}"
            f"{100 * start / whole:.3f}%{{visibility:visible}}{100 * end / whole:.3f}%{{visibility:hidden}}}}"
        )
        start = end
    style = (
        f"text{{font:{SIZE_PX}px {FONTS};white-space:pre}}.b{{font-weight:bold}}.say{{fill:#808a96}}"
        + "".join(f".{look}{{fill:{hue or '#d9dfe7'}}}" for hue, look in looks.items())
        + "".join(rules)
    )
    defs = "".join(f'<g id="{name}">{"".join(_drawn(row, looks, paper))}</g>' for row, name in rows.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"><style>{style}</style>'
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{paper}"/>'
        f'<defs>{defs}</defs><g transform="translate({MARGIN:g} {MARGIN:g})">\n'
        + "\n".join(drawn)
        + "\n</g></svg>\n"
    )


def _drawn(row: Sequence[Run], looks: dict[str, str], paper: str) -> Iterator[str]:
    """What lies behind, then each word at its own place."""
    for at, text, _, behind, _ in row:
        if behind and behind != paper:
            yield (
                f'<rect x="{at * CELL:g}" width="{cell_len(text) * CELL:g}" height="{LINE:g}" '
                f'fill="{behind}"/>'
            )
    for at, text, hue, _, bold in row:
        look = f"{looks[hue]} b" if bold else looks[hue]
        place = at
        for word in text.split(" "):
            if word:
                long = f' textLength="{CELL * cell_len(word):g}"' if len(word) > 3 else ""
                yield (
                    f'<text class="{look}" x="{place * CELL:g}" y="{LINE - 4:g}"{long}>{escape(word)}</text>'
                )
            place += cell_len(word) + 1


def cast() -> str:
    """What `ratematch --demo` sends to a terminal of this size, as an asciicast."""
    with tempfile.TemporaryDirectory() as home:
        pid, terminal = pty.fork()
        if not pid:
            folders = {f"XDG_{name}_HOME": home for name in ("CONFIG", "DATA", "STATE", "CACHE")}
            os.environ.update(
                folders, TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8", PYTHONPATH=str(ROOT)
            )
            os.environ.pop("SSH_CONNECTION", None)
            os.execv(sys.executable, [sys.executable, "-m", "tui.cli", "--demo", "--no-mouse"])
        ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        lines = [
            json.dumps(
                {
                    "version": 2,
                    "width": SIZE[0],
                    "height": SIZE[1],
                    "title": "ratematch --demo",
                    "idle_time_limit": 4,
                }
            )
        ]
        text, begun = codecs.getincrementaldecoder("utf-8")("replace"), time.monotonic()
        while True:
            select.select([terminal], [], [])
            try:
                data = os.read(terminal, 65536)
            except OSError:  # it has gone
                data = b""
            if not data:
                break
            if piece := text.decode(data):
                lines.append(json.dumps([round(time.monotonic() - begun, 3), "o", piece], ensure_ascii=False))
        _, status = os.waitpid(pid, 0)
        if status:
            raise RuntimeError("the tour ended with an error")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Both files; 1 with a message if they are too large to open a README with."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    made = {"session.svg": animation(asyncio.run(frames())), "session.cast": cast()}
    size = sum(len(text.encode()) for text in made.values())
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
        print(f"{folder / name}: {len(text.encode()):,} bytes")
    if size > LARGEST:
        print(f"{size:,} bytes are more than {LARGEST:,}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
