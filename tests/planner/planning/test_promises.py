"""What it takes is a promise: each change that an infeasible plan proposes, applied, gives a plan."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import numpy as np
import pytest

from planner.errors import InputError
from planner.inputs import catalog, fields
from planner.inputs.scenario import Fleet, Limits, Scenario, Traffic
from planner.output.reasons import change_text
from planner.planning import near_miss
from planner.planning.plan import plan
from planner.planning.result import Plan
from tui.cli.main import main

QUESTIONS = int(os.environ.get("QUESTIONS", "256"))  # 1,024 in `make fuzz`
PARTS = 8  # run side by side
MODELS = ("llama-3.1-8b", "llama-3.1-70b", "deepseek-v3.2", "qwen3-30b-a3b", "gpt-oss-120b", "mixtral-8x7b")
SYSTEMS = ("h200", "h100", "b200", "l40s", "mi300x", "gb200")
GOALS = ("throughput", "fewest-gpus", "cost")


def question(draw: np.random.Generator) -> Scenario:
    """A question that likely has no plan: too tight, too few GPUs or too high a demand."""
    goal = str(draw.choice(GOALS))
    demand = None if goal == "throughput" or (goal == "cost" and draw.random() < 0.3) else True
    return Scenario(
        model=str(draw.choice(MODELS)),
        system=str(draw.choice(SYSTEMS)),
        engine=str(draw.choice(("trtllm", "vllm", "sglang"))),
        weights=str(draw.choice(("auto", "auto", "bf16"))),
        traffic=Traffic(
            isl=int(2 ** draw.uniform(7, 16)),
            osl=int(2 ** draw.uniform(3, 12)),
            requests_per_s=float(f"{10 ** draw.uniform(-1, 5):.3g}") if demand else None,
        ),
        limits=Limits(
            ftl_s=float(f"{10 ** draw.uniform(-3, 1.5):.3g}"),
            ttl_s=float(f"{10 ** draw.uniform(-3, -1):.3g}"),
        ),
        fleet=Fleet(
            gpus=None if draw.random() < 0.1 else int(2 ** draw.uniform(0, 8)),
            instance_gpus=int(2 ** draw.integers(0, 5)) if draw.random() < 0.2 else None,
        ),
        goal=goal,
        headroom=float(draw.choice((0.0, 0.0, 0.1, 0.25))),
        mix=bool(draw.random() < 0.2),
        time_limit_s=1.0,
    )


def infeasible(seed: int | list[int], count: int) -> Iterator[Plan]:
    """The answers to so many questions without a plan."""
    draw = np.random.default_rng(seed)
    known, found = catalog.load(), 0
    while found < count:
        try:
            answer = plan(question(draw), known)
        except InputError:  # an engine that does not run there
            continue
        if answer.status == "infeasible":
            found += 1
            yield answer


def broken(answer: Plan) -> Iterator[str]:
    """The promises of an infeasible answer that are not kept."""
    known = catalog.load()
    assert answer.infeasible is not None
    for change in answer.infeasible.relax:
        field = fields.BY_KEY[change.field]
        changed = near_miss.relaxed(answer.scenario, (change,))
        if field.check(change.value) != field.get(changed):
            yield f"{answer.scenario}: {change} lies outside its field"
        elif plan(changed, known).status == "infeasible":
            yield f"{answer.scenario}: {change} is not enough"


# a demand beside a limit that fails; an FTL that takes more than the longest that can be asked for
KNOWN = (
    "--model deepseek-v3.2 --system h200 --engine sglang --weights bf16 --isl 8192 --osl 128 --ttl 20ms "
    "--gpus 7 --goal fewest-gpus --rate 1 --headroom 10%",
    "--model llama-3.1-8b --system h20 --engine vllm --isl 4m --osl 64 --ftl 1s --ttl 60s --gpus 8",
)


@pytest.mark.parametrize("flags", KNOWN)
def test_what_it_once_took_was_not_enough(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", *flags.split(), "--json"])
    told = json.loads(capsys.readouterr().out)
    for change in told["infeasible"]["relax"]:
        value = fields.BY_KEY[change["field"]].check(change["value"])
        assert main(["plan", *flags.split(), f"--{change['field']}", str(value)]) == 0


@pytest.mark.parametrize("rate", [30.0, pytest.param(500.0, marks=pytest.mark.slow)])
def test_the_gpus_that_a_demand_takes_are_told_and_no_fewer_will_do(rate: float) -> None:
    """A split is expected to serve less than its slower pool: more GPUs than one that is not."""
    asked = Scenario(goal="fewest-gpus", traffic=Traffic(isl=4096, osl=512, requests_per_s=rate))
    asked = fields.BY_KEY["gpus"].set(asked, 16)
    found = plan(asked).infeasible
    assert found is not None and [change.field for change in found.relax] == ["rate", "gpus"]
    gpus = fields.BY_KEY["gpus"]
    assert plan(gpus.set(asked, found.relax[1].value)).status != "infeasible"
    assert plan(gpus.set(asked, round(found.relax[1].value) - 1)).status == "infeasible"


def test_what_it_takes_is_enough() -> None:
    for answer in infeasible(1, 6):
        assert list(broken(answer)) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_change_proposed_to_hundreds_of_questions_is_enough(part: int) -> None:
    told = 0
    for answer in infeasible([2, part], QUESTIONS // PARTS):
        assert list(broken(answer)) == []
        told += len(answer.infeasible.relax)
    assert told > QUESTIONS // PARTS / 4  # that there is something to try


@pytest.mark.parametrize(
    "asked, told",
    [
        (Scenario(model="llama-3.1-405b", weights="bf16", fleet=Fleet(gpus=4)), "fp8"),
        (Scenario(model="glm-5", system="a100", engine="vllm", fleet=Fleet(gpus=16)), "fp8"),
        (Scenario(model="deepseek-r1", system="h100", engine="vllm", fleet=Fleet(gpus=8)), "int4"),
        (Scenario(limits=Limits(ttl_s=0.002)), None),  # no format makes a 70B model that fast
    ],
    ids=lambda value: value.model if isinstance(value, Scenario) else str(value),
)
def test_narrower_weights_are_told_where_they_are_enough(asked: Scenario, told: str | None) -> None:
    answer = plan(asked)
    assert answer.infeasible is not None
    formats = [change for change in answer.infeasible.relax if change.field == "weights"]
    assert [change.value for change in formats] == ([told] if told else [])
    assert list(broken(answer)) == []
    for change in formats:
        assert change_text(answer.scenario, change) == f"weights {asked.weights} -> {told}"


def test_a_format_that_is_no_narrower_is_no_change() -> None:
    """A checkpoint of four bits has none; eight bits are no way out of eight."""
    for model, weights in (("gpt-oss-120b", "auto"), ("llama-3.1-405b", "int4")):
        answer = plan(Scenario(model=model, weights=weights, limits=Limits(ftl_s=1e-4)))  # type: ignore[arg-type]
        assert answer.infeasible is not None
        assert all(change.field != "weights" for change in answer.infeasible.relax)
