"""The wheel carries the presets, and the catalog finds them where nothing else of the checkout is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).resolve().parents[2]

PROGRAM = """
import json
from planner.inputs import catalog

presets = catalog.load()
kinds = ("model", "system", "engine", "scenario", "kernels")
print(json.dumps({
    "home": catalog.__file__,
    "names": {kind: presets.names(kind) for kind in kinds},
    "labels": [presets.model("r1").label, presets.system("h200").label, presets.engine("vllm").label],
    "isl": presets.scenario("balanced").traffic.isl,
}))
"""


def run(*command, **kwargs):
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, **kwargs)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel of this checkout, built and installed into an empty folder."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(CHECKOUT))
    run(sys.executable, *build, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    run(sys.executable, *pip, "--target", str(target), str(wheel))
    return target


@pytest.fixture(scope="module")
def answer(installed, tmp_path_factory):
    """What a fresh interpreter says that sees the installed wheel and not the checkout."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    variables = {**os.environ, "PYTHONPATH": str(installed), "RATEMATCH_CONFIG": str(elsewhere / "none")}
    return json.loads(run(sys.executable, "-c", PROGRAM, cwd=elsewhere, env=variables))


def test_the_installed_catalog_reads_its_own_presets(installed, answer):
    assert Path(answer["home"]).resolve().is_relative_to(installed.resolve())
    assert answer["labels"] == ["DeepSeek R1", "H200 SXM 141GB", "vLLM"]
    assert answer["isl"] == 2048


def test_the_wheel_has_every_file_of_presets_but_the_measurements(installed):
    def files(folder):
        return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}

    measured = {name for name in files(CHECKOUT / "presets") if name.parts[0] == "measured"}
    assert measured
    assert files(installed / "planner" / "presets") == files(CHECKOUT / "presets") - measured


def test_an_installed_validate_says_where_the_measurements_are(installed, tmp_path):
    variables = {**os.environ, "PYTHONPATH": str(installed)}
    command = (sys.executable, "-m", "tui.cli", "validate")
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path, env=variables
    )
    assert done.returncode == 2
    assert "presets/measured" in done.stderr and done.stderr.count("\n") == 1


def test_every_preset_of_the_checkout_is_in_the_wheel(answer):
    for kind, names in answer["names"].items():
        folder = CHECKOUT / "presets" / (kind if kind.endswith("s") else f"{kind}s")
        assert names == sorted(path.stem for path in folder.glob("*.toml"))
    assert len(answer["names"]["model"]) >= 26 and len(answer["names"]["system"]) >= 14


def test_the_wheel_says_that_it_is_typed(installed):
    for package in ("planner", "tui"):
        assert (installed / package / "py.typed").is_file()
