"""Runs every `$ ratematch ...` of the README and puts what it printed beneath: no figure is typed in.

python screenshots/readme.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```console\n\$ (.+)\n(?:.*\n)*?```")


def printed(block: re.Match[str]) -> str:
    """The block with today's output, standard error included."""
    shell = f'ratematch() {{ "{sys.executable}" -m tui.cli "$@"; }}; ({block[1]}) 2>&1'
    done = subprocess.run(
        ["bash", "-c", f"({shell}) 2>&1"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    return f"```console\n$ {block[1]}\n{done.stdout.rstrip()}\n```"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(BLOCK.sub(printed, readme.read_text(encoding="utf-8")), encoding="utf-8")
