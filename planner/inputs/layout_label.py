"""The short names of layouts, written and read: `TP8`, `DEP16`, `TEP8`, `CPP4xTP8`, `TP8-EP4TP2`."""

from __future__ import annotations

import re
from typing import NamedTuple

from planner.errors import InputError

ACCEPTED = (
    "a layout as plans name it: TP8, TEP8 (TP, whole experts), DEP16 (attention DP, whole experts), "
    "TP8-EP4TP2, TP2DP8EP16, or one of these with PP4x or CPP4x before it"
)
LONGEST = 40  # characters of a label
MOST = 4096  # GPUs along one axis

# compiled when a label is first read
_PIPELINE = r"(?s)(?:(C?PP)([1-9][0-9]{0,3})[X*×]?)?(.*)\Z"
_WIDTH = r"([1-9][0-9]{0,3})"
_ATTENTION = rf"(?:TP{_WIDTH})?(?:DP{_WIDTH})?\Z"
_EXPERTS = rf"(?:EP{_WIDTH})?(?:TP{_WIDTH})?\Z"
_BOTH = rf"(?:TP{_WIDTH})?DP{_WIDTH}EP{_WIDTH}\Z"
_NAMED = rf"(TEP|DEP){_WIDTH}\Z"


class Widths(NamedTuple):
    """How one instance is sharded; see `planner.simulate.space.Layouts`."""

    tp: int
    pp: int
    attention_dp: int
    moe_tp: int
    ep: int
    chunked: bool = False

    @property
    def gpus(self) -> int:
        """GPUs of the instance."""
        return self.tp * self.attention_dp * self.pp


def label(*, tp: int, pp: int, attention_dp: int, moe_tp: int, ep: int, chunked: bool = False) -> str:
    """The short name of a layout.

    >>> tensor = dict(tp=8, attention_dp=1)
    >>> label(**tensor, pp=1, moe_tp=8, ep=1), label(**tensor, pp=4, moe_tp=8, ep=1, chunked=True)
    ('TP8', 'CPP4xTP8')
    >>> label(**tensor, pp=1, moe_tp=1, ep=8), label(**tensor, pp=1, moe_tp=2, ep=4)
    ('TEP8', 'TP8-EP4TP2')
    >>> label(tp=1, pp=1, attention_dp=16, moe_tp=1, ep=16), label(tp=1, pp=1, attention_dp=8, moe_tp=8, ep=1)
    ('DEP16', 'DP8-TP8')
    >>> label(tp=2, pp=1, attention_dp=8, moe_tp=1, ep=16)
    'TP2DP8EP16'
    """
    stage = tp * attention_dp
    if attention_dp == 1:
        name = f"TP{tp}" if ep == 1 else f"TEP{tp}" if ep == stage else f"TP{tp}-EP{ep}TP{moe_tp}"
    elif ep == stage:
        name = f"DEP{ep}" if tp == 1 else f"TP{tp}DP{attention_dp}EP{ep}"
    else:
        attention = f"DP{attention_dp}" if tp == 1 else f"TP{tp}DP{attention_dp}"
        name = f"{attention}-TP{moe_tp}" if ep == 1 else f"{attention}-EP{ep}TP{moe_tp}"
    return name if pp == 1 else f"{'CPP' if chunked else 'PP'}{pp}x{name}"


def parse(text: str, field: str = "layout") -> Widths:
    """The layout behind a name, in either case; `label` of it gives the name back.

    ``EP4TP2`` alone has attention TP over the same GPUs. A dense model has its feed-forward sharded as
    its attention, so that `TP8` is the same for all.

    Raises InputError naming `field`, the text and what is accepted.

    >>> parse("dep16"), parse("CPP4xTP8").chunked, label(**parse("EP4TP2")._asdict())
    (Widths(tp=1, pp=1, attention_dp=16, moe_tp=1, ep=16, chunked=False), True, 'TP8-EP4TP2')
    """
    short = text.strip() if len(text) <= LONGEST else ""
    pipeline = re.match(_PIPELINE, short.upper())
    assert pipeline is not None  # both of its parts may be empty
    chunked, pp, stage = pipeline[1] == "CPP", int(pipeline[2] or 1), pipeline[3]
    found = _stage(stage)
    if found is None or max(*found, pp) > MOST:
        raise InputError(field, text, ACCEPTED)
    tp, attention_dp, moe_tp, ep = found
    if moe_tp * ep != tp * attention_dp:
        experts = f"EP {ep} x TP {moe_tp} is {moe_tp * ep} GPUs"
        raise InputError(
            field,
            text,
            f"attention and experts share the GPUs of a stage: {experts}, not {tp * attention_dp}",
        )
    return Widths(tp, pp, attention_dp, moe_tp, ep, chunked and pp > 1)


def _stage(name: str) -> tuple[int, int, int, int] | None:
    """(tp, attention_dp, moe_tp, ep) of one pipeline stage; None where the name says nothing."""
    if named := re.match(_NAMED, name):
        width = int(named[2])
        return (width, 1, 1, width) if named[1] == "TEP" else (1, width, 1, width)
    if both := re.match(_BOTH, name):
        tp, dp, ep = (int(width or 1) for width in both.groups())
        return tp, dp, tp * dp // ep if tp * dp % ep == 0 else 1, ep
    before, dash, after = name.partition("-")
    attention, experts = re.match(_ATTENTION, before), re.match(_EXPERTS, after)
    if not dash:
        alone = re.match(_EXPERTS, before)
        if alone and alone[1]:  # EP4TP2, EP8
            ep, moe_tp = int(alone[1]), int(alone[2] or 1)
            return ep * moe_tp, 1, moe_tp, ep
        if attention is None or not before or attention[2]:  # DP alone says nothing of the experts
            return None
        return int(attention[1]), 1, int(attention[1]), 1
    if attention is None or experts is None or not before or not after:
        return None
    tp, dp = (int(width or 1) for width in attention.groups())
    ep, moe_tp = (int(width or 1) for width in experts.groups())
    return tp, dp, moe_tp, ep
