"""A sample of the command lines as processes of their own, with what the interpreter says."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz import flags, harness

ROOT = Path(__file__).resolve().parents[2]


def run(seed: int, count: int) -> Iterator[str]:
    """Failures of `count` command lines."""

    def make(chance: random.Random, folder: Path) -> Iterator[str]:
        words = list(flags.words(chance, folder))
        plain = [word.replace("\0", "").encode("utf-8", "replace").decode() for word in words]
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "tui.cli", *(word[:100_000] for word in plain)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        seconds = min(time.perf_counter() - begin, harness.LONGEST_S)  # the machine's, not the answer's
        answer = harness.Answer(arguments=plain, code=done.returncode, out=out, err=err, seconds=seconds)
        return (f"{problem}: {plain!r}" for problem in harness.faults(answer))

    return harness.each("processes", seed, count, make)
