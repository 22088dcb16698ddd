"""What is odd in the shipped tables and known to be so: of each kind, where, and why."""

from __future__ import annotations

from typing import NamedTuple


class Known(NamedTuple):
    """An oddity and its reason; "" stands for any, operators and formats are beginnings of their names."""

    kind: str
    operator: str
    engine: str
    dtype: str
    why: str
    systems: tuple[str, ...] = ()


_HOPPER = ("h100", "h200", "h20")
_LAUNCH = "55 to 90 us of the host a launch, as runs of vLLM on H200 have it"
_SHORT = "as measured: a kernel of 4 to 7 us, of which 3 us are its start on B200"
KNOWN = (
    Known("format", "gemm", "vllm", "fp8_block", _LAUNCH, _HOPPER),
    Known("format", "moe", "", "mxfp4_wo", "weight-only: unpacked for bf16 products, which prompts pay for"),
    Known("format", "moe", "", "int4_wo", "weight-only: unpacked for bf16 products, which prompts pay for"),
    Known(
        "format",
        "moe",
        "",
        "fp8_block",
        "as measured on many tokens: scales by token and block take passes of their own",
    ),
    Known(
        "format", "moe", "trtllm", "mxfp4", "measured so at one token: a start of 58 us", ("rtx-pro-6000",)
    ),
    Known(
        "format",
        "dsa",
        "",
        "fp8",
        "as measured: Hopper's sparse kernels gain nothing from an fp8 cache",
        _HOPPER,
    ),
    Known(
        "format",
        "attention_prefill",
        "vllm",
        "fp8",
        "as measured at prompts of 1,024 tokens; longer ones gain",
        ("l40s", "rtx-pro-6000"),
    ),
    Known("engine", "moe", "trtllm", "mxfp4_wo", "Blackwell runs MXFP4 with MXFP8 activations instead"),
    Known("engine", "moe_triton", "sglang", "mxfp4_wo", "the kernel behind its usual one, which is borrowed"),
    Known(
        "engine", "dispatch", "", "", "a plan takes the cheaper of low-latency and high-throughput kernels"
    ),
    Known("engine", "combine", "", "", "a plan takes the cheaper of low-latency and high-throughput kernels"),
    Known("engine", "dsa", "vllm", "", "a block of many small kernels: 0.11 to 0.13 ms on every GPU"),
    Known(
        "engine", "dsa", "trtllm", "bf16", "as measured: its sparse kernels are made for Blackwell", _HOPPER
    ),
    Known(
        "engine", "all_reduce", "vllm", "", "SGLang's newer build: its kernels start in 3.6 us", ("gb300",)
    ),
    Known(
        "engine", "linear_scan", "", "", "vLLM's runs FlashInfer's kernel on Hopper, theirs Triton's", _HOPPER
    ),
    Known("engine", "linear_conv_step", "trtllm", "", _SHORT, ("gb200",)),
    Known("sister", "linear_conv_step", "trtllm", "", _SHORT, ("gb200",)),
    Known(
        "sister",
        "all_reduce",
        "vllm",
        "",
        "as measured: 2 MiB over 8 GPUs take 38.8 us on H200, 20.9 us on H100",
        ("h200",),
    ),
    Known(
        "sister",
        "dsa_decode",
        "trtllm",
        "bf16",
        "whole blocks take the same 0.24 ms on both; the fits part it otherwise between their kernels",
        ("h200",),
    ),
    Known("sister", "dispatch", "", "", "4 ranks were measured on GB200, 8 on B200"),
    Known("sister", "moe", "sglang", "bf16", "two kernels share the table, in other shares of its rows"),
)


def explanation(kind: str, system: str, operator: str, engine: str, dtype: str) -> str:
    """Why an oddity is known to be so; "" where it is not.

    >>> explanation("format", "h200", "moe", "vllm", "int4_wo")
    'weight-only: unpacked for bf16 products, which prompts pay for'
    >>> explanation("format", "h200", "gemm", "vllm", "fp8")
    ''
    """
    for known in KNOWN:
        if (
            known.kind == kind
            and operator.startswith(known.operator)
            and known.engine in ("", engine)
            and dtype.startswith(known.dtype)
            and (not known.systems or system in known.systems)
        ):
            return known.why
    return ""
