"""Calibration: fits the constants of the operators to measured kernel latencies."""
