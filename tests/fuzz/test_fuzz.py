"""Up to 150 inputs of each class, and whether a fault would be seen at all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz import harness
from tests.fuzz.classes import CLASSES

pytestmark = pytest.mark.slow  # many applications and terminals

SAMPLE = 150
BOTH = (
    "flags",
    "scenarios",
    "presets",
    "configs",
    "results",
    "kernels",
)  # not refused at the door: some pass
LIVE = (
    "keys",
    "pastes",
    "mouse",
    "resizes",
    "signals",
    "sockets",
    "kills",
)  # with a screen, or a process each
ELSEWHERE = ("programs", "inventories", "fleets")  # tests of their own, quick ones, have samples of these
ALL = 50_000  # inputs of a whole run, at least


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in ELSEWHERE])
def test_a_sample_of_each_class_holds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: set[int] = set()
    call = harness.call

    def noting(arguments: Sequence[str]) -> harness.Answer:
        found = call(arguments)
        codes.add(found.code)
        return found

    monkeypatch.setattr(harness, "call", noting)
    run, default = CLASSES[name]
    share = default // 500 if name in LIVE else default // 50
    assert not list(run(11, max(min(SAMPLE, share), 2)))
    if name in BOTH:
        assert {0, 2} <= codes


def test_a_whole_run_tries_fifty_thousand() -> None:
    assert sum(default for _, default in CLASSES.values()) >= ALL


def answer(
    code: int = 0, out: str = "", err: str = "", seconds: float = 0.0, form: str = "--json"
) -> list[str]:
    arguments = ["plan", form]
    return list(
        harness.faults(harness.Answer(arguments=arguments, code=code, out=out, err=err, seconds=seconds))
    )


def test_faults_are_seen() -> None:
    said = "ratematch: isl: 'x' is not accepted\n"
    assert not answer(out="{}") and not answer(code=2, err=said) and not answer(code=3, out='{"a": 1}')
    assert answer(code=-1) and answer(code=4, out="{}") and answer(out="{}", seconds=3.0)
    assert answer(code=1, err="ratematch: internal error: KeyError: 'x'\n", form="--csv")
    assert answer(code=2) and answer(code=2, err=said * 2) and answer(code=2, err=said + "x" * 1000)
    assert answer(out="{}", err="RuntimeWarning: divide by zero\n")
    assert answer(out="\x1b[2J", form="--csv") and answer(code=2, err="ratematch: \x9b2J\n")
    assert answer(out='{"a": NaN}') and answer(out='{"a": Infinity}') and answer(out="{")


def test_an_input_depends_on_its_number_alone() -> None:
    first = [harness.dice(1, "flags", 7).random() for _ in range(2)]
    assert first[0] == first[1] != harness.dice(2, "flags", 7).random()
