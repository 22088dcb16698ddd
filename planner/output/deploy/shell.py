"""Shell scripts of a deployment: one for each host, one that starts them all. Every word is quoted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from planner.errors import printable
from planner.output.deploy.parts import Process
from planner.words import Vendor

VISIBLE: Mapping[Vendor, str] = {"nvidia": "CUDA_VISIBLE_DEVICES", "amd": "HIP_VISIBLE_DEVICES"}
_TOP = """#!/usr/bin/env bash
# {what}
set -euo pipefail
cd -- "$(dirname -- "${{BASH_SOURCE[0]}}")"
"""
_PIDS = """mkdir -p logs
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
"""


def quoted(words: Sequence[str]) -> str:
    """Words as a shell reads them, an option and its value on a line of their own.

    >>> print(quoted(["vllm", "serve", "a b", "--tp", "2", "--on", "--config", "{}"]))
    vllm serve 'a b' \\
        --tp 2 \\
        --on \\
        --config '{}'
    """
    lines: list[str] = []
    for word in words:
        if word.startswith("--") or not lines:
            lines.append(shlex.quote(word))
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return " \\\n    ".join(lines)


def top(what: str) -> str:
    """The beginning of a script; `what` it does is a comment, whatever is in it."""
    return _TOP.format(what=printable(what))


def host_script(what: str, processes: Sequence[Process], vendor: Vendor) -> str:
    """Starts the instances of one host, ends them all when one ends or at ctrl+c."""
    blocks = [top(what) + _PIDS]
    for one in processes:
        visible = {VISIBLE[vendor]: ",".join(map(str, one.gpus))}
        env = " ".join(f"{name}={shlex.quote(value)}" for name, value in {**visible, **one.env}.items())
        log = shlex.quote(f"logs/{one.name}.log")
        blocks.append(
            f'# {printable(one.name)}\n{env} \\\n  {quoted(one.argv)} \\\n    >{log} 2>&1 &\npids+=("$!")\n'
        )
    blocks.append('wait -n || true\necho "one of them ended: see logs/" >&2\nexit 1\n')
    return "\n".join(blocks)


def start_script(
    what: str, hosts: Sequence[str], health: Sequence[str], router: Sequence[str], port: int
) -> str:
    """Starts every host, waits until all instances answer, then the router; run on the first host.

    The other hosts are reached by ssh and have this folder at the same place.
    """
    lines = [
        top(what) + _PIDS,
        'bash host-0.sh &\npids+=("$!")\n',
    ]
    for i, host in enumerate(hosts[1:], start=1):
        lines.append(
            f'ssh -tt -- {shlex.quote(host)} "cd ${{PWD@Q}} && exec bash host-{i}.sh" </dev/null &\n'
            'pids+=("$!")\n'
        )
    lines.append(
        "ready() {\n"
        '  until curl -sf -o /dev/null "http://$1/health"; do\n'
        '    for pid in "${pids[@]}"; do\n'
        '      kill -0 "$pid" 2>/dev/null || { echo "a host ended: see logs/" >&2; exit 1; }\n'
        "    done\n"
        "    sleep 5\n"
        "  done\n"
        "}\n"
        f"for address in {' '.join(map(shlex.quote, health))}; do\n"
        '  ready "$address"\n'
        "done\n"
    )
    if router:
        lines.append(
            f'{quoted(router)} \\\n    >logs/router.log 2>&1 &\npids+=("$!")\nready 127.0.0.1:{port}\n'
        )
    lines.append(
        f'echo "serving on port {port}"\nwait -n || true\necho "one of them ended: see logs/" >&2\nexit 1\n'
    )
    return "\n".join(lines)
