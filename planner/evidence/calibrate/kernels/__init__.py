"""One module for each file of measured kernels: its columns, and the operator fitted to it."""
