"""What encodes the images of requests, in words, rows and data: in place, or a pool of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.output.spelling import count, named, percent
from planner.units import format_seconds, three_digits

if TYPE_CHECKING:
    from planner.planning.result import EncoderPlan, Plan, Serving

TITLE = "Where images are encoded"
NOTE = "the image encoder is priced by the kernels of prefill: none of an encoder was measured"


def images_text(of: EncoderPlan) -> str:
    """`2 images of 1,024 tokens`."""
    noun = "image" if of.images == 1 else "images"
    return f"{three_digits(of.images)} {noun} of {of.image_tokens:,} tokens"


def phrases(of: EncoderPlan) -> tuple[str, ...]:
    """What the encoder is and takes, the longest first."""
    if not of.instances:
        where = f"in place, {images_text(of)} in {format_seconds(of.pass_s)}"
        return where, f"in place, {format_seconds(of.pass_s)}"
    used = f"{percent(of.utilisation)} used"
    took = f"{images_text(of)} a request, passes of {format_seconds(of.pass_s)}"
    return (
        f"{count(of.gpus, 'GPU')}, {took}, {used}",
        f"{count(of.gpus, 'GPU')}, {used}",
        count(of.gpus, "GPU"),
    )


def title(of: EncoderPlan) -> str:
    """`encoder 8 × 1 GPU`, or `encoder in place`."""
    return f"{of.instances:,} × 1 GPU" if of.instances else "in place"


def lines(serving: Serving, *, on: str = "") -> list[str]:
    """What a report says of it beside the pools; [] where requests have no images."""
    of = serving.encoder
    if of is None:
        return []
    weights = f"{of.weights_bytes / 1e9:.2g} GB of weights on each of these GPUs"
    if not of.instances:
        phase = named(serving.pools[0].phase) if serving.pools else "prompt"
        return [
            f"image encoder: in place, on the {phase} GPUs",
            f"  latency   {images_text(of)} in {format_seconds(of.pass_s)}, part of the first token",
            f"  memory    {weights}",
        ]
    batch = f"{count(of.batch, 'request')} a pass of {format_seconds(of.pass_s)}"
    return [
        f"image encoder: {of.instances:,} × 1 GPU{on}, {count(of.gpus, 'GPU')} in all",
        f"  batch     {batch}, {images_text(of)} each",
        f"  latency   {format_seconds(of.added_ftl_s)} of the first token, hand-over included",
        f"  capacity  {three_digits(of.requests_per_s)} requests/s, {percent(of.utilisation)} used",
        f"  memory    {weights}",
    ]


def rows(plan: Plan) -> list[tuple[str, ...]]:
    """Both places to encode in, for either way of serving: a head first; [] where there are no images."""
    if not plan.encoded:
        return []
    found: list[tuple[str, ...]] = [("", "", "GPUs", "of encoders", "tokens/s", "per GPU", "FTL")]
    for one in plan.encoded:
        where = "a pool of its own" if one.pool else "in place"
        serving = one.serving
        if serving is None:
            found.append((named(one.way), where, *["-"] * 5))
            continue
        encoders = serving.encoder.gpus if serving.encoder else 0
        found.append(
            (
                named(one.way),
                where,
                f"{serving.gpus:,}",
                f"{encoders:,}",
                three_digits(serving.tokens_per_s_per_gpu * serving.gpus),
                three_digits(serving.tokens_per_s_per_gpu),
                format_seconds(serving.ftl_s),
            )
        )
    return found


def as_data(plan: Plan, of: EncoderPlan | None) -> dict[str, Any] | None:
    """The encoder as JSON has it, and both places; None without images."""
    if of is None:
        return None
    return {
        **_one(of),
        "places": [
            {
                "way": one.way,
                "pool": one.pool,
                "gpus": one.serving and one.serving.gpus,
                "encoder_gpus": one.serving and (one.serving.encoder.gpus if one.serving.encoder else 0),
                "requests_per_s": one.serving and one.serving.requests_per_s,
                "expected_requests_per_s": one.serving and one.serving.expected_requests_per_s,
                "tokens_per_s_per_gpu": one.serving and one.serving.tokens_per_s_per_gpu,
                "ftl_s": one.serving and one.serving.ftl_s,
            }
            for one in plan.encoded
        ],
    }


def _one(of: EncoderPlan) -> dict[str, Any]:
    return {
        "pool": bool(of.instances),
        "system": of.system,
        "instances": of.instances,
        "gpus": of.gpus,
        "images_per_request": of.images,
        "image_tokens": of.image_tokens,
        "batch": of.batch or None,
        "pass_s": of.pass_s,
        "light_s": of.light_s,
        "added_ftl_s": of.added_ftl_s,
        "requests_per_s": of.requests_per_s,
        "utilisation": of.utilisation,
        "weights_bytes": of.weights_bytes,
    }
