"""What a plan says of borders: of domains, of hosts, and of systems between which no cache goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.output.spelling import count, named
from planner.planning import places, survive

if TYPE_CHECKING:
    from planner.planning.result import Plan, Serving


def border_notes(serving: Serving | None) -> list[str]:
    """Pools whose instances do not pack into whole scale-up domains (nodes, racks); none within one."""
    notes: dict[str, None] = {}
    for pool in serving.pools if serving is not None else ():
        size, domain = pool.layout.gpus, pool.domain_gpus
        if (
            not domain
            or serving is None
            or serving.gpus <= domain
            or not max(size, domain) % min(size, domain)
        ):
            continue
        if size < domain:
            fit = domain // size
            how = (
                f"{fit} to a domain leave {count(domain - fit * size, 'GPU')} free, or one crosses the border"
            )
        else:
            how = (
                f"each takes {-(-size // domain)} domains and leaves {count(-size % domain, 'GPU')} to others"
            )
        notes[
            f"{named(pool.phase)} instances of {size} GPUs do not fill whole domains of {domain}: {how}"
        ] = None
    return list(notes)


def host_notes(plan: Plan, serving: Serving | None) -> list[str]:
    """Systems on which instances, as placed, take more hosts than their GPUs fill; none where they tile."""
    budget = plan.scenario.fleet.gpus
    # powers of two tile hosts: no need to place them
    if serving is None or all(not pool.layout.gpus & (pool.layout.gpus - 1) for pool in serving.pools):
        return []
    found, nodes = [], survive.nodes_of(serving)
    where = survive.placed(serving, nodes)
    for system, at in nodes.items():
        pools = [pool for pool in serving.pools if pool.system == system]
        here = [places.per_host(survive.size_of(pool), at.host_gpus) for pool in pools]
        if all(at.host_gpus % one == 0 for one in here):
            continue
        used = len({h for one in where[system] for h in one.hosts})
        gpus = sum(pool.gpus for pool in pools)
        whole = -(-gpus // at.host_gpus)
        if used <= whole:
            continue
        uneven = " and ".join(
            f"{pool.layout.label} takes {one} of a host's {at.host_gpus}"
            for pool, one in zip(pools, here, strict=True)
            if at.host_gpus % one
        )
        beyond = len(plan.alone) < 2 and budget is not None and used * at.host_gpus > budget
        said = f"as placed, {gpus:,} GPUs of {system} take {used:,} hosts, not {whole:,}: {uneven}"
        found.append(said + (f"; {budget:,} GPUs are fewer hosts than that" if beyond else ""))
    return found


def cache_notes(plan: Plan) -> list[str]:
    """Systems of a fleet that hand no cache over to each other, for they keep it in other formats."""
    formats = {one.system: one.kv for one in plan.alone if one.kv is not None}
    if len(set(formats.values())) < 2:
        return []
    said = ", ".join(f"{kv} on {system}" for system, kv in formats.items())
    return [f"the cache is {said}: no pool hands over to one of another format, unless --kv says one for all"]
