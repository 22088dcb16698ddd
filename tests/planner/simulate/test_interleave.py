"""Two half batches in turn: the exchange of one behind the kernels of the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.inputs import catalog
from planner.inputs.scenario import Scenario, Traffic
from planner.planning.resolve import prepare
from planner.simulate import decode, forward, prefill
from planner.simulate.lockstep import fullest, held_s
from planner.simulate.operators.roofline import Cost
from planner.simulate.operators.setup import Setup
from planner.simulate.points import Prompt
from planner.simulate.space import Layouts

PRESETS = catalog.load()
BATCH = np.array([1.0, 4.0, 16.0, 64.0, 256.0]).reshape(1, -1, 1)


def setup(system: str, two_batches: bool) -> Setup:
    found = (
        prepare(
            Scenario(
                model="deepseek-v3",
                system=system,
                engine="sglang",
                weights="fp8",
                traffic=Traffic(isl=2048, osl=512),
            ),
            PRESETS,
        )
        .pools["decode"]
        .setup
    )
    profile = found.machine.engine
    can = replace(profile.can, two_batches=("nvidia",) if two_batches else ())
    engine = replace(profile, can=can)
    return replace(found, machine=replace(found.machine, engine=engine))


def wide(gpus: int) -> Layouts:
    sizes = {"tp": 1, "pp": 1, "attention_dp": gpus, "moe_tp": 1, "moe_ep": gpus}
    return Layouts(**{name: np.full((1, 1, 1), int(size)) for name, size in sizes.items()})


def step_s(system: str, two_batches: bool, gpus: int) -> np.ndarray:
    ledger = decode.step(setup(system, two_batches), wide(gpus), "all-to-all", BATCH, isl=2048, osl=512)
    return np.asarray(ledger.layers().seconds).ravel()


def test_halves_pay_beyond_the_domain_where_batches_are_large():
    one, two = step_s("h100", False, 64), step_s("h100", True, 64)
    assert np.all(two <= one)
    assert two[0] == one[0]  # one sequence a rank: reading all weights twice cannot pay
    assert two[-1] < 0.9 * one[-1]
    assert np.all(np.diff(two) > 0)


def test_within_a_domain_nothing_changes():
    assert np.array_equal(step_s("gb200", True, 64), step_s("gb200", False, 64))


def test_what_has_no_flag_or_is_gathered_runs_whole():
    """Engines cut the models that they know; a gathered pass and co-located instances stay whole."""
    found = setup("h100", True)
    assert forward.in_halves(found, wide(64), "all-to-all").all()
    assert not forward.in_halves(replace(found, gathers=False), wide(64), "all-to-all").any()
    assert not forward.in_halves(found, wide(64), "gathered").any()
    too_many = np.array([False, True]).reshape(1, -1, 1)
    assert forward.in_halves(found, wide(64), "all-to-all", too_many).ravel().tolist() == [True, False]
    cut = {
        engine: {
            name
            for name in (
                "deepseek-r1",
                "deepseek-v4-pro",
                "kimi-k2.5",
                "kimi-k3",
                "qwen3-235b-a22b",
                "gpt-oss-120b",
            )
            if forward.cuts_in_two(PRESETS.engine(engine).can, "nvidia", PRESETS.model(name))
        }
        for engine in ("sglang", "vllm", "trtllm", "ideal")
    }
    assert cut["sglang"] == {"deepseek-r1", "kimi-k2.5", "qwen3-235b-a22b"}
    assert len(cut["vllm"]) == 6 and not cut["trtllm"] and not cut["ideal"]
    assert not forward.cuts_in_two(PRESETS.engine("vllm").can, "amd", PRESETS.model("deepseek-r1"))


def test_steps_too_large_for_the_all_to_all_hide_no_gathering():
    """SGLang's low-latency kernels take 1,024 tokens of a rank; beyond, tokens are gathered in one batch."""
    one, two = (
        decode.step(
            setup("h100", halves), wide(64), "all-to-all", np.full((1, 1, 1), 1100.0), isl=2048, osl=512
        )
        for halves in (False, True)
    )
    assert two.layers().seconds == one.layers().seconds and not two.halved


def test_neither_work_nor_wire_is_hidden_twice():
    moved, second = Cost(np.array([1.0, 5.0, 9.0]), np.array([0.5, 3.0, 8.0])), Cost(1.0, 0.2)
    work = Cost(np.array([4.0, 4.0, 4.0]), np.array([2.0, 2.0, 2.0]))
    found = forward.overlapped(work, moved, second, np.array([True, True, True]))
    assert found.seconds.tolist() == [5.0, 5.0, 9.0]
    assert found.light_s.tolist() == [2.0, 3.0, 8.0]
    apart = forward.overlapped(work, moved, second, np.array([False, False, False]))
    assert apart.seconds.tolist() == [5.0, 9.0, 13.0]


@pytest.mark.parametrize("two_batches", [False, True])
def test_breakdown_and_sweep_agree(two_batches):
    s = setup("h100", two_batches)
    flat = Layouts(**{name: value.ravel() for name, value in vars_of(wide(32)).items()})
    points = prefill.simulate(s, flat, 2048)
    at = int(np.argmax(points.requests_per_s))
    per_rank, chunks = points.batch[at] / 32, round(2048 / points.chunk_tokens[at])
    ledger = prefill.mean_pass(s, wide(32), "all-to-all", per_rank, float(chunks), Prompt(new=2048))
    pace = forward.pace(
        s,
        wide(32),
        ledger.layers(),
        ledger.head,
        per_rank * 2048 / chunks,
        per_rank,
        s.machine.engine.prefill_stretch,
    )
    engine = s.machine.engine
    uneven = 1.0 + engine.prompt_imbalance * float(fullest(32.0, 1.0 / per_rank))
    host_s = per_rank * float(held_s(32.0, engine.arrival_s, engine.serial_share))
    busy_s = chunks * float(np.ravel(pace.seconds)[0]) * uneven
    assert points.requests_per_s[at] == pytest.approx(points.batch[at] / (busy_s + host_s))


def vars_of(at: Layouts) -> dict[str, np.ndarray]:
    return {name: getattr(at, name) for name in ("tp", "pp", "attention_dp", "moe_tp", "moe_ep")}
