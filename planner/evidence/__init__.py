"""How we know: measured runs and kernels against the simulator, and the constants fitted to them."""
