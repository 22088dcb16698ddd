"""Questions that people asked in public, and what is known of the right answer.

Of those that concern formats, layouts and memory; each by the flags that its asker would type.
"""

from pathlib import Path

from planner.inputs.catalog import load
from planner.output.data import to_dict
from planner.planning.plan import plan
from tui.cli.flags import Parser, add_scenario, read_scenario

GB = 1e9
CONFIGS = Path(__file__).parents[1] / "inputs" / "configs"


def answer(flags, catalog=None):
    """The plan of a command line, as its JSON."""
    catalog = catalog or load()
    parser = Parser("ratematch plan", "", "", "")
    add_scenario(parser)
    return to_dict(plan(read_scenario(parser.read(flags.split()), catalog), catalog))


def weights(document):
    """Bytes of weights on the fullest GPU of what is to be deployed."""
    serving = document[document["choice"]]
    pools = [serving[key] for key in ("prefill", "decode", "pool") if key in serving]
    return max(pool["memory"]["weights_bytes"] for pool in pools)


def test_gpt_oss_120b_runs_on_one_gpu_of_80_gb():
    found = answer("--model gpt-oss-120b --system h100 --engine vllm --gpus 1")
    assert found["status"] == "optimal"
    assert found["precision"]["experts"] == "mxfp4_wo"
    assert 58 * GB < weights(found) < 68 * GB  # published: 63 GB


def test_gpt_oss_120b_is_four_bits_by_default():
    found = answer("--model gpt-oss-120b --system h200 --gpus 8 --isl 1k --osl 1k")
    assert (found["precision"]["weights"], found["precision"]["experts"]) == ("bf16", "mxfp4_wo")
    best = found[found["choice"]]["tokens_per_s_per_gpu"] * 8
    assert 0.6 * 78_000 < best < 1.5 * 78_000
