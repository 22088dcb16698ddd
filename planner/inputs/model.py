"""Model architecture: the numbers that decide weights, KV cache and work per token."""

from __future__ import annotations

from planner.values import dataclass
from planner.words import AttentionKind, BesideFormat, FfnKind, WeightFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """A preset's row: one kind of token-mixing layer and how many layers have it.

    The fields of all kinds side by side, as the TOML table has them; `planner.simulate.operators.attention`
    has a class for each kind, with its own fields alone and what follows from them. kind:
        "gqa"     grouped-query attention (multi-head and multi-query are its ends)
        "mla"     multi-head latent attention: the cache holds `kv_lora + rope_dim` per token
        "linear"  gated delta net or Mamba-2: a state of fixed size instead of a cache
        "conv"    a short convolution (LFM2): its last inputs are kept
        "cross"   attention over what was seen (Mllama): weights, and no cache where text is all there is
        "none"    no token mixing in these layers
    """

    kind: AttentionKind
    layers: int
    heads: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    v_dim: int = 0  # value width per head; 0 means head_dim
    window: int = 0  # tokens a query may look back at (sliding window or chunk); 0 means all
    output_gate: bool = False  # a gate as wide as the query projection (Qwen3.5), in MLA as the values
    shared_kv: bool = False  # keys serve as values: one projection, one cached vector
    # those of an earlier layer: no projections and no cache of its own (Gemma 3n), in a layer of kind mla
    # none but its window (DeepSeek-V4.1)
    reused_kv: bool = False
    beside: bool = False  # in the same layers as the row before it, whose count it has (Falcon-H1)
    bias: bool = False
    qk_norm: bool = False  # queries and keys are normalised before they meet
    # multi-head latent attention
    q_lora: int = 0  # 0 means the query projection is not factored
    kv_lora: int = 0
    nope_dim: int = 0
    rope_dim: int = 0
    # tokens that one cached latent stands for (DeepSeek-V4); the last `window` tokens are kept besides
    fold: int = 1
    # sparse attention: an indexer picks `index_topk` latents (DeepSeek) or, of kind gqa, tokens in blocks
    # (MiniMax-M3); 0 means dense
    index_topk: int = 0
    index_heads: int = 0
    index_dim: int = 0
    index_shared: bool = False  # what an earlier layer's indexer picked serves (GLM-5.2): none of its own
    # linear attention and state-space layers
    k_heads: int = 0
    k_dim: int = 0
    v_heads: int = 0
    conv_width: int = 0
    in_width: int = 0  # output width of the joint input projection; 0 means q, k, v and gates of a delta net

    @property
    def value_dim(self) -> int:
        """Width of one value head."""
        return self.v_dim or self.head_dim


@dataclass(frozen=True, slots=True, kw_only=True)
class Ffn:
    """One kind of feed-forward layer and how many layers have it.

    kind is "dense", "moe" or "none". `matrices` is 3 for gated units (SwiGLU, GeGLU), 2 otherwise.
    """

    kind: FfnKind
    layers: int
    width: int = 0  # intermediate width of the dense layer or of ONE expert
    matrices: int = 3
    experts: int = 0
    topk: int = 0
    shared_width: int = 0  # summed intermediate width of the experts every token visits
    shared_matrices: int = 0  # 0 means as the experts
    latent: int = 0  # experts work in a narrower space of this width (Nemotron-3); 0 means hidden
    bias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vision:
    """The encoder that turns an image into tokens of the prompt: a vision transformer; none without layers.

    An image is cut into square patches of `patch` pixels, each a row of the encoder. `merge` x `merge` of
    them become one token, by a projection of two matrices, ``hidden merge^2`` to `projector` to the model's.
    """

    layers: int = 0
    hidden: int = 0
    heads: int = 0
    width: int = 0  # intermediate width of its feed-forward layers
    matrices: int = 2  # 3 for gated units
    patch: int = 14  # pixels of an edge
    merge: int = 1  # patches of an edge that one token stands for
    window: int = 0  # patches that attend to each other in layers with windows (Qwen2.5-VL); 0: a whole image
    whole_layers: int = 0  # layers without, where some have windows
    tile: int = 0  # patches of a tile that an image is cut into, none of which sees another; 0: no tiles
    tokens: int = 0  # of an image, where the model fixes them; 0: as its size
    projector: int = 0  # inner width of the projection; 0: as wide as what it takes
    source: str = ""  # where that is not the model's own

    def __bool__(self) -> bool:
        return self.layers > 0

    @property
    def patches_per_token(self) -> int:
        """Rows of the encoder for one token of the prompt."""
        return self.merge**2

    @property
    def image_tokens(self) -> int:
        """Tokens of an image where nothing is told: the model's own, or those of 1,024 x 1,024 pixels.

        >>> Vision(layers=27, patch=16, merge=2).image_tokens
        1024
        """
        return self.tokens or (1024 // (self.patch * self.merge)) ** 2

    def params(self, hidden: int) -> float:
        """Parameters, the projection to a model of width `hidden` included; biases and norms left out.

        >>> vision = Vision(layers=27, hidden=1152, heads=16, width=4304, patch=16, merge=2)
        >>> round(vision.params(5120) / 1e6)
        457
        """
        into = self.hidden * self.patches_per_token
        inner = self.projector or into
        layer = 4 * self.hidden**2 + self.matrices * self.hidden * self.width
        return float(self.layers * layer + 3 * self.patch**2 * self.hidden + inner * (into + hidden))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A transformer as the simulator sees it. Layer order does not matter: times add."""

    name: str
    label: str
    family: str  # groups models in validation and error bands: llama, qwen3, deepseek ...
    hidden: int
    vocab: int
    layers: int
    attention: tuple[Attention, ...]
    ffn: tuple[Ffn, ...]
    tied_embeddings: bool = False
    # of further tables that tokens are looked up in, layer by layer (Gemma 3n, the n-grams of DeepSeek-V4.1),
    # and what one of them takes
    lookup_params: float = 0.0
    lookup_bytes: float = 2.0
    vision: Vision = Vision()  # what sees for it; none in a text model
    beside_bytes: float = 0.0  # that every GPU holds beside its shard: an encoder that runs in place
    max_context: int = 0  # tokens; 0 means unknown
    mtp_layers: int = 0
    # share of drafted tokens that are taken, where those before them were: of its heads, or, where it has
    # none, of the draft model that is published for it; as many as are known
    mtp_acceptance: tuple[float, ...] = ()
    mtp_source: str = ""  # of `mtp_acceptance`
    draft_share: float = 0.0  # of the model's work, weights and cache: a draft model beside one without heads
    checkpoint: WeightFormat = "bf16"  # format of the published weights: of the experts, where it has any
    checkpoint_beside: BesideFormat = ""  # of all but the experts, where that is another
    releases: tuple[WeightFormat, ...] = ()  # other formats that its publisher released it in
    published_params: float = 0.0  # total, for the check; 0 means none
    source: str = ""
    notes: tuple[str, ...] = ()
    not_read: tuple[str, ...] = ()  # of its config: keys that look architectural and are not modelled

    @property
    def is_moe(self) -> bool:
        """Whether any layer routes tokens to experts."""
        return any(f.kind == "moe" for f in self.ffn)

    @property
    def experts(self) -> int:
        """Most routed experts of any layer: the widest EP; 1 for a dense model."""
        return max((f.experts for f in self.ffn if f.kind == "moe"), default=1)
