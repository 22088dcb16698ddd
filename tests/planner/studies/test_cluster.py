"""A Dask cluster by address, and processes that are killed: the same dataset, nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from planner import InputError, load
from planner.studies import dataset, run
from planner.studies.cluster import SETTINGS, Dask, Lost
from planner.studies.run import Here
from planner.studies.study import read

pytest.importorskip("pyarrow")
pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")
CATALOG = load()
TEXT = """
schema = 1
[fixed]
model = "llama-3.1-8b"
gpus = 16
instance-gpus = 4
[axes]
isl = { from = "1k", to = "8k", count = 16 }
osl = [64, 128, 256, 512]
ttl = ["10ms", "20ms", "50ms"]
"""


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in dataset.table(folder).to_pylist()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """All rows, done in this process."""
    folder = tmp_path_factory.mktemp("whole")
    run.run(read(TEXT, CATALOG), TEXT, folder, Here(), CATALOG)
    return _rows(folder)


def _wait(until: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if found := until():
            return found
        time.sleep(0.05)
    raise AssertionError(f"no {what}")


@contextmanager
def _cluster(folder: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and workers as processes of their own, started by hand."""
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    where = folder / "scheduler.json"
    python = [sys.executable, "-m"]
    started = [
        subprocess.Popen(
            [*python, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
             "--no-dashboard", "--scheduler-file", str(where)],
            **quiet,
        )
    ]  # fmt: skip
    try:
        _wait(lambda: where.exists() and where.read_text().strip().endswith("}"), "scheduler")
        address = json.loads(where.read_text())["address"]
        started += [
            subprocess.Popen(
                [*python, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard",
                 "--local-directory", str(folder)],
                **quiet,
            )
            for _ in range(workers)
        ]  # fmt: skip
        yield address, started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _value(part: float, catalog: Any) -> tuple[float, int]:
    return part, int(1 / part > 1e9)


@pytest.mark.slow
def test_a_cluster_started_by_hand_is_used_by_its_address(
    tmp_path: Path, whole: list[dict[str, Any]]
) -> None:
    out, threads = tmp_path / "out", list[int]()
    with _cluster(tmp_path, 2) as (address, _):
        # only one of the two may have come yet: the other joins in
        pool = Dask(scheduler=address, on_workers=threads.append)
        done = run.run(read(TEXT, CATALOG), TEXT, out, pool, CATALOG)
        each = pool.each(_value, [3.0, 1.0, 2.0], CATALOG)
        assert list(each) == [(3.0, 0), (1.0, 0), (2.0, 0)]  # in their order
        with pytest.raises(Lost, match=r"part 2 of 2 failed: ZeroDivisionError"):
            list(pool.each(_value, [1.0, 0.0], CATALOG))
    assert threads[0] in (1, 2) and done.stored == len(whole)
    assert _rows(out) == whole


def _command(study: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    """`ratematch study`, which stores a part for each task: what happens then happens in mid-run."""
    code = "import sys; from planner.studies import run; from tui.cli.main import main; "
    code += "run.PART_S = 0.0; sys.exit(main())"
    words = [sys.executable, "-c", code, "study", str(study), "--out", str(out), *more]
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(words, **pipes, start_new_session=True)  # ctrl+c of a test is not its own


def _workers(client: subprocess.Popen[bytes]) -> list[Any]:
    """The processes that a client's tasks run in; any of them, and the client, may end meanwhile."""
    import psutil

    found = []
    with suppress(psutil.Error):
        for one in psutil.Process(client.pid).children(recursive=True):
            with suppress(psutil.Error):
                if "spawn_main" in " ".join(one.cmdline()):
                    found.append(one)
    return found


@pytest.mark.slow
def test_killed_workers_and_a_killed_client_lose_nothing(tmp_path: Path, whole: list[dict[str, Any]]) -> None:
    import psutil

    file, out = tmp_path / "asked.toml", tmp_path / "out"
    file.write_text(TEXT)
    client = _command(file, out, "--workers", "2")
    # whenever something is killed, it may have come to its end already: the rows are the same then
    try:
        _wait(lambda: dataset.parts(out) or client.poll() is not None, "part")
        with suppress(psutil.Error):
            for worker in _workers(client)[:1]:
                worker.kill()  # another worker does its task
        stored = len(dataset.parts(out))
        _wait(lambda: len(dataset.parts(out)) > stored or client.poll() is not None, "part after that")
    finally:
        orphans = _workers(client)
        client.kill()
        _, told = client.communicate()
        for orphan in orphans:
            orphan.wait(60)  # they end with their client
    assert client.returncode in (0, -signal.SIGKILL), told
    before = {part: part.read_bytes() for part in dataset.parts(out)}
    known = dataset.done(out)
    assert known
    again = _command(file, out, "--workers", "2", "--resume")
    _, told = again.communicate(timeout=300)
    assert again.returncode == 0, told
    assert {part: part.read_bytes() for part in before} == before
    later = [part for part in dataset.parts(out) if part not in before]
    repeated = known & {n for part in later for n in dataset._read(part, ["scenario"])[0].to_pylist()}
    assert not repeated and _rows(out) == whole


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no groups of processes that a terminal interrupts")
@pytest.mark.parametrize("stored", [False, True])
def test_ctrl_c_in_a_terminal_prints_no_workers_whereabouts(tmp_path: Path, stored: bool) -> None:
    """It goes to all processes of the group, while workers start as well as while they work."""
    file, out = tmp_path / "asked.toml", tmp_path / "out"
    file.write_text(TEXT)
    client = _command(file, out, "--workers", "2")

    def began() -> bool:
        return bool(dataset.parts(out) if stored else _workers(client)) or client.poll() is not None

    _wait(began, "worker or part")
    with suppress(ProcessLookupError):
        os.killpg(client.pid, signal.SIGINT)
    _, told = client.communicate(timeout=120)
    assert client.returncode in (0, 130), told
    assert b"Traceback" not in told and b"KeyboardInterrupt" not in told, told


@pytest.mark.slow
def test_a_lost_scheduler_ends_in_one_line_and_resumes(tmp_path: Path, whole: list[dict[str, Any]]) -> None:
    file, out = tmp_path / "asked.toml", tmp_path / "out"
    file.write_text(TEXT)
    with _cluster(tmp_path, 1) as (address, started):
        client = _command(file, out, "--scheduler", address)
        _wait(lambda: dataset.parts(out) or client.poll() is not None, "part")
        started[0].kill()
        _, told = client.communicate(timeout=200)
    if client.returncode:  # else it was done before
        assert client.returncode == 1 and told.count(b"\n") == 1 and b"--resume" in told, told
    run.run(read(TEXT, CATALOG), TEXT, out, Here(), CATALOG, resume=True)
    assert _rows(out) == whole


def test_a_scheduler_that_is_none_is_one_line(tmp_path: Path) -> None:
    pool = Dask(scheduler="nonsense")
    with pytest.raises(InputError, match="scheduler: 'nonsense'"):
        run.run(read(TEXT, CATALOG), TEXT, tmp_path, pool, CATALOG)


def test_workers_keep_the_memory_of_their_arrays() -> None:
    # under the names that distributed has: it would have each array's pages faulted in anew
    config = pytest.importorskip("dask.config")
    before = config.get("distributed.nanny.pre-spawn-environ")
    with config.set(SETTINGS):
        after = config.get("distributed.nanny.pre-spawn-environ")
        assert set(before) <= set(after) == {*before, "MALLOC_MMAP_THRESHOLD_"}
        assert after["MALLOC_TRIM_THRESHOLD_"] == 128 << 20
        assert config.get("distributed.worker.profile")["enabled"] is False
