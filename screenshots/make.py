"""Makes the screenshots of the README: runs the application without a terminal and saves what it shows.

python screenshots/make.py [FOLDER]
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic  # noqa: E402
from tui.app import RatematchApp  # noqa: E402
from tui.files.screen_svg import portable  # noqa: E402
from tui.files.storage import Session  # noqa: E402
from tui.widgets import themes  # noqa: E402

PATIENCE_S = 120.0
SCENARIO = Scenario(
    model="deepseek-r1",
    system="gb200",
    engine="trtllm",
    traffic=Traffic(isl=8192, osl=1024),
    limits=Limits(ftl_s=2.0, ttl_s=0.02),
    fleet=Fleet(gpus=72),
)
SHOTS = (  # name, size, theme, keys
    ("plan-80x24", (80, 24), themes.DARK.name, ()),
    ("plan-120x36", (120, 36), themes.DARK.name, ()),
    ("plan-160x45", (160, 45), themes.DARK.name, ()),
    ("frontier-120x36-light", (120, 36), themes.LIGHT.name, ("tab", "right", "right")),
    ("infeasible-120x36", (120, 36), themes.DARK.name, (*["j"] * 5, "enter", *"0.5ms", "enter", "f")),
)


class NoAnswerError(RuntimeError):
    """The planner gave no answer: there is nothing to show."""


async def wait(app: RatematchApp, pause) -> None:
    """Until the answer shown is that of the form. Raises NoAnswerError."""
    end = time.monotonic() + PATIENCE_S
    while not app.main.view.current:
        if app.main.view.error or app.main.view.problem:
            raise NoAnswerError(app.main.view.error or app.main.view.problem)
        if time.monotonic() > end:
            raise NoAnswerError(f"no plan within {PATIENCE_S:.0f} s")
        await pause(0.05)


async def shoot(folder: Path, name: str, size: tuple[int, int], theme: str, keys: tuple[str, ...]) -> Path:
    """One screenshot as SVG."""
    app = RatematchApp(Session(scenario=SCENARIO, theme=theme))
    app.animation_level = "none"
    async with app.run_test(size=size) as pilot:
        await wait(app, pilot.pause)
        for key in keys:
            await pilot.press(key)
            if key == "enter":
                await wait(app, pilot.pause)
        await pilot.pause()
        path = folder / f"{name}.svg"
        path.write_text(portable(app.export_screenshot(title="ratematch")), encoding="utf-8")
    return path


def main(arguments: list[str]) -> int:
    """All screenshots; 1 with a message if the planner has no answer."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    for name, size, theme, keys in SHOTS:
        try:
            print(asyncio.run(shoot(folder, name, size, theme, keys)))
        except NoAnswerError as error:
            print(f"no screenshot: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
