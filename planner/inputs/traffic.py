"""What is asked of a deployment: lengths and rates of its requests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The requests: constant lengths stand for the medians of real traffic."""

    isl: int = 8192  # input tokens per request
    osl: int = 1024  # output tokens per request
    requests_per_s: float | None = None  # demand; None: all that the plan can serve
    cached_share: float = 0.0  # of each prompt that a prefix cache holds, in [0, 1)

    @property
    def new_tokens(self) -> int:
        """Prompt tokens that prefill computes: those that no prefix cache holds.

        >>> Traffic(isl=1000, cached_share=0.25).new_tokens
        750
        """
        return round(self.isl * (1 - self.cached_share))
