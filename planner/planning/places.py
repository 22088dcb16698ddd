"""Which instance goes on which GPUs of which hosts. Pure: sizes in, places out.

First fit, the largest instances first (Johnson, 1973). An instance that fits in a scale-up domain lies in
one, for its collectives are priced there; one that does not takes hosts as they follow each other. Where
sizes divide each other and the host, as powers of two do, no placement uses fewer hosts; otherwise it takes
at most 11/9 of the fewest, and 2/3 of a host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from planner.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Instances of one kind."""

    instances: int
    gpus: int  # of one instance
    stage: int  # GPUs of a pipeline stage
    tp: int
    unit: int = 1  # GPUs that must be on one host


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An instance on its hosts."""

    pool: int  # index of its size
    index: int  # of the pool's instances
    hosts: tuple[int, ...]
    gpus: tuple[tuple[int, ...], ...]  # on each of them


@lru_cache(maxsize=4096)
def per_host(size: Size, host_gpus: int) -> int:
    """GPUs of an instance on each of its hosts: on as few as divide it, no TP group or stage split unevenly.

    0 where no number of hosts does.

    >>> base = dict(instances=1)
    >>> per_host(Size(**base, gpus=36, stage=36, tp=1), 4), per_host(Size(**base, gpus=12, stage=4, tp=4), 8)
    (4, 4)
    """
    for hosts in range(1, size.gpus + 1):
        here, rest = divmod(size.gpus, hosts)
        if rest or here > host_gpus or here % size.unit:
            continue
        if all(here % group == 0 or group % here == 0 for group in (size.stage, size.tp)):
            return here
    return 0


def placed(sizes: Sequence[Size], host_gpus: int, domain_hosts: int) -> tuple[Place, ...]:
    """Every instance on its GPUs, the largest first, in the order of the pools.

    Parameters
    ----------
    host_gpus
        GPUs of a host.
    domain_hosts
        Hosts of a scale-up domain: instances that fit in one are not spread over two. Host h lies in domain
        ``h // domain_hosts``.
    """
    free: list[int] = []
    start: dict[tuple[int, int], int] = defaultdict(int)  # hosts before it are too full for such an instance

    def grow(count: int) -> None:
        while len(free) < count:
            free.append(host_gpus)

    def find(hosts: int, here: int) -> list[int]:
        at = start[hosts, here]
        if hosts > 1 and hosts <= domain_hosts:
            while True:  # one domain after the other
                first = at - at % domain_hosts
                grow(first + domain_hosts)
                fitting = [h for h in range(first, first + domain_hosts) if free[h] >= here]
                if len(fitting) >= hosts:
                    start[hosts, here] = first
                    return fitting[:hosts]
                at = first + domain_hosts
        found: list[int] = []
        while len(found) < hosts:
            grow(at + 1)
            if free[at] >= here:
                found.append(at)
            elif not found:
                start[hosts, here] = at + 1
            at += 1
        return found

    order = sorted(range(len(sizes)), key=lambda i: -sizes[i].gpus)
    found: dict[tuple[int, int], Place] = {}
    for pool in order:
        size = sizes[pool]
        here = per_host(size, host_gpus)
        for index in range(size.instances):
            hosts = find(size.gpus // here, here)
            gpus = []
            for host in hosts:
                taken = host_gpus - free[host]
                gpus.append(tuple(range(taken, taken + here)))
                free[host] -= here
            found[pool, index] = Place(pool=pool, index=index, hosts=tuple(hosts), gpus=tuple(gpus))
    return tuple(found[key] for key in sorted(found))


def renumbered(places: Sequence[Place]) -> tuple[Place, ...]:
    """Hosts without a gap: whole domains are opened, and not all of their hosts are used."""
    used = {host: i for i, host in enumerate(sorted({host for one in places for host in one.hosts}))}
    return tuple(replace(one, hosts=tuple(used[host] for host in one.hosts)) for one in places)
