"""A compose file: each instance a container, each host a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.output.deploy.parts import Process
from planner.output.deploy.shell import VISIBLE
from planner.words import Vendor

CACHE = "${HF_HOME:-~/.cache/huggingface}:/root/.cache/huggingface"
HERE = ".:/deployment:ro"


def compose(
    name: str, image: str, processes: Sequence[Process], router: Sequence[str], vendor: Vendor
) -> dict[str, Any]:
    """The services of all hosts; `docker compose --profile host-0 up` starts those of one.

    A dollar in a value is doubled: compose would take it for a variable.
    """
    services: dict[str, Any] = {}
    for one in processes:
        services[one.name.replace(".", "-")] = {
            **_container(image, one.argv, f"host-{one.host}"),
            "environment": {key: _literal(value) for key, value in _env(one, vendor).items()},
            **_gpus(one, vendor),
        }
    if router:
        services["router"] = _container(image, router, "host-0")
    return {"name": name, "services": services}


def _container(image: str, argv: Sequence[str], profile: str) -> dict[str, Any]:
    return {
        "image": image,
        "profiles": [profile],
        "network_mode": "host",
        "ipc": "host",
        "ulimits": {"memlock": -1, "stack": 67108864},
        "working_dir": "/deployment",
        "volumes": [CACHE, HERE],
        "entrypoint": [_literal(argv[0])],
        "command": [_literal(word) for word in argv[1:]],
    }


def _gpus(one: Process, vendor: Vendor) -> dict[str, Any]:
    if vendor == "amd":  # all devices, and a variable that hides the others'
        return {"devices": ["/dev/kfd", "/dev/dri"], "group_add": ["video"], "cap_add": ["IPC_LOCK"]}
    ids = [str(gpu) for gpu in one.gpus]
    reserved = {"driver": "nvidia", "device_ids": ids, "capabilities": ["gpu"]}
    return {"cap_add": ["IPC_LOCK"], "deploy": {"resources": {"reservations": {"devices": [reserved]}}}}


def _env(one: Process, vendor: Vendor) -> Mapping[str, str]:
    if vendor == "amd":
        return {VISIBLE[vendor]: ",".join(map(str, one.gpus)), **one.env}
    return one.env


def _literal(word: str) -> str:
    return word.replace("$", "$$")
