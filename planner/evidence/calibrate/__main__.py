"""Fit the operators' constants to measured kernels: ``python -m planner.evidence.calibrate DIR``.

DIR holds CSV files, one per kind of kernel; each column set is documented in the module named.
Every row has `system` (a preset name), `engine` (trtllm, sglang or vllm) and `latency_us`.

    gemm.csv                       planner.evidence.calibrate.kernels.gemm
    attention_*.csv, mla_*.csv ... planner.evidence.calibrate.kernels.attention
    dsa_*_module.csv               planner.evidence.calibrate.kernels.dsa_modules
    mla_*_module.csv               planner.evidence.calibrate.kernels.mla_modules
    moe.csv                        planner.evidence.calibrate.kernels.moe
    allreduce.csv, nccl.csv ...    planner.evidence.calibrate.kernels.collectives

Files that are missing are passed over. The constants go to presets/kernels/<system>.toml, or to
the folder given with ``--out``; what such a file holds of other operators stays, and a group whose
rows involve other operators (sparse attention: the GEMMs around it) takes them from there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from planner.errors import InputError
from planner.evidence.calibrate.run import calibrate, line


def main(argv: list[str] | None = None) -> int:
    """Command line: 0 when constants were written, 1 when nothing could be fitted, 2 for misuse."""
    parser = argparse.ArgumentParser(
        prog="python -m planner.evidence.calibrate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("measurements", type=Path, help="folder of CSV files")
    parser.add_argument("--system", help="fit this system only")
    parser.add_argument("--operator", help="fit this operator only")
    parser.add_argument("--out", type=Path, default=Path("presets/kernels"), help="folder of kernels files")
    given = parser.parse_args(argv)

    try:
        found = calibrate(
            given.measurements,
            given.out,
            given.system,
            given.operator,
            tell=lambda fit: print(line(fit), flush=True),
        )
    except (InputError, OSError) as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 2
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
