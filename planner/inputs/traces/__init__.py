"""Recorded traffic: one module per format, all read into `planner.inputs.requests.Requests`."""

from planner.inputs.traces.read import read_requests
from planner.inputs.traces.repairs import Repairs

__all__ = ["Repairs", "read_requests"]
