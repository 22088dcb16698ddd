"""Keys of a config that say nothing about weights, cache or work per token."""

from __future__ import annotations

from collections.abc import Mapping

# beginnings of the keys that belong to the parts that see, hear, speak or draw
LEFT_OUT = (
    "audio_",
    "code2wav_",
    "img_",
    "codec_",
    "image_",
    "mm_",
    "projector_",
    "sound_",
    "speech_",
    "talker_",
    "tts_",
    "video_",
    "vision_",
    "vit_",
    "vq_",
)
_SUFFIXES = (
    "_alpha",
    "_beta",
    "_bias",
    "_coef",
    "_coefficient",
    "_dropout",
    "_dropout_prob",
    "_eps",
    "_epsilon",
    "_factor",
    "_multiplier",
    "_pdrop",
    "_per_image",
    "_init_floor",
    "_loss_weight",
    "_max",
    "_min",
    "_noise",
    "_placeholder",
    "_range",
    "_scheme",
    "_scale",
    "_scaling",
    "_softcapping",
    "_std",
    "_theta",
    "_id",
    "_token_ids",
    "_token_index",
    "_weights",
    "layernorm",
)
_PREFIXES = (
    "a_log",
    "dt_",
    "hc_",  # hyper-connections: a few vectors per layer
    "initializer",
    "mrope",
    "mup_",
    "norm_",
    "num_beam",
    "output_",
    "return_dict",
    "rope_",
    "rotary_",
    "router_",
    "scale_",
    "summary_",
    "time_step_",
    "tokenizer",
    "torch_",
    "transformers",
    "use_mem",
)
_NAMES = frozenset(
    """
    _attn_implementation _attn_implementation_autoset _name_or_path activation_dropout
    activation_fn_name add_bias_linear add_cross_attention add_inputs_embeddings alibi
    architectures att_impl_type attention_method attn_dropout attn_impl attn_implementation
    attn_pdrop attn_res_block_size attn_rotary_emb attn_temperature_len attn_temperature_tuning
    attn_type auto_map aux_loss_alpha bad_words_ids base_seqlen begin_suppress_tokens bias
    cache_implementation capacity_factor chunk_size chunk_size_feed_forward class_num clip_qkv
    cross_attention_hidden_size dense_list dim_model_base diversity_penalty
    do_layer_norm_before do_sample dropout dropout_rate dtype early_stopping embedding_size
    enable_bias enc_index encoder_no_repeat_ngram_size ep_size expert_selection_fn
    exponential_decay_length_penalty finetuning_task floor_scale for_llm_compressor
    gegelu_limit gegelu_pad_to_256 group_norm_size id2label ignore_index
    indexer_rope_interleave init_device init_method init_std initial_context_length is_decoder
    is_encoder_decoder label2id layer_norm_elementwise_affine layer_norm_type learned_pos_emb
    length_penalty lm_head_bias logit_scale logits_scaling logits_soft_cap mamba_chunk_size
    mamba_hidden_act mamba_ssm_cache_dtype mamba_ssm_dtype max_attn_value max_length
    max_sequence_length max_tokenizer_truncation max_window_layers min_length mlp_multipliers
    mlp_type moe_capacity moe_gate moe_norm_min moe_renormalize moe_router_activation
    moe_router_activation_func moe_router_dtype moe_shared_expert_overlap mtp_bos_token n_group
    no_bias no_repeat_ngram_size no_rope_layer_interval no_rope_layers normalization_function
    normalization_layer_name normalization_type num_expert_group num_experts_groups
    num_gqa_groups num_hash_layers num_logits_to_keep num_media_embeds num_return_sequences
    order_of_interleaved_layers org_vocab_size original_max_position_embeddings parallel_attn
    parallel_residual partial_rotary_factor partial_rotary_factors pool_type
    position_embedding_type prefix pretraining_tp problem_type pruned_heads qk_head_dim
    qk_layernorm qk_norm_type qkv_multipliers query_pre_attn_scalar remove_invalid_values
    repetition_penalty rescale_every rescale_prenorm_residual residual_in_fp32 rms_norm
    rope_max_length rotary_dim rotary_pct route_norm routed_scaling score_func score_function
    scoring_func seq_aux shared_expert_combination_strategy shared_moe_mode ssm_multipliers
    suppress_tokens swiglu_limit swiglu_limits swiglu_limits_shared task_specific_params
    temperature tf_legacy_loss theta tie_encoder_decoder top_k top_p topk_group topk_method
    torchscript training_seqlen type_vocab_size typical_p use_bfloat16 use_bias
    use_bidirectional_attention use_cache use_conv_bias use_gemma_norm use_grouped_topk
    use_mamba_kernels use_mixed_mlp_moe use_parallel_residual use_pos_enc use_position_ids
    use_qkv_bias use_residual use_rms_norm use_routing_bias use_unified_vision_chunk
    vocab_size_per_layer_input word_embed_proj_dim yarn_only_types zero_expert_type
    """.split()  # noqa: SIM905 (so many names read better as a paragraph)
)
_MAPPINGS = ("auto_map", "id2label", "label2id", "rope_", "task_specific_params", "mrope", "generation_")


def is_plain(key: str, value: object = None) -> bool:
    """Whether a key says nothing about the architecture; a mapping does unless it is known.

    >>> is_plain("rope_theta", 1e6), is_plain("sparse_attention_config", {"block": 128})
    (True, False)
    """
    if isinstance(value, Mapping):
        return key.startswith(_MAPPINGS)
    return key in _NAMES or key.endswith(_SUFFIXES) or key.startswith(_PREFIXES)
