"""YAML, written by a library: what is in a name is never part of the document's form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.errors import printable


def yaml_text(document: Mapping[str, Any], comment: str = "") -> str:
    """One document, keys in their order.

    >>> print(yaml_text({"a": "yes", "b": [1, "x: y"]}, "what it is"), end="")
    # what it is
    a: 'yes'
    b:
    - 1
    - 'x: y'
    """
    head = f"# {printable(comment)}\n" if comment else ""
    return head + _dump([document])


def yaml_texts(documents: Iterable[Mapping[str, Any]], comment: str = "") -> str:
    """Several documents in one text, each behind its `---`."""
    head = f"# {printable(comment)}\n" if comment else ""
    return head + _dump(list(documents), explicit_start=True)


def _dump(documents: list[Mapping[str, Any]], **options: Any) -> str:
    import yaml

    # without anchors: what occurs twice is written twice
    plain = type("Plain", (yaml.SafeDumper,), {"ignore_aliases": lambda self, data: True})
    plain.add_representer(str, _string)  # type: ignore[attr-defined]
    text: str = yaml.dump_all(
        [_plain(document) for document in documents],
        Dumper=plain,
        sort_keys=False,
        allow_unicode=True,
        width=110,
        **options,
    )
    return text


def _string(dumper: Any, text: str) -> Any:
    """A text of several lines as a block, where its characters allow that."""
    block = text.endswith("\n") and all(
        line.isprintable() and line == line.rstrip() for line in text.split("\n")
    )
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if block else None)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
