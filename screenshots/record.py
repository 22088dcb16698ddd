"""Records the tour (`ratematch --demo`) with the real planner: four of its screens as one SVG.

python screenshots/record.py [FILE]
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from planner.inputs.catalog import load  # noqa: E402
from tui.app import RatematchApp  # noqa: E402
from tui.files.screen_svg import portable  # noqa: E402
from tui.files.storage import Session  # noqa: E402
from tui.screens.tour import SCENARIO, STEPS, Step, Tour  # noqa: E402

SHOWN = ("frontier", "what-if", "infeasible", "light")
SIZE = (120, 34)
PAUSE_S = 0.5
COLUMNS = 2
WIDTH = 900.0  # of one screen, in the units of the picture
GAP, CAPTION = 28.0, 30.0
VIEW = re.compile(r'<svg[^>]*viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>')


async def record() -> dict[str, str]:
    """The tour's screens as SVG, by the name of the step."""
    shots: dict[str, str] = {}
    scenario = load().scenario(SCENARIO)
    app = RatematchApp(Session(scenario=scenario, name=SCENARIO))
    app.animation_level = "none"

    def look(step: Step) -> None:
        if step.name in SHOWN:
            shots[step.name] = portable(app.export_screenshot(title=step.name))

    app.tour = Tour(app, pause_s=PAUSE_S, key_s=0.05, captions=False, look=look)
    async with app.run_test(size=SIZE) as pilot:
        while app.is_running and app.return_code is None:
            await pilot.pause(0.1)
    missing = [name for name in SHOWN if name not in shots]
    if missing:
        raise RuntimeError(f"the tour never came to {', '.join(missing)}")
    return shots


def strip(shots: dict[str, str]) -> str:
    """The screens side by side, each under its caption."""
    captions = {step.name: step.caption for step in STEPS}
    parts, bottom = [], 0.0
    for i, name in enumerate(SHOWN):
        found = VIEW.search(shots[name])
        assert found is not None
        wide, high = float(found[1]), float(found[2])
        height = WIDTH * high / wide
        x, y = GAP + (i % COLUMNS) * (WIDTH + GAP), (i // COLUMNS) * (height + CAPTION + GAP)
        frame = (
            f'<svg x="{x}" y="{y + CAPTION}" width="{WIDTH}" height="{height}" viewBox="0 0 {wide} {high}">'
        )
        parts += [
            f'<text x="{x}" y="{y + 20}" font-family="sans-serif" font-size="17" fill="#808a96">'
            f"{i + 1}. {escape(captions[name])}</text>",
            VIEW.sub(frame, shots[name], count=1),
        ]
        bottom = max(bottom, y + CAPTION + height)
    width = COLUMNS * (WIDTH + GAP) + GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {bottom + GAP:g}">'
    return "\n".join([head, *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "strip.svg"
    path.write_text(strip(asyncio.run(record())), encoding="utf-8")
    print(path)
