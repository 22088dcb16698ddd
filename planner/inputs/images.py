"""The images of requests: how many, what tokens they become, and what turns them into those."""

from __future__ import annotations

from dataclasses import replace

from planner.errors import InputError
from planner.inputs.lengths import Lengths
from planner.inputs.model import ModelSpec, Vision
from planner.inputs.traffic import Traffic
from planner.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Images of a mean request. They come before its text, and no prefix cache holds them."""

    vision: Vision
    each: float  # of a request
    tokens: int  # of the prompt, that one image becomes
    per_token: float  # images per token of a prompt that prefill computes

    @property
    def patches(self) -> int:
        """Rows of the encoder for one image."""
        return self.tokens * self.vision.patches_per_token

    @property
    def of_prompt(self) -> int:
        """Tokens of a prompt that are of images, mean."""
        return round(self.each * self.tokens)


def of(traffic: Traffic, model: ModelSpec, lengths: Lengths) -> tuple[Images | None, Lengths]:
    """The images of requests, and the lengths of their prompts with them.

    None where there are none. Raises InputError for a model that sees nothing, and more tokens than an image
    of a model with a fixed number has.

    >>> from planner.inputs.lengths import of_traffic
    >>> seeing = ModelSpec(name="x", label="x", family="x", hidden=1, vocab=1, layers=1, attention=(), ffn=(),
    ...     vision=Vision(layers=1, hidden=1, heads=1, width=1, patch=16, merge=2))
    >>> asked = Traffic(isl=1000, osl=100, images=2)
    >>> images, lengths = of(asked, seeing, of_traffic(asked))
    >>> images.of_prompt, lengths.isl, lengths.new
    (2048, 3048, 3048)
    """
    if not traffic.images:
        return None, lengths
    if not model.vision:
        raise InputError("images", traffic.images, f"0: nothing of {model.name} that sees is modelled")
    fixed = model.vision.tokens
    if traffic.image_tokens and fixed and traffic.image_tokens != fixed:
        raise InputError("image-tokens", traffic.image_tokens, f"auto, or {fixed}: {model.name} has no other")
    tokens = traffic.image_tokens or model.vision.image_tokens
    added = round(traffic.images * tokens)
    longer = with_tokens(lengths, added)
    per_token = traffic.images / longer.new
    return Images(vision=model.vision, each=traffic.images, tokens=tokens, per_token=per_token), longer


def with_tokens(lengths: Lengths, added: int) -> Lengths:
    """Lengths of prompts that are all so many tokens longer, none of which is in a cache.

    With n new tokens behind c cached ones and t added, what new tokens attend to besides a mean prompt is
    ``(E[n c + n^2 / 2] - E[n]^2 / 2 + t E[c]) / (E[n] + t)``.
    """
    new = lengths.new + added
    share = lengths.new / new
    cached = lengths.isl - lengths.new
    return replace(
        lengths,
        isl=lengths.isl + added,
        new=new,
        prefix=lengths.prefix * share + cached * (1.0 - share),
        context_isl=lengths.context_isl + added,
        prompt=1.0 + (lengths.prompt - 1.0) * share,
        variation=lengths.variation * share**2,
    )
