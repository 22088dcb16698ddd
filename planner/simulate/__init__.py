"""The simulator: design points in, latency and throughput out. Knows nothing of matching."""
