"""The report that travels: one file, nothing loaded, everything said, whatever names hold."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest

from planner.output.chart_svg import to_svg
from planner.output.command import command_line
from planner.output.html import to_html
from planner.output.report import sections
from planner.output.verdict import answer_sentence
from planner.planning.result import Plan

VOID = {"meta", "br", "rect", "line", "polyline", "polygon", "circle"}


class Page(HTMLParser):
    """What a page holds: its text, its elements, and that each is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_loads_nothing(split_plan: Plan) -> None:
    text = to_html(split_plan)
    page = Page(text)
    assert not page.open and not page.links
    assert not page.tags & {"script", "link", "img", "iframe", "object", "form"}
    assert "default-src 'none'" in text and "@import" not in text and "url(" not in text


def test_the_page_says_what_the_sections_say(split_plan: Plan) -> None:
    page = Page(to_html(split_plan))
    told = " ".join(page.text.split())
    assert answer_sentence(split_plan) in told and command_line(split_plan.scenario) in told
    titles = [section.title for section in sections(split_plan)]
    assert titles[0] == "Deploy" and titles[-1] == "The same again"
    for section in sections(split_plan):
        for text in (section.title, *section.sentences, *(cell for row in section.rows for cell in row)):
            assert " ".join(text.split()) in told


def test_names_from_files_are_text_and_no_markup(split_plan: Plan) -> None:
    evil = "<script>alert(1)</script>"
    scenario = dataclasses.replace(split_plan.scenario, model=evil)
    front = split_plan.frontier_disaggregated
    named = dataclasses.replace(front, decode=(evil,) * len(front))
    plan = dataclasses.replace(split_plan, scenario=scenario, frontier_disaggregated=named)
    assert evil not in to_html(plan) and evil not in to_svg(plan)
    assert evil in Page(to_html(plan)).text


def test_a_plan_that_fails_is_a_report_too(split_plan: Plan) -> None:
    none = dataclasses.replace(split_plan, choice="", disaggregated=None, colocated=None)
    page = Page(to_html(none))
    assert not page.open and "No plan meets the limits" in page.text


def test_the_picture_is_well_formed_and_within_its_frame(split_plan: Plan) -> None:
    drawn = ElementTree.fromstring(to_svg(split_plan, 760, 420))
    texts = [node.text for node in drawn.iter() if node.tag.endswith("text")]
    for said in ("split", "co-located", "the plan", "the other way", "tokens/s per user (1/TTL)"):
        assert said in texts
    for node in drawn.iter():
        for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", node.get("points", "")):
            assert -8 <= float(x) <= 768 and -8 <= float(y) <= 428
    assert {node.tag.split("}")[-1] for node in drawn.iter()} <= {"svg", "text", *VOID}


def test_points_of_a_fleet_have_a_colour_for_where_they_run(split_plan: Plan) -> None:
    front = split_plan.frontier_disaggregated
    where = tuple(("h100", "h200") if i else ("h200",) for i in range(len(front)))
    fleet = dataclasses.replace(split_plan, frontier_disaggregated=dataclasses.replace(front, systems=where))
    drawn = ElementTree.fromstring(to_svg(fleet, 760, 420))
    texts = [node.text for node in drawn.iter() if node.tag.endswith("text")]
    assert {"h200", "h100 → h200"} <= set(texts)
    large = [node for node in drawn.iter() if node.get("r") == "3.5"]
    assert len(large) == len(front) + 2 and len({node.get("fill") for node in large}) == 2


@pytest.mark.parametrize("points", [0, 1])
def test_frontiers_of_few_points_are_drawn(split_plan: Plan, points: int) -> None:
    def first(front):
        kept = {
            field.name: getattr(front, field.name)[:points]
            for field in dataclasses.fields(front)
            if isinstance(getattr(front, field.name), (np.ndarray, tuple))
        }
        return dataclasses.replace(front, **kept)

    few = dataclasses.replace(
        split_plan,
        frontier_disaggregated=first(split_plan.frontier_disaggregated),
        frontier_colocated=first(split_plan.frontier_colocated),
    )
    assert ElementTree.fromstring(to_svg(few)).tag.endswith("svg")


@pytest.mark.parametrize("at", ["slow", "middle", "fast"])
def test_no_name_lies_on_another_on_a_curve_or_on_a_line(split_plan: Plan, at: str) -> None:
    """Names of layouts ran through the curve that they name, and through the limit's."""
    users = split_plan.frontier_disaggregated.tokens_per_s_per_user
    user = {"slow": users.min(), "middle": np.median(users), "fast": users.max()}[at]
    limits = dataclasses.replace(split_plan.scenario.limits, ttl_s=1 / float(user))
    plan = dataclasses.replace(split_plan, scenario=dataclasses.replace(split_plan.scenario, limits=limits))
    fronts = {
        name: dataclasses.replace(front, decode=tuple(f"PP{i % 5 + 1}xTEP8" for i in range(len(front))))
        for name in ("frontier_disaggregated", "frontier_colocated")
        for front in (getattr(plan, name),)
    }
    drawn = list(ElementTree.fromstring(to_svg(dataclasses.replace(plan, **fronts))).iter())
    curves = [
        np.array(sorted(tuple(map(float, point.split(","))) for point in node.get("points", "").split())).T
        for node in drawn
        if node.tag.endswith("polyline")
    ]
    (limit,) = (float(node.get("x1", "nan")) for node in drawn if node.get("stroke-dasharray"))
    boxes = []
    for node in drawn:
        if node.tag.endswith("text") and node.get("font-size") == "10":
            left, base = float(node.get("x", "nan")), float(node.get("y", "nan"))
            boxes.append((left, left + 6 * len(node.text or ""), base - 9, base + 2))
    assert len(boxes) > 2
    for i, (left, right, top, foot) in enumerate(boxes):
        assert not left < limit < right
        for other_left, other_right, other_top, other_foot in boxes[:i]:
            beside = right <= other_left or other_right <= left
            assert beside or foot <= other_top or other_foot <= top
        for x, y in curves:
            across = np.arange(max(left, x[0]), min(right, x[-1]), 1.0)
            heights = np.interp(across, x, y)
            assert not ((heights > top) & (heights < foot)).any()


def test_tables_say_what_their_marks_are_and_a_head_once(split_plan: Plan) -> None:
    """`29 % used` stood in the column `used`; what the star of a row is, the text alone said."""
    by_title = {section.title: section for section in sections(split_plan)}
    head, *limits = by_title["Limits"].rows
    used = head.index("used")
    assert limits and all(re.fullmatch(r"[\d.,]+ %", row[used]) for row in limits)
    (frontier,) = (section for title, section in by_title.items() if title.startswith("Frontier"))
    starred = [row for row in frontier.rows if row[0].startswith("* ")]
    assert any("star" in said for said in frontier.sentences) is bool(starred) is True
    assert "<span>--model</span> <span>" in to_html(split_plan)
