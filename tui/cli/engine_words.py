"""What each constant of an engine means, in a few words: `ratematch presets engines NAME` prints them."""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, str] = {
    "version": "newest whose runs the constants are fitted to",
    "kernels": "whose measured kernels apply",
    "versions": "older builds that it stands for",
    "step_s": "host time of a pass that the GPU does not hide",
    "layer_s": "gaps and small kernels of a layer",
    "qk_norm_s": "more of it where queries and keys are normalised",
    "request_s": "host time of a sequence in flight, each pass",
    "prefill_request_s": "host time of a request, once: tokenising, admission",
    "floor_share": "of a kernel's fixed latency that shows in a row of them",
    "fused_formats": "activations quantised at no cost",
    "borrows": "operators whose kernels are another engine's",
    "borrows_because": "and why",
    "all_reduce_gpus": "GPUs that its own all-reduce spans",
    "prefill_stretch": "time of a prefill pass over the sum of its kernels",
    "exposure": "share of a prompt's time that decodes beside it wait",
    "prefill_priority": "1: all waiting prompts go before decode steps",
    "admission_passes": "passes until a new prompt is admitted",
    "handover_s": "handing a request to decode, beside its cache",
    "arrival_s": "serial host work per other request that is admitted",
    "overlap": "share of a decode step that a prompt beside it hides",
    "lockstep": "how far a prompt stops the other attention ranks",
    "prompt_imbalance": "prompts of the fullest attention rank above the mean",
    "sequence_imbalance": "sequences of the fullest attention rank above the mean",
    "serial_share": "of arrival_s that one thread does for all attention ranks",
    "max_batch": "most sequences of an attention rank",
    "memory_fraction": "share of GPU memory that may be filled",
    "memory_rule": "of what that is a share",
    "reserve_bytes": "CUDA context, graphs, buffers",
    "logit_rows": "sequences whose logits have room from the start",
    "whole_lengths": "a request is admitted where its whole length fits",
    "worst_routing": "room for all tokens of a pass at one GPU's experts",
    "can": "what its flags make, and what it runs on",
    "sources": "where the constants come from",
}
