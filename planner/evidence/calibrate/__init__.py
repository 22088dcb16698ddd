"""Calibration: fits the constants of operators to measured kernels, and of engines to measured runs.

`run.py` fits a folder of kernel files, one module in `kernels` for each kind, to presets/kernels.
`engines.py` fits presets/engines to a file of runs; `left_out.py` measures what such fits are worth on runs
that they have not seen, for presets/accuracy.toml.
"""
