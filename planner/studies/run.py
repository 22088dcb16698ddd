"""A study from its first scenario, or from where it stopped, to its last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from planner import __version__
from planner.errors import InputError
from planner.inputs.catalog import Catalog
from planner.studies import dataset
from planner.studies.columns import FAILED, SCHEMA
from planner.studies.dataset import KIND, About, Writer
from planner.studies.study import Study
from planner.studies.tasks import Row, Task, tasks, warmed, work

PART_S = 5.0  # between two parts: what a killed client loses at most
PART_ROWS = 5_000  # at most, of one part


class Workers(Protocol):
    """Whoever does tasks."""

    def rows(
        self, tasks: list[Task], catalog: Catalog, should_stop: Callable[[], bool]
    ) -> Iterator[list[Row]]:
        """The rows of each task, in whatever order, as they come; fewer when told to stop.

        An empty list once they are there and now and then, so that the caller can look at the clock.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Does tasks itself, one after the other."""

    def rows(
        self, tasks: list[Task], catalog: Catalog, should_stop: Callable[[], bool]
    ) -> Iterator[list[Row]]:
        """As `Workers`."""
        yield []
        for task in tasks:
            if should_stop():
                return
            yield work(task, catalog)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a study is."""

    scenarios: int  # of the whole study
    before: int  # that were stored when it began
    stored: int  # in the dataset by now
    answered: int  # by this run
    failures: int  # of those
    seconds: float  # of this run

    @property
    def per_s(self) -> float:
        """Scenarios/s of this run."""
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def left_s(self) -> float:
        """Seconds until the last one, at this rate; nan before the first."""
        left = self.scenarios - self.before - self.answered
        return left / self.per_s if self.per_s else float("nan")


def run(
    study: Study,
    text: str,
    folder: Path,
    workers: Workers,
    catalog: Catalog,
    *,
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Answer a study into a folder.

    Rows are stored in parts, every few seconds. What is stored is never computed again: `resume` goes on
    where a run before stopped, whatever stopped it.

    Parameters
    ----------
    text
        The study's file, which is kept beside its answer.
    should_stop
        Asked between results; what has come by then is stored.

    Raises InputError for a folder that cannot be written, holds another study, or holds this one and
    `resume` is not said.
    """
    dataset.pyarrow()
    if resume and dataset.parts(folder):
        known = _same(study, folder)
    else:
        dataset.begin(folder, _about(study), text)
        known = set()
    with dataset.alone(folder):
        left = [number for number in range(len(study)) if number not in known]
        todo = tasks(study, left, catalog)
        rows = workers.rows(todo, warmed(catalog, todo), should_stop) if todo else iter(())
        return _store(rows, Writer.of(folder, study.keep), len(study), len(known), on_progress)


def _store(
    found: Iterable[list[Row]],
    writer: Writer,
    scenarios: int,
    stored: int,
    on_progress: Callable[[Progress], None],
) -> Progress:
    verdict = 1 + [column.name for column in writer.columns].index("verdict")
    begun: float | None = None  # when the workers were there
    last, answered, failures = 0.0, 0, 0
    waiting: list[Row] = []

    def told() -> Progress:
        return Progress(
            scenarios=scenarios,
            before=stored,
            stored=stored + answered - len(waiting),
            answered=answered,
            failures=failures,
            seconds=0.0 if begun is None else time.monotonic() - begun,
        )

    try:
        for rows in found:
            if begun is None:
                begun = last = time.monotonic()
            waiting += rows
            answered += len(rows)
            failures += sum(row[verdict] == FAILED for row in rows)
            now = time.monotonic()
            if now - last >= PART_S or len(waiting) >= PART_ROWS:
                writer.write(waiting)
                waiting, last = [], now
            on_progress(told())
    finally:
        writer.write(waiting)
        waiting = []
    on_progress(told())
    return told()


def _about(study: Study) -> About:
    return About(
        kind=KIND,
        schema=SCHEMA,
        version=__version__,
        digest=study.digest,
        name=study.name,
        note=study.note,
        scenarios=len(study),
        keep=study.keep,
        axes=tuple(axis.name for axis in study.axes),
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _same(study: Study, folder: Path) -> set[int]:
    """What is stored of this very study. Raises InputError for another's folder."""
    there = dataset.about(folder, "out")
    if there.digest != study.digest or there.keep != study.keep:
        raise InputError("out", str(folder), "this study's own folder; it holds another, or another version")
    if there.version != __version__:
        raise InputError(
            "out", str(folder), f"a new folder: {there.version} made this, here is {__version__}"
        )
    known = dataset.done(folder)
    if known and not 0 <= min(known) <= max(known) < len(study):
        raise InputError("out", str(folder), "this study's own folder; it has scenarios of another")
    return known
