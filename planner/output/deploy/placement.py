"""Which instance goes on which GPUs of which hosts (`planner.planning.places`), and on which ports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from planner.output.deploy.parts import Placed
from planner.planning import places
from planner.planning.places import per_host as per_host
from planner.values import dataclass

# first port of each use, and how far apart two on one host lie
ROUTER_PORT = 8000
HTTP_PORT, HEAD_PORT, SIDE_PORT = 8100, 20000, 30000
HEAD_STEP = 100  # engines take neighbours of it too


@dataclass(frozen=True, slots=True, kw_only=True)
class Size(places.Size):
    """Instances of one pool."""

    name: str  # of the pool
    side_ports: int = 1


def placed(sizes: Sequence[Size], host_gpus: int, domain_hosts: int) -> tuple[Placed, ...]:
    """Every instance on its GPUs, in the order of the pools; hosts are numbered without a gap.

    Parameters as of `planner.planning.places.placed`.
    """
    found = places.renumbered(places.placed(sizes, host_gpus, domain_hosts))
    named = tuple(
        Placed(name=f"{sizes[one.pool].name}-{one.index}", pool=one.pool, hosts=one.hosts, gpus=one.gpus)
        for one in found
    )
    return _with_ports(named, [size.side_ports for size in sizes])


def _with_ports(named: Sequence[Placed], side_ports: Sequence[int]) -> tuple[Placed, ...]:
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
        for one in named
    )
