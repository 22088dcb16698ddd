"""Runs the studies that come with ratematch and draws what docs/studies.md and the README show of them.

python screenshots/studies.py [FOLDER]    # of the datasets, build/studies by default; what is there is kept
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STUDIES = ("when-it-pays", "patterns", "gpu-generations", "small-fleets")
BLOCK = re.compile(r"```console\n\$ (ratematch study show .+)\n(?:.*\n)*?```")
MAP = "ratematch study show when-it-pays --x osl --y isl --by system --where ttl=20ms --where model={0}"
SHARES = "<!-- shares: drawn by screenshots/studies.py -->\n{}\n<!-- /shares -->"
MODELS = {"deepseek-r1": "DeepSeek-R1", "llama-3.1-70b": "Llama-3.1-70B"}


def shell(line: str, folder: Path) -> str:
    """What a line prints in the folder of the datasets."""
    whole = f'ratematch() {{ "{sys.executable}" -m tui.cli "$@"; }}; set -e; {line}'
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", whole], cwd=folder, env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.rstrip()


def shares(folder: Path) -> str:
    """The README's sentence on the maps at TTL 20 ms."""
    sys.path.insert(0, str(ROOT))
    from planner.studies import finding, table

    rows = table.read(folder / "when-it-pays").where("ttl", "20ms")
    told = []
    for model, name in MODELS.items():
        each = []
        for system in ("h200", "gb200"):
            found = finding.shares(rows.where("model", model).where("system", system))
            each.append(
                f"{100 * found['split']:.0f} % on {system.upper()} ({100 * found['tie']:.0f} % are ties)"
            )
        told.append(f"for {name} in {' and '.join(each)}")
    return (
        f"Over 15 x 15 lengths at TTL 20 ms a split pays {told[0]},\n{told[1]}.\n"
        "A tie is a gain within its error."
    )


def put(page: Path, pattern: re.Pattern[str], text: object) -> None:
    """A page with each match replaced."""
    old = page.read_text(encoding="utf-8")
    page.write_text(pattern.sub(text, old), encoding="utf-8")  # type: ignore[call-overload]


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "studies").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for study in STUDIES:
        print(shell(f"ratematch study {study} --resume", folder), flush=True)
    for model in MODELS:
        print(shell(f"{MAP.format(model)} --out {ROOT}/docs/studies/when-it-pays-{model}.svg", folder))
    put(
        ROOT / "docs" / "studies.md",
        BLOCK,
        lambda block: f"```console\n$ {block[1]}\n{shell(block[1], folder)}\n```",
    )
    put(
        ROOT / "README.md",
        re.compile(SHARES.format(r"(?:.*\n)*?(?:.*)")),
        lambda _: SHARES.format(shares(folder)),
    )
