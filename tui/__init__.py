"""The terminal application and the command line of ratematch. `planner` does the planning."""
