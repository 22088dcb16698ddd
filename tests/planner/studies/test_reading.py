"""Tables, maps, marginals and the finding, on datasets whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner import InputError
from planner.studies import dataset, decides, finding, maps, table
from planner.studies.columns import BY_NAME, VERDICTS, kept
from planner.studies.dataset import KIND, About, Writer
from planner.studies.table import Table

pytest.importorskip("pyarrow")


def _table(folder: Path, axes: Sequence[str], rows: Sequence[dict[str, Any]]) -> Table:
    about = About(
        kind=KIND, schema=1, version="0", digest="", name="made", note="made up", scenarios=len(rows),
        keep=("chosen",), axes=tuple(axes), made="2026-01-01",
    )  # fmt: skip
    dataset.begin(folder, about, "schema = 1\n")
    columns = kept(("chosen",))
    assert all(name in BY_NAME for row in rows for name in row)
    Writer.of(folder, ("chosen",)).write(
        [(i, *(row.get(column.name) for column in columns)) for i, row in enumerate(rows)]
    )
    return table.read(folder)


def _grid(folder: Path) -> Table:
    """A split pays where TTL is 20 ms; the gain grows with ISL, a little."""
    rows = []
    for model in ("b", "a"):
        for isl in (1024, 2048, 4096):
            for ttl in (0.02, 0.05):
                gain = (2.0 if ttl == 0.02 else 1.0) + isl / 1e6
                verdict = "split" if ttl == 0.02 else "tie"
                rows.append({"model": model, "isl": isl, "ttl": ttl, "verdict": verdict, "gain": gain})
    rows[0] = {**rows[0], "verdict": "none", "gain": None, "reason": "late"}
    return _table(folder, ("model", "isl", "ttl"), rows)


def test_a_map_has_its_values_in_their_cells(tmp_path: Path) -> None:
    rows = _grid(tmp_path)
    what = maps.asked(rows, None, None, None, None)
    assert (what.x, what.y, what.value, what.by) == ("isl", "ttl", "gain", ("model",))
    first, second = maps.maps(rows, what)
    assert (first.title, second.title) == ("model b", "model a")  # in the order of the study
    assert second.x.labels == ("1k", "2k", "4k") and second.y.labels == ("20 ms", "50 ms")
    assert second.values[0].tolist() == [2.001024, 2.002048, 2.004096]
    assert math.isnan(first.values[0, 0]) and VERDICTS[first.verdicts[0, 0]] == "none"
    (pooled,) = maps.maps(rows, maps.asked(rows, "ttl", "isl", "gain", []))
    assert pooled.rows.tolist() == [[2, 2]] * 3
    assert pooled.values[1].tolist() == [2.002048, 1.002048]
    (shares,) = maps.maps(rows, maps.asked(rows, "isl", "ttl", "split", []))
    assert shares.values.tolist() == [[0.5, 1.0, 1.0], [0.0, 0.0, 0.0]]


def test_too_many_maps_are_pooled_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _grid(tmp_path)
    monkeypatch.setattr(maps, "MOST_MAPS", 1)
    (pooled,) = maps.maps(rows, maps.asked(rows, None, None, None, None))
    assert pooled.title == "" and pooled.rows.tolist() == [[2, 2, 2], [2, 2, 2]]
    with pytest.raises(InputError, match="at most 1 maps"):
        maps.maps(rows, maps.asked(rows, None, None, None, ["model"]))


def test_what_moves_together_makes_no_maps_of_holes(tmp_path: Path) -> None:
    rows = [
        {"isl": isl, "osl": osl, "ttl": ttl, "verdict": "tie", "gain": 1.0}
        for isl, osl in ((1, 8), (2, 4), (3, 6))
        for ttl in (0.02, 0.05)
    ]
    what = maps.asked(_table(tmp_path, ("isl+osl", "ttl"), rows), "isl", "ttl", None, None)
    assert what.by == ()


def test_slices(tmp_path: Path) -> None:
    rows = _grid(tmp_path)
    assert len(rows.where("ttl", "20ms")) == 6 and len(rows.where("isl", "2k").where("model", "B")) == 2
    assert len(rows.where("tpot", "50ms")) == 6  # an alias
    assert len(rows.where("verdict", "none")) == 1
    for name, value in (("isl", "3k"), ("model", "c"), ("ttl", "soon"), ("nonesuch", "1"), ("verdict", "x")):
        with pytest.raises(InputError):
            rows.where(name, value)


def test_what_decides_is_found(tmp_path: Path) -> None:
    rows = _grid(tmp_path)
    alone = decides.marginals(rows)
    assert [m.name for m in alone] == ["ttl", "isl", "model"]
    ttl, isl, model = alone
    # ranks 1 to 6 and 7 to 11: between 2 halves of n ranks lie 3/4 of the variance, a little more of 6 and 5
    assert 0.7 < ttl.explains < 0.8 and ttl.trend < -0.8
    assert isl.trend > 0 and math.isnan(model.trend) and model.explains < 0.05
    assert ttl.parts[1].shares[VERDICTS.index("tie")] == 1.0 and ttl.parts[1].gain == pytest.approx(1.002048)
    told = finding.finding(rows, alone)
    assert told.startswith("A split pays in 42 % of 12 scenarios, by 2 times in the middle of those")
    assert "What decides most is TTL (" in told and "At TTL 20 ms it pays in 83 %, at 50 ms in 0 %" in told


def test_a_way_that_is_alone_is_the_best_there_is(tmp_path: Path) -> None:
    rows = [
        {"isl": isl, "verdict": verdict, "gain": gain}
        for isl, verdict, gain in ((1, "colocated", None), (2, "tie", 1.0), (3, "split", None))
    ]
    found = _table(tmp_path, ("isl",), rows)
    assert decides.ordered(found).tolist() == [-math.inf, 1.0, math.inf]
    assert decides.marginals(found)[0].trend == pytest.approx(1.0)


def test_a_sample_is_read_in_bins(tmp_path: Path) -> None:
    rows = [{"isl": i + 1, "verdict": "tie", "gain": 1 + i / 100} for i in range(200)]
    found = _table(tmp_path, ("isl",), rows)
    (alone,) = decides.marginals(found)
    assert len(alone.parts) == decides.BINS and sum(part.scenarios for part in alone.parts) == 200
    assert alone.parts[0].label.startswith("1 to ") and alone.explains > 0.95
    with pytest.raises(InputError, match="at most"):
        maps.maps(found, maps.Asked(x="isl", y="osl", value="gain", by=()))


def test_a_study_without_a_plan_says_so(tmp_path: Path) -> None:
    rows = [{"isl": i + 1, "ttl": 0.01, "verdict": "none"} for i in range(3)]
    found = _table(tmp_path, ("isl", "ttl"), rows)
    told = finding.finding(found, decides.marginals(found))
    assert "pays in 0 % of 3" in told and "no plan meets the limits in 100 %" in told
    assert np.isnan(decides.ordered(found)).all()


@pytest.mark.parametrize(
    ("x", "y", "value", "by"),
    [("isl", "isl", None, None), ("nonesuch", None, None, None), ("gain", None, None, None),
     (None, None, "reason", None), (None, None, "split_gpus", None), ("isl", "ttl", None, ["ttl"])],
)  # fmt: skip
def test_what_cannot_be_drawn_is_one_line(
    tmp_path: Path, x: str | None, y: str | None, value: str | None, by: list[str] | None
) -> None:
    with pytest.raises(InputError):
        maps.asked(_grid(tmp_path), x, y, value, by)


def test_why_rows_have_no_answer_is_counted(tmp_path: Path) -> None:
    texts = ("12 miss TTL", "1,300.5 miss TTL", "7 do not fit", None)
    rows = _table(tmp_path, ("isl",), [{"isl": 1, "verdict": "none", "reason": text} for text in texts])
    assert finding.reasons(rows) == [("none", 2, "12 miss TTL"), ("none", 1, "7 do not fit")]
