"""How to write the page again."""

from __future__ import annotations

from planner.evidence.shipped import KERNELS_NAME, RUNS_NAME

PAGE = "docs/accuracy.md"
COMMAND = f"ratematch validate --write {PAGE}"


def commands(file: str, *, kernels: bool) -> list[str]:
    """The commands, for the runs of `file` and for measured kernels if there are any."""
    if file != RUNS_NAME:
        folder = " --kernels DIR" if kernels else ""
        return [
            "## Reproduce",
            "",
            "`ratematch validate --help` lists the columns.",
            "",
            "```",
            f"ratematch validate {file}{folder} --write PAGE",
            "```",
        ]
    return [
        "## Reproduce",
        "",
        "The measurements come with the source: `presets/measured` (its README.md has their source, licence "
        "and columns). In a checkout this writes the page again, the same to the byte:",
        "",
        "```",
        COMMAND,
        "```",
        "",
        "The constants and the figures left out are fitted to the same files:",
        "",
        "```",
        f"ratematch calibrate {KERNELS_NAME} --out presets",
        f"ratematch calibrate --engines {RUNS_NAME} --out presets",
        f"ratematch calibrate --engines {RUNS_NAME} --bands --out presets",
        "```",
        "",
        "Or one run: `ratematch validate` on a file with that row alone.",
    ]
