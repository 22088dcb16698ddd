"""What is asked of a deployment: lengths and rates of its requests."""

from __future__ import annotations

from planner.values import dataclass
from planner.words import Arrivals, Encoder, PrefixReuse, Routing


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The requests: their lengths, what they share, and how they come."""

    isl: int = 8192  # input tokens per request, mean
    osl: int = 1024  # output tokens per request, mean
    requests_per_s: float | None = None  # demand; None: all that the plan can serve
    cached_share: float = 0.0  # of each prompt that a prefix cache holds, in [0, 1)
    isl_spread: float = 0.0  # standard deviation over mean of the inputs, lognormal; 0: all alike
    osl_spread: float = 0.0  # the same of the outputs
    arrivals: Arrivals = "auto"  # auto: poisson where a rate is asked for, else steady
    burstiness: float = 2.0  # standard deviation over mean of the gaps between bursty arrivals
    routing: Routing = "least-loaded"  # which instance takes a request
    reuse: PrefixReuse = "none"  # of what a trace's prompts share; none: as `cached_share` says
    host_gb: float | None = None  # host memory per GPU, for blocks that a cache has no room for; 1e9 bytes
    images: float = 0.0  # of a request, mean; their tokens come beside `isl`
    image_tokens: int | None = None  # that an image becomes; None: as the model has it
    encoder: Encoder = "auto"  # where images are encoded
    trace: str | None = None  # file of requests; lengths and arrivals are its own then

    @property
    def host_bytes(self) -> float:
        """Host memory of a GPU that caches may fill."""
        return 1e9 * (self.host_gb or 0.0)

    @property
    def new_tokens(self) -> int:
        """Prompt tokens that prefill computes: those that no prefix cache holds.

        >>> Traffic(isl=1000, cached_share=0.25).new_tokens
        750
        """
        return round(self.isl * (1 - self.cached_share))

    @property
    def arriving(self) -> Arrivals:
        """How requests come: never auto.

        >>> Traffic().arriving, Traffic(requests_per_s=3.0).arriving
        ('steady', 'poisson')
        """
        if self.arrivals != "auto":
            return self.arrivals
        if self.trace is not None:
            return "trace"
        return "steady" if self.requests_per_s is None else "poisson"
