"""`ratematch paths`: the folders that ratematch reads and writes."""

from __future__ import annotations

from collections.abc import Sequence

from planner.errors import unknown
from tui.cli.flags import Parser
from tui.cli.terminal import DONE, say
from tui.files import storage


def run(arguments: Sequence[str]) -> int:
    """The command. Raises InputError for a folder that is neither."""
    parser = Parser(
        "ratematch paths",
        "[FOLDER]",
        "Print the folders that ratematch reads and writes: your presets and scenarios (config), the\n"
        "last session and the error log (state).",
        "  ratematch paths\n  ls $(ratematch paths state)",
    )
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="only this one: config or state")
    args = parser.read(arguments)
    from planner.inputs.catalog import user_folder

    folders = {"config": user_folder(), "state": storage.state_folder()}
    if args.folder is None:
        say("\n".join(f"{name:<8}{path}" for name, path in folders.items()))
    elif args.folder in folders:
        say(folders[args.folder])
    else:
        raise unknown("paths", args.folder, folders)
    return DONE
