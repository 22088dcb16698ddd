"""Presets, scenarios and paths that are none: one line each, exit code 2, and nothing is waited for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.inputs.catalog import load, preset_folder
from tui.cli.main import main

PRESETS = preset_folder()
KINDS = {"models": "llama-3.1-8b", "systems": "h200", "engines": "trtllm", "kernels": "h200"}
PLAN = ["plan", "--model", "llama-3.1-8b", "--gpus", "8"]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own"
    monkeypatch.setenv("RATEMATCH_CONFIG", str(folder))
    for kind in (*KINDS, "scenarios"):
        (folder / kind).mkdir(parents=True)
    return folder


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    """What a command says that must be bad input: one line, soon."""

    def of(arguments: list[str]) -> str:
        capsys.readouterr()
        begin = time.process_time()
        assert main(arguments) == 2
        assert time.process_time() - begin < 10.0
        said = capsys.readouterr()
        assert not said.out and said.err.count("\n") == 1 and len(said.err) < 500
        return said.err

    return of


def spoiled(own: Path, kind: str, old: str, new: str) -> None:
    """A copy of a preset with one text changed; the text is there."""
    name = KINDS[kind]
    text = (PRESETS / kind / f"{name}.toml").read_text()
    assert old in text
    (own / kind / f"{name}.toml").write_text(text.replace(old, new, -1 if "flor_s" in new else 1))


@pytest.mark.parametrize(
    ("kind", "old", "new", "named"),
    [
        ("systems", "scale_up_gpus = ", "scale_up_gpus = 46000000000000000", "scale_up_gpus"),
        ("systems", "hbm_bytes_per_s = ", "hbm_bytes_per_s = 1e300 #", "hbm_bytes_per_s"),
        ("systems", "hbm_bytes_per_s = ", "hbm_bytes_per_s = 1e-300 #", "hbm_bytes_per_s"),
        ("systems", "sms = ", f"sms = {'9' * 5000} #", "TOML"),
        ("systems", "bf16 = ", "bf16 = 1e-5 #", "peak_flops"),
        ("models", "hidden = ", "hidden = 1000000000000000000 #", "hidden"),
        ("models", "width = 14336", "width = 1000000000000000000", "width"),
        ("models", "layers = ", "layers = 100000 #", "layers"),
        ("models", "vocab = ", "vocab = 1.5 #", "vocab"),
        ("models", "aliases = [", "aliases = 5\nfamily_ = [", "aliases"),
        ("models", "aliases = [", "aliases = [5,", "aliases"),
        ("models", "label = ", f"deep = {'[' * 5000}{']' * 5000}\nlabel = ", "TOML"),
        ("engines", "max_batch = ", "max_batch = 1000000000000000000 #", "max_batch"),
        ("engines", "step_s = ", "step_s = 1e6 #", "step_s"),
        ("kernels", "floor_s = ", "flor_s = ", "floor_s"),
        ("kernels", "floor_s = ", "floor_s = 'x' #", "floor_s"),
        ("kernels", "floor_s = ", "floor_s = -1.0 #", "floor_s"),
        ("kernels", "floor_s = ", "floor_s = inf #", "floor_s"),
        ("kernels", "relative = ", "gemm = 1\nrelative = ", ""),
        ("kernels", "relative = ", "strange = 1\nrelative = ", "strange"),
        ("kernels", "relative = ", "relative = ['x'] #", "relative"),
        ("kernels", "n = ", "n = 'many' #", "n"),
    ],
)
def test_a_preset_out_of_range_names_file_and_key(
    kind: str, old: str, new: str, named: str, own: Path, refused: Callable[[list[str]], str]
) -> None:
    spoiled(own, kind, old, new)
    said = refused([*PLAN, "--system", "h200"])
    assert f"{KINDS[kind]}.toml" in said and named in said


@pytest.mark.parametrize(
    "text",
    [
        "schema = 1.0\n",
        "schema = true\n",
        'schema = "1"\n',
        "isl = 4096\n",
        f"schema = 1\nisl = {'9' * 5000}\n",
        f"schema = 1\nisl = 0x{'f' * 5000}\n",
        f'schema = 1\nisl = "{"9" * 100_000}"\n',
        "schema = 1\nisl = 1e308\n",
        "schema = 1\nisl = nan\n",
        "schema = 1\nisl = 1979-05-27\n",
        "schema = 1\nisl = [4096]\n",
        "schema = 1\nmodel = { name = 1 }\n",
        "schema = 1\nnote = 5\n",
        'schema = 1\naliases = "x"\n',
        "schema = 1\nbase = ['chat']\n",
        f"schema = 1\n{'a.' * 5000}b = 1\n",
        f"schema = 1\nx = {'{a = ' * 5000}1{'}' * 5000}\n",
        "schema = 1\n" + "x = 1\n" * 2,
        "\x00",
        "",
    ],
    ids=lambda text: repr(text)[:40],
)
def test_a_scenario_that_is_none(text: str, own: Path, refused: Callable[[list[str]], str]) -> None:
    (own / "scenarios" / "s.toml").write_text(text)
    refused(["plan", "s"])
    refused([str(own / "scenarios" / "s.toml")])


def test_scenarios_in_circles_and_in_towers(own: Path, refused: Callable[[list[str]], str]) -> None:
    for i in range(300):
        (own / "scenarios" / f"t{i}.toml").write_text(f'schema = 1\nbase = "t{(i + 1) % 300}"\n')
    assert "on top of each other" in refused(["plan", "t0"])
    for i in range(3):
        (own / "scenarios" / f"t{i}.toml").write_text(f'schema = 1\nbase = "t{(i + 1) % 3}"\n')
    assert "leads back" in refused(["plan", "t0"])


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _circle(path: Path) -> None:
    path.symlink_to(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _bytes(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


THINGS = (_pipe, _circle, _device, _folder, _huge, _bytes)


@pytest.mark.parametrize("make", THINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_things_that_are_no_files_in_a_preset_folder(
    make: Callable[[Path], None], kind: str, own: Path, refused: Callable[[list[str]], str]
) -> None:
    make(own / kind / f"{KINDS[kind]}.toml")
    refused([*PLAN, "--system", "h200"])
    assert main(["presets"]) == 0  # the others are listed beside it


@pytest.mark.parametrize("make", THINGS)
def test_things_that_are_no_files_on_the_command_line(
    make: Callable[[Path], None], own: Path, refused: Callable[[list[str]], str]
) -> None:
    make(own / "thing.toml")
    place = str(own / "thing.toml")
    for arguments in (
        [place],
        ["plan", place],
        ["import-model", place],
        ["validate", place],
        ["validate", "--kernels", place],
        ["calibrate", place],
        ["calibrate", "--engines", place],
    ):
        if make is _folder and arguments[0] == "calibrate" and arguments[-2] == "calibrate":
            continue  # an empty folder: nothing to fit, which is no bad input
        refused(arguments)


@pytest.mark.parametrize("place", ["x" * 300, "x" * 5000, "/".join("x" * 200), "a\0b", "", "/dev/null/x"])
def test_paths_that_cannot_be(place: str, own: Path, refused: Callable[[list[str]], str]) -> None:
    for arguments in (
        ["plan", place],
        ["plan", f"{place}.toml"],
        ["import-model", place],
        ["validate", place or "."],
        ["validate", "--kernels", place or "x"],
        ["calibrate", place or "x"],
        ["calibrate", "--engines", place],
    ):
        refused(arguments)


@pytest.mark.parametrize("folder", ["~nobody-of-that-name", "x" * 5000, "/dev/null"])
def test_a_folder_of_presets_that_cannot_be(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RATEMATCH_CONFIG", folder)
    code = main(["presets"])
    said = capsys.readouterr()
    assert (code, said.err.count("\n")) in {
        (2, 1),
        (0, 0),
    }  # /dev/null: none of one's own


@pytest.mark.parametrize("text", ["models = 1", "x = 1", "bands = []", "models=[]\nsystems=[]\nengines=[]"])
def test_a_file_of_bands_that_is_none(text: str, own: Path, refused: Callable[[list[str]], str]) -> None:
    (own / "accuracy.toml").write_text(text)
    assert "accuracy.toml" in refused(PLAN)


def test_the_presets_that_come_with_it_are_in_their_ranges() -> None:
    catalog = load(Path(os.devnull))
    for name in catalog.names("system"):
        for engine in catalog.names("engine"):
            catalog.engine(engine)
            catalog.kernels(catalog.system(name), engine)
    for name in catalog.names("model"):
        catalog.model(name)
    catalog.accuracy()
