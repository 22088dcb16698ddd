"""What ratematch runs on may be passed on with it: each library says a permissive licence of itself."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# SPDX names; a library under another one is looked at before its name is added here
PERMISSIVE = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "MIT",
    "MIT-CMU",
    "PSF-2.0",
    "Zlib",
}
SPELLED = {  # how libraries write them that have no SPDX expression yet, in classifiers and in plain words
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
}
EXTRAS = ("", "serve", "figures")


def run_on(name: str, extras: tuple[str, ...], seen: dict[tuple[str, str], Distribution]) -> None:
    """Adds what an installed distribution needs to run, itself too; an extra that is not installed is not."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return
    for extra in extras:
        if (name, extra) in seen:
            continue
        seen[name, extra] = found
        for line in found.requires or ():
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                run_on(canonicalize_name(need.name), ("", *need.extras), seen)


def licences(found: Distribution) -> Iterator[str]:
    """The licences a distribution is under, all of them; where there is a choice, one that is permissive."""
    expression = found.metadata.get("License-Expression")
    stated = [c for c in found.metadata.get_all("Classifier") or () if c.startswith("License :: ")]
    if expression:
        choices = [choice.split(" AND ") for choice in expression.split(" OR ")]
        yield from next((c for c in choices if PERMISSIVE.issuperset(c)), choices[0])
    elif stated:
        yield from (SPELLED.get(name, name) for name in (c.rpartition(" :: ")[2] for c in stated))
    else:
        words = found.metadata.get("License") or "no licence is stated"
        yield SPELLED.get(words, words)


def forbidden(found: Distribution) -> list[str]:
    return [name for name in licences(found) if name not in PERMISSIVE]


def test_every_library_it_runs_on_has_a_permissive_licence() -> None:
    seen: dict[tuple[str, str], Distribution] = {}
    run_on("ratematch", EXTRAS, seen)
    installed = {name for name, _ in seen}
    assert {
        "numpy",
        "scipy",
        "textual",
        "rich",
        "plotext",
        "platformdirs",
        "tomli-w",
        "pygments",
    } <= installed
    refused = {f"{name} {found.version}": forbidden(found) for (name, _), found in seen.items()}
    assert {name: words for name, words in refused.items() if words} == {}


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("License-Expression: GPL-3.0-only OR MIT", []),
        ("License-Expression: MIT AND LGPL-2.1-only", ["LGPL-2.1-only"]),
        ("Classifier: License :: Other/Proprietary License", ["Other/Proprietary License"]),
        ("Classifier: License :: OSI Approved :: MIT License", []),
        ("License: Proprietary", ["Proprietary"]),
        ("Summary: silent", ["no licence is stated"]),
    ],
)
def test_a_licence_is_read_as_it_is_stated(tmp_path: Path, line: str, refused: list[str]) -> None:
    (tmp_path / "METADATA").write_text(f"Metadata-Version: 2.4\nName: sample\nVersion: 1\n{line}\n")
    assert forbidden(Distribution.at(tmp_path)) == refused
