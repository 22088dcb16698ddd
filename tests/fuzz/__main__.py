"""Tries hostile inputs, class by class: a line for each, exit code 1 where one of them failed."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz import harness
from tests.fuzz.classes import CLASSES

SHOWN = 20  # failures of a class


def main() -> int:
    """Try every class that is named, all without a name."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", metavar="CLASS", nargs="*", help=", ".join(CLASSES))
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default 1)")
    parser.add_argument("--count-scale", type=float, default=1.0, help="of the number of inputs")
    args = parser.parse_args()
    unknown = set(args.names) - set(CLASSES)
    if unknown:
        parser.error(f"no class {', '.join(sorted(unknown))}; known: {', '.join(CLASSES)}")
    total = failed = 0
    print(f"{'class':<12}{'inputs':>8}{'failures':>10}{'slowest':>10}{'seconds':>9}", flush=True)
    for name in args.names or CLASSES:
        run, default = CLASSES[name]
        count = max(round(default * args.count_scale), 1)
        begin = time.perf_counter()
        found = []
        for line in run(args.seed, count):
            found.append(line)
            if len(found) <= SHOWN:
                print(f"  {line}", file=sys.stderr, flush=True)
        slow = f"{harness.slowest[name]:.2f} s" if name in harness.slowest else "-"
        took = time.perf_counter() - begin
        print(f"{name:<12}{count:>8,}{len(found):>10,}{slow:>10}{took:>9.0f}", flush=True)
        total, failed = total + count, failed + len(found)
    print(f"{'all':<12}{total:>8,}{failed:>10,}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
