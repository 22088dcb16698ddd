"""The command line: one module for each command."""

import os

# numpy's BLAS would start a thread for each core whenever a command does, 0.05 s of processor time, and no
# command multiplies matrices that are worth one
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
