"""What the solver thread tells the screen. Each carries the generation it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from textual.message import Message

if TYPE_CHECKING:
    from planner.planning.result import Frontier, Plan


StudyName: TypeAlias = Literal["tornado", "curve", "miss", "pins"]


class SolverMessage(Message):
    """News of one request; a screen drops those whose generation is not its latest."""

    def __init__(self, generation: int) -> None:
        super().__init__()
        self.generation = generation

    def can_replace(self, message: Message) -> bool:
        """Whether `message`, which is next in the queue, makes this one pointless: of its kind, not older.

        The thread's answers pass through the event loop into the queue, a remembered answer does not: so
        an older one can lie behind a newer one, and must not take its place.
        """
        return (
            isinstance(message, SolverMessage)
            and type(message) is type(self)
            and message.generation >= self.generation
        )


class SolveStarted(SolverMessage):
    """The thread has taken up the request."""


class FrontierReady(SolverMessage):
    """The sweep is done; the integer program is not."""

    def __init__(
        self, generation: int, disaggregated: Frontier, colocated: Frontier, budget: int | None
    ) -> None:
        super().__init__(generation)
        self.disaggregated = disaggregated
        self.colocated = colocated
        self.budget = budget  # of GPUs, that they were made under


class SolveDone(SolverMessage):
    """The answer."""

    def __init__(self, generation: int, plan: Plan, *, cached: bool = False) -> None:
        super().__init__(generation)
        self.plan = plan
        self.cached = cached


class SolveFailed(SolverMessage):
    """No answer: `line` says why in one line; `field` is the input to blame, if one is."""

    def __init__(self, generation: int, line: str, *, field: str = "") -> None:
        super().__init__(generation)
        self.line = line
        self.field = field


class StudyNews(SolverMessage):
    """What a study (see `Solver.study`) has found so far; the last has `done`."""

    def __init__(
        self, generation: int, name: StudyName, found: tuple[Any, ...], *, done: bool, line: str = ""
    ) -> None:
        super().__init__(generation)
        self.name = name
        self.found = found
        self.done = done
        self.line = line  # why it ended early, in one line

    def can_replace(self, message: Message) -> bool:
        """Each holds all that the one of its name before it held."""
        return isinstance(message, StudyNews) and message.name == self.name and super().can_replace(message)
