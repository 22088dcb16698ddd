"""Plans that keep their limits and demand with the worst loss of one GPU, instance, node or rack.

An instance that loses a GPU is lost; a node or a rack takes all instances that have GPUs on it. A pool of n
instances of which one such loss takes k at most serves what ``n - k`` serve (`planner.planning.options`):
since a split serves what either of its pools does, and a loss strikes both pools together at worst, each
pool keeps its own k. k follows from the places (`planner.planning.places`): hosts and racks are as full of
instances of one pool as they can be.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from planner.arrays import BoolArray, FloatArray, IntArray
from planner.inputs import failures
from planner.inputs.failures import Failures, Nodes
from planner.inputs.system import System
from planner.planning import places
from planner.planning.places import Place, Size
from planner.planning.resolve import Question
from planner.planning.result import Count, EncoderPlan, PoolPlan, Serving
from planner.planning.survival import Survival
from planner.simulate.space import Layouts
from planner.words import Loss, Phase, Stage


def most_lost(loss: Loss, size: Size, nodes: Nodes) -> int:
    """Instances of one pool that one loss takes at most, wherever they are placed.

    >>> nodes = Nodes(host_gpus=8, domain_hosts=1, rack_hosts=4)
    >>> [most_lost(loss, Size(instances=9, gpus=2, stage=2, tp=2), nodes) for loss in ("gpu", "node", "rack")]
    [1, 4, 9]
    """
    if loss == "none":
        return 0
    if loss in ("gpu", "instance"):
        return min(1, size.instances)
    here = places.per_host(size, nodes.host_gpus)
    hosts, together = size.gpus // here, nodes.host_gpus // here  # of an instance; instances on a host
    if loss == "node":
        found = together
    elif hosts == 1:
        found = nodes.rack_hosts * together
    elif hosts <= nodes.domain_hosts:  # a rack is a domain, and none lies in two
        found = nodes.domain_hosts * together // hosts
    else:
        found = together * (-(-(nodes.rack_hosts - 1) // hosts) + 1)
    return min(found, size.instances)


def lost_of_one_gpu(loss: Loss, system: System) -> int:
    """`most_lost` of endless instances of one GPU."""
    if loss == "none":
        return 0
    return most_lost(loss, Size(instances=1 << 40, gpus=1, stage=1, tp=1), failures.nodes(system))


def lost_of_layouts(loss: Loss, layouts: Layouts, nodes: Nodes) -> IntArray:
    """`most_lost` of endless pools of each layout, shape (layouts,)."""
    if loss in ("none", "gpu", "instance"):
        return np.full(len(layouts), 0 if loss == "none" else 1, dtype=np.int64)
    return _of_each(layouts, 1 << 40, lambda size: most_lost(loss, size, nodes))


def fills_hosts(layouts: Layouts, nodes: Nodes) -> BoolArray:
    """Layouts whose instances fill their hosts without a rest, shape (layouts,).

    Others would leave GPUs idle on purpose, so that a host that is lost takes fewer of them.
    """
    here = _of_each(layouts, 1, lambda size: places.per_host(size, nodes.host_gpus))
    return np.asarray(nodes.host_gpus % here == 0)


def packs_hosts(layouts: Layouts, nodes: Nodes, *, domains: bool = False) -> BoolArray:
    """Layouts whose instances pack without a rest whatever is beside them, shape (layouts,).

    Several fill one host, or one fills several. Five of 4 GPUs on 5 hosts fill those too, but only if 5 at
    a time are left. With `domains`, several fill the hosts of a scale-up domain as well, or one fills several
    domains: of 72 GPUs those of 24 and 36 do, and those of 32 leave 8 of each.
    """
    host, domain = nodes.host_gpus, nodes.domain_hosts
    here = _of_each(layouts, 1, lambda size: places.per_host(size, host))
    several = here == host
    if domains:
        hosts = layouts.gpus // host
        several &= (domain % np.maximum(hosts, 1) == 0) | (hosts % domain == 0)
    return np.asarray(several | ((here == layouts.gpus) & (host % here == 0)))


def within_domain(layouts: Layouts, nodes: Nodes) -> BoolArray:
    """Layouts whose instances lie in one scale-up domain where it has the GPUs, shape (layouts,).

    Collectives of such an instance are priced there. One whose stages take 3 of a host's 4 GPUs needs more
    hosts than a domain of as many GPUs has.
    """
    gpus, fits = layouts.gpus, np.ones(len(layouts), dtype=bool)
    some = np.flatnonzero((gpus > nodes.domain_hosts) & (gpus <= nodes.domain_gpus))
    here = _of_each(layouts.take(some), 1, lambda size: places.per_host(size, nodes.host_gpus))
    fits[some] = gpus[some] // here <= nodes.domain_hosts
    return fits


def _of_each(layouts: Layouts, instances: int, told: Callable[[Size], int]) -> IntArray:
    """What is told of so many instances of each layout, shape (layouts,); each size of them is asked once."""
    keys = (layouts.gpus << 40) | (layouts.stage_gpus << 20) | layouts.tp
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    sizes = np.stack((layouts.gpus, layouts.stage_gpus, layouts.tp), axis=1)[first].tolist()
    found = [told(Size(instances=instances, gpus=g, stage=stage, tp=tp)) for g, stage, tp in sizes]
    return np.array(found, dtype=np.int64)[kind]


def size_of(pool: Count | PoolPlan) -> Size:
    """What `places` needs of a pool."""
    layout = pool.layout
    stage = layout.tp * layout.attention_dp
    return Size(instances=pool.instances, gpus=layout.gpus, stage=stage, tp=layout.tp)


def encoder_size(encoders: EncoderPlan) -> Size:
    """The same of a pool of encoders."""
    return Size(instances=encoders.instances, gpus=1, stage=1, tp=1)


NodesOf: TypeAlias = Mapping[str, Nodes]  # by the name of a system


def nodes_of(serving: Serving) -> dict[str, Nodes]:
    """How the GPUs of each system of a serving are grouped."""
    return {
        pool.system: failures.nodes_of(pool.system, pool.domain_gpus, pool.rack_gpus)
        for pool in serving.pools
    }


def racks(serving: Serving) -> int:
    """Racks that the GPUs of a serving fill, each with those of one system."""
    gpus = dict.fromkeys((pool.system for pool in serving.pools), 0)
    for pool in serving.pools:
        gpus[pool.system] += pool.gpus
    if serving.encoder is not None and serving.encoder.gpus:
        gpus[serving.encoder.system] += serving.encoder.gpus
    nodes = nodes_of(serving)
    return sum(nodes[system].racks(number) for system, number in gpus.items())


def placed(serving: Serving, nodes: NodesOf) -> dict[str, tuple[Place, ...]]:
    """Every instance of a serving on its hosts, by system.

    `Place.pool` counts the serving's pools, and after them that of its encoders.
    """
    found, encoders, last = {}, serving.encoder, len(serving.pools)
    for system in dict.fromkeys(pool.system for pool in serving.pools):
        mine = [i for i, pool in enumerate(serving.pools) if pool.system == system]
        sizes = [size_of(serving.pools[i]) for i in mine]
        if encoders is not None and encoders.instances and encoders.system == system:
            mine, sizes = [*mine, last], [*sizes, encoder_size(encoders)]
        at = nodes[system]
        some = places.placed(sizes, at.host_gpus, at.domain_hosts)
        found[system] = tuple(replace(one, pool=mine[one.pool]) for one in some)
    return found


def strikes(
    loss: Loss, where: Mapping[str, Sequence[Place]], nodes: NodesOf
) -> list[frozenset[tuple[int, int]]]:
    """The instances, (pool, index), that each possible single loss takes; no two alike."""
    every = [one for some in where.values() for one in some]
    if loss in ("gpu", "instance"):
        return [frozenset({(one.pool, one.index)}) for one in every]
    struck: dict[tuple[str, int], set[tuple[int, int]]] = defaultdict(set)
    for system, some in where.items():
        hosts = 1 if loss == "node" else nodes[system].rack_hosts
        for one in some:
            for host in one.hosts:
                struck[system, host // hosts].add((one.pool, one.index))
    return list(dict.fromkeys(map(frozenset, struck.values())))


def left(serving: Serving, struck: Collection[tuple[int, int]]) -> float:
    """Requests/s that the instances that are left have capacity for."""
    counts = Counter(pool for pool, _ in struck)
    by_phase: dict[Phase, float] = defaultdict(float)
    for i, pool in enumerate(serving.pools):
        by_phase[pool.phase] += pool.requests_per_s * (1.0 - counts[i] / pool.instances)
    left_ = min(by_phase["prefill"], by_phase["decode"]) + by_phase["colocated"]
    if (encoders := serving.encoder) is None or not encoders.instances:
        return left_
    encoded = encoders.requests_per_s * (1.0 - counts[len(serving.pools)] / encoders.instances)
    return min(left_, encoded)


def worst(loss: Loss, serving: Serving, nodes: NodesOf) -> frozenset[tuple[int, int]]:
    """The instances of the loss that leaves least capacity; of equal ones that which takes most."""
    return min(
        strikes(loss, placed(serving, nodes), nodes), key=lambda struck: (left(serving, struck), -len(struck))
    )


def stage_of(serving: Serving, pool: int) -> Stage:
    """What the instances of a pool do, as `placed` counts them."""
    return serving.pools[pool].phase if pool < len(serving.pools) else "encode"


def survival(question: Question, serving: Serving, without: Serving | None) -> Survival:
    """What is to be told of a serving that was chosen to survive a loss, against the best without."""
    loss, rates, nodes = question.scenario.fleet.survive, failures.read(), nodes_of(serving)
    struck = worst(loss, serving, nodes)
    return Survival(
        loss=loss,
        lost=dict(Counter(stage_of(serving, pool) for pool, _ in struck)),
        requests_per_s=serving.requests_per_s,
        gpus=serving.gpus,
        hosts=sum(len({h for one in some for h in one.hosts}) for some in placed(serving, nodes).values()),
        gpus_without=without.gpus if without else None,
        requests_per_s_without=without.requests_per_s if without else None,
        availability=availability(serving, nodes, rates),
        availability_without=availability(without, nodes_of(without), rates) if without else None,
        hours_between_failures=rates.gpu.hours_between_failures,
        hours_to_repair=rates.gpu.hours_to_repair,
    )


def availability(serving: Serving, nodes: NodesOf, rates: Failures) -> float:
    """Share of the time in which the instances that are up have capacity for the serving's rate.

    GPUs and hosts fail independently, and so do pools that share a host: of each pool so many instances must
    be up as serve its part of the rate, which is its utilisation.
    """
    every = placed(serving, nodes)
    share = 1.0
    for i, pool in enumerate(serving.pools):
        at = nodes[pool.system]
        mine = [one for one in every[pool.system] if one.pool == i]
        needed = max(math.ceil(pool.utilisation * pool.instances * (1 - 1e-9)), 1)
        share *= float(_up(mine, pool.layout.gpus, at, rates)[needed:].sum())
    if (encoders := serving.encoder) is not None and encoders.instances:
        mine = [one for one in every[encoders.system] if one.pool == len(serving.pools)]
        needed = max(math.ceil(encoders.utilisation * encoders.instances * (1 - 1e-9)), 1)
        share *= float(_up(mine, 1, nodes[encoders.system], rates)[needed:].sum())
    return share


def _up(places_: Sequence[Place], gpus: int, at: Nodes, rates: Failures) -> FloatArray:
    """Chances that 0, 1, ... of some instances of so many GPUs are up, shape (instances + 1,)."""
    alone, host = (1.0 - rates.gpu.down) ** gpus, 1.0 - rates.host_down(at.host_gpus)
    groups: Counter[int] = Counter(one.hosts[0] for one in places_ if len(one.hosts) == 1)
    chances = [_with_host(count, alone, host) for count in groups.values()]
    chances += [
        _with_host(1, alone * host ** (len(one.hosts) - 1), host) for one in places_ if len(one.hosts) > 1
    ]
    while len(chances) > 1:  # in pairs: products of polynomials
        chances = [
            np.convolve(chances[k], chances[k + 1]) if k + 1 < len(chances) else chances[k]
            for k in range(0, len(chances), 2)
        ]
    return chances[0]


def _with_host(count: int, alone: float, host: float) -> FloatArray:
    """Chances of 0 to `count` instances on one host that is up with a chance of its own."""
    of = np.arange(count + 1)
    ways = np.array([math.comb(count, k) for k in of], dtype=np.float64)
    chances = host * ways * alone**of * (1.0 - alone) ** (count - of)
    chances[0] += 1.0 - host
    return np.asarray(chances)
