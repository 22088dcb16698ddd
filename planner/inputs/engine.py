"""Serving engines: host overheads, how they schedule, and the limits of their schedulers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from planner.values import dataclass
from planner.words import MemoryRule, Phase, Reach, UnevenExperts, Vendor, WeightFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What the flags of an engine make, and what it runs on. The defaults are those of no engine: anything.

    `planner.simulate.space.layouts` leaves out what they do not make. Pipelines of a phase are what its
    instances may have beyond one stage: in decode, none where the cache cannot be handed over to them.
    """

    attention_tp_with_dp: bool = True  # attention TP inside attention DP; else all of one or of the other
    expert_tp_with_ep: bool = True  # experts cut inside EP; else whole experts, or all of them cut
    pipelines: tuple[Phase, ...] = ("prefill", "decode", "colocated")
    chunked_pipelines: bool = True  # chunks of one prompt follow each other through the stages (CPP)
    drafts_in_pipelines: tuple[Phase, ...] = ("prefill", "decode", "colocated")  # speculation beside stages
    uneven_experts: UnevenExperts = "as they are"
    # where it is told an all-to-all between ranks of attention DP with whole experts; elsewhere it gathers
    all_to_all: tuple[Reach, ...] = ("pcie", "mesh", "host", "rack", "network")
    nvlink_kernels: tuple[Reach, ...] = ("rack",)  # where it may write through NVLink instead of by DeepEP
    # vendors on whose GPUs a flag has it run batches in two halves, the all-to-all of one behind the kernels
    # of the other; and the families of models that it can cut so, with the kinds of all their layers that
    # mix tokens ("mla" without folded latents); empty: any
    two_batches: tuple[Vendor, ...] = ()
    two_batch_models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dispatched_tokens: int = 0  # of a rank that the all-to-all of a decode step takes at most; 0: any number
    vendors: tuple[Vendor, ...] = ("nvidia", "amd")
    # families of GPUs (`System.family`) on which it has no kernel for weights of a format
    lacks: Mapping[WeightFormat, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProfile:
    """What the serving software adds to the kernels, and what it allows.

    Every constant has a physical meaning; `planner.evidence.calibrate.engines` fits those that end-to-end
    measurements can tell apart.
    """

    name: str
    label: str
    version: str = ""  # the newest whose runs the constants are fitted to; "" where that is not known
    kernels: str = ""  # whose kernel measurements apply; "" means its own name
    versions: tuple[str, ...] = ()  # beginnings of the versions an older build's profile stands for
    # host
    step_s: float  # host time per forward pass that does not hide behind the GPU
    layer_s: float  # gaps and small kernels per layer outside the modelled operators
    qk_norm_s: float = 0.0  # added by layers that normalise queries and keys: kernels between two others
    request_s: float  # host time per sequence in flight and pass (scheduling, sampling, detokenising)
    # once per request of a run that starts with a burst: tokenising, admission, first response; of requests
    # that come alone `planner.simulate.waiting.single_s`
    prefill_request_s: float
    # kernels as deployed, against kernels as measured alone
    floor_share: float = 1.0  # of a kernel's fixed latency that shows when kernels follow each other
    fused_formats: tuple[str, ...] = ()  # activations quantised inside the kernel before, at no cost
    # operator, with ":use", ".format" and "@family" of the GPU that was measured where only those, to the
    # engine whose kernel it runs; and why, for plans to say
    borrows: Mapping[str, str] = field(default_factory=dict)
    borrows_because: Mapping[str, str] = field(default_factory=dict)
    # GPUs over which its own all-reduce runs where a domain spans hosts, NCCL beyond; 0: over all of them
    all_reduce_gpus: int = 0
    # scheduling; what they do to the first token is in `planner.simulate.waiting`
    prefill_stretch: float = 1.0  # time of a prefill pass over the sum of its kernels
    exposure: float = 1.0  # share of a prompt's time that decodes on the same GPUs stand still for it
    # 0: prompts are worked on between decode steps. 1: all waiting prompts first (prefill-prioritising),
    # so that requests which came together stay together. A rule of its scheduler, not fitted
    prefill_priority: float = 0.0
    # passes of the model until a new request's prompt is admitted, where prefill shares the GPUs
    admission_passes: float = 1.0
    handover_s: float = 0.0  # handing a request from a prefill to a decode instance, beside its cache
    arrival_s: float = 0.0  # serial host work per other request of its instance while one is admitted
    overlap: float = 0.0  # share of a decode step that a prompt in the same pass costs nothing
    # ranks of attention data parallelism, which go in lockstep: whether their prompts go in the same passes
    # (0) or each stops all others (1), and how far the fullest is above the mean, over random routing's
    lockstep: float = 0.0
    prompt_imbalance: float = 0.0
    sequence_imbalance: float = 0.0
    # of `arrival_s` that one thread does for all ranks, the rest being of each rank's own; a rule, not fitted
    serial_share: float = 1.0
    # limits
    max_batch: int  # sequences per attention rank
    memory_fraction: float  # share of GPU memory that may be filled, by default; of what, `memory_rule` says
    memory_rule: MemoryRule = "everything"
    reserve_bytes: float  # CUDA context, graphs, communication buffers
    logit_rows: int = 0  # sequences for whose logits and samples room is kept from the start
    # a request is admitted where its whole length fits, and never evicted; else where its prompt does
    whole_lengths: bool = False
    # by default a pass keeps room for all its tokens' pairs at one GPU's experts, not for those routed there
    worst_routing: bool = False
    can: Abilities = Abilities()
    sources: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The engine whose measurements apply to it: for an older build or a copy, the original."""
        return self.kernels or self.name

    @classmethod
    def none(cls, name: str, *, max_batch: int = 1, memory_fraction: float = 1.0) -> EngineProfile:
        """An engine that adds nothing: what kernels are measured under."""
        return cls(
            name=name,
            label=name,
            step_s=0.0,
            layer_s=0.0,
            request_s=0.0,
            prefill_request_s=0.0,
            max_batch=max_batch,
            memory_fraction=memory_fraction,
            reserve_bytes=0.0,
        )

    def bare(self) -> EngineProfile:
        """The same engine adding nothing to its kernels: no host time, every pass as long as their sum.

        A prompt waits for half of the running pass, and shares a pass with a decode step as operators allow.
        """
        return replace(
            self,
            step_s=0.0,
            layer_s=0.0,
            qk_norm_s=0.0,
            request_s=0.0,
            prefill_request_s=0.0,
            floor_share=1.0,
            prefill_stretch=1.0,
            exposure=1.0,
            handover_s=0.0,
            admission_passes=0.5,
            arrival_s=0.0,
            overlap=1.0,
            lockstep=0.0,
            prompt_imbalance=0.0,
            sequence_imbalance=0.0,
        )

    def __hash__(self) -> int:
        return hash(self.name)
