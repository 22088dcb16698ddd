"""`d` shows what launches the plan, by target; it is copied or saved, or the reason is told."""

from __future__ import annotations

from dataclasses import replace

import fakes
import pytest
from textual.widgets import Input, Static

import planner
from planner.inputs.scenario import Fleet, Scenario, Traffic
from tui.files import running
from tui.screens import deploy
from tui.screens.ask import AskScreen
from tui.screens.deploy import Deployed, DeployScreen


def shown(app):
    return str(app.screen.query_one("#deploy-text", Static).render())


@pytest.fixture
def made(monkeypatch):
    """Texts instead of plans' files; llm-d is refused."""

    def deployed(plan, target):
        if target == "llm-d":
            return Deployed(files={}, text="llm-d cannot\x1b[31m say this")
        return Deployed(files={"start.sh": f"run {target}\n"}, text=f"# ---- start.sh\nrun {target}\n")

    monkeypatch.setattr(deploy, "deployed", deployed)


async def test_targets_are_shown_copied_and_saved(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = fakes.app()
    copied = []
    monkeypatch.setattr(type(app), "copy_to_clipboard", lambda self, text: copied.append(text))
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        await pilot.press("d")
        await fakes.until(pilot, lambda: isinstance(app.screen, DeployScreen) and "run trtllm" in shown(app))
        await pilot.press("right")
        await fakes.until(pilot, lambda: "run dynamo" in shown(app))
        await pilot.press("right")
        await fakes.until(pilot, lambda: "cannot" in shown(app))
        assert "\x1b" not in shown(app)
        await pilot.press("y", "enter")  # there is nothing to copy or to save
        assert not copied and isinstance(app.screen, DeployScreen)
        keys = app.screen.query_one("#deploy")
        assert "copy" not in keys.border_subtitle and "save" not in keys.border_subtitle
        await pilot.press("right", "y")
        assert "y copy" in keys.border_subtitle and "save" in keys.border_subtitle
        await fakes.until(pilot, lambda: copied == ["# ---- start.sh\nrun vllm\n"])
        await pilot.press("enter")
        await fakes.until(pilot, lambda: isinstance(app.screen, AskScreen))
        app.screen.query_one(Input).value = "out"
        await pilot.press("enter")
        await fakes.until(pilot, lambda: (tmp_path / "out" / "start.sh").exists())
        assert (tmp_path / "out" / "start.sh").read_text() == "run vllm\n"


async def test_escape_leaves_and_a_second_d_too(made):
    app = fakes.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await fakes.settled(pilot)
        for key in ("escape", "d"):
            await pilot.press("d")
            await fakes.until(pilot, lambda: isinstance(app.screen, DeployScreen))
            await pilot.press("down", "pagedown", "up", key)
            await fakes.until(pilot, lambda: not isinstance(app.screen, DeployScreen))
        assert app.is_running


async def test_what_runs_is_marked_and_the_page_says_what_a_plan_changes(made):
    def line(app):
        return app.screen.query_one("#deploy-running", Static)

    app = fakes.app()
    async with app.run_test(size=(120, 36)) as pilot:
        await fakes.settled(pilot)
        await pilot.press("d")
        await fakes.until(pilot, lambda: isinstance(app.screen, DeployScreen))
        assert not line(app).display
        await pilot.press("r")
        await fakes.until(pilot, lambda: line(app).display)
        assert "no instance starts or stops" in str(line(app).render())
        await pilot.press("escape")
        (kept,) = [pool for pool in running.load() if pool.phase != "prefill"]
        app.runs = tuple(replace(pool, instances=pool.instances + 1) for pool in running.load())
        await fakes.until(pilot, lambda: not isinstance(app.screen, DeployScreen))
        await pilot.press("d")
        await fakes.until(pilot, lambda: isinstance(app.screen, DeployScreen) and line(app).display)
        assert f"-1 decode instance ({kept.layout})" in str(line(app).render())


def test_a_plan_gives_the_files_of_its_engine_and_reasons_for_the_rest():
    small = Scenario(
        model="llama-3.1-8b",
        system="h100",
        engine="vllm",
        fleet=Fleet(gpus=2),
        traffic=Traffic(isl=512, osl=64),
    )
    plan = planner.plan(small)
    found = {target: deploy.deployed(plan, target) for target in deploy.TARGETS}
    assert "vllm serve" in found["vllm"].text and "start.sh" in found["vllm"].files
    assert "DynamoGraphDeployment" in found["dynamo"].text and "LeaderWorkerSet" in found["llm-d"].text
    assert all(one.text for one in found.values())
    first = found["vllm"].text.splitlines()[0]
    assert first.startswith("# ") and first.endswith("start.sh launches all")
    assert all(name in first for name in found["vllm"].files)
