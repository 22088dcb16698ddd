"""The command line that gives a plan again."""

from __future__ import annotations

import shlex
from typing import Any

from planner.inputs.fields import FIELDS, Field
from planner.inputs.scenario import Scenario

ALWAYS = ("model", "system", "engine", "isl", "osl", "ftl", "ttl", "gpus")  # spelled out whatever they are


def spelled(field: Field, value: Any) -> str:
    """A value as a command line or a text cursor wants it: no blanks or commas, and exact.

    >>> from planner.inputs.fields import BY_KEY
    >>> spelled(BY_KEY["ttl"], 0.02), spelled(BY_KEY["isl"], 1500), spelled(BY_KEY["rate"], 12345.0)
    ('20ms', '1500', '12345.0')
    """
    if field.kind in ("file", "fleet") and value is not None:
        return str(value)
    text = field.format(value).replace(" ", "").replace(",", "")
    if field.kind in ("choice", "switch") or value is None:
        return text
    try:
        exact = field.parse(text) == value
    except ValueError:
        exact = False
    return text if exact else f"{value!r}{'s' if field.kind == 'seconds' else ''}"


def command_line(scenario: Scenario) -> str:
    """The command that plans the same scenario."""
    default = Scenario()
    words = ["ratematch", "plan"]
    for field in FIELDS:
        value = field.get(scenario)
        if field.key in ALWAYS or value != field.get(default):
            words += [f"--{field.key}", shlex.quote(spelled(field, value))]
    return " ".join(words)
