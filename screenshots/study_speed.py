"""How fast a study of 2,000 scenarios is: on two workers, on one, and a plan at a time; its peak memory.

python screenshots/study_speed.py [--every N]    # N: only every Nth scenario is planned alone (21)

Rates by the clock are worth what the machine is idle. So each is told again per second of CPU: a study
is as fast as its busiest worker, whoever else is on the machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
TEXT = """schema = 1
[fixed]
gpus = 64
ftl = "10s"
[axes]
model = ["deepseek-r1", "llama-3.1-70b"]
isl = { from = "1k", to = "16k", count = 10, scale = "log" }
osl = { from = 64, to = "2k", count = 10, scale = "log" }
ttl = { from = "10ms", to = "100ms", by = "10ms" }
"""


def study(file: Path, out: Path, workers: int) -> dict[str, Any]:
    """A run of the command: what it reports, CPU seconds of each worker, peak MiB of one and of all."""
    words = [sys.executable, "-m", "tui.cli", "study", str(file), "--out", str(out)]
    client = subprocess.Popen(
        [*words, "--workers", str(workers), "--json"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    cpu: dict[int, float] = {}
    most, whole = 0, 0
    while client.poll() is None:
        total = 0
        for one in tree(client.pid):
            try:
                memory, used = one.memory_info().rss, one.cpu_times()
                worker = "spawn_main" in " ".join(one.cmdline())
            except psutil.Error:
                continue
            total += memory
            if worker:
                most = max(most, memory)
                cpu[one.pid] = used.user + used.system
        whole = max(whole, total)
        time.sleep(0.2)
    told = json.loads(client.communicate()[0])
    return {**told, "cpu_s": sorted(cpu.values()), "worker_mib": most >> 20, "whole_mib": whole >> 20}


def tree(pid: int) -> list[psutil.Process]:
    """A process and its children; none once it is gone."""
    try:
        one = psutil.Process(pid)
        return [one, *one.children(recursive=True)]
    except psutil.Error:
        return []


def alone(every: int, half: int) -> tuple[int, float, float]:
    """Half of the plans one at a time, as a program asks the planner: how many, seconds, CPU seconds."""
    sys.path.insert(0, str(ROOT))
    from planner import load, plan
    from planner.studies.study import read

    catalog = load()
    asked = read(TEXT, catalog)
    plan(asked.scenario(0), catalog)  # presets are read
    numbers = range(every // 2, len(asked), every)[half::2]
    clock, cpu = time.perf_counter(), time.process_time()
    for number in numbers:
        plan(asked.scenario(number), catalog)
    return len(numbers), time.perf_counter() - clock, time.process_time() - cpu


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=21)
    every = parser.parse_args().every
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "asked.toml"
        file.write_text(TEXT)
        halves = [alone(every, 0)]  # before and after, as the machine's speed may move
        for workers in (2, 1):
            found[workers] = run = study(file, Path(folder) / f"by-{workers}", workers)
            per_cpu = run["answered"] / max(run["cpu_s"])
            print(
                f"{workers} worker{'s' if workers > 1 else ' '}   {run['answered']:,} scenarios in "
                f"{run['seconds']:.0f} s, {run['scenarios_per_s']:.1f}/s; "
                f"{per_cpu:.1f} per CPU second of the busiest; peak memory "
                f"{run['worker_mib']:,} MiB a worker, {run['whole_mib']:,} MiB with the client",
                flush=True,
            )
    halves.append(alone(every, 1))
    number, seconds, cpu = (sum(pair) for pair in zip(*halves, strict=True))
    rates = f"{number / seconds:.1f}/s; {number / cpu:.1f} per CPU second"
    print(f"one by one  {number:,} plans in {seconds:.0f} s, {rates}")
    two, one = found[2], found[1]
    by_clock = two["scenarios_per_s"] / one["scenarios_per_s"], one["scenarios_per_s"] / (number / seconds)
    by_cpu = max(one["cpu_s"]) / max(two["cpu_s"]), one["answered"] / max(one["cpu_s"]) / (number / cpu)
    print(f"two workers against one  {by_clock[0]:.2f} times by the clock, {by_cpu[0]:.2f} by CPU time")
    print(f"one worker against one by one  {by_clock[1]:.2f} times by the clock, {by_cpu[1]:.2f} by CPU time")
    hour = 100_000 / 3600 / one["scenarios_per_s"]
    hour_cpu = 100_000 / 3600 / (one["answered"] / max(one["cpu_s"]))
    print(f"100,000 scenarios in an hour  {hour:.1f} workers by the clock, {hour_cpu:.1f} with a core each")


if __name__ == "__main__":
    main()
