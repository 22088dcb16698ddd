"""Studies run, stop, and go on; what is stored is never lost and never repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from planner import InputError, load, plan
from planner.inputs.catalog import Catalog
from planner.output.data import to_dict
from planner.planning import several, sweep
from planner.studies import dataset, run, tasks
from planner.studies.columns import COLUMNS, FAILED, NO_PLAN
from planner.studies.run import Here
from planner.studies.study import Study, read
from planner.studies.tasks import Row, Task

pytest.importorskip("pyarrow")
CATALOG = load()
TEXT = """
schema = 1
[fixed]
model = "llama-3.1-8b"
gpus = 16
instance-gpus = 4
[axes]
isl = ["1k", "4k"]
ttl = ["0.2ms", "10ms", "50ms"]
mtp = [0, 1]
"""


def _study(text: str = TEXT) -> Study:
    return read(text, CATALOG)


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in dataset.table(folder).to_pylist()]


class _Some:
    """Does some tasks, then is gone, as a killed client is."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.numbers: list[int] = []

    def rows(
        self, tasks: list[Task], catalog: Catalog, should_stop: Callable[[], bool]
    ) -> Iterator[list[Row]]:
        for task in tasks[: self.number]:
            self.numbers += task.numbers
            yield from Here().rows([task], catalog, should_stop)
        if len(tasks) > self.number:
            raise SystemError("gone")


def test_rows_say_what_plans_say(tmp_path: Path) -> None:
    study = _study()
    done = run.run(study, TEXT, tmp_path, Here(), CATALOG)
    rows = _rows(tmp_path)
    assert (done.stored, done.failures, len(rows)) == (12, 6, 12)
    assert [row["scenario"] for row in rows] == list(range(12))
    for row in rows:
        scenario = study.scenario(row["scenario"])
        assert (row["isl"], row["ttl"], row["mtp"]) == (
            scenario.traffic.isl, scenario.limits.ttl_s, scenario.mtp,
        )  # fmt: skip
        if scenario.mtp:
            assert row["verdict"] == FAILED and row["reason"].startswith("mtp:")
            continue
        one = plan(scenario, CATALOG)
        told = to_dict(one)
        assert row["verdict"] == (told["verdict"] or NO_PLAN)
        for way in ("disaggregated", "colocated"):
            prefix = "split" if way == "disaggregated" else way
            for key in ("gpus", "ftl_s", "ttl_s", "tokens_per_s_per_gpu", "usd_per_million_tokens", "watts"):
                assert row[f"{prefix}_{key}"] == (told[way] and told[way][key])
        if told["verdict"] is None:
            assert row["reason"] and row["gain"] is None and row["chosen_gpus"] is None
        else:
            chosen = told["disaggregated" if told["verdict"] == "split" else "colocated"]
            assert row["chosen_tokens_per_s_per_gpu"] == chosen["tokens_per_s_per_gpu"]
            assert row["gain_low"] < row["gain"] < row["gain_high"]
            low, high = told["colocated"]["tokens_per_s_per_gpu_band"]
            assert row["colocated_tokens_per_s_per_gpu_low"] == low
            assert row["colocated_tokens_per_s_per_gpu_high"] == high
            assert row["split_prefill_layout"] == told["disaggregated"]["prefill"]["layout"]["label"]


def test_a_study_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MOST", 2)
    monkeypatch.setattr(tasks, "LEAST", 1)
    study, whole, broken = _study(), tmp_path / "whole", tmp_path / "broken"
    run.run(study, TEXT, whole, Here(), CATALOG)
    first, then = _Some(2), _Some(99)
    with pytest.raises(SystemError):
        run.run(study, TEXT, broken, first, CATALOG)
    stored = {part: part.read_bytes() for part in dataset.parts(broken)}
    assert stored and dataset.done(broken) == set(first.numbers)
    done = run.run(study, TEXT, broken, then, CATALOG, resume=True)
    assert (done.before, done.stored, done.answered) == (len(first.numbers), 12, 12 - len(first.numbers))
    assert not set(first.numbers) & set(then.numbers)  # nothing twice
    assert {part: part.read_bytes() for part in stored} == stored
    assert _rows(broken) == _rows(whole)
    again = _Some(99)
    assert run.run(study, TEXT, broken, again, CATALOG, resume=True).answered == 0
    assert again.numbers == []


def test_what_has_come_by_ctrl_c_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MOST", 2)
    monkeypatch.setattr(tasks, "LEAST", 1)
    seen: list[int] = []
    done = run.run(
        _study(), TEXT, tmp_path, Here(), CATALOG,
        should_stop=lambda: len(seen) > 2, on_progress=lambda progress: seen.append(progress.answered),
    )  # fmt: skip
    assert 0 < done.stored < 12 and len(_rows(tmp_path)) == done.stored


def test_half_a_part_is_never_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dataset.files, "write_atomically", full)
    writer = dataset.Writer.of(tmp_path, ())
    with pytest.raises(OSError):
        writer.write([(0, *(None for _ in writer.columns))])
    assert dataset.parts(tmp_path) == []


def test_another_studys_folder_is_left_alone(tmp_path: Path) -> None:
    run.run(_study(), TEXT, tmp_path, Here(), CATALOG)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    other = TEXT.replace("4k", "8k")
    for study, resume in ((_study(other), True), (_study(other), False), (_study(), False)):
        with pytest.raises(InputError, match="out:"):
            run.run(study, TEXT, tmp_path, Here(), CATALOG, resume=resume)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_with_anothers_parquet_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sales.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"sales\.parquet lies there"):
        run.run(_study(), TEXT, tmp_path, Here(), CATALOG)
    assert [path.name for path in tmp_path.iterdir()] == ["sales.parquet"]


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    run.run(_study(), TEXT, tmp_path, Here(), CATALOG)
    with dataset.alone(tmp_path), pytest.raises(InputError, match="no other study"):
        run.run(_study(), TEXT, tmp_path, Here(), CATALOG, resume=True)


@pytest.mark.parametrize("what", ["part", "about", "number", "nothing", "schema"])
def test_what_is_no_dataset_is_one_line(tmp_path: Path, what: str) -> None:
    import pyarrow
    import pyarrow.parquet

    run.run(_study(), TEXT, tmp_path, Here(), CATALOG)
    if what == "part":
        (tmp_path / "part-00001.parquet").write_bytes(b"PAR1 nonsense PAR1")
    elif what == "about":
        (tmp_path / dataset.ABOUT).write_text("[1, 2]")
    elif what == "number":
        pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "part-00001.parquet")
    elif what == "nothing":
        (tmp_path / dataset.ABOUT).unlink()
    else:
        told = json.loads((tmp_path / dataset.ABOUT).read_text())
        (tmp_path / dataset.ABOUT).write_text(json.dumps({**told, "schema": 99}))
    with pytest.raises(InputError) as error:
        run.run(_study(), TEXT, tmp_path, Here(), CATALOG, resume=True)
    assert "\n" not in str(error.value)
    if what == "part":
        with pytest.raises(InputError, match=r"part-00001\.parquet.*cannot be read"):
            dataset.table(tmp_path)


def test_a_fault_in_one_scenario_is_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    study = _study(TEXT.replace("mtp = [0, 1]", "mtp = [0]"))
    (task,) = tasks.tasks(study, range(len(study)), CATALOG)
    answer = several._answer

    def broken(question: Any, *rest: Any) -> Any:
        if question.scenario == task.scenarios[2]:
            raise ZeroDivisionError("of ours")
        return answer(question, *rest)

    monkeypatch.setattr(several, "_answer", broken)
    rows = tasks.work(task, CATALOG)
    at = 1 + [column.name for column in COLUMNS].index("verdict")
    assert [row[0] for row in rows] == list(task.numbers)
    assert [row[at] == FAILED for row in rows] == [False, False, True, False, False, False]
    assert "ZeroDivisionError: of ours" in rows[2]


def test_neighbours_share_a_sweep() -> None:
    study = _study()
    found = tasks.tasks(study, range(len(study)), CATALOG)
    assert sorted(number for task in found for number in task.numbers) == list(range(12))
    for task in found:
        keys = [sweep.shared_sweep(scenario, CATALOG) for scenario in task.scenarios]
        changes = sum(a != b for a, b in pairwise(keys))
        assert changes == len(set(keys)) - 1  # equal ones stand together


def test_a_warmed_catalog_reads_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    study = _study()
    todo = tasks.tasks(study, range(len(study)), CATALOG)
    sent = pickle.loads(pickle.dumps(tasks.warmed(load(), todo)))

    def refused(*_: object, **__: object) -> str:
        raise AssertionError("a worker elsewhere has no such file")

    monkeypatch.setattr("planner.inputs.files.read_text", refused)
    rows = tasks.work(todo[0], sent)
    assert not any("AssertionError" in str(cell) for row in rows for cell in row)
