"""Tasks on a Dask cluster: processes of this machine, or any cluster by its address."""

from __future__ import annotations

import contextlib
import importlib
import logging
import math
import pickle
import queue
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from planner import __version__
from planner.errors import InputError, printable
from planner.inputs.catalog import Catalog
from planner.studies.dataset import MISSING
from planner.studies.tasks import Row, Task, failed, work

P = TypeVar("P")
R = TypeVar("R")
MOST_TOLD = 200  # characters of what went wrong in a part
AHEAD = 3  # tasks per thread that the scheduler knows of: its memory stays bounded
LOOK_S = 0.2  # how often a waiting client looks whether to stop
FIND_S = 15.0  # for a scheduler to answer
COUNT_S = 3.0  # how often workers are counted
LOST_S = 30.0  # without a worker or a scheduler, before giving up
# Of local workers. They would look at their own stacks a hundred times a second, for a dashboard that is not
# shown here, and give each array's memory back to the system, to ask for it again with the next one.
SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.profile.interval": "10s",
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 128 << 20,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 32 << 20,
}


class Lost(Exception):
    """The scheduler or all workers are gone; `str()` is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dask:
    """Does tasks on a Dask cluster: `workers` processes of this machine, or that of `scheduler`."""

    workers: int = 1
    scheduler: str | None = None
    on_workers: Callable[[int], None] = lambda _: None  # told how many threads there are

    def rows(
        self, tasks: list[Task], catalog: Catalog, should_stop: Callable[[], bool]
    ) -> Iterator[list[Row]]:
        """As `planner.studies.run.Workers`.

        A worker that dies loses no more than its task, which another does; one that kills its workers is
        done scenario by scenario, and what kills them again is a failed row.

        Raises InputError for a scheduler that does not answer, Lost when it is gone.
        """
        with self._flow(work, tasks, catalog) as flow:
            yield []  # from here on it is the scenarios that take the time
            for task, future in flow.results(should_stop):
                if future is None:
                    yield []
                elif future.status == "finished":
                    rows: list[Row] = future.result()
                    yield rows
                elif len(task) > 1:
                    flow.todo += task.apart()
                    yield []
                else:
                    yield failed(task, f"its worker died: {type(future.exception()).__name__}")

    def each(self, do: Callable[[P, Catalog], R], parts: Sequence[P], catalog: Catalog) -> Iterator[R]:
        """What `do`, a function that can be pickled, makes of each of some parts, in their order.

        Raises InputError for a scheduler that does not answer, Lost when it or a part's workers are gone.
        """
        made: dict[int, R] = {}
        given = 0
        with self._flow(_Numbered(do), list(enumerate(parts)), catalog) as flow:
            for task, future in flow.results(lambda: False):
                if future is None:
                    continue
                number = task[0]
                if future.status != "finished":
                    raise Lost(f"part {number + 1} of {len(parts)} failed: {_told(future.exception())}")
                made[number] = future.result()
                while given in made:
                    yield made.pop(given)
                    given += 1

    @contextlib.contextmanager
    def _flow(self, do: Callable[[Any, Catalog], Any], tasks: list[Any], catalog: Catalog) -> Iterator[_Flow]:
        """Tasks ready to go, workers there."""
        with self._client() as client:
            threads = sum(client.nthreads().values())
            self.on_workers(threads)
            _check_versions(client)
            presets = pickle.dumps(catalog)
            # a task of its own, so that it is made again where the worker that had it dies
            here = client.submit(pickle.loads, presets, key=f"presets-{time.time_ns()}")
            yield _Flow(client=client, do=do, catalog=here, todo=tasks[::-1], threads=threads)

    @contextlib.contextmanager
    def _client(self) -> Iterator[Any]:
        try:
            distributed = importlib.import_module("distributed")  # untyped
        except ImportError:
            raise InputError("study", "without dask", MISSING) from None
        _hush()
        with contextlib.ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", "Port .* is already in use")  # by a study beside this one
            if self.scheduler is None:
                stack.enter_context(importlib.import_module("dask.config").set(SETTINGS))
                with _deaf():
                    cluster = distributed.LocalCluster(
                        n_workers=self.workers,
                        threads_per_worker=1,
                        processes=True,
                        host="127.0.0.1",
                        dashboard_address=None,
                        silence_logs=logging.CRITICAL,
                        security=_security(distributed),
                    )
                stack.enter_context(cluster)
                client = stack.enter_context(distributed.Client(cluster))
            else:
                try:
                    client = stack.enter_context(distributed.Client(self.scheduler, timeout=FIND_S))
                except (OSError, ValueError, TimeoutError, ImportError) as error:
                    reason = " ".join(str(error).split())[:120] or "no answer"
                    accepted = f"the address of a Dask scheduler, such as tcp://host:8786 ({reason})"
                    raise InputError("scheduler", self.scheduler, accepted) from None
                try:
                    client.wait_for_workers(1, timeout=FIND_S)
                except TimeoutError:
                    raise InputError("scheduler", self.scheduler, "a scheduler with a worker") from None
            yield client


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """What starts meanwhile never hears ctrl+c, which a terminal sends to all its processes: it is ours to
    end them, and each would print where it was. We hear it afterwards. Not on Windows, which has no masks.
    """
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # else its start, meanwhile, would take the mask off
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hush() -> None:
    """What goes wrong in the libraries is told as a row or in one line, not in their logs.

    On import distributed gives each of its loggers a level of its own.
    """
    for name in ("distributed", "asyncio", "tornado", *logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "asyncio", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _security(distributed: Any) -> Any:
    """Certificates for this run alone, where they can be made: others on the machine cannot join in."""
    try:
        return distributed.security.Security.temporary()
    except ImportError:
        return None


def _check_versions(client: Any) -> None:
    """Raises InputError for workers with another ratematch, or without one."""
    try:
        found = set(client.run(_version).values())
    except Exception as error:
        found = {type(error).__name__}
    if found != {__version__}:
        told = ", ".join(sorted(map(str, found)))
        raise InputError("scheduler", told, f"workers with ratematch {__version__}, as here")


def _version() -> str:
    return __version__


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A function of a part, for parts with their numbers."""

    do: Callable[[Any, Catalog], Any]

    def __call__(self, part: tuple[int, Any], catalog: Catalog) -> Any:
        """The part's result."""
        return self.do(part[1], catalog)


def _told(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}", MOST_TOLD)


@dataclass(slots=True, kw_only=True)
class _Flow:
    """Tasks on their way: a few at the scheduler, the others waiting here."""

    client: Any
    do: Callable[[Any, Catalog], Any]
    catalog: Any  # a future of it
    todo: list[Any]  # the last is next; more may be added meanwhile
    threads: int = 1
    counted: float = -math.inf  # when

    def results(self, should_stop: Callable[[], bool]) -> Iterator[tuple[Any, Any]]:
        """Each task with its future as it comes to an end; `(None, None)` where none came for a while.

        Raises Lost.
        """
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        under_way: dict[Any, Any] = {}
        alive = time.monotonic()
        while self.todo or under_way:
            if should_stop():
                return
            while self.todo and len(under_way) < AHEAD * max(self.threads, 1):
                task = self.todo.pop()
                future = self.client.submit(self.do, task, self.catalog, pure=False)
                under_way[future] = task
                future.add_done_callback(done.put)
            try:
                future = done.get(timeout=LOOK_S)
            except queue.Empty:
                self._count()
                if self.threads:
                    alive = time.monotonic()
                elif time.monotonic() - alive > LOST_S:
                    raise Lost("no worker or no scheduler is left") from None
                yield None, None
                continue
            alive = time.monotonic()
            if future.status in ("cancelled", "lost"):
                raise Lost("the scheduler is gone")
            yield under_way.pop(future), future
            del future  # the worker forgets the result

    def _count(self) -> None:
        """How many threads there are, asked now and then; none while the scheduler does not answer."""
        if self.client.status != "running":
            self.threads = 0
        elif time.monotonic() - self.counted > COUNT_S:
            self.threads, self.counted = sum(self.client.nthreads().values()), time.monotonic()
