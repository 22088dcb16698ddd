"""The classes of inputs: name, what tries them and yields the failures, how many by default."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tests.fuzz import ends, files, flags, fleets, keys, processes, programs, sessions

CLASSES: Mapping[str, tuple[Callable[[int, int], Iterator[str]], int]] = {
    "flags": (flags.run, 24_000),
    "scenarios": (files.scenarios, 8_000),
    "presets": (files.presets, 6_000),
    "configs": (files.configs, 6_000),
    "results": (files.results, 2_000),
    "foreign": (files.foreign, 4_000),
    "kernels": (files.kernels, 1_500),
    "traces": (files.traces, 3_000),
    "sessions": (sessions.run, 8_000),
    "processes": (processes.run, 60),
    "programs": (programs.run, 5_000),
    "inventories": (fleets.inventories, 500),
    "fleets": (fleets.plans, 20),
    "keys": (keys.keys, 50_000),
    "pastes": (keys.pastes, 1_000),
    "mouse": (keys.mouse, 5_000),
    "resizes": (keys.resizes, 2_000),
    "signals": (ends.signals, 60),
    "sockets": (ends.sockets, 100),
    "kills": (ends.kills, 200),
}
