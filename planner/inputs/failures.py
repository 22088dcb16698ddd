"""What fails, how often and for how long, and how many GPUs go with it: presets/failures.toml."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from planner.inputs import catalog, toml_tables
from planner.inputs.system import System
from planner.values import dataclass

MOST_GPUS_PER_HOST = 8  # of a host that hosts.toml does not name


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Hours between failures, of one GPU or of a GPU's share of a host, and hours until it is back."""

    hours_between_failures: float
    hours_to_repair: float

    @property
    def down(self) -> float:
        """Share of the time that it is gone."""
        return self.hours_to_repair / (self.hours_between_failures + self.hours_to_repair)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Rates of failure of a fleet's parts, and what they take down."""

    gpu: Part
    host_share: Part  # of a host, for each of its GPUs
    sources: Mapping[str, str]

    def host_down(self, gpus: int) -> float:
        """Share of the time that a host of so many GPUs is gone."""
        each = self.host_share
        whole = Part(
            hours_between_failures=each.hours_between_failures / gpus, hours_to_repair=each.hours_to_repair
        )
        return whole.down


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """How the GPUs of a system are grouped."""

    host_gpus: int  # of a host: one operating system
    domain_hosts: int  # of a scale-up domain
    rack_hosts: int

    @property
    def domain_gpus(self) -> int:
        """GPUs of a scale-up domain of whole hosts."""
        return self.host_gpus * self.domain_hosts

    @property
    def rack_gpus(self) -> int:
        """GPUs of a rack."""
        return self.host_gpus * self.rack_hosts

    def racks(self, gpus: int) -> int:
        """Racks that so many GPUs fill, the last of them in part.

        >>> nodes = Nodes(host_gpus=8, domain_hosts=1, rack_hosts=4)
        >>> nodes.racks(0), nodes.racks(32), nodes.racks(33)
        (0, 1, 2)
        """
        return -(-gpus // self.rack_gpus)


def read() -> Failures:
    """The rates that come with ratematch, or that a user has put in their place."""
    table = _table(catalog.preset_folder() / "failures.toml")
    gpu, host = table["gpu"], table["host"]
    return Failures(
        gpu=Part(**gpu),
        host_share=Part(
            hours_between_failures=host["gpu_hours_between_failures"], hours_to_repair=host["hours_to_repair"]
        ),
        sources=table["sources"],
    )


def nodes(system: System) -> Nodes:
    """Hosts, domains and racks of a system: a rack is a domain of several hosts, or some hosts."""
    return nodes_of(system.name, system.fabric.scale_up_gpus, system.rack_gpus)


def nodes_of(system: str, domain_gpus: int, rack_gpus: int = 0) -> Nodes:
    """The same of a system by its name, with scale-up domains and racks (0: not told) of so many GPUs."""
    host = _gpus_per_host(system, domain_gpus)
    rack = domain = max(domain_gpus // host, 1)
    if domain == 1:
        table = _table(catalog.preset_folder() / "failures.toml")
        rack = max(rack_gpus // host, 1) if rack_gpus else int(table["rack"]["hosts"])
    return Nodes(host_gpus=host, domain_hosts=domain, rack_hosts=rack)


def gpus_per_host(system: System) -> int:
    """GPUs of one host of a system."""
    return _gpus_per_host(system.name, system.fabric.scale_up_gpus)


def _gpus_per_host(name: str, domain_gpus: int) -> int:
    known: Mapping[str, int] = _table(catalog.preset_folder() / "deploy" / "hosts.toml")["gpus"]
    return known.get(name, min(max(domain_gpus, 1), MOST_GPUS_PER_HOST))


def _table(path: Path) -> Mapping[str, Any]:
    """A file's table. Every plan asks, and reading takes as long as choosing: it is kept until changed."""
    try:
        changed_ns = path.stat().st_mtime_ns
    except OSError:  # reading it will say why
        changed_ns = -1
    return _kept(path, changed_ns)


@lru_cache(maxsize=4)
def _kept(path: Path, changed_ns: int) -> Mapping[str, Any]:
    return toml_tables.read_toml(path)
