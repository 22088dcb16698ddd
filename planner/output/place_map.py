"""Which instance lies on which GPUs: a map of hosts and scale-up domains, as data and as plain glyphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from planner.inputs.failures import Nodes
from planner.output.spelling import count, instances, named
from planner.planning import survive
from planner.planning.places import Place
from planner.values import dataclass
from planner.words import Phase

if TYPE_CHECKING:
    from planner.planning.result import Plan, PoolPlan, Serving

LETTERS: Mapping[Phase, str] = {"prefill": "P", "decode": "D", "colocated": "C"}
MOST_LINES = 200  # of hosts: a map of more is told in numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The hosts of one system and what lies on their GPUs."""

    system: str
    nodes: Nodes
    hosts: int  # that are drawn: whole domains
    used: int  # with an instance on them
    gpus: tuple[tuple[str, ...], ...]  # of each host, the instance on each GPU; "" where it is free

    @property
    def free(self) -> int:
        """GPUs without an instance, on hosts that have one."""
        return sum(cells.count("") for cells in self.gpus if any(cells))


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """Every instance of a serving on its GPUs."""

    names: Mapping[tuple[int, int], str]  # of instance (pool, index): P0, D12
    places: Mapping[str, tuple[Place, ...]]
    boards: tuple[Board, ...]


def pool_letters(pools: tuple[PoolPlan, ...]) -> list[str]:
    """P, D and C for the phases; the next letter of the alphabet for another layout of the same phase."""
    taken: list[str] = []
    for pool in pools:
        letter = LETTERS[pool.phase]
        while letter in taken:
            letter = chr(ord(letter) + 1)
        taken.append(letter)
    return taken


ENCODERS = "E"


def _letters(serving: Serving) -> list[str]:
    """`pool_letters`, and after them that of an encoder pool."""
    letters = pool_letters(serving.pools)
    of = serving.encoder
    return [*letters, ENCODERS] if of is not None and of.instances else letters


def map_of(serving: Serving) -> Map:
    """The places of a serving's instances."""
    nodes = survive.nodes_of(serving)
    letters = _letters(serving)
    where = survive.placed(serving, nodes)
    names, boards = {}, []
    for system, some in where.items():
        at = nodes[system]
        last = max((host for one in some for host in one.hosts), default=-1) + 1
        hosts = -(-last // at.domain_hosts) * at.domain_hosts
        cells = [[""] * at.host_gpus for _ in range(hosts)]
        for one in some:
            names[one.pool, one.index] = name = f"{letters[one.pool]}{one.index}"
            for host, gpus in zip(one.hosts, one.gpus, strict=True):
                for gpu in gpus:
                    cells[host][gpu] = name
        boards.append(
            Board(
                system=system,
                nodes=at,
                hosts=hosts,
                used=sum(any(row) for row in cells),
                gpus=tuple(map(tuple, cells)),
            )
        )
    return Map(names=names, places=where, boards=tuple(boards))


def to_data(plan: Plan, serving: Serving) -> dict[str, Any]:
    """The map as plain data; host h of a system lies in domain ``h // domain_hosts``."""
    found = map_of(serving)
    budget = plan.scenario.fleet.gpus
    return {
        "gpus": serving.gpus,
        "gpus_left": None if budget is None else budget - serving.gpus,
        "systems": [
            {
                "system": board.system,
                "host_gpus": board.nodes.host_gpus,
                "domain_hosts": board.nodes.domain_hosts,
                "hosts": board.used,
                "free_gpus_on_hosts": board.free,
            }
            for board in found.boards
        ],
        "instances": [
            {
                "name": found.names[one.pool, one.index],
                "phase": survive.stage_of(serving, one.pool),
                "layout": serving.pools[one.pool].layout.label if one.pool < len(serving.pools) else "TP1",
                "system": system,
                "hosts": list(one.hosts),
                "gpus": [list(gpus) for gpus in one.gpus],
            }
            for system, some in found.places.items()
            for one in some
        ],
    }


def lines(plan: Plan, serving: Serving, width: int, *, ascii: bool) -> list[str]:
    """A box for each host, its GPUs in it; hosts of a domain stand together. At most `width` columns wide."""
    found = map_of(serving)
    out = [
        f"{letter} {named(pool.phase)}: {instances(pool)}"
        for letter, pool in zip(pool_letters(serving.pools), serving.pools, strict=True)
    ]
    if (of := serving.encoder) is not None and of.instances:
        out.append(f"{ENCODERS} image encoder: {of.instances:,} × 1 GPU")
    for board in found.boards:
        out += ["", *_board(board, width, ascii)]
    return [*out, "", *_free(plan, serving, found)]


def _board(board: Board, width: int, ascii: bool) -> list[str]:
    side, free = ("|", ".") if ascii else ("│", "·")
    at = board.nodes
    head = f"{board.system}: {count(board.used, 'host')} of {count(at.host_gpus, 'GPU')}"
    if at.domain_hosts > 1:
        head += f", {count(at.domain_hosts, 'host')} a domain"
    cell = max((len(name) for row in board.gpus for name in row), default=1) or 1
    boxes = [side + " ".join((name or free).ljust(cell) for name in row) + side for row in board.gpus]
    margin = len(str(board.hosts)) + 1
    each = max((width - margin) // (len(boxes[0]) if boxes else 1), 1)
    out = [head]
    for first in range(0, board.hosts, at.domain_hosts):
        some = boxes[first : first + at.domain_hosts]
        if at.domain_hosts > 1:
            out.append(f"domain {first // at.domain_hosts}")
        elif first % each:
            continue  # a host of its own domain: it stands beside the one before
        row = some if at.domain_hosts > 1 else boxes[first : first + each]
        for k in range(0, len(row), each):
            # neighbours share a side
            joined = "".join(box if i == 0 else box[1:] for i, box in enumerate(row[k : k + each]))
            out.append(f"{first + k:<{margin}}{joined}")
        if len(out) > MOST_LINES:
            return [*out[:MOST_LINES], f"and {count(board.hosts - first, 'host')} more"]
    return out


def _free(plan: Plan, serving: Serving, found: Map) -> list[str]:
    """What stays free, on hosts that are in use and beside them."""
    idle = sum(board.free for board in found.boards)
    out = [
        f"{count(idle, 'GPU')} of these hosts {'has' if idle == 1 else 'have'} no instance."
        if idle
        else "Every GPU of these hosts has an instance."
    ]
    budget = plan.scenario.fleet.gpus
    if budget is not None and budget > serving.gpus:
        out.append(f"Of {count(budget, 'GPU')} {budget - serving.gpus:,} are not needed.")
    hosts = sum(board.used * board.nodes.host_gpus for board in found.boards)
    if budget is not None and hosts > budget and len(found.boards) == 1:
        whole = -(-budget // found.boards[0].nodes.host_gpus)
        if found.boards[0].used > whole:
            more, of = count(found.boards[0].used - whole, "host"), count(budget, "GPU")
            out.append(f"That is {more} more than {of} fill: instances do not tile them.")
    return out
