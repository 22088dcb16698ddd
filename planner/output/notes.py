"""Assumptions of a plan that are worth knowing, a sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.errors import listed
from planner.output import encoder_words
from planner.output.below import below_note
from planner.output.place_notes import border_notes, cache_notes, host_notes
from planner.output.spelling import named, percent
from planner.output.traffic_words import caches_note, idle_notes
from planner.units import three_digits

if TYPE_CHECKING:
    from planner.inputs.kernels import Provenance
    from planner.planning.result import Drafts, Plan

SLOWER = 1.005  # of a pass in its format over one in bf16: then the plan says so


def inherited(plan: Plan, kernel: Provenance) -> bool:
    """Whether a kernel's constants were measured on another system than the plan's."""
    return kernel.system != plan.scenario.system


def notes(plan: Plan) -> list[str]:
    """Assumptions worth knowing: formats, a context beyond the model's, inherited or odd constants."""
    found = []
    scenario, formats = plan.scenario, plan.precision
    if formats is not None:
        experts = f", experts {formats.experts}" if formats.experts not in (None, formats.weights) else ""
        found.append(f"weights {formats.weights}{experts}, KV cache {formats.kv}")
    if plan.not_read:
        found.append(
            f"not read in the config of {scenario.model}, so not modelled, and the ranges are wider for it: "
            f"{', '.join(plan.not_read)}"
        )
    if plan.drafts is not None:
        found.append(_drafts_note(plan.drafts))
    shown = plan.deployed
    seen = shown.encoder.tokens if shown is not None and shown.encoder is not None else 0
    length = scenario.traffic.isl + seen + scenario.traffic.osl
    if plan.max_context and length > plan.max_context:
        found.append(
            f"{length:,} tokens of input and output exceed the {plan.max_context:,} "
            f"that {scenario.model} was published for"
        )
    if said := _kernels_note(plan):
        found.append(said)
    if said := below_note(plan):
        found.append(said)
    found += [*border_notes(plan.deployed), *host_notes(plan, plan.deployed), *cache_notes(plan)]
    found += [f"trace: {said}" for said in plan.mended]
    found += idle_notes(scenario)
    if plan.caches is not None:
        found.append(caches_note(plan.caches, scenario.traffic.reuse))
    if shown is not None and shown.encoder is not None:
        found.append(encoder_words.NOTE)
    found += _formats_notes(plan)
    return [*found, *dict.fromkeys(kernel.why for kernel in plan.kernels if kernel.why)]


def _kernels_note(plan: Plan) -> str:
    """Whose kernels a plan rests on, where they are not its own system's; "" where they are."""
    system, of = plan.scenario.system, plan.kernels_of
    measured = {kernel.system for kernel in plan.kernels if kernel.measurements}
    if measured and of and of not in measured:
        known = "it" if of == system else of
        whose = f"those of {listed(sorted(measured))}, with what is published of {known}"
        return f"no kernel was measured on {system}: constants are {whose}"
    return f"kernel constants of {system} are those measured on {of}" if of not in ("", system) else ""


def _formats_notes(plan: Plan) -> list[str]:
    """Where a pool's formats cost more than they save: of each phase once."""
    serving, formats = plan.deployed, plan.precision
    if serving is None or formats is None:
        return []
    experts = formats.experts if formats.experts not in (None, formats.weights) else None
    name = f"{formats.weights} with experts in {experts}" if experts else formats.weights
    unpacked = (experts or formats.weights).endswith("_wo")
    slower = {pool.phase: pool for pool in serving.pools if pool.over_bf16 > SLOWER}
    return [
        f"{name} makes a pass of {named(pool.phase).lower()} {percent(pool.over_bf16 - 1)} slower than bf16 "
        f"at {pool.layout.label}: "
        + (
            "unpacking weights for bf16 products costs more than reading fewer bytes saves"
            if unpacked
            else "so few tokens save less than it costs to quantise them"
        )
        for pool in slower.values()
    ]


def _drafts_note(drafts: Drafts) -> str:
    """`MTP 2: 85 % of first drafts taken, 2.49 tokens a step (assumed, not measured)`."""
    known = drafts.source or "assumed: nothing measured of this model is known"
    return (
        f"MTP {drafts.tokens}: {three_digits(100 * drafts.acceptance)} % of first drafts taken, "
        f"{three_digits(drafts.tokens_per_step)} tokens a step ({known})"
    )
