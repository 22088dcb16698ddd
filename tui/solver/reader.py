"""Reads traces of requests beside the solver's thread: a large one takes seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from textual.message import Message

from planner.errors import InputError
from tui.state import Trace


class TraceNews(Message):
    """What a trace holds, or why it cannot be read."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace


def read_trace(name: str, post: Callable[[Message], object]) -> threading.Thread:
    """Read a trace in a thread of its own, which no one waits for at the end, and post the news."""

    def run() -> None:
        post(TraceNews(found(name)))

    thread = threading.Thread(target=run, name="ratematch-trace", daemon=True)
    thread.start()
    return thread


def found(name: str) -> Trace:
    """What a trace holds, or why not, in one line. Never raises."""
    from planner.inputs.traces import read_requests
    from planner.inputs.traces.facts import facts

    try:
        requests, repairs = read_requests(Path(name))
        return Trace(name=name, facts=facts(requests), repairs=repairs)
    except InputError as error:
        return Trace(name=name, error=str(error))
    except MemoryError:
        return Trace(name=name, error=f"{name}: too large for the memory of this machine")
    except Exception as error:
        return Trace(name=name, error=f"{name}: {type(error).__name__} while reading it")
