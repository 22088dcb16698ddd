"""The schema of the dataset: documented column by column. To renew the page, run this file."""

from __future__ import annotations

import re
from pathlib import Path

from planner.studies.columns import BY_NAME, COLUMNS, GROUPS, NUMBER, kept

PAGE = Path(__file__).resolve().parents[3] / "docs" / "studies.md"
BETWEEN = re.compile(r"(?<=<!-- columns -->\n).*(?=<!-- /columns -->)", re.DOTALL)


def _written() -> str:
    lines = ["| column | type | group | meaning |", "| --- | --- | --- | --- |"]
    lines.append(f"| `{NUMBER}` | integer | | the scenario's number in its study, from 0 |")
    lines += [f"| `{c.name}` | {c.type} | {c.group} | {c.text} |" for c in COLUMNS if c.group != "input"]
    return "\n".join(lines) + "\n"


def test_every_column_is_documented() -> None:
    found = BETWEEN.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None and found[0] == _written()


def test_columns_have_names_of_their_own() -> None:
    assert len(BY_NAME) == len(COLUMNS) and NUMBER not in BY_NAME
    assert {c.group for c in kept(())} == {"input", "verdict"} and kept(GROUPS) == COLUMNS


if __name__ == "__main__":
    PAGE.write_text(BETWEEN.sub(lambda _: _written(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
