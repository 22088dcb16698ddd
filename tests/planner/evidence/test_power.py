"""Published watts: the files, the errors of the page, and the page itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from planner.errors import InputError
from planner.evidence import power, shipped
from planner.evidence.page.power import page
from planner.inputs import catalog
from planner.planning.energy import RANGE

PAGE = Path(__file__).parents[3] / "docs" / "power.md"
CATALOG = catalog.load()


def some(tmp_path: Path, *ids: str) -> Path:
    """A file with some of the runs."""
    head, *lines = shipped.power_files()[0].read_text().splitlines()
    path = tmp_path / "power.csv"
    path.write_text("\n".join([head, *(line for line in lines if line.split(",")[0] in ids)]) + "\n")
    return path


def test_watts_of_four_gpus_are_within_a_fifth_in_the_median_with_the_model_left_out() -> None:
    found = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].endswith((", serving", ", kernels")):
            found[cells[0]] = float(cells[5].split(" ")[0])
    assert len(found) == 8
    good = {name.split(",")[0] for name, error in found.items() if name.endswith("serving") and error <= 20}
    assert good >= {"h100", "b200", "mi300x", "gb200"}


def test_runs_are_predicted_alone_as_among_others(tmp_path: Path) -> None:
    ids = ("mle-60", "ix828-1", "ix2456-3")
    rows = power.read(some(tmp_path, *ids), None, CATALOG)
    assert rows.serving.all() and len(rows.watts) == 3
    predicted = rows.predicted(power.constants())
    assert np.all((predicted > rows.idle_watts) & (predicted < rows.limit_watts))
    assert np.all(np.abs(predicted / rows.watts - 1) < 0.5)
    alone = power.read(some(tmp_path, ids[1]), None, CATALOG)
    at = rows.system.index("mi300x")
    assert alone.predicted(power.constants())[0] == pytest.approx(predicted[at])


def test_what_a_file_may_not_hold_is_named_with_its_line(tmp_path: Path) -> None:
    path = some(tmp_path, "mle-60", "mle-61")
    path.write_text(path.read_text().replace("bf16", "bf17"))
    with pytest.raises(InputError, match="bf17"):
        power.read(path, None, CATALOG)
    kernels = tmp_path / "kernels.csv"
    kernels.write_text("system,engine,dtype,of_memory,of_peak,watts_per_gpu\nh200,vllm,bf16,2.0,0.1,300\n")
    with pytest.raises(InputError, match=r"line 2, of_memory.*2\.0.*0 to 1"):
        power.read(some(tmp_path, "mle-60"), kernels, CATALOG)


def test_the_range_in_plans_is_that_of_the_page() -> None:
    said = next(line for line in PAGE.read_text().splitlines() if line.startswith("Measured over predicted"))
    low, high = (float(word) for word in said.split(" runs are ")[1].split(" in ")[0].split(" to "))
    assert (low, high) == pytest.approx(RANGE, rel=0.05)


def test_runs_of_one_gpu_give_no_range_and_no_sentence(tmp_path: Path) -> None:
    found = power.report(power.read(some(tmp_path, "mle-60", "mle-61"), None, CATALOG))
    assert found["band"] is None
    assert "4 of 5" not in page(found)


@pytest.mark.slow
def test_the_page_is_what_the_command_writes() -> None:
    assert page(power.report(power.read(*shipped.power_files(), CATALOG))) == PAGE.read_text()
