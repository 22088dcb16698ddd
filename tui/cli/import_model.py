"""`ratematch import-model`: a Hugging Face config becomes a model of one's own catalog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tui.cli.flags import Parser
from tui.cli.presets import imported
from tui.cli.terminal import DONE, say


def run(arguments: Sequence[str]) -> int:
    """The command. Raises InputError for a config that cannot be used."""
    parser = Parser(
        "ratematch import-model",
        "CONFIG [--name NAME] [--json]",
        "Add a model to your own catalog from its Hugging Face config.json.",
        "  ratematch import-model ./my-model/config.json --name my-model\n"
        "  ratematch plan --model my-model --system h200",
    )
    parser.add_argument("config", metavar="CONFIG", help="a config.json, or the folder that holds it")
    parser.add_argument("--name", help="the model's name in the catalog (default: that of its folder)")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    args = parser.read(arguments)
    from planner.inputs.huggingface.import_model import import_model

    path, spec, unknown_keys = import_model(Path(args.config), args.name)
    say(imported(path, spec, unknown_keys, as_json=args.json))
    return DONE
