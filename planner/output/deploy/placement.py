"""Which instance goes on which GPUs of which hosts. Pure: sizes in, places out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from planner.output.deploy.parts import Placed

# first port of each use, and how far apart two on one host lie
ROUTER_PORT = 8000
HTTP_PORT, HEAD_PORT, SIDE_PORT = 8100, 20000, 30000
HEAD_STEP = 100  # engines take neighbours of it too


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Instances of one kind."""

    name: str  # of the pool
    instances: int
    gpus: int  # of one instance
    stage: int  # GPUs of a pipeline stage
    tp: int
    unit: int = 1  # GPUs that must be on one host
    side_ports: int = 1


def per_host(size: Size, host_gpus: int) -> int:
    """GPUs of an instance on each of its hosts: on as few as divide it, no TP group or stage split unevenly.

    0 where no number of hosts does.

    >>> base = dict(name="", instances=1)
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


def placed(sizes: Sequence[Size], host_gpus: int, domain_hosts: int) -> tuple[Placed, ...]:
    """Every instance on its GPUs, the largest first, in the order of the pools.

    Parameters
    ----------
    host_gpus
        GPUs of a host.
    domain_hosts
        Hosts of a scale-up domain: instances that fit in one are not spread over two.
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
    found: dict[tuple[int, int], Placed] = {}
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
            found[pool, index] = Placed(
                name=f"{size.name}-{index}", pool=pool, hosts=tuple(hosts), gpus=tuple(gpus)
            )
    named = tuple(found[key] for key in sorted(found))
    return _with_ports(_renumbered(named), [size.side_ports for size in sizes])


def _renumbered(places: Sequence[Placed]) -> tuple[Placed, ...]:
    """Hosts without a gap: whole domains are opened, and not all of their hosts are used."""
    used = {host: i for i, host in enumerate(sorted({host for one in places for host in one.hosts}))}
    return tuple(replace(one, hosts=tuple(used[host] for host in one.hosts)) for one in places)


def _with_ports(places: Sequence[Placed], side_ports: Sequence[int]) -> tuple[Placed, ...]:
    """Ports that no two instances of a host share."""
    http: dict[int, int] = defaultdict(lambda: HTTP_PORT)
    side: dict[int, int] = defaultdict(lambda: SIDE_PORT)
    head: dict[int, int] = defaultdict(lambda: HEAD_PORT)

    def take(counter: dict[int, int], hosts: Sequence[int], step: int) -> int:
        port = max(counter[host] for host in hosts)
        for host in hosts:
            counter[host] = port + step
        return port

    return tuple(
        replace(
            one,
            port=take(http, one.hosts[:1], 1),
            side_port=take(side, one.hosts, side_ports[one.pool]),
            head_port=take(head, one.hosts, HEAD_STEP) if len(one.hosts) > 1 else 0,
        )
        for one in places
    )
