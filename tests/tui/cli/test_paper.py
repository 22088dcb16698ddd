"""`ratematch paper`: on the screen, as JSON, as files."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from planner.paper.figures.drawing import Figure, Panel, Series
from tui.charts import paper_figures
from tui.cli import main

PANEL = Panel(
    title="A panel",
    x_label="tokens/s per user",
    y_label="output tokens/s per GPU",
    series=(
        Series(name="cloud", x=np.linspace(1, 90, 40), y=np.linspace(80, 1, 40), dots=True),
        Series(name="first", x=np.array([1.0, 50.0, 100.0]), y=np.array([90.0, 60.0, 5.0])),
        Series(name="second", x=np.array([1.0, 50.0, 80.0]), y=np.array([70.0, 30.0, 2.0])),
    ),
)
FIGURE = Figure(id="14", title="A figure", notes=(), panels=(PANEL,))


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("RATEMATCH_CONFIG", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_panel_fits_its_width_and_shows_every_line(width):
    text = paper_figures.to_text(PANEL, width)
    lines = text.split("\n")
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("A panel") and lines[-1] == "a first  b second"
    assert any("a" in line for line in lines[1:-2]) and any("b" in line for line in lines[1:-2])


def test_a_panel_can_keep_to_ascii_and_has_no_colour_unless_asked():
    plain = paper_figures.to_text(PANEL, 80, ascii=True)
    assert plain.isascii() and "\x1b" not in plain
    assert "\x1b[38;5;6m" in paper_figures.to_text(PANEL, 80, colour=True)


def test_log_axes_take_powers_and_leave_out_what_has_no_logarithm():
    series = Series(name="s", x=np.array([1.0, 2.0, 32.0]), y=np.array([0.0, 0.1, 10.0]))
    panel = Panel(title="t", x_label="x", y_label="y", series=(series,), x_log=True, y_log=True)
    text = paper_figures.to_text(panel, 80)
    assert re.search(r"\b10┤", text) and re.search(r"\b0\.1┤", text)


def test_a_panel_without_points_is_drawn_empty():
    series = Series(name="none", x=np.empty(0), y=np.empty(0))
    assert "none" in paper_figures.to_text(Panel(title="t", x_label="x", y_label="y", series=(series,)), 80)


def test_a_band_is_drawn_where_it_is_known(tmp_path):
    pytest.importorskip("matplotlib")
    plain = paper_figures.save(FIGURE, tmp_path)[0].read_text(encoding="utf-8")
    *others, last = PANEL.series
    wide = replace(last, y_band=(0.8, 1.25))
    figure = replace(FIGURE, panels=(replace(PANEL, series=(*others, wide)),))
    shaded = paper_figures.save(figure, tmp_path)[0].read_text(encoding="utf-8")
    assert shaded.count("PolyCollection") > plain.count("PolyCollection")


def test_a_figure_on_the_screen(capsys):
    assert main.main(["paper", "--figure", "14"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "\x1b" not in out
    assert out.startswith("Figure 14: ")
    assert "ratematch paper-fig14-medians" in out
    assert re.search(r"\n21 (PASS|FAIL|OPEN) ", out)
    assert ", as served today" in out and "in the study's setting" in out
    assert re.search(r"1 claim: 1 \w+\. [\d,]+ design points in [\d.]+ s\.\n$", out)
    assert max(map(len, out.split("\n"))) <= 80


def test_ascii_all_the_way(capsys):
    assert main.main(["paper", "--figure", "13", "--ascii"]) == 0
    assert capsys.readouterr().out.isascii()


def test_json(capsys):
    assert main.main(["paper", "--figure", "14", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [claim["id"] for claim in found["claims"]] == [21]
    assert list(found["figures"]) == ["14"]
    assert found["design_points"] > 10_000 and found["seconds"] > 0


def test_files_without_a_plotting_library(capsys, tmp_path, monkeypatch):
    def missing(*args, **kwargs):
        raise paper_figures.NoDrawing("none")

    monkeypatch.setattr(paper_figures, "save", missing)
    assert main.main(["paper", "--figure", "14", "--out", str(tmp_path / "docs")]) == 0
    written = capsys.readouterr().out.split("\n")
    page = (tmp_path / "docs" / "paper.md").read_text(encoding="utf-8")
    assert "```text\nLlama-3.1-70B 4k/512" in page
    assert (tmp_path / "docs" / "paper" / "fig-14.csv").read_text().startswith("figure,panel,setting,series,")
    assert written[0] == str(tmp_path / "docs" / "paper" / "fig-14.csv")


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is not None, reason="matplotlib is there")
def test_what_pictures_need_is_said(tmp_path):
    with pytest.raises(paper_figures.NoDrawing, match=r"ratematch\[figures\]"):
        paper_figures.save(FIGURE, tmp_path)


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    paths = paper_figures.save(FIGURE, tmp_path, ("svg", "png"))
    assert [path.name for path in paths] == ["fig-14.svg", "fig-14.png"]
    first = paths[0].read_text(encoding="utf-8")
    assert "A panel" in first
    assert paper_figures.save(FIGURE, tmp_path)[0].read_text(encoding="utf-8") == first


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--figure", "77"], "figure: '77' is not accepted"),
        (["--json", "--out", "docs"], "not allowed with"),
        (["--figur", "1"], "did you mean --figure"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, text, capsys):
    assert main.main(["paper", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and text in err


def test_a_folder_that_cannot_be_written_is_told(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main.main(["paper", "--figure", "13", "--out", str(tmp_path / "file")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("ratematch: out: ") and err.count("\n") == 1


def test_help_names_the_command(capsys):
    assert main.main(["--help"]) == 0
    assert "paper" in capsys.readouterr().out
