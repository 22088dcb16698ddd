"""Configs of models that do not answer token by token: refused by what the file says they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from planner.errors import InputError, printable
from planner.inputs.huggingface.reader import NESTED, brief

ENCODER = "an encoder, without a decoder or a cache"
ENCODER_DECODER = "an encoder-decoder"
VISION = "a vision model"
SPEECH = "a speech model"
RECURRENT = "a recurrent model, whose state is not modelled"
DIFFUSION = "a diffusion model, whose tokens do not come one by one"
PIPELINE = "a part of a pipeline that makes pictures"
SHARED = "a model whose layers share weights, which is not modelled"

# ends of the names in `architectures` that tell what a model does, whatever its family
_TASKS: Mapping[str, str] = {
    "ForMaskedLM": ENCODER,
    "ForPreTraining": ENCODER,
    "ForMultipleChoice": ENCODER,
    "ForNextSentencePrediction": ENCODER,
    "ForQuestionAnswering": ENCODER,
    "ForSequenceClassification": ENCODER,
    "ForTokenClassification": ENCODER,
    "ForTextEncoding": ENCODER,
    "ForAudioClassification": SPEECH,
    "ForAudioFrameClassification": SPEECH,
    "ForCTC": SPEECH,
    "ForSpeechSeq2Seq": SPEECH,
    "ForTextToSpeech": SPEECH,
    "ForXVector": SPEECH,
    "ForDepthEstimation": VISION,
    "ForImageClassification": VISION,
    "ForMaskedImageModeling": VISION,
    "ForObjectDetection": VISION,
    "ForSemanticSegmentation": VISION,
    "ForUniversalSegmentation": VISION,
    "ForVideoClassification": VISION,
    "ForZeroShotImageClassification": VISION,
}
_ENCODERS = (
    "albert bert bert-generation big_bird bros camembert canine convbert data2vec-text deberta"
    " deberta-v2 distilbert electra embedding_gemma2 ernie ernie_m esm esmc eurobert flaubert fnet"
    " funnel gte ibert jina_embeddings_v3 layoutlm layoutlmv2 layoutlmv3 lilt longformer luke markuplm"
    " megatron-bert mobilebert modernbert mpnet mra nezha nomic_bert nystromformer openai_privacy_filter"
    " rembert roberta roberta-prelayernorm roc_bert roformer splinter squeezebert tapas ultrabert xlm"
    " xlm-roberta xlm-roberta-xl xlnet xmod yoso"
)
_ENCODER_DECODERS = (
    "bart bigbird_pegasus blenderbot blenderbot-small byt5 encoder-decoder florence2 fsmt led longt5"
    " m2m_100 marian mbart mt5 mvp nllb-moe nougat pegasus pegasus_x pix2struct plbart prophetnet rag"
    " seamless_m4t seamless_m4t_v2 switch_transformers t5 t5gemma t5gemma2 trocr udop umt5"
    " vision-encoder-decoder"
)
_VISION = (
    "aimv2 align altclip beit bit blip bridgetower chinese_clip clip clip_vision_model clipseg colpali"
    " colqwen2 conditional_detr convnext convnextv2 cvt deformable_detr deit depth_anything depth_pro"
    " detr dinov2 dinov2_with_registers dinov3_convnext dinov3_vit donut-swin dpt efficientnet flava"
    " focalnet grounding-dino groupvit hiera ijepa imagegpt levit mask2former maskformer metaclip_2"
    " mm-grounding-dino mobilenet_v1 mobilenet_v2 mobilevit modernvbert omdet-turbo oneformer owlv2"
    " owlvit perceiver poolformer pvt pvt_v2 radio regnet resnet rt_detr sam sam2 sam3 segformer siglip"
    " siglip2 siglip_vision_model swin swin2sr swinv2 table-transformer timesformer timm_wrapper tipsv2"
    " videomae videoprism vilt vision-text-dual-encoder vit vit_mae vit_msn vitdet vitmatte vitpose"
    " vivit vjepa2 xclip yolos zoedepth"
)
_SPEECH = (
    "audio-spectrogram-transformer bark canary clap clvp csm dac data2vec-audio dia encodec"
    " fastspeech2_conformer higgs_audio_v2 hubert kyutai_speech_to_text lasr_ctc mimi moonshine"
    " moonshine_streaming moshi_depth musicgen musicgen_decoder musicgen_melody musicgen_melody_decoder"
    " neucodec omniasr parakeet_ctc parakeet_rnnt parakeet_tdt pocket_tts pop2piano sew sew-d"
    " speech-encoder-decoder speech_to_text speecht5 unispeech unispeech-sat univnet vibevoice"
    " vibevoice_asr vits wav2vec2 wav2vec2-bert wav2vec2-conformer wavlm wavtokenizer whisper xcodec"
)
_RECURRENT = "rwkv rwkv5 rwkv6 rwkv7 xlstm retnet"
_SHARED = "zamba zamba2"
_DIFFUSION = "dream llada llada2 llada2_moe llada_moe sdar sdar_moe"
_TYPES: Mapping[str, str] = {
    name: what
    for names, what in (
        (_ENCODERS, ENCODER),
        (_ENCODER_DECODERS, ENCODER_DECODER),
        (_VISION, VISION),
        (_SPEECH, SPEECH),
        (_RECURRENT, RECURRENT),
        (_SHARED, SHARED),
        (_DIFFUSION, DIFFUSION),
    )
    for name in names.split()
}
# ends of model types that are parts of such models
_PARTS: Mapping[str, str] = {
    "_encoder": ENCODER,
    "_qformer": ENCODER,
    "_text_model": ENCODER,
    "_vision": VISION,
    "_vision_model": VISION,
    "_image_model": VISION,
    "_audio": SPEECH,
}
_DECODERS = frozenset({"emu3_text_model", "kosmos_2_text_model", "mllama_text_model"})
_CAUSAL = re.compile(r"ForCausalLM|LMHead|ForConditionalGeneration|ForImageTextToText")


# keys of the files beside a config.json, and what such a file is; an adapter names the model that it is of
_BESIDE: Mapping[str, str] = {
    "peft_type": "an adapter",
    "tokenizer_class": "a tokenizer",
    "added_tokens_decoder": "a tokenizer",
    "temperature": "settings of generation",
    "top_p": "settings of generation",
    "weight_map": "an index of weights",
    "producer": "the quantisation of a checkpoint",
}
_OF_A_MODEL = ("model_type", "architectures", "vocab_size", "n_vocab", "padded_vocab_size", *NESTED)


def _beside(config: Mapping[str, Any]) -> None:
    """Raises InputError for another file of a checkpoint than its config.json."""
    if any(key in config for key in _OF_A_MODEL):
        return
    for key, what in _BESIDE.items():
        if key in config:
            base = config.get("base_model_name_or_path")
            of = f" of {printable(base, 60)}" if isinstance(base, str) else ""
            raise InputError(key, brief(config[key]), f"the model's config.json; this file is {what}{of}")


def check(config: Mapping[str, Any]) -> None:
    """Raises InputError for a model that ratematch cannot plan, naming the key that says so."""
    _beside(config)
    given = config.get("architectures")
    names = [str(name) for name in given] if isinstance(given, list) else []
    name = printable(names[0], 60) if names else ""
    kind = str(config.get("model_type") or "").lower()
    if any(isinstance(config.get(key), Mapping) for key in NESTED) and kind not in _TYPES:
        return  # a text model with other parts around it
    where, value = ("architectures", name) if name else ("model_type", kind)
    for end, what in _TASKS.items():
        if name.endswith(end):
            raise _refused(where, name, what)
    decoder = config.get("is_decoder") is True and _CAUSAL.search(name)
    if kind in _TYPES and not (decoder and _TYPES[kind] == ENCODER):
        raise _refused(where, value, _TYPES[kind])
    part_of = next((what for end, what in _PARTS.items() if kind.endswith(end)), None)
    if part_of is not None and kind not in _DECODERS and not _CAUSAL.search(name):
        raise _refused(where, value, part_of)
    if config.get("use_bidirectional_attention") is True:  # EmbeddingGemma
        raise _refused("use_bidirectional_attention", True, ENCODER)
    if isinstance(config.get("_class_name"), str) and not kind:
        raise _refused("_class_name", printable(config["_class_name"], 60), PIPELINE)
    if config.get("is_encoder_decoder") is True:
        raise _refused("is_encoder_decoder", True, ENCODER_DECODER)
    for part in ("encoder_layers", "num_encoder_layers", "encoder"):
        found = config.get(part)
        if isinstance(found, Mapping) or (
            isinstance(found, int) and found > 0 and not isinstance(found, bool)
        ):
            raise _refused(where if value else part, value or brief(found), ENCODER_DECODER)
    if config.get("type_vocab_size") and not _CAUSAL.search(name):
        raise _refused(where if value else "type_vocab_size", value or config["type_vocab_size"], ENCODER)
    if not config.get("vocab_size") and (config.get("image_size") or config.get("patch_size")):
        raise _refused(where if value else "image_size", value or config.get("image_size"), VISION)
    widths = config.get("conv_dim")
    if config.get("num_mel_bins") or (isinstance(widths, list) and widths):
        part = "num_mel_bins" if config.get("num_mel_bins") else "conv_dim"
        raise _refused(where if value else part, value or brief(config[part]), SPEECH)


def _refused(where: str, value: object, what: str) -> InputError:
    return InputError(where, brief(value), f"a model that answers token by token; this is {what}")
