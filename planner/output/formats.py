"""Every form in which a plan can be written, by name: a new one is a module here and a line below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from planner.output.data import to_csv, to_json
from planner.output.html import to_html
from planner.output.markdown import to_markdown
from planner.output.text import to_text

if TYPE_CHECKING:
    from planner.planning.result import Plan

WRITERS: Mapping[str, Callable[[Plan], str]] = {
    "text": to_text,
    "json": to_json,
    "csv": to_csv,
    "markdown": to_markdown,
    "html": to_html,
}
