"""What changes against the deployment that runs: "+2 prefill instances, -1 decode instance"."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from planner.errors import InputError, printable
from planner.inputs import files, layout_label
from planner.inputs.deployment import Deployment
from planner.inputs.scenario import Scenario
from planner.inputs.toml_tables import parse_toml
from planner.output.deploy.record import FILE
from planner.output.spelling import count, named
from planner.planning.result import Serving
from planner.values import dataclass
from planner.words import Phase

ACCEPTED = f"a plan (ratematch plan --json), {FILE} of an export, or the folder of one"
MOST_BYTES = 32 << 20  # of a plan with its frontiers
MOST_POOLS = 100
MOST_WORDS = 200  # characters of what a pool serves
MOST_INSTANCES = 1_000_000
_PHASES: tuple[Phase, ...] = get_args(Phase)
_WIDTHS = ("tp", "pp", "attention_dp", "moe_tp", "moe_ep")
_ROLES: Mapping[str, tuple[tuple[Phase, str, str], ...]] = {  # phase, prefix of its columns, of its count
    "disaggregated": (("prefill", "prefill_", "prefill_"), ("decode", "decode_", "decode_")),
    "colocated": (("colocated", "", "decode_"),),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Instances of one phase and layout."""

    phase: Phase
    layout: str  # its name
    instances: int
    max_batch: int | None = None  # sequences of an attention rank; None where it is not said
    serves: str = ""  # model, system and engine in words; "" where that is not said

    @property
    def key(self) -> tuple[Phase, tuple[int, ...]]:
        """What makes an instance the same: how prompts go through a pipeline is a flag of it."""
        return self.phase, tuple(layout_label.parse(self.layout)[:-1])

    @property
    def gpus(self) -> int:
        """GPUs of an instance."""
        return layout_label.parse(self.layout).gpus


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Instances of one phase and layout, before and after."""

    phase: Phase
    layout: str
    before: int
    after: int
    gpus: int  # of an instance
    batch: tuple[int, int] | None = None  # its limit, where that changes
    serves: tuple[str, str] = ("", "")  # before and after, where what they serve differs

    @property
    def more(self) -> int:
        """Instances that start; below zero: that stop."""
        return self.after - self.before


def of_serving(serving: Serving, scenario: Scenario) -> tuple[Pool, ...]:
    """The pools of a plan."""
    return tuple(
        Pool(
            phase=pool.phase,
            layout=pool.layout.label,
            instances=pool.instances,
            max_batch=pool.max_batch or None,
            serves=_serves(scenario.model, pool.system, scenario.engine),
        )
        for pool in serving.pools
    )


def _serves(model: Any, system: Any, engine: Any) -> str:
    """What instances serve; "" where not all of it is known. Profiles of one engine are one engine.

    >>> _serves("qwen3-32b", "h200", "sglang-0.5.1")
    'qwen3-32b on h200 with sglang'
    """
    if not all(isinstance(one, str) and one for one in (model, system, engine)):
        return ""
    return f"{model} on {system} with {engine.split('-')[0]}"[:MOST_WORDS]


def of_deployment(given: Deployment) -> tuple[Pool, ...]:
    """What a scenario gives. Raises InputError where that is not a whole deployment."""
    if not given.complete:
        raise InputError(
            "running",
            "the layouts that are given",
            "all of a way: --prefill-layout, --prefill-instances, --decode-layout and --decode-instances, "
            "or those of co-located instances",
        )
    found = []
    for phase in _PHASES:
        layout, instances = given.layout(phase), given.instances(phase)
        if layout is not None and instances is not None:
            name = layout_label.label(**layout._asdict())
            found.append(Pool(phase=phase, layout=name, instances=instances))
    return tuple(found)


def read(path: Path) -> tuple[Pool, ...]:
    """What runs, of a file. Raises InputError for what says nothing of a deployment."""
    if os.path.isdir(path):  # noqa: PTH112 (never raises, whatever the name)
        path = path / FILE
    text = files.read_text(path, MOST_BYTES, what="running")
    found = _of_plan(path, text) if text.lstrip()[:1] == "{" else _of_record(path, text)
    if not 1 <= len(found) <= MOST_POOLS:
        raise InputError("running", str(path), ACCEPTED)
    return found


def _of_plan(path: Path, text: str) -> tuple[Pool, ...]:
    try:
        document = json.loads(text)
        asked = document.get("scenario") or {}
        return tuple(
            _pool(
                one["phase"],
                _label(one["layout"]),
                one["instances"],
                one.get("max_batch"),
                one.get("serves") or _serves(asked.get("model"), one.get("system"), asked.get("engine")),
            )
            for one in document["pools"]
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise InputError("running", str(path), ACCEPTED) from None


def _label(layout: Any) -> str:
    return str(layout["label"] if isinstance(layout, dict) else layout)


def _of_record(path: Path, text: str) -> tuple[Pool, ...]:
    table = parse_toml(text, path.name)
    run, pools = table.get("run"), table.get("pools")
    if isinstance(run, dict) and isinstance(pools, list):  # of a mix, which a row of runs has no columns for
        return _of_pools(path, run, pools)
    roles = _ROLES.get(str(run.get("mode")) if isinstance(run, dict) else "")
    if not isinstance(run, dict) or roles is None:
        raise InputError("running", str(path), ACCEPTED)
    found = []
    try:
        for phase, prefix, workers in roles:
            tp, pp, dp, moe_tp, ep = (int(run.get(f"{prefix}{name}", 1)) for name in _WIDTHS)
            cut = pp > 1 and phase == "prefill" and run.get("max_batched_tokens", 0) < run["isl"]
            name = layout_label.label(tp=tp, pp=pp, attention_dp=dp, moe_tp=moe_tp, ep=ep, chunked=cut)
            limit = run.get("max_batch") if phase != "prefill" else None
            serves = _serves(run.get("model"), run.get("system"), run.get("engine"))
            found.append(_pool(phase, name, run[f"{workers}workers"], limit, serves))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError("running", str(path), ACCEPTED) from None
    return tuple(found)


def _of_pools(path: Path, run: Mapping[str, Any], pools: list[Any]) -> tuple[Pool, ...]:
    serves = _serves(run.get("model"), run.get("system"), run.get("engine"))
    try:
        return tuple(
            _pool(one["phase"], str(one["layout"]), one["instances"], one.get("max_batch"), serves)
            for one in pools[: MOST_POOLS + 1]
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise InputError("running", str(path), ACCEPTED) from None


def _pool(phase: str, layout: str, instances: Any, max_batch: Any, serves: Any) -> Pool:
    """A pool; raises ValueError, or InputError for a layout that says nothing."""
    known = next((one for one in _PHASES if one == phase), None)
    number = int(instances)
    if known is None or isinstance(instances, bool) or not 1 <= number <= MOST_INSTANCES:
        raise ValueError(f"{phase} {instances}")
    pool = Pool(
        phase=known,
        layout=layout,
        instances=number,
        max_batch=int(max_batch) if max_batch else None,
        serves=printable(str(serves)[:MOST_WORDS]),
    )
    layout_label.parse(layout, "running")
    return pool


def _by_kind(pools: tuple[Pool, ...], told: bool) -> dict[tuple[tuple[Phase, tuple[int, ...]], str], Pool]:
    """Pools by what makes their instances the same, those of several pools of a mix added up."""
    found: dict[tuple[tuple[Phase, tuple[int, ...]], str], Pool] = {}
    for pool in pools:
        key = pool.key, pool.serves if told else ""
        if (other := found.get(key)) is not None:
            limit = pool.max_batch if pool.max_batch == other.max_batch else None
            pool = replace(pool, instances=pool.instances + other.instances, max_batch=limit)
        found[key] = pool
    return found


def changes(before: tuple[Pool, ...], after: tuple[Pool, ...]) -> tuple[Change, ...]:
    """Every kind of instance of either, in the order of phases, those of `after` first.

    One that serves another model, on another GPU or engine, is another instance.

    >>> changes((Pool(phase="decode", layout="TP8", instances=3),),
    ...         (Pool(phase="decode", layout="TP8", instances=2),))[0].more
    -1
    """
    told = all(pool.serves for pool in (*before, *after))
    was, now = (_by_kind(side, told) for side in (before, after))
    stays = not told or not {pool.serves for pool in before}.isdisjoint(pool.serves for pool in after)
    served = ("", "") if stays else (_all_served(before), _all_served(after))
    found = []
    for key in sorted({**now, **was}, key=lambda key: _PHASES.index(key[0][0])):
        old, new = was.get(key), now.get(key)
        one = new or old
        assert one is not None
        limits = (old.max_batch, new.max_batch) if old and new else (None, None)
        found.append(
            Change(
                phase=one.phase,
                layout=one.layout,
                before=old.instances if old else 0,
                after=new.instances if new else 0,
                gpus=one.gpus,
                batch=(limits[0], limits[1]) if limits[0] and limits[1] and limits[0] != limits[1] else None,
                serves=served,
            )
        )
    return tuple(found)


def _all_served(pools: tuple[Pool, ...]) -> str:
    return " and ".join(dict.fromkeys(pool.serves for pool in pools))


def sentence(found: tuple[Change, ...]) -> str:
    """The answer first: what starts and stops, and the GPUs that takes.

    >>> sentence(changes((Pool(phase="decode", layout="TP8", instances=3),),
    ...                  (Pool(phase="decode", layout="TP8", instances=2),)))
    'Against what runs: -1 decode instance (TP8); 8 GPUs fewer.'
    """
    moved = [
        f"{one.more:+,} {named(one.phase)} instance{'' if abs(one.more) == 1 else 's'} ({one.layout})"
        for one in found
        if one.more
    ]
    if not moved:
        return "What runs is the plan: no instance starts or stops."
    gpus = sum(one.more * one.gpus for one in found)
    taken = f"{count(abs(gpus), 'GPU')} {'more' if gpus > 0 else 'fewer'}" if gpus else "as many GPUs"
    before, after = found[0].serves
    anew = f" {before} runs, the plan is {after}: each instance starts anew." if before else ""
    return f"Against what runs: {', '.join(moved)}; {taken}.{anew}"


def rows(found: tuple[Change, ...]) -> list[tuple[str, ...]]:
    """A table of every kind of instance: before, after, and what stays with another batch limit."""
    head = ("", "layout", "GPUs each", "runs", "plan", "change", "")
    listed = [
        (
            named(one.phase),
            one.layout,
            f"{one.gpus:,}",
            f"{one.before:,}",
            f"{one.after:,}",
            f"{one.more:+,}" if one.more else "0",
            f"batch limit {one.batch[0]:,} -> {one.batch[1]:,}" if one.batch else "",
        )
        for one in found
    ]
    return [head, *listed]


def to_dict(found: tuple[Change, ...]) -> dict[str, Any]:
    """The changes as plain data."""
    return {
        "changes": [
            {
                "phase": one.phase,
                "layout": one.layout,
                "gpus_per_instance": one.gpus,
                "before": one.before,
                "after": one.after,
                "max_batch": list(one.batch) if one.batch else None,
            }
            for one in found
        ],
        "gpus": sum(one.more * one.gpus for one in found),
        "serves": list(found[0].serves) if found and found[0].serves[0] else None,
    }
